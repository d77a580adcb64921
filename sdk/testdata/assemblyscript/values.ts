import { Floats, Params, Target, input } from "./gsc/gsc";

export const manifest = `{"abi": 1, "kind": "loss", "name": "values", "version": "1", "params": "word: *\\"by\\" | string, by: *0.5 | number, halve: *true | bool, off: *false | bool, note: *\\"<ü>\\\\t\\\\\\"\\" | string", "targets": "values", "inputs": ["teacher_logits"]}`;

let by: f32 = 0;

export function init(p: Params): bool {
  by = <f32>p.number("by");
  const note = p.text("note"), word = p.text("word");
  return p.flag("halve") && !p.flag("off") && !p.flag("none") && word !== null && word == "by" && note !== null && note == "<ü>\t\"" && p.text("none") === null && isNaN(p.number("none"));
}

export function row(logits: Floats, n: i32, target: Target, gradient: Floats | null): f32 {
  const teacher = input(0);
  let sum: f32 = 0;
  for (let v = 0; v < n; v++) {
    const a = logits[v] - target.values[v], b = logits[v] - teacher[v];
    sum += by * (a * a + b * b);
    if (gradient) gradient[v] = a + b;
  }
  return sum;
}
