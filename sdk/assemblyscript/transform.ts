// A plugin of the kind transform, of records: what is compiled.
import { record } from "../index";
import { Record, Records, Status } from "./gsc";
import { Columns } from "./kinds";

export { gsc_manifest, gsc_alloc, gsc_init } from "./exports";

const r = new Record(), out = new Records();

// The words of a call: the batch, what comes out behind its unit and seeds, and origins.
const unitAt: usize = 48, seedsAt: usize = 52, afterAt: usize = 56, originsAt: usize = 104;

export function gsc_transform(call: usize): i32 {
  const batch = changetype<Columns>(call), unit = load<i32>(call + unitAt);
  clear(batch, unit == 4 ? 2 : 0);
  r.batch = batch;
  r.holdsIds = unit == 4;
  for (let i = 0; i < batch.records; i++) {
    r.at = out.at = i;
    r.seed = load<u64>(load<usize>(call + seedsAt) + (<usize>i << 3));
    const status = record(r, out);
    if (status != Status.OK) return status;
  }
  fill(changetype<Columns>(call + afterAt));
  store<usize>(call + originsAt, out.origins.at);
  return Status.OK;
}

// clear empties what came out of the batch before.
function clear(batch: Columns, shift: i32): void {
  out.batch = batch;
  out.shift = shift;
  out.written = out.labelled = false;
  out.origins.bytes = out.content.bytes = out.ends.bytes = out.names.bytes = out.nameEnds.bytes = out.spans.bytes = out.spanEnds.bytes = 0;
  out.labels.bytes = out.labelEnds.bytes = out.numbers.bytes = out.numberEnds.bytes = 0;
}

// fill says where columns lie.
function fill(to: Columns): void {
  to.records = out.origins.words;
  if (!out.written) return;
  to.content = out.content.at;
  to.ends = out.ends.ints;
  to.nameCount = out.nameEnds.words;
  to.names = out.names.at;
  to.nameEnds = out.nameEnds.ints;
  if (r.hasSpans || out.spans.bytes > 0) {
    to.spans = out.spans.at;
    to.spanEnds = out.spanEnds.ints;
  }
  if (!out.labelled) return;
  to.labels = out.labels.at;
  to.labelEnds = out.labelEnds.ints;
  to.numbers = out.numbers.at;
  to.numberEnds = out.numberEnds.ints;
}
