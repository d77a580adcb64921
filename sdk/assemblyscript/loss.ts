// A plugin of the kind loss, of rows: what is compiled.
import { row } from "../index";
import { says } from "./exports";
import { Target, setInputs } from "./gsc";
import { LossCall } from "./losscall";

export { gsc_manifest, gsc_alloc, gsc_init } from "./exports";

const overValues = says("targets", "values");

export function gsc_loss(call: LossCall): i32 {
  const n = call.classes, gradients = call.gradients;
  const targetBytes = overValues ? n << 2 : 4;
  for (let i = 0; i < call.rows; i++) {
    const target = changetype<Target>(call.targets + <usize>i * targetBytes);
    setInputs(call.inputs, <usize>i * n);
    call.values[i] = row(call.logits.from(i * n), n, target, gradients ? gradients.from(i * n) : null);
  }
  return 0;
}
