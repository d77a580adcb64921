// Package abi is the contract between gsc and its plugins, version 1, and its names in Go.
//
// A plugin is a WebAssembly module (2.0, with vector instructions) that imports nothing and exports its memory and the functions below. It sees its arguments
// and its memory: no files, no network, no clock, no randomness. What it returns must follow from its parameters and the arguments of the call alone, never from earlier calls, since gsc
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
// # Gradient codecs (implemented)
//
// A policy whose manifest has a codec makes codes of gradients, which ranks send each other in place of them: see [CodeBytes], [Encode] and [Decode].
//
// # What version 1 will hold besides
//
// It is written down so that losses fit beside it; gsc refuses manifests that ask for it.
//
// Losses over more than rows: manifests whose unit is "sequences" (n is a number of whole sequences, and three more words give the length and two further inputs) and whose
// inputs name other tensors of the batch, teacher's logits among them.
//
//	gsc_transform(call i32) → i32       a batch of records in, zero or more records out for each: ids, bytes, labels, weights, spans as arrays with offsets; and a seed
//	gsc_declare(tensor i32) → i32       a compression policy: what may ever happen to a tensor, when the plan is made
//	gsc_decide(call i32) → i32          what happens to it from this step on, within that
package abi

// Version is the one version of the contract.
const Version = 1

// The names of exports.
const (
	Memory   = "memory"
	Describe = "gsc_manifest"
	Alloc    = "gsc_alloc"
	Init     = "gsc_init"
	Loss     = "gsc_loss"
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

// The kinds. Transforms have no exports yet, and policies those of a codec alone.
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
