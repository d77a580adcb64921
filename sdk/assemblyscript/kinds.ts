// What plugins of the kinds get, and what they give.
import { Bytes, Floats, Ints } from "./gsc";
import { Column, Name, interned } from "./memory";

// Unit are the rows of a loss's unit: of a record, or of two, the chosen one first.
export class Unit {
  classes: i32 = 0; // how wide a row is
  length: i32 = 0; // the rows of a sequence; a pair has twice as many
  lengths: Ints = changetype<Ints>(0); // of each sequence: its rows up to the last that is scored; what follows only pads it
  labels: Ints = changetype<Ints>(0); // of each row: an index of its logits, or -1, where the row is not scored
  logits: Floats = changetype<Floats>(0); // one row behind the other; input(i) is the unit in the manifest's inputs
  gradient: Floats | null = null; // out: of the unit's loss, by its logits, 0 for rows that are not scored; null where none is asked for
}

// Tokens are a row, which a transform changes where it stands. What pads it is not there.
export class Tokens {
  n: i32 = 0; // how many tokens it has
  tokens: Ints = changetype<Ints>(0);
  labelCount: i32 = 0; // one for each token, or one for the row; 0 where labels are numbers
  labels: Ints = changetype<Ints>(0);
  labelsTokens: bool = false; // labels and weights are of tokens, not of the row
  weights: Floats | null = null; // as many as there are labels, or one; null where all weigh 1, and the manifest does not say that the transform changes them
  types: Ints | null = null; // one for each token; null where there are none
  segments: Ints | null = null; // the document of each token, from 1; null where the row is one
  vocabulary: i32 = 0; // tokens are below it
  outputs: i32 = 0; // labels are below it
  ignore: i32 = 0; // the label that is not scored
  seed: u64 = 0; // of the run's seed, the step and the row of the global batch; in evaluation of the row of the split alone
}

// Weight is one of the model's. A policy sees none of its elements.
@unmanaged
export class Weight {
  private nameAt: usize;
  private nameBytes: i32;
  kind: WeightKind;
  inputs: i32; // each of its outputs is a sum over so many elements
  outputs: i32;
  heads: i32; // of attention, that its elements belong to; 0: none

  // name is its Hugging Face name.
  get name(): string { return interned(this.nameAt, this.nameBytes).text; }
}

// WeightKind is what a weight is: the matrix of a linear layer, or a table of embeddings.
export enum WeightKind { Linear, Table }

// Pattern is what is pruned together: single elements, the least of all; of each few neighbours along the input; whole outputs; heads.
export enum Pattern { None, Elements, Neighbours, Outputs, Heads }

// Declaration is all that may ever happen to a weight. All of it is 0 before, which says that nothing does.
@unmanaged
export class Declaration {
  pattern: Pattern;
  of: i32; // neighbours that are pruned among themselves; they must divide inputs
  sparsity: f32; // the largest share that is ever pruned, below 1
  bits: i32; // 8 or 4
  group: i32; // neighbours along the input that share a scale, which must divide inputs; 0: all of an output's
  symmetric: i32; // 1: zero is in the middle of what the bits can say; 0: there are zero points
}

// Moment is when a policy is asked.
@unmanaged
export class Moment {
  step: u64; // from 1
  steps: u64; // of the run
  rms: f32; // the root of the mean square of the weight's elements behind the last update, before they are pruned and rounded; 0 before the first step
}

// Decision is what holds from a step's update on, within what was declared. All of it is 0 before.
@unmanaged
export class Decision {
  prune: f32; // the share that is pruned
  mask: i32; // 1: the mask is made anew, by the weight's elements as they are
  quantise: i32; // 1: the weight is rounded
}

// Columns are records, as gsc lays them out.
@unmanaged
export class Columns {
  records: i32;
  content: usize;
  ends: Ints;
  nameCount: i32;
  names: usize;
  nameEnds: Ints;
  labels: usize;
  labelEnds: Ints;
  numbers: usize;
  numberEnds: Ints;
  spans: usize;
  spanEnds: Ints;

  name(i: i32): string {
    const from = begin(this.nameEnds, i);
    return interned(this.names + <usize>from, this.nameEnds[i] - from).text;
  }
}

// begin is where what belongs to the i-th of those with these ends begins.
export function begin(ends: Ints, i: i32): i32 { return i > 0 ? ends[i - 1] : 0; }

// count is how many belong to the i-th of those whose ends are given; 0, where these are not.
function count(ends: Ints, i: i32): i32 { return changetype<usize>(ends) ? ends[i] - begin(ends, i) : 0; }

// Record is one of those that a transform gets.
export class Record {
  batch: Columns = changetype<Columns>(0);
  at: i32 = 0;
  holdsIds: bool = false; // records of the data are token ids, not text
  seed: u64 = 0; // of the run's seed, and of how many records this transform was given before

  // length is how many bytes of text it has, or token ids.
  get length(): i32 { return count(this.batch.ends, this.at); }

  // text is any bytes; and ids are what a record has in their place where holdsIds says so.
  get text(): Bytes { return changetype<Bytes>(this.batch.content + <usize>begin(this.batch.ends, this.at)); }
  get ids(): Ints { return changetype<Ints>(this.batch.content).from(begin(this.batch.ends, this.at)); }

  // labelCount is how many classes it has, and label is the name of one.
  get labelCount(): i32 { return count(this.batch.labelEnds, this.at); }
  label(i: i32): string { return this.batch.name(changetype<Ints>(this.batch.labels)[begin(this.batch.labelEnds, this.at) + i]); }

