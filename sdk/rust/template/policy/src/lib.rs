//! @NAME@ is a compression policy for gsc: of the matrices of linear layers a share of the elements is pruned, the least ones, which grows from step to step up to an end, and stays from there on.
use gsc::policy::{Declaration, Decision, Kind, Moment, Pattern, Prune, Weight};
use gsc::Params;

struct Growing {
    sparsity: f32,
    end: u64,
}

impl gsc::Policy for Growing {
    fn new(params: Params) -> Option<Self> {
        Some(Growing { sparsity: params.number("sparsity")? as f32, end: params.number("end")? as u64 })
    }

    fn declare(&mut self, weight: &Weight) -> Declaration {
        let mut declared = Declaration::default();
        if weight.kind == Kind::Linear && self.sparsity * (weight.inputs * weight.outputs) as f32 >= 1.0 {
            declared.prune = Some(Prune { pattern: Pattern::Elements, sparsity: self.sparsity });
        }
        declared
    }

    fn decide(&mut self, _: &Weight, _: &Declaration, moment: &Moment) -> Decision {
        let done = moment.step.min(self.end) as f32 / self.end as f32;
        Decision { prune: self.sparsity * done, mask: moment.step <= self.end, quantise: false }
    }
}

gsc::policy! { Growing, name: "@NAME@", version: "0.1.0", params: "sparsity: *0.5 | number & >0 & <1, end: *100 | int & >=1" }
