// Package abi is the contract between gsc and its plugins, version 1, and its names in Go.
//
// A plugin is a WebAssembly module (2.0, with vector instructions) that imports nothing and exports its memory and the functions below. It sees its arguments
// and its memory: no files, no network, no clock, no randomness. What it returns must follow from its parameters and the arguments of the call alone, never from earlier calls (but for transforms that say so), since gsc
// makes several instances of a plugin, shares calls out among them in any way, and throws an instance away when it likes.
//
// # What every plugin exports
//
//	memory                              its linear memory, number 0
//	gsc_manifest() → i64                where its [Manifest] lies, a JSON text in UTF-8: the pointer in the low 32 bits, the length in the high 32
//	gsc_alloc(bytes i32) → i32          room for so many bytes, at a multiple of 16; 0: there is none
//	gsc_init(params i32, len i32) → i32 a [Status]. Called once, before any call of its kind's functions
//
// The manifest comes from an export and not from a custom section because every language can return a pointer to a text, while few toolchains can name a
// section. It is called in the same sandbox, with the same bounds, as everything else.
//
// The parameters are a JSON object: what the strategy gives, checked against the manifest's schema and with the schema's defaults filled in. "{}" where the
// manifest has none.
//
// # Memory
//
// All numbers are little-endian. gsc asks gsc_alloc for what it needs before the first call, and keeps it until it drops the instance: there is no way to free, and a plugin must not
// move or reuse what it gave. gsc writes the inputs of a call and reads its outputs there. What a plugin is given belongs to gsc; it may read
// the inputs and write the outputs during the call, and must keep no pointer beyond it. A pointer that gsc gives is a multiple of 16; one that a plugin
// returns must be, and what it points to must lie within memory as it is when the call returns.
//
// # Status
//
// A function that returns a [Status] says 0 when it did what it should. Anything else stops the run with an error that names plugin, export, step and place; the numbers of
// this package get their words in it, others are the plugin's own.
//
// # Losses (implemented)
//
//	gsc_loss(call i32) → i32            a [Status]
//
// The call is a pointer to seven words of 32 bits, a [LossCall]: two numbers and five pointers.
//
//	rows       n ≥ 1
//	classes    V, the width of a row of logits
//	logits     float32 [n × V], finite
//	targets    classes: int32 [n], each in [0, V). values: float32 [n × V]
//	weights    float32 [n]; 0 where every row weighs 1
//	values     out, float32 [n]: the loss of each row, before it is weighed
//	gradients  out, float32 [n × V]: the derivative of a row's loss by its logits; 0 in evaluation, where none is asked for
//
// A row's loss depends on that row alone. Calls hold chunks of rows, as many as gsc finds convenient, in any order; rows whose label is not scored are left
// out. gsc itself multiplies values and gradients by the row's weight, and by what the step's normalisation and scaling ask for. Every number that comes out must be finite.
//
// # Transforms (implemented)
//
//	gsc_transform(call i32) → i32       a [Status]
//
// A manifest says with "on" what a transform works on: "records", as files hold them, before they are tokens; or "rows" of tokens, at each step. Files are read
// when a plan is made and again when it is run, and the second time a transform must give the same records, which gsc makes sure of.
//
// Transforms of records get batches, in the order of the files, which never hold records of several splits. With the order "any" (the default) what comes out for a record follows
// from that record and its seed alone, and batches go to several instances. With "sequential" one instance sees all records, and may remember what it likes of those before. A
// record comes whole, if it has no more bytes than record_bytes says (4 MiB when left out); where records are ids each counts 4.
//
// The call is a pointer to 27 words, a [RecordsCall]: a batch, which is 12 words called [Columns]; unit; seeds; the records that come out, in 12 words again; origins.
//
//	records      n ≥ 0
//	content      uint8 or int32: what records hold, one after the other
//	ends         uint32 [n]: where each ends in content, counted in its elements, and the next begins
//	name_count   m: a table of names, which labels and spans refer to by number
//	names        uint8, in UTF-8, one after the other
//	name_ends    uint32 [m]
//	labels       uint32: names; a record has as many as label_ends says: the class, or those of the classes that it is of
//	label_ends   uint32 [n]; 0 where the data have no labels
//	numbers      float64, finite: labels that are numbers
//	number_ends  uint32 [n]; 0 with label_ends
//	spans        three words each, from, to and name: tagged words. They count from the record's beginning in elements of content, hold something, ascend, and do not overlap
//	span_ends    uint32 [n]; 0 where the data have no tags
//
//	unit         1: content is text, any bytes; 4: it is token ids, from 0 to 2³¹ − 2
//	seeds        uint64 [n]: of the run's seed and of how many records this transform was given before
//	origins      out, uint32 [n of those that come out]: the record that each is made of; they never descend. 0: record i is made of record i, and there are as many
//
// gsc sets the words of what comes out to as many records as go in, and to 0 otherwise, which says: all of them, as they are. With ends 0 each record is what its origin is, so that a filter gives
// records and origins and nothing else; they may be no more bytes together than the plugin's memory may have. With ends, content is what the transform wrote. Labels are those of the origin where both columns of them are 0; else they are
// what they say (a class is one name; a label that was no list stays one value). Spans are none where span_ends is 0. With the tokenizer characters text that comes out must be UTF-8 where what went in was. Whatever
// comes out lies in the plugin's own memory, at multiples of 16, until the next call; gsc looks at all of it before it uses any.
//
// Transforms of rows get some rows of a batch, in any order, and change them where they stand. What comes of a row follows from that row and its seed alone. The call is a pointer to 13 words, a [RowsCall].
//
//	rows, length         n ≥ 1 and T
//	vocabulary, outputs  tokens are below the first, labels below the second
//	ignore               int32: the label that is not scored
//	tokens               in and out, int32 [n × T]
//	labels               in and out, int32 [n × labels_a_row]; 0 where they are numbers, which transforms do not see
//	labels_a_row         T; 1 where a row has one; 0
//	weights              in and out, float32, finite and not negative, shaped as labels, or [n]; 0 where all weigh 1 and the manifest does not say that it changes them ("weights": true)
//	types                in and out, int32 [n × T], not negative; 0 where there are none
//	segments             int32 [n × T]: the document of a token, from 1; 0 where a row is one
//	valid                int32 [n]: of a row so many tokens are no padding; what lies behind them stays as it was
//	seeds                uint64 [n]: in training of the run's seed, the step and the row of the global batch; in evaluation of the row of the split alone
//
// A manifest says with "evaluates": true that rows of evaluation are changed too where a strategy does not say, and with "labels": "tokens" that it labels each token with a token id or the
// label that is not scored, so that a model that labels tokens learns from text (Devlin et al., arXiv:1810.04805, section 3.1).
//
// # What version 1 will hold besides
//
// It is written down so that losses fit beside it; gsc refuses manifests that ask for it.
//
// Losses over more than rows: manifests whose unit is "sequences" (n is a number of whole sequences, and three more words give the length and two further inputs) and whose
// inputs name other tensors of the batch, teacher's logits among them.
//
//	gsc_declare(tensor i32) → i32       a compression policy: what may ever happen to a tensor, when the plan is made
//	gsc_decide(call i32) → i32          what happens to it from this step on, within that
//	gsc_encode, gsc_decode              a gradient codec: a tensor to bytes and back, with residuals that gsc keeps
package abi

