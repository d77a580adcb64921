use gsc::{Params, Row};

struct Between(f32);

impl gsc::Loss for Between {
    fn new(p: Params) -> Option<Self> {
        let given = p.flag("halve")? && !p.flag("off")? && p.text("word")? == "by" && p.text("note")? == "<ü>\t\"";
        let absent = p.flag("none").is_none() && p.text("none").is_none() && p.number("none").is_none();
        (given && absent).then(|| Between(p.number("by").unwrap() as f32))
    }

    fn row(&mut self, mut row: Row) -> f32 {
        let mut sum = 0.0;
        for (v, z) in row.logits.iter().enumerate() {
            let (a, b) = (z - row.targets[v], z - row.inputs.get(0)[v]);
            sum += self.0 * (a * a + b * b);
            if let Some(gradient) = row.gradient.as_mut() {
                gradient[v] = a + b;
            }
        }
        sum
    }
}

gsc::loss! { Between, name: "values", version: "1", targets: values, params: "word: *\\\"by\\\" | string, by: *0.5 | number, halve: *true | bool, off: *false | bool, note: *\\\"<ü>\\\\t\\\\\\\"\\\" | string", inputs: ["teacher_logits"] }
