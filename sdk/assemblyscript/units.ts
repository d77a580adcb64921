// A plugin of the kind loss, of sequences or pairs: what is compiled.
import { unit } from "../index";
import { says } from "./exports";
import { Ints, Unit, setInputs } from "./gsc";
import { LossCall } from "./losscall";

export { gsc_manifest, gsc_alloc, gsc_init } from "./exports";

const sequences = says("unit", "pairs") ? 2 : 1;
const u = new Unit();

export function gsc_loss(call: LossCall): i32 {
  const rows = sequences * call.length, n = rows * call.classes, gradients = call.gradients;
  u.classes = call.classes;
  u.length = call.length;
  for (let i = 0; i * rows < call.rows; i++) {
    u.lengths = changetype<Ints>(call.lengths).from(i * sequences);
    u.labels = changetype<Ints>(call.targets).from(i * rows);
    u.logits = call.logits.from(i * n);
    u.gradient = gradients ? gradients.from(i * n) : null;
    setInputs(call.inputs, <usize>i * n);
    call.values[i] = unit(u);
  }
  return 0;
}
