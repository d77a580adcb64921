// Masked spans (Joshi et al., arXiv:1907.10529, section 3.1): runs of tokens are chosen to be predicted, of lengths that are drawn from a geometric distribution and cut at 10, until they are a share of a
// row. Of the spans 80 % become tokens that mask, 10 % others at random, and 10 % stay what they are, each as a whole. The label of a chosen token is the token; others are not scored.
import { Params, Random, Status, Tokens } from "./gsc/gsc";

export const manifest = `{"abi": 1, "kind": "transform", "name": "spans", "version": "1.0.0", "on": "rows", "evaluates": true, "labels": "tokens",
  "params": "share: *0.15 | number & >0 & <=0.5, stop: *0.2 | number & >=0.05 & <=1, mask: *-1 | int & >=-1"}`;

const longest = 10;
let share: f64 = 0, stop: f64 = 0;
let mask = -1; // of bytes, the last: 255, which no text has
const random = new Random(0);

export function init(params: Params): bool {
  share = params.number("share");
  stop = params.number("stop");
  mask = <i32>params.number("mask");
  return true;
}

export function row(r: Tokens): Status {
  const token = mask < 0 ? r.vocabulary - 1 : mask;
  if (!r.labelsTokens || token >= r.vocabulary) return Status.BadInput;
  random.state = r.seed;
  for (let i = 0; i < r.n; i++) r.labels[i] = r.ignore;
  let left = <i32>Math.ceil(share * <f64>r.n);
  while (left > 0) { // it ends: half of a row at most is chosen, and one in twenty spans is a token
    const length = min(min(spanLength(), left), r.n), from = below(r.n - length + 1);
    if (!free(r, from, length)) continue;
    choose(r, from, length, token);
    left -= length;
  }
  return Status.OK;
}

// spanLength is k with the probability (1 − stop)^(k − 1)·stop.
function spanLength(): i32 {
  let length = 1;
  while (length < longest && random.uniform() >= stop) length++;
  return length;
}

// below is a number in [0, n).
function below(n: i32): i32 { return <i32>(random.bits() % <u64>n); }

function free(r: Tokens, from: i32, length: i32): bool {
  for (let i = from; i < from + length; i++) if (r.labels[i] != r.ignore) return false;
  return true;
}

function choose(r: Tokens, from: i32, length: i32, token: i32): void {
  const what = random.uniform();
  for (let i = from; i < from + length; i++) {
    r.labels[i] = r.tokens[i];
    if (what < 0.8) r.tokens[i] = token;
    else if (what < 0.9) r.tokens[i] = below(r.vocabulary);
  }
}
