//! The cross entropy with smoothed labels (Szegedy et al., arXiv:1512.00567, section 7): a share ε of each label is given to all classes alike.
//!
//! ℓ = lse − (1 − ε)·z_y − ε/V·Σ_v z_v, dℓ/dz_v = p_v − (1 − ε)·[v = y] − ε/V
#![no_std]

use gsc::{math, Params, Row};

struct LabelSmoothed {
    epsilon: f64,
}

impl gsc::Loss for LabelSmoothed {
    fn new(params: Params) -> Option<Self> {
        Some(LabelSmoothed { epsilon: params.number("epsilon")? })
    }

    fn row(&mut self, row: Row) -> f32 {
        let (z, y) = (row.logits, row.label);
        let (kept, share) = (1.0 - self.epsilon, self.epsilon / z.len() as f64);
        let log_sum = match row.gradient {
            None => math::log_sum_exp(z),
            Some(gradient) => {
                let log_sum = math::softmax(z, gradient);
                for g in gradient.iter_mut() {
                    *g -= share as f32;
                }
                gradient[y] -= kept as f32;
                log_sum
            }
        };
        let sum: f64 = z.iter().map(|&v| f64::from(v)).sum();
        (log_sum - kept * f64::from(z[y]) - share * sum) as f32
    }
}

gsc::loss! { LabelSmoothed, name: "label_smoothed", version: "1.0.0", targets: classes, params: "epsilon: *0.1 | number & >=0 & <1" }
