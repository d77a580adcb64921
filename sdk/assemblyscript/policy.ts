// A compression policy: what is compiled.
import { declare as declares, decide as decides } from "../index";
import { Decision, Declaration, Moment, Weight } from "./gsc";

export { gsc_manifest, gsc_alloc, gsc_init } from "./exports";

// The words of a call: the weight, the moment, what is declared, and what is decided.
const momentAt: usize = 24, declaredAt: usize = 44, decidedAt: usize = 68;

export function gsc_declare(call: usize): i32 {
  declares(changetype<Weight>(call), changetype<Declaration>(call + declaredAt));
  return 0;
}

export function gsc_decide(call: usize): i32 {
  decides(changetype<Weight>(call), changetype<Declaration>(call + declaredAt), changetype<Moment>(call + momentAt), changetype<Decision>(call + decidedAt));
  return 0;
}
