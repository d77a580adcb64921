// What every plugin exports, whatever its kind.
import { manifest, init } from "../index";
import { Params } from "./gsc";

// gsc_manifest is the manifest in UTF-8, as a pointer with its length above it.
export function gsc_manifest(): u64 {
  const bytes = String.UTF8.encode(manifest);
  return (<u64>bytes.byteLength << 32) | changetype<usize>(bytes);
}

// gsc_alloc is room for so many bytes, which is never freed.
export function gsc_alloc(size: i32): usize { return heap.alloc(size); }

// gsc_init hands on the parameters, and says whether they do.
export function gsc_init(at: usize, length: i32): i32 { return init(new Params(String.UTF8.decodeUnsafe(at, length))) ? 0 : 1; }

// says tells whether a text is what the manifest has for a member.
export function says(name: string, text: string): bool {
  const key = "\"" + name + "\"", found = manifest.indexOf(key);
  if (found < 0) return false;
  const from = manifest.indexOf("\"", found + key.length) + 1;
  return manifest.substring(from, manifest.indexOf("\"", from)) == text;
}
