// Package abi is the contract between gsc and its plugins, version 1, and its names in Go.
//
// A plugin is a WebAssembly module (2.0, with vector instructions) that exports its memory and the functions below, and imports at most what the runtime of its language needs. It sees its
// arguments and its memory: no files, no network, no time, no chance. What it returns must follow from its parameters and the arguments of the call alone, never from earlier calls (but for transforms that say so), since gsc
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
// # What a plugin may import
//
// Nothing, or functions by which runtimes of languages begin, print and end; any other import is refused by its name. A module that exports _initialize, without arguments and results, has it
// called before all else. What these functions tell is the same in every instance, whatever the machine and the day. A pointer of theirs that leads out of memory ends the call.
//
//	wasi_snapshot_preview1    WASI, preview 1:
//	  clock_time_get, _res_get  all clocks are one, which begins at 0 and goes on by 1 ms with each reading
//	  poll_oneoff               comes back at once; the clock then shows the time that was waited for. 1024 subscriptions at most
//	  random_get                bytes that follow from the module's digest, from the first one in every instance
//	  args_…, environ_…         there are none
//	  fd_write                  to 1 and 2: lines of gsc's log, 64 KiB of an instance at most, what follows is left out. 1024 buffers at most. The first line that a call that fails wrote to 2 stands in the error
//	  proc_exit                 ends the call with an error, whatever the code
//	  sched_yield, fd_close, fd_fdstat_get, fd_fdstat_set_flags   as of a terminal that 0, 1 and 2 are
//	  other fd_…, path_…        there is no such file (EBADF), there are no paths (ENOSYS)
//	env                       what AssemblyScript imports:
//	  abort(message, file, line, column)   ends the call with an error that has the message
//	  seed() → f64              a random number as above, in [0, 1)
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
// The call is a pointer to ten words of 32 bits, a [LossCall]:
//
//	rows       n ≥ 1
//	classes    V, the width of a row of logits
//	logits     float32 [n × V], finite
//	targets    classes: int32 [n], each in [0, V), or -1 where a unit holds a row that is not scored. values: float32 [n × V]
//	weights    float32 [n]; 0 where every row weighs 1, as in units of more than a row
//	values     out, float32 [units]: the loss of each unit, before it is weighed
//	gradients  out, float32 [n × V]: the derivative of a unit's loss by its logits; 0 in evaluation, where none is asked for
//	length     T, the rows of a sequence; 1 where the unit is rows
//	lengths    int32 [n/T]: the rows of each sequence up to the last that is scored: what follows only pads it; 0 where the unit is rows
//	inputs     a pointer to as many pointers as the manifest names inputs, in that order, each to float32 [n × V], finite; 0 where it names none
//
// The manifest's unit says what a loss depends on, and of nothing else. Units are never cut:
//
//	"rows"       each row alone. Rows whose label is not scored are left out; n rows are n units
//	"sequences"  T rows of one record. All are there, in their order; a sequence without a scored row is left out. n/T units
//	"pairs"      the rows of two records, as preference losses compare them: those of the batch's record 2i, which is the chosen one, then those of 2i+1, the rejected
//	             one. A pair of which either has no scored row is left out. n/2T units
//
// Calls hold as many units as gsc finds convenient, in any order. Rows count in the step's mean by their weight; sequences and pairs count 1 each. gsc itself multiplies
// values and gradients by the weight, and by what the step's normalisation and scaling ask for. Every number that comes out must be finite, and what is 0 for a row that is not scored must be written, too.
//
// The inputs of a manifest name further tensors, each as wide as the logits. "teacher_logits" are what the strategy's objective.teacher makes of the same rows, which makes
// distillation a loss; any name, that one too, may be a tensor of batches that are given as files.
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
// # Compression policies (implemented)
//
//	gsc_declare(call i32) → i32         a [Status]: what may ever happen to a weight, when the plan is made
//	gsc_decide(call i32) → i32          a [Status]: what happens to it from this step on, within that
//
// The words of the call are those of a [PolicyCall], each of which is explained there.
//
// # Gradient codecs (implemented)
//
// A policy whose manifest has a codec makes codes of gradients, which ranks send each other in place of them: see [CodeBytes], [Encode] and [Decode].
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

// The kinds.
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

// Unit is what the loss of some rows depends on.
type Unit string

// The units.
const (
	Rows      Unit = "rows"
	Sequences Unit = "sequences"
	Pairs     Unit = "pairs"
)

// Records is how many records of the batch a unit of more than a row holds; 0 where it is a row.
func (u Unit) Records() int {
	switch u {
	case Sequences:
		return 1
	case Pairs:
		return 2
	}
	return 0
}

// MaxInputs bounds how many inputs a loss may name.
const MaxInputs = 2

// NotScored stands in the targets of a unit for a label that is not scored.
const NotScored = -1

// LossCall is the argument of gsc_loss, as words in guest memory.
type LossCall struct {
	Rows, Classes                               uint32
	Logits, Targets, Weights, Values, Gradients uint32
	Length, Lengths, Inputs                     uint32
}

// Words are the call as it lies in memory.
func (c *LossCall) Words() [10]uint32 {
	return [10]uint32{c.Rows, c.Classes, c.Logits, c.Targets, c.Weights, c.Values, c.Gradients, c.Length, c.Lengths, c.Inputs}
}

// LossCallBytes is its size.
const LossCallBytes = 10 * 4
