//! @NAME@ is a loss for gsc: the cross entropy of a softmax whose logits are divided by a temperature τ.
//!
//! ℓ = log Σ_v e^(z_v/τ) − z_y/τ, dℓ/dz_v = (p_v − [v = y])/τ
use gsc::{math, Params, Row};

struct Tempered {
    temperature: f32,
    scaled: Vec<f32>, // a row of logits, divided
}

impl gsc::Loss for Tempered {
    fn new(params: Params) -> Option<Self> {
        let temperature = params.number("temperature")? as f32;
        if temperature < 1e-3 {
            return None;
        }
        Some(Tempered { temperature, scaled: Vec::new() })
    }

    fn row(&mut self, row: Row) -> f32 {
        self.scaled.clear();
        self.scaled.extend(row.logits.iter().map(|z| z / self.temperature));
        let log_sum = match row.gradient {
            None => math::log_sum_exp(&self.scaled),
            Some(gradient) => {
                let log_sum = math::softmax(&self.scaled, gradient);
                gradient[row.label] -= 1.0;
                for g in gradient.iter_mut() {
                    *g /= self.temperature;
                }
                log_sum
            }
        };
        (log_sum - f64::from(self.scaled[row.label])) as f32
    }
}

gsc::loss! { Tempered, name: "@NAME@", version: "0.1.0", targets: classes, params: "temperature: *1 | number & >0" }
