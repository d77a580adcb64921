// @NAME@ is a transform for gsc: texts lose the white space at both their ends, and those are left out that then are shorter than a few bytes.
import { Params, Record, Records, Status } from "./gsc/gsc";

export const manifest = `{"abi": 1, "kind": "transform", "name": "@NAME@", "version": "0.1.0", "on": "records",
  "params": "bytes: *1 | int & >=0"}`;

let least: i32 = 1;

// init gets the parameters once.
export function init(params: Params): bool {
  least = <i32>params.number("bytes");
  return true;
}

// record gives what becomes of a record.
export function record(r: Record, out: Records): Status {
  if (r.holdsIds || r.hasSpans) return Status.BadInput; // ids are no text, and spans would have to move
  const text = r.text;
  let from = 0, to = r.length;
  while (from < to && blank(text[from])) from++;
  while (from < to && blank(text[to - 1])) to--;
  if (to - from >= least) out.text(text.from(from), to - from);
  return Status.OK;
}

function blank(c: u8): bool { return c == 0x20 || (c >= 0x09 && c <= 0x0d); }
