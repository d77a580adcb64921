// The focal loss (Lin et al., arXiv:1708.02002): the cross entropy, weighed down where the model is sure already.
//
//     q = 1 − p_y:   ℓ = −q^γ·log p_y
//     dℓ/dz_v = (q^γ − γ·q^(γ−1)·p_y·log p_y)·(p_v − [v = y])
import { Floats, Params, Target, expSum, max, scale } from "./gsc/gsc";

export const manifest = `{"abi": 1, "kind": "loss", "name": "focal_as", "version": "1.0.0", "targets": "classes", "params": "gamma: *2 | number & >=0 & <=10"}`;

let gamma: f64 = 2;

export function init(params: Params): bool {
  gamma = params.number("gamma");
  return gamma >= 0;
}

export function row(logits: Floats, n: i32, target: Target, gradient: Floats | null): f32 {
  const y = target.label, top = max(logits, n), total = expSum(logits, n, top, gradient);
  const logP = <f64>logits[y] - (Math.log(total) + <f64>top);
  const q = -Math.expm1(logP), p = 1 - q;
  const weight = gamma == 0 ? 1 : q < 1e-30 ? 0 : Math.pow(q, gamma);
  if (gradient) {
    const slope = weight - (q < 1e-30 ? 0 : gamma * weight / q) * p * logP;
    scale(gradient, n, <f32>(slope / total));
    gradient[y] = <f32>(-slope * q);
  }
  return <f32>(-weight * logP);
}