// Version is the one version of the contract.
const Version = 1

// The names of exports.
const (
	Memory    = "memory"
	Describe  = "gsc_manifest"
	Alloc     = "gsc_alloc"
	Init      = "gsc_init"
	Loss      = "gsc_loss"
	Transform = "gsc_transform"
)

// Align is what pointers are multiples of.
const Align = 16

// Status is what a plugin's function returns.
type Status uint32

// The statuses that have words.
const (
	OK        Status = 0
	BadParams Status = 1 // the parameters make no sense together, in a way that the schema cannot say
	BadInput  Status = 2 // the arguments do not
	NoMemory  Status = 3
	Failed    Status = 4
)

// Kind is what a plugin does.
type Kind string

// The kinds. Policies have no exports yet.
const (
	LossKind      Kind = "loss"
	TransformKind Kind = "transform"
	PolicyKind    Kind = "policy"
)

// Targets is what a loss compares logits with.
type Targets string

// The targets.
const (
	Classes Targets = "classes" // a label for each row
	Values  Targets = "values"  // a number for each logit
)

// LossCall is the argument of gsc_loss, as words in guest memory.
type LossCall struct {
	Rows, Classes                               uint32
	Logits, Targets, Weights, Values, Gradients uint32
}

// LossCallBytes is its size.
const LossCallBytes = 7 * 4
