// Memory that is used again, since none is freed.
import { Ints } from "./gsc";

// Column is what a plugin hands out, as much as is added, at a multiple of 16.
export class Column {
  at: usize = 0;
  bytes: i32 = 0;
  private room: i32 = 0;

  get words(): i32 { return this.bytes >> 2; }
  get ints(): Ints { return changetype<Ints>(this.at); }

  // add adds a copy of some bytes.
  add(from: usize, bytes: i32): void {
    memory.copy(this.more(bytes), from, bytes);
    this.bytes += bytes;
  }

  push(word: i32): void {
    store<i32>(this.more(4), word);
    this.bytes += 4;
  }

  pushNumber(value: f64): void {
    store<f64>(this.more(8), value);
    this.bytes += 8;
  }

  // setLast changes the last word.
  setLast(word: i32): void { store<i32>(this.at + this.bytes - 4, word); }

  // dropLast makes the last of those whose ends these are empty, and says where it begins.
  dropLast(): i32 {
    const from = this.words > 1 ? this.ints[this.words - 2] : 0;
    this.setLast(from);
    return from;
  }

  // more is where so many bytes more find room.
  private more(bytes: i32): usize {
    const need = this.bytes + bytes;
    if (need > this.room) {
      this.room = max(max(need, 2 * this.room), 256);
      const larger = heap.alloc(this.room);
      memory.copy(larger, this.at, this.bytes);
      this.at = larger;
    }
    return this.at + this.bytes;
  }
}

// Name is a text with its bytes in UTF-8.
export class Name {
  constructor(readonly text: string, readonly at: usize, readonly bytes: i32) {}

  // of is that of a text.
  static of(text: string): Name {
    for (let i = 0; i < names.length; i++) if (names[i].text == text) return names[i];
    const bytes = String.UTF8.encode(text), name = new Name(text, changetype<usize>(bytes), bytes.byteLength);
    names.push(name);
    return name;
  }
}

const names: Name[] = []; // all that were seen

// interned is the name with these bytes.
export function interned(at: usize, bytes: i32): Name {
  for (let i = 0; i < names.length; i++) if (names[i].bytes == bytes && memory.compare(names[i].at, at, bytes) == 0) return names[i];
  return Name.of(String.UTF8.decodeUnsafe(at, bytes));
}
