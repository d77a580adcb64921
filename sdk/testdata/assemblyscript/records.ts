import { Params, Record, Records, Status } from "./gsc/gsc";

export const manifest = `{"abi": 1, "kind": "transform", "name": "records", "version": "1", "on": "records", "record_bytes": 100000}`;

export function init(params: Params): bool { return true; }

export function record(r: Record, out: Records): Status {
  switch (r.length % 4) {
    case 0:
      out.keep();
      break;
    case 1:
      out.keep();
      if (r.labelCount > 0) {
        out.label("kept");
        out.label(r.label(0));
      }
      for (let i = 0; i < r.numberCount; i++) out.number(2 * r.number(i));
      break;
    case 2:
      if (r.holdsIds) out.ids(r.ids.from(1), r.length - 1);
      else out.text(r.text.from(1), r.length - 1);
      for (let i = 0; i < r.spanCount; i++) {
        if (r.spanFrom(i) > 0) out.span(r.spanFrom(i) - 1, r.spanTo(i) - 1, r.spanName(i));
        else if (r.spanTo(i) > 1) out.span(0, r.spanTo(i) - 1, "cut");
      }
      out.keep();
      break;
    default:
      if (r.seed % 2 == 1) out.keep();
  }
  return Status.OK;
}
