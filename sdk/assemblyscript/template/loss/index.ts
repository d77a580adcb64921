// @NAME@ is a loss for gsc: the cross entropy of a softmax whose logits are divided by a temperature τ.
//
//     ℓ = log Σ_v e^(z_v/τ) − z_y/τ        dℓ/dz_v = (p_v − [v = y])/τ
import { Floats, Params, Target, expSum, max, scale } from "./gsc/gsc";

export const manifest = `{"abi": 1, "kind": "loss", "name": "@NAME@", "version": "0.1.0", "targets": "classes",
  "params": "temperature: *1 | number & >0"}`;

let temperature: f32 = 1;
let scaled = changetype<Floats>(0); // a row of logits, divided

// init gets the parameters once.
export function init(params: Params): bool {
  temperature = <f32>params.number("temperature");
  return temperature >= 1e-3;
}

// row is the loss of n logits, and its gradient where one is asked for.
export function row(logits: Floats, n: i32, target: Target, gradient: Floats | null): f32 {
  if (!changetype<usize>(scaled)) scaled = changetype<Floats>(heap.alloc(n << 2)); // all rows are of one width
  for (let v = 0; v < n; v++) scaled[v] = logits[v] / temperature;
  const top = max(scaled, n), total = expSum(scaled, n, top, gradient);
  const loss = Math.log(total) + <f64>top - <f64>scaled[target.label];
  if (gradient) {
    scale(gradient, n, <f32>(1 / (total * temperature)));
    gradient[target.label] -= 1 / temperature;
  }
  return <f32>loss;
}
