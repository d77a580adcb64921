use gsc::{Params, Tokens};

struct Changed;

impl gsc::RowTransform for Changed {
    fn new(_: Params) -> Option<Self> {
        Some(Changed)
    }

    fn row(&mut self, r: Tokens) -> gsc::Result {
        for i in 0..r.tokens.len() {
            let (kind, segment) = (r.types.get(i).unwrap_or(&0), r.segments.get(i).unwrap_or(&0));
            r.tokens[i] = (r.tokens[i] + kind + segment) % r.vocabulary;
        }
        for (i, kind) in r.types.iter_mut().enumerate() {
            *kind = i as i32 % 2;
        }
        for weight in r.weights.iter_mut() {
            *weight *= 0.5;
        }
        for label in r.labels.iter_mut() {
            *label = if *label == r.ignore { 0 } else { (*label + r.labels_tokens as i32) % r.outputs };
        }
        if let Some(first) = r.tokens.first_mut() {
            *first = (r.seed % r.vocabulary as u64) as i32;
        }
        Ok(())
    }
}

gsc::row_transform! { Changed, name: "rows", version: "1", params: "", evaluates: true, labels: tokens, weights: true }
