//! @NAME@ is a transform for gsc: texts lose the white space at both their ends, and those are left out that then are shorter than a few bytes.
use gsc::{Error, Params, Record, Records};

struct Trimmed {
    bytes: usize,
}

impl gsc::RecordTransform for Trimmed {
    fn new(params: Params) -> Option<Self> {
        Some(Trimmed { bytes: params.number("bytes")? as usize })
    }

    fn record(&mut self, record: &Record, out: &mut Records) -> gsc::Result {
        if record.holds_ids() || record.has_spans() {
            return Err(Error::BadInput); // ids are no text, and spans would have to move
        }
        let text = trim(record.text());
        if text.len() >= self.bytes {
            out.text(text);
        }
        Ok(())
    }
}

fn trim(text: &[u8]) -> &[u8] {
    let ink = |c: &u8| !c.is_ascii_whitespace();
    match (text.iter().position(ink), text.iter().rposition(ink)) {
        (Some(first), Some(last)) => &text[first..=last],
        _ => &[],
    }
}

gsc::record_transform! { Trimmed, name: "@NAME@", version: "0.1.0", order: any, params: "bytes: *1 | int & >=0" }
