// For authors of plugins of gsc in AssemblyScript: gsc's package plugins/abi is what they are held to.
//
// A loss is a module beside this folder, index.ts, which exports
//
//     manifest: string                                   what the plugin says of itself, in JSON
//     init(params: Params): bool                         gets the parameters, once; false: there is no loss for them
//     row(logits: Floats, n: i32, target: Target, gradient: Floats | null): f32
//                                                        a row's loss, and its gradient where one is asked for
//
// and loss.ts in this folder, which is what is compiled, makes gsc's exports of them. The other kinds have a file in this folder each, and what index.ts exports beside manifest and init is
//
//     units.ts       unit(u: Unit): f32                            the loss of a sequence or a pair of them, and its gradient
//     transform.ts   record(r: Record, out: Records): Status       what comes of a record, before it is tokens
//     rows.ts        row(t: Tokens): Status                        what becomes of a row of tokens, at each step
//     policy.ts      declare(w: Weight, d: Declaration): void      what may ever happen to a weight
//                    decide(w: Weight, d: Declaration, m: Moment, to: Decision): void     what does at a step
//     codec.ts       codeBytes(n: i32): i32                        the longest code of n numbers
//                    encode(values: Floats, n: i32, code: Bytes): i32                     makes a code, and says how long it is
//                    decode(code: Bytes, bytes: i32, values: Floats, n: i32): Status      sets the numbers that a code stands for
//
// Memory is never freed (asc's --runtime stub): what a row or a record needs is allocated once.
export { Unit, Record, Records, Tokens, Weight, Declaration, Moment, Decision, Pattern, WeightKind } from "./kinds";

// Status is what a call returns.
export enum Status { OK = 0, BadInput = 2, NoMemory = 3, Failed = 4 }

// Floats are numbers in memory, and know not how many they are.
@unmanaged
export class Floats {
  @inline @operator("[]") get(i: i32): f32 { return load<f32>(changetype<usize>(this) + (<usize>i << 2)); }
  @inline @operator("[]=") set(i: i32, value: f32): void { store<f32>(changetype<usize>(this) + (<usize>i << 2), value); }

  // lanes are four of them, from the i-th on.
  @inline lanes(i: i32): v128 { return v128.load(changetype<usize>(this) + (<usize>i << 2)); }
  @inline setLanes(i: i32, value: v128): void { v128.store(changetype<usize>(this) + (<usize>i << 2), value); }

  // from are those from the i-th on.
  @inline from(i: i32): Floats { return changetype<Floats>(changetype<usize>(this) + (<usize>i << 2)); }
}

// Ints are whole numbers in memory.
@unmanaged
export class Ints {
  @inline @operator("[]") get(i: i32): i32 { return load<i32>(changetype<usize>(this) + (<usize>i << 2)); }
  @inline @operator("[]=") set(i: i32, value: i32): void { store<i32>(changetype<usize>(this) + (<usize>i << 2), value); }

  // from are those from the i-th on.
  @inline from(i: i32): Ints { return changetype<Ints>(changetype<usize>(this) + (<usize>i << 2)); }
}

// Bytes are bytes in memory.
@unmanaged
export class Bytes {
  @inline @operator("[]") get(i: i32): u8 { return load<u8>(changetype<usize>(this) + <usize>i); }
  @inline @operator("[]=") set(i: i32, value: u8): void { store<u8>(changetype<usize>(this) + <usize>i, value); }

  // from are those from the i-th on, and floats are numbers that begin there.
  @inline from(i: i32): Bytes { return changetype<Bytes>(changetype<usize>(this) + <usize>i); }
  @inline floats(i: i32): Floats { return changetype<Floats>(changetype<usize>(this) + <usize>i); }
}

let tensors: usize = 0, part: usize = 0;

// input is the row or unit at hand in the i-th of the tensors that the manifest of a loss names as inputs: as many numbers as there are logits.
export function input(i: i32): Floats { return changetype<Floats>(load<usize>(tensors + (<usize>i << 2)) + (part << 2)); }

// setInputs says which part of which tensors is at hand.
export function setInputs(pointers: usize, from: usize): void {
  tensors = pointers;
  part = from;
}

// Random gives random numbers that begin with a seed, as gsc gives one for each record and row (SplitMix64: Steele, Lea and Flood, OOPSLA 2014, section 5).
export class Random {
  constructor(public state: u64) {}

  // bits are 64 random ones.
  bits(): u64 {
    this.state += 0x9e3779b97f4a7c15;
    let z = this.state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }

  // uniform is a number in [0, 1).
  uniform(): f64 { return <f64>(this.bits() >> 11) * (1.0 / 9007199254740992.0); }
}

// Target is what a row's logits are compared with.
@unmanaged
export class Target {
  // label is that of a loss over classes: an index of the logits.
  @inline get label(): i32 { return load<i32>(changetype<usize>(this)); }

  // values are those of a loss over values: one for each logit.
  @inline get values(): Floats { return changetype<Floats>(this); }
}

// Params are what the strategy gives: a JSON object, which holds to the schema in the manifest, and in which the schema's defaults are filled in. Members that are objects or lists are for a package that
// reads JSON: json is the whole.
export class Params {
  constructor(readonly json: string) {}

  // number is a member that the schema says is a number; NaN where there is none by that name.
  number(name: string): f64 {
    const at = this.member(name);
    return at < 0 ? NaN : parseFloat(this.json.substring(at));
  }

  // flag is a member that the schema says is a bool; false where there is none by that name.
  flag(name: string): bool {
    const at = this.member(name);
    return at >= 0 && this.json.startsWith("true", at);
  }

