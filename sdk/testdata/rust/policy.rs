use gsc::policy::{Declaration, Decision, Kind, Moment, Pattern, Prune, Quantise, Weight};
use gsc::Params;

struct Mixed;

impl gsc::Policy for Mixed {
    fn new(_: Params) -> Option<Self> {
        Some(Mixed)
    }

    fn declare(&mut self, w: &Weight) -> Declaration {
        let half = |pattern| Some(Prune { pattern, sparsity: 0.5 });
        let none = Declaration::default();
        if w.kind == Kind::Table {
            Declaration { quantise: Some(Quantise { bits: 4, group: if w.inputs % 8 == 0 { 8 } else { 0 }, symmetric: true }), ..none }
        } else if w.name.contains("attn") && w.heads > 1 {
            Declaration { prune: half(Pattern::Heads), ..none }
        } else if w.inputs % 4 == 0 {
            Declaration { prune: half(Pattern::Neighbours(4)), quantise: Some(Quantise { bits: 8, group: 0, symmetric: false }) }
        } else if w.outputs > 1 {
            Declaration { prune: half(Pattern::Rows), ..none }
        } else {
            none
        }
    }

    fn decide(&mut self, _: &Weight, declared: &Declaration, m: &Moment) -> Decision {
        let share = if 2 * m.step >= m.steps { 1.0 } else { 0.5 };
        Decision { prune: declared.prune.map_or(0.0, |p| p.sparsity * share), mask: declared.prune.is_some() && m.rms > 0.01, quantise: declared.quantise.is_some() && m.step > 1 << 32 }
    }
}

gsc::policy! { Mixed, name: "policy", version: "1", params: "" }
