import { Params, Unit, input } from "./gsc/gsc";

export const manifest = `{"abi": 1, "kind": "loss", "name": "pairs", "version": "1", "targets": "classes", "unit": "pairs", "inputs": ["unused", "reference"]}`;

export function init(params: Params): bool { return true; }

export function unit(u: Unit): f32 {
  const gradient = u.gradient, reference = input(1);
  let margin: f32 = 0;
  for (let row = 0; row < 2 * u.length; row++) {
    const at = place(u, row);
    if (at >= 0) margin += sign(u, row) * (u.logits[at] - reference[at]);
  }
  if (gradient) {
    memory.fill(changetype<usize>(gradient), 0, <usize>(8 * u.length * u.classes));
    for (let row = 0; row < 2 * u.length; row++) {
      const at = place(u, row);
      if (at >= 0) gradient[at] = sign(u, row) * margin;
    }
  }
  return 0.5 * margin * margin;
}

// place is where a row's label is among the logits; -1: it is not scored.
function place(u: Unit, row: i32): i32 {
  const label = u.labels[row];
  return label >= 0 && row % u.length < u.lengths[row / u.length] ? row * u.classes + label : -1;
}

function sign(u: Unit, row: i32): f32 { return row < u.length ? 1 : -1; }
