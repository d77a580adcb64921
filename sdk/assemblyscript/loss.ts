// A plugin of the kind loss: what is compiled.
import { manifest, init, row } from "../index";
import { OK, BAD_PARAMS, alloc, member, params, text } from "./exports";
import { Floats, Target } from "./gsc";

export function gsc_manifest(): u64 { return text(manifest); }
export function gsc_alloc(size: i32): usize { return alloc(size); }
export function gsc_init(at: usize, length: i32): i32 { return init(params(at, length)) ? OK : BAD_PARAMS; }

// Call is a chunk of rows, as gsc lays it out.
@unmanaged
class Call {
  rows: i32;
  classes: i32;
  logits: Floats;
  targets: usize;
  weights: usize;
  values: Floats;
  gradients: Floats | null;
}

const overValues = member(manifest, "targets") == "values";

export function gsc_loss(call: Call): i32 {
  const n = call.classes, gradients = call.gradients;
  const targetBytes = overValues ? n << 2 : 4;
  for (let i = 0; i < call.rows; i++) {
    const target = changetype<Target>(call.targets + <usize>i * targetBytes);
    call.values[i] = row(call.logits.from(i * n), n, target, gradients ? gradients.from(i * n) : null);
  }
  return OK;
}
