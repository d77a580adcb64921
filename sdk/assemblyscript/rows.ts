// A plugin of the kind transform, of rows of tokens: what is compiled.
import { row } from "../index";
import { Floats, Ints, Status, Tokens } from "./gsc";

export { gsc_manifest, gsc_alloc, gsc_init } from "./exports";

// Call is rows, as gsc lays them out.
@unmanaged
class Call {
  rows: i32;
  length: i32;
  vocabulary: i32;
  outputs: i32;
  ignore: i32;
  tokens: Ints;
  labels: Ints;
  labelsARow: i32;
  weights: Floats | null;
  types: Ints | null;
  segments: Ints | null;
  valid: Ints;
  seeds: usize;
}

const t = new Tokens();

export function gsc_transform(call: Call): i32 {
  const length = call.length, labels = call.labelsARow, weights = call.weights, types = call.types, segments = call.segments;
  t.vocabulary = call.vocabulary;
  t.outputs = call.outputs;
  t.ignore = call.ignore;
  t.labelsTokens = labels == length;
  for (let i = 0; i < call.rows; i++) {
    t.n = call.valid[i];
    t.tokens = call.tokens.from(i * length);
    t.labels = call.labels.from(i * labels);
    t.labelCount = min(t.n, labels);
    t.weights = weights ? weights.from(i * max(1, labels)) : null;
    t.types = types ? types.from(i * length) : null;
    t.segments = segments ? segments.from(i * length) : null;
    t.seed = load<u64>(call.seeds + (<usize>i << 3));
    const status = row(t);
    if (status != Status.OK) return status;
  }
  return Status.OK;
}
