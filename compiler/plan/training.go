package plan

// Training is what the runtime needs to drive the schedules.
type Training struct {
	Seed         uint64     `json:"seed"`
	Steps        int64      `json:"steps"`
	Sequences    int        `json:"sequences"`     // rows of the global batch
	MicroBatches int        `json:"micro_batches"` // a step
	Objective    string     `json:"objective"`     // "cross_entropy", "binary_cross_entropy", "squared_error" or "plugin"
	Rate         Rate       `json:"rate"`
	Evaluation   Evaluation `json:"evaluation"`
	Checkpoint   Checkpoint `json:"checkpoint"`
	LossScale    LossScale  `json:"loss_scale,omitzero"`
	Uncoded      int64      `json:"uncoded,omitempty"` // steps at the beginning that run the schedule [Uncoded]
}

// Schedule is the kind of schedule that a step runs, on all ranks: it follows from its number alone, which with loss scaling is that of steps that were not skipped.
func (t *Training) Schedule(step int64) string {
	if step <= t.Uncoded {
		return Uncoded
	}
	return Train
}

// LossScale is where dynamic loss scaling begins and ends; zero: there is none. How the scale changes between, the
// instruction loss_scale says.
type LossScale struct {
	Initial float64 `json:"initial"`
	Minimum float64 `json:"minimum"` // a run whose scale falls below stops
}

// Rate is the learning rate as a function of the global step s = 1 … Steps,
// with peak p, floor f, W warm-up steps, and x = (s − 1 − W)/(Steps − 1 − W) the share of the rest that is done, in [0, 1]:
//
//	warmup        p·s/W while s ≤ W, for every kind but one_cycle and table
//	constant      p
//	linear        p + (f − p)·x
//	cosine        f + (p − f)·(1 + cos πx)/2
//	wsd           p until the last Decay steps, then linear to f over them (warmup, stable, decay)
//	one_cycle     cosine from p/25 up to p over the first Up share of the steps, then cosine down to f
//	inverse_sqrt  p·√(max(W, 1)/max(s, W, 1))
//	plateau       p, multiplied by Factor (never below f) each time the validation loss has not improved for Patience evaluations
//	table         Rates[min(s, len) − 1]
type Rate struct {
	Kind     string    `json:"kind"`
	Peak     float64   `json:"peak"`
	Floor    float64   `json:"floor,omitempty"`
	Warmup   int64     `json:"warmup,omitempty"`
	Decay    int64     `json:"decay,omitempty"`
	Up       float64   `json:"up,omitempty"`
	Factor   float64   `json:"factor,omitempty"`
	Patience int       `json:"patience,omitempty"`
	Rates    []float64 `json:"rates,omitempty"`
}

// Evaluation says when the validation split is evaluated, and what is made of it.
type Evaluation struct {
	Every    int64    `json:"every,omitempty"`    // steps; 0: only at the end
	Rows     int64    `json:"rows,omitempty"`     // of the validation split at most; 0: all
	Metrics  []string `json:"metrics,omitempty"`  // beside the loss: "accuracy", "f1" (macro), "entity_f1" (BIO tags)
	Patience int      `json:"patience,omitempty"` // evaluations without improvement before the run stops; 0: never
	Best     string   `json:"best,omitempty"`     // the metric that makes a checkpoint the best; "loss" when empty
}

// Checkpoint says when the run is saved.
type Checkpoint struct {
	Every int64 `json:"every,omitempty"` // steps; 0: only at the end
	Keep  int   `json:"keep,omitempty"`  // newest ones kept, beside the best; 0: all
}

