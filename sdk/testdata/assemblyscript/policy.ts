import { Decision, Declaration, Moment, Params, Pattern, Weight, WeightKind } from "./gsc/gsc";

export const manifest = `{"abi": 1, "kind": "policy", "name": "policy", "version": "1"}`;

export function init(params: Params): bool { return true; }

export function declare(w: Weight, d: Declaration): void {
  if (w.kind == WeightKind.Table) {
    d.bits = 4;
    d.group = w.inputs % 8 == 0 ? 8 : 0;
    d.symmetric = 1;
  } else if (w.name.includes("attn") && w.heads > 1) {
    d.pattern = Pattern.Heads;
    d.sparsity = 0.5;
  } else if (w.inputs % 4 == 0) {
    d.pattern = Pattern.Neighbours;
    d.of = 4;
    d.sparsity = 0.5;
    d.bits = 8;
  } else if (w.outputs > 1) {
    d.pattern = Pattern.Outputs;
    d.sparsity = 0.5;
  }
}

export function decide(w: Weight, d: Declaration, m: Moment, to: Decision): void {
  to.prune = 2 * m.step >= m.steps ? d.sparsity : d.sparsity / 2;
  to.mask = i32(d.pattern != Pattern.None && m.rms > 0.01);
  to.quantise = i32(d.bits > 0 && m.step > 4294967296);
}
