// @NAME@ is a compression policy for gsc: of the matrices of linear layers a share of the elements is pruned, the least ones, which grows from step to step up to an end, and stays from there on.
import { Decision, Declaration, Moment, Params, Pattern, Weight, WeightKind } from "./gsc/gsc";

export const manifest = `{"abi": 1, "kind": "policy", "name": "@NAME@", "version": "0.1.0",
  "params": "sparsity: *0.5 | number & >0 & <1, end: *100 | int & >=1"}`;

let sparsity: f32 = 0.5;
let end: u64 = 100;

// init gets the parameters once.
export function init(params: Params): bool {
  sparsity = <f32>params.number("sparsity");
  end = <u64>params.number("end");
  return true;
}

// declare says once what may ever happen to a weight.
export function declare(w: Weight, d: Declaration): void {
  if (w.kind != WeightKind.Linear || sparsity * <f32>w.inputs * <f32>w.outputs < 1) return;
  d.pattern = Pattern.Elements;
  d.sparsity = sparsity;
}

// decide says what happens to it at a step.
export function decide(w: Weight, d: Declaration, m: Moment, to: Decision): void {
  to.prune = sparsity * (<f32>min(m.step, end) / <f32>end);
  to.mask = m.step <= end ? 1 : 0;
}
