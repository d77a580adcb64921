// @NAME@ is a gradient codec for gsc: each number becomes one of 8 bits, with a scale for each block of them.
//
// Of a block with the largest magnitude m the scale is s = m/127, and a number x is sent as q = round(x/s), which stands for q·s: off by s/2 at most. Of B numbers' squares that is B/254² of m² at
// most, so that a code leaves no more than 1024/254² < 0.02 of the squares out. A code is all scales, in 32 bits each, and then all q.
import { Bytes, Floats, Params, Status } from "./gsc/gsc";

export const manifest = `{"abi": 1, "kind": "policy", "name": "@NAME@", "version": "0.1.0", "codec": {"contraction": "0.98"},
  "params": "block: *64 | int & >=1 & <=1024"}`;

let block: i32 = 64;

// init gets the parameters once.
export function init(params: Params): bool {
  block = <i32>params.number("block");
  return true;
}

// blocks is how many scales n numbers have.
function blocks(n: i32): i32 { return (n + block - 1) / block; }

export function codeBytes(n: i32): i32 { return 4 * blocks(n) + n; }

export function encode(values: Floats, n: i32, code: Bytes): i32 {
  const numbers = code.from(4 * blocks(n));
  for (let k = 0; k < blocks(n); k++) {
    const end = min(n, (k + 1) * block);
    let most: f32 = 0;
    for (let i = k * block; i < end; i++) most = Mathf.max(most, Mathf.abs(values[i]));
    const s = most / 127;
    code.floats(0)[k] = s;
    for (let i = k * block; i < end; i++) numbers[i] = s > 0 ? <u8><i8>Mathf.max(-127, Mathf.min(127, nearest(values[i] / s))) : 0;
  }
  return codeBytes(n);
}

export function decode(code: Bytes, bytes: i32, values: Floats, n: i32): Status {
  if (bytes != codeBytes(n)) return Status.BadInput;
  const numbers = code.from(4 * blocks(n));
  for (let k = 0; k < blocks(n); k++) {
    const s = code.floats(0)[k];
    if (!isFinite(s * 128)) return Status.BadInput;
    for (let i = k * block; i < min(n, (k + 1) * block); i++) values[i] = <f32><i8>numbers[i] * s;
  }
  return Status.OK;
}
