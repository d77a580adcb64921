// What every plugin exports, whatever its kind.
import { Params } from "./gsc";

// The statuses of calls.
export const OK: i32 = 0;
export const BAD_PARAMS: i32 = 1;

// text is a manifest in UTF-8, as a pointer with its length above it.
export function text(manifest: string): u64 {
  const bytes = String.UTF8.encode(manifest);
  return (<u64>bytes.byteLength << 32) | changetype<usize>(bytes);
}

// member is a text in a manifest.
export function member(manifest: string, name: string): string {
  const key = "\"" + name + "\"";
  const from = manifest.indexOf("\"", manifest.indexOf(key) + key.length) + 1;
  return manifest.substring(from, manifest.indexOf("\"", from));
}

// params are those that gsc wrote at a place.
export function params(at: usize, length: i32): Params { return new Params(String.UTF8.decodeUnsafe(at, length)); }

// alloc is room for so many bytes, which is never freed.
export function alloc(size: i32): usize { return heap.alloc(size); }
