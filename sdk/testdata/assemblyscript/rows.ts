import { Params, Status, Tokens } from "./gsc/gsc";

export const manifest = `{"abi": 1, "kind": "transform", "name": "rows", "version": "1", "on": "rows", "evaluates": true, "labels": "tokens", "weights": true}`;

export function init(params: Params): bool { return true; }

export function row(r: Tokens): Status {
  const types = r.types, segments = r.segments, weights = r.weights;
  for (let i = 0; i < r.n; i++) {
    if (segments) r.tokens[i] += segments[i];
    if (types) {
      r.tokens[i] += types[i];
      types[i] = i % 2;
    }
    r.tokens[i] %= r.vocabulary;
  }
  for (let i = 0; i < r.labelCount; i++) {
    if (weights) weights[i] *= 0.5;
    r.labels[i] = r.labels[i] == r.ignore ? 0 : (r.labels[i] + i32(r.labelsTokens)) % r.outputs;
  }
  if (r.n > 0) r.tokens[0] = <i32>(r.seed % <u64>r.vocabulary);
  return Status.OK;
}