// Data says where records come from and how they become batches. The first
// part is the strategy's; the second is what was found when the plan was made.
type Data struct {
	Format     string   `json:"format"`               // "text", "jsonl", "tokens", "conll" or "safetensors"
	Field      string   `json:"field,omitempty"`      // jsonl: the text's key
	Label      string   `json:"label,omitempty"`      // jsonl: the key of a row's label
	TokenType  string   `json:"token_type,omitempty"` // tokens: "uint16" or "uint32", little-endian
	Column     int      `json:"column,omitempty"`     // conll: of the word, from 0
	TagColumn  int      `json:"tag_column,omitempty"` // conll: of the tag; negative counts from the last
	Tokenizer  string   `json:"tokenizer,omitempty"`  // "bytes", "characters" or "none"
	Train      []string `json:"train"`                // globs, ** included, relative to Base
	Validation []string `json:"validation,omitempty"`
	Test       []string `json:"test,omitempty"`
	Base       string   `json:"base"` // folder of the strategy
	Split      Split    `json:"split,omitzero"`

	// Transforms are plugins that the data go through, one after the other: records as the files hold them, and rows of tokens.
	Transforms []Transform `json:"transforms,omitempty"`

	// Rows says how records become rows of Length tokens: "stream" joins the records and cuts the stream into
	// rows; "packed" fills rows with whole records, with segments and positions that restart; "padded" puts one record in a row,
	// padded to the least bucket that holds the longest row of the batch; "given" takes the batches of safetensors files as they are.
	Rows    string `json:"rows"`
	Order   string `json:"order"` // "shuffled" (each epoch a permutation of the rows), "random" (stream: rows at random places) or "sequential"
	Length  int    `json:"length"`
	Buckets []int  `json:"buckets,omitempty"` // padded: ascending, the last is Length
	Task    string `json:"task"`              // of the labels: "next" token, "tags", "class", "values" (numbers a row) or "given"
	Ignore  int    `json:"ignore"`            // label of positions that are not scored

	Vocabulary     []string `json:"vocabulary,omitempty"` // characters: one a token id, in ascending order
	VocabularySize int      `json:"vocabulary_size"`      // token ids are below it
	Labels         []string `json:"labels,omitempty"`     // tags or classes, in ascending order but O first; values: the name of each
	Target         string   `json:"target"`               // what a label belongs to: a "token" or a "row"; "values": numbers of a row
	Outputs        int      `json:"outputs"`              // labels are below it; values: how many a row has
	Inputs         []string `json:"inputs"`               // names of the batch's tensors, of the Input… constants, or, of given batches, of Further
	Further        []string `json:"further,omitempty"`    // given: tensors beside those that batches always may hold, each as wide as the logits
	Width          int      `json:"width,omitempty"`      // of those
	Unit           string   `json:"unit,omitempty"`       // what counts in a step's mean, and stays together: UnitSequences, UnitPairs; "": positions
	Files          []File   `json:"files"`                // the manifest, in order
	Splits         Counts   `json:"splits"`
	Notes          []string `json:"notes,omitempty"` // what a user should know of the data: records cut, unknown characters
}

// The inputs of a batch, each [B, T] unless it says otherwise.
const (
	InputTokens    = "tokens"    // I32
	InputLabels    = "labels"    // I32; [B] when a row has one label; F32 or F64 [B, classes] for values
	InputTypes     = "types"     // I32: token types
	InputSegments  = "segments"  // I32: the document a token belongs to; attention stays within
	InputPositions = "positions" // I32: restarted in each segment
	InputMask      = "mask"      // I32: 1 where a key may be seen
	InputLengths   = "lengths"   // I32 [B]: valid tokens of a padded row
	InputWeights   = "weights"   // F32 or F64, shaped like the loss rows: weight of each
)

// The outputs of the program that decodes.
const (
	OutputLogits    = "logits"
	OutputLikeliest = "likeliest" // I32: the first with the largest logit; in plans of generation
)

// Transform is a plugin that the data go through.
type Transform struct {
	Plugin  string   `json:"plugin"` // its name in the plan
	On      string   `json:"on"`     // OnRecords or OnRows
	Splits  []string `json:"splits"`
	Weights bool     `json:"weights,omitempty"` // of rows: it changes the weights of tokens

	// What it did with the records of the files, of the second part.
	Taken  int64  `json:"taken,omitempty"`  // records that it was given
	Given  int64  `json:"given,omitempty"`  // and that it gave
	Digest string `json:"digest,omitempty"` // xxhash64 of these, hexadecimal
}

// What transforms work on.
const (
	OnRecords = "records"
	OnRows    = "rows"
)

// Split cuts validation and test rows out of the training files, when they
// have no files of their own: by "file" (the share of files whose digest of
// the path falls below it) or by "bytes" (the last share of the text; test last).
type Split struct {
	By         string  `json:"by,omitempty"`
	Validation float64 `json:"validation,omitempty"`
	Test       float64 `json:"test,omitempty"`
}

// File is an entry of the data manifest.
type File struct {
	Path      string `json:"path"` // relative to Base where it lies under it
	SizeBytes int64  `json:"size_bytes"`
	Digest    string `json:"digest"` // xxhash64, hexadecimal
	Split     string `json:"split"`  // "train", "validation", "test", or "all" when split by bytes
}

// Counts are the rows and tokens of each split.
type Counts struct {
	Train      Count `json:"train"`
	Validation Count `json:"validation,omitzero"`
	Test       Count `json:"test,omitzero"`
}

// Count is the size of one split.
type Count struct {
	Rows    int64 `json:"rows"`
	Tokens  int64 `json:"tokens"`
	Records int64 `json:"records"`
}
