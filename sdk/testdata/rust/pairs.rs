use gsc::{Params, Unit};

struct Margin;

impl gsc::UnitLoss for Margin {
    fn new(_: Params) -> Option<Self> {
        Some(Margin)
    }

    fn unit(&mut self, u: Unit) -> f32 {
        let reference = u.inputs.get(1);
        let mut scored = Vec::new();
        let mut margin = 0.0;
        for (row, &label) in u.labels.iter().enumerate() {
            let (sequence, place) = (row / u.length, row % u.length);
            if label < 0 || place as i32 >= u.lengths[sequence] {
                continue;
            }
            let (at, sign) = (row * u.classes + label as usize, if sequence == 0 { 1.0 } else { -1.0 });
            margin += sign * (u.row(row)[label as usize] - reference[at]);
            scored.push((at, sign));
        }
        if let Some(gradient) = u.gradient {
            gradient.fill(0.0);
            for (at, sign) in scored {
                gradient[at] = sign * margin;
            }
        }
        0.5 * margin * margin
    }
}

gsc::unit_loss! { Margin, name: "pairs", version: "1", unit: pairs, params: "", inputs: ["unused", "reference"] }
