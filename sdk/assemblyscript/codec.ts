// A gradient codec: what is compiled. It keeps nothing from call to call: what a code leaves out gsc adds to the next gradient. A code that comes from elsewhere may be anything: decode says
// Status.BadInput of what encode would not have made, or gives finite numbers.
import { codeBytes, decode, encode } from "../index";
import { Bytes, Floats } from "./gsc";

export { gsc_manifest, gsc_alloc, gsc_init } from "./exports";

// Call is numbers or a code of them, as gsc lays them out. The code begins at a multiple of 16.
@unmanaged
class Call {
  numbers: i32;
  values: Floats;
  code: Bytes;
  bytes: i32;
}

export function gsc_code_bytes(n: i32): i32 { return codeBytes(n); }

export function gsc_encode(call: Call): i32 {
  call.bytes = encode(call.values, call.numbers, call.code);
  return 0;
}

export function gsc_decode(call: Call): i32 { return decode(call.code, call.bytes, call.values, call.numbers); }