  // numberCount is how many labels it has that are numbers, and number is one.
  get numberCount(): i32 { return count(this.batch.numberEnds, this.at); }
  number(i: i32): f64 { return load<f64>(this.batch.numbers + (<usize>(begin(this.batch.numberEnds, this.at) + i) << 3)); }

  // spanCount is how many tagged words it has, which ascend and do not overlap; spanFrom, spanTo and spanName are one's places, from the record's beginning, and its name.
  get hasSpans(): bool { return changetype<usize>(this.batch.spanEnds) != 0; }
  get spanCount(): i32 { return count(this.batch.spanEnds, this.at); }
  spanFrom(i: i32): i32 { return this.span(i)[0]; }
  spanTo(i: i32): i32 { return this.span(i)[1]; }
  spanName(i: i32): string { return this.batch.name(this.span(i)[2]); }
  private span(i: i32): Ints { return changetype<Ints>(this.batch.spans).from(3 * (begin(this.batch.spanEnds, this.at) + i)); }
}

// Records are what comes out of a batch. As long as records are kept as they are, all that is written is which; with the first that is not, all columns are.
export class Records {
  batch: Columns = changetype<Columns>(0);
  shift: i32 = 0; // an element of content has 1 << shift bytes
  at: i32 = 0; // the record that is being transformed
  written: bool = false; // there are columns
  labelled: bool = false; // those of labels, too
  private ownLabels: bool = false; // the last record's are no longer those of what it is made of
  origins: Column = new Column();
  content: Column = new Column();
  ends: Column = new Column();
  names: Column = new Column();
  nameEnds: Column = new Column();
  labels: Column = new Column();
  labelEnds: Column = new Column();
  numbers: Column = new Column();
  numberEnds: Column = new Column();
  spans: Column = new Column();
  spanEnds: Column = new Column();

  // keep has the record come out as it is.
  keep(): void {
    if (this.written) this.copy(this.at);
    this.begin();
  }

  // text has a record with n bytes of text come out, with the labels of the one that it is made of, and without spans.
  text(text: Bytes, n: i32): void {
    this.write();
    this.content.add(changetype<usize>(text), n);
    this.end();
    this.begin();
  }

  // ids has a record of n token ids come out, likewise.
  ids(ids: Ints, n: i32): void { this.text(changetype<Bytes>(ids), n << 2); }

  // label adds a class to the record that came out last, in place of those of the one that it is made of.
  label(name: string): void {
    this.relabel();
    this.labels.push(this.name(name));
    this.labelEnds.setLast(this.labels.words);
  }

  // number adds a label that is a number to the record that came out last, likewise.
  number(value: f64): void {
    this.relabel();
    this.numbers.pushNumber(value);
    this.numberEnds.setLast(this.numbers.words >> 1);
  }

  // span adds a tagged part to the record that came out last, behind those that it has. A name is not empty.
  span(from: i32, to: i32, name: string): void {
    this.write();
    const number = this.name(name);
    this.spans.push(from);
    this.spans.push(to);
    this.spans.push(number);
    this.spanEnds.setLast(this.spans.words / 3);
  }

  private begin(): void {
    this.origins.push(this.at);
    if (this.labelled) this.copyLabels(this.at);
    this.ownLabels = false;
  }

  // write makes columns of what came out so far.
  private write(): void {
    if (this.written) return;
    this.written = true;
    for (let i = 0; i < this.batch.nameCount; i++) this.addName(this.batch.names + <usize>begin(this.batch.nameEnds, i), count(this.batch.nameEnds, i));
    for (let i = 0; i < this.origins.words; i++) this.copy(this.origins.ints[i]);
  }

  // copy copies a record's content and spans.
  private copy(i: i32): void {
    const b = this.batch;
    this.content.add(b.content + (<usize>begin(b.ends, i) << this.shift), count(b.ends, i) << this.shift);
    const spans = count(b.spanEnds, i);
    if (spans > 0) this.spans.add(b.spans + <usize>begin(b.spanEnds, i) * 12, spans * 12);
    this.end();
  }

  // end ends a record's content and spans.
  private end(): void {
    this.ends.push(this.content.bytes >> this.shift);
    this.spanEnds.push(this.spans.words / 3);
  }

  // relabel makes columns of the labels so far, and takes away those that the last record has from elsewhere.
  private relabel(): void {
    this.write();
    if (!this.labelled) {
      this.labelled = true;
      for (let i = 0; i < this.origins.words; i++) this.copyLabels(this.origins.ints[i]);
    }
    if (this.ownLabels) return;
    this.ownLabels = true;
    this.labels.bytes = this.labelEnds.dropLast() << 2;
    this.numbers.bytes = this.numberEnds.dropLast() << 3;
  }

  private copyLabels(i: i32): void {
    const b = this.batch, labels = count(b.labelEnds, i), numbers = count(b.numberEnds, i);
    if (labels > 0) this.labels.add(b.labels + (<usize>begin(b.labelEnds, i) << 2), labels << 2);
    this.labelEnds.push(this.labels.words);
    if (numbers > 0) this.numbers.add(b.numbers + (<usize>begin(b.numberEnds, i) << 3), numbers << 3);
    this.numberEnds.push(this.numbers.words >> 1);
  }

  // name is the number of a name in the table, which has it from now on.
  private name(text: string): i32 {
    const name = Name.of(text), n = this.nameEnds.words;
    for (let i = 0; i < n; i++) {
      const from = begin(this.nameEnds.ints, i);
      if (this.nameEnds.ints[i] - from == name.bytes && memory.compare(this.names.at + <usize>from, name.at, name.bytes) == 0) return i;
    }
    this.addName(name.at, name.bytes);
    return n;
  }

  private addName(at: usize, bytes: i32): void {
    this.names.add(at, bytes);
    this.nameEnds.push(this.names.bytes);
  }
}