  // text is a member that the schema says is a string; null where there is none by that name.
  text(name: string): string | null {
    const json = this.json;
    let at = this.member(name);
    if (at < 0 || json.charCodeAt(at) != QUOTE) return null;
    const from = ++at;
    let escapes = false;
    for (; at < json.length && json.charCodeAt(at) != QUOTE; at++) if (json.charCodeAt(at) == ESCAPE) escapes = true, at++;
    const raw = json.substring(from, at);
    return escapes ? unescaped(raw) : raw;
  }

  // member is where the value of a member begins; -1 where there is none by that name.
  private member(name: string): i32 {
    const json = this.json;
    for (let at = 0, depth = 0; at < json.length; at++) {
      const mark = json.charCodeAt(at);
      if (mark == 0x7b || mark == 0x5b) depth++; // { [
      if (mark == 0x7d || mark == 0x5d) depth--; // } ]
      if (mark != QUOTE) continue;
      const from = ++at;
      for (; at < json.length && json.charCodeAt(at) != QUOTE; at++) if (json.charCodeAt(at) == ESCAPE) at++;
      const value = blank(json, at + 1);
      if (depth == 1 && at - from == name.length && value < json.length && json.charCodeAt(value) == 0x3a && json.startsWith(name, from)) return blank(json, value + 1);
    }
    return -1;
  }
}

// QUOTE and ESCAPE are " and \.
const QUOTE = 0x22, ESCAPE = 0x5c;

// unescaped is a string of JSON without its escapes.
function unescaped(raw: string): string {
  let text = "";
  for (let at = 0; at < raw.length; at++) {
    let code = raw.charCodeAt(at);
    if (code == ESCAPE && ++at < raw.length) {
      code = raw.charCodeAt(at);
      if (code == 0x62) code = 8; // b
      else if (code == 0x66) code = 12; // f
      else if (code == 0x6e) code = 10; // n
      else if (code == 0x72) code = 13; // r
      else if (code == 0x74) code = 9; // t
      else if (code == 0x75) { // u
        code = <i32>parseInt(raw.substr(at + 1, 4), 16);
        at += 4;
      }
    }
    text += String.fromCharCode(code);
  }
  return text;
}

// blank is where spaces end.
function blank(text: string, at: i32): i32 {
  while (at < text.length && text.charCodeAt(at) <= 32) at++;
  return at;
}

// exp4 is e^x for four x in [-87, 88], what is outside being moved to the nearest end: 2^n·e^r with n = round(x/ln 2), and the Taylor polynomial of degree 6, whose error
// for |r| ≤ ln 2/2 is below 1.2e-7.
// @ts-ignore: decorator
@inline
export function exp4(x: v128): v128 {
  x = f32x4.pmax(f32x4.splat(-87), f32x4.pmin(f32x4.splat(88), x));
  const n = f32x4.nearest(f32x4.mul(x, f32x4.splat(1.44269504)));
  let r = f32x4.sub(x, f32x4.mul(n, f32x4.splat(0.693359375))); // ln 2 in two parts, the first of few bits,
  r = f32x4.sub(r, f32x4.mul(n, f32x4.splat(-2.12194440e-4))); // so that its multiples are exact
  let p = f32x4.add(f32x4.mul(f32x4.splat(1.0 / 720), r), f32x4.splat(1.0 / 120));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(1.0 / 24));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(1.0 / 6));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(0.5));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(1));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(1));
  return i32x4.add(p, i32x4.shl(i32x4.trunc_sat_f32x4_s(n), 23));
}

// exp1 is e^x for one x, as exp4 computes it.
export function exp1(x: f32): f32 { return f32x4.extract_lane(exp4(f32x4.splat(x)), 0); }

// max is the largest of n numbers, n > 0.
export function max(x: Floats, n: i32): f32 {
  let tops = f32x4.splat(x[0]), i = 0;
  for (; i + 4 <= n; i += 4) tops = f32x4.pmax(tops, x.lanes(i));
  let top = Mathf.max(Mathf.max(f32x4.extract_lane(tops, 0), f32x4.extract_lane(tops, 1)), Mathf.max(f32x4.extract_lane(tops, 2), f32x4.extract_lane(tops, 3)));
  for (; i < n; i++) top = Mathf.max(top, x[i]);
  return top;
}

// expSum is Σ e^(x − shift) over n numbers, and writes the terms to e unless that is null. Runs of 512 are added up in four lanes, and these as doubles.
export function expSum(x: Floats, n: i32, shift: f32, e: Floats | null): f64 {
  const by = f32x4.splat(shift);
  let total: f64 = 0, i = 0;
  while (i + 4 <= n) {
    const end = min(i + 512, n);
    let sums = f32x4.splat(0);
    for (; i + 4 <= end; i += 4) {
      const terms = exp4(f32x4.sub(x.lanes(i), by));
      if (e) e.setLanes(i, terms);
      sums = f32x4.add(sums, terms);
    }
    total += <f64>f32x4.extract_lane(sums, 0) + <f64>f32x4.extract_lane(sums, 1) + <f64>f32x4.extract_lane(sums, 2) + <f64>f32x4.extract_lane(sums, 3);
  }
  for (; i < n; i++) {
    const term = exp1(x[i] - shift);
    if (e) e[i] = term;
    total += <f64>term;
  }
  return total;
}

// scale multiplies n numbers by a factor.
export function scale(x: Floats, n: i32, factor: f32): void {
  const by = f32x4.splat(factor);
  let i = 0;
  for (; i + 4 <= n; i += 4) x.setLanes(i, f32x4.mul(x.lanes(i), by));
  for (; i < n; i++) x[i] *= factor;
}
