use gsc::{Params, Record, Records, Span};

struct Changed;

impl gsc::RecordTransform for Changed {
    fn new(_: Params) -> Option<Self> {
        Some(Changed)
    }

    fn record(&mut self, r: &Record, out: &mut Records) -> gsc::Result {
        match (r.text().len() + r.ids().len()) % 4 {
            0 => out.keep(),
            1 => {
                out.keep();
                if let Some(first) = r.labels().next() {
                    out.label("kept");
                    out.label(first);
                }
                for number in r.numbers() {
                    out.number(2.0 * number);
                }
            }
            2 => {
                if r.holds_ids() {
                    out.ids(&r.ids()[1..]);
                } else {
                    out.text(&r.text()[1..]);
                }
                for s in r.spans() {
                    if s.from > 0 {
                        out.span(Span { from: s.from - 1, to: s.to - 1, name: s.name });
                    } else if s.to > 1 {
                        out.span(Span { from: 0, to: s.to - 1, name: "cut" });
                    }
                }
                out.keep();
            }
            _ if r.seed % 2 == 1 => out.keep(),
            _ => {}
        }
        Ok(())
    }
}

gsc::record_transform! { Changed, name: "records", version: "1", order: any, params: "", record_bytes: 100000 }
