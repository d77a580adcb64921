// LossCall is a chunk of units, as gsc lays it out.
import { Floats } from "./gsc";

@unmanaged
export class LossCall {
  rows: i32;
  classes: i32;
  logits: Floats;
  targets: usize;
  weights: usize;
  values: Floats;
  gradients: Floats | null;
  length: i32;
  lengths: usize;
  inputs: usize;
}
