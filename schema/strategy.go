package schema

import (
	"encoding/json"

	"github.com/gsc-project/gsc/compiler/plan"
)

// Strategy is a strategy after loading: valid, complete, with defaults filled in.
type Strategy struct {
	Name       string
	Model      Model
	Data       plan.Data   // the first part; the second is found by package data
	Transforms []Transform // that the data go through; what their modules say of themselves is filled in by [Strategy.WithTransforms]
	Objective  Objective
	Batch      Batch
	Optimizer  Optimizer
	Parameters []ParameterRule // a later rule wins over an earlier one
	Compress   []CompressRule  // likewise, in what it says
	Schedule   plan.Rate       // steps in Length
	Length     Length
	Precision  Precision
	Memory     Memory
	Parallel   Parallel
	Compile    Compile
	Devices    Devices
	Launch     Launch // devices.launch
	Evaluate   plan.Evaluation
	Checkpoint plan.Checkpoint
	Seed       uint64

	Digest    string         // sha256 of the evaluated strategy and of its model's layers, hexadecimal
	Evaluated []byte         // the evaluated strategy as JSON, with sorted keys
	Positions map[string]Pos // of the values, by path, such as "batch.sequences"
	Open      []string       // paths that the strategy left for the compiler to choose

	origin origin
}

// Pos is where a value stands: FILE:LINE:COLUMN, the file relative to the
// strategy's folder; definitions of gsc's own stand under "gsc/".
type Pos string

// Objective is what is minimised.
type Objective struct {
	Loss        string   // "cross_entropy", "binary_cross_entropy", "squared_error" or "plugin"
	Plugin      *Plugin  // nil unless the loss is a plugin
	IgnoreIndex int      // label that is not scored
	Smoothing   float64  // label smoothing, in [0, 1)
	Teacher     *Teacher // nil: there is none
}

// Teacher is a second model that is not trained.
type Teacher struct {
	From   string // as the strategy names it
	Digest string // sha256 of its weights, which who compiles fills in
	Model  Model
}

// Plugin is a plugin as the strategy names it, and what its module says of itself, which [Strategy.WithPlugin] fills in.
type Plugin struct {
	plan.Plugin
	Path string // where the strategy names it, such as "objective.loss"
	Text string // of the parameters as the strategy has them, JSON
}

// Transform is a plugin that the data go through.
type Transform struct {
	Plugin
	Splits []string // nil: those that it is for by itself
}

// OfClasses says whether the loss compares logits with one label of many.
func (o Objective) OfClasses() bool {
	return o.Loss == "cross_entropy" || o.Plugin != nil && o.Plugin.Targets != plan.TargetValues
}

// MostMicroBatches is how many a step is cut into at most.
const MostMicroBatches = 1 << 16

// Batch is the global batch and how it is cut.
type Batch struct {
	Sequences    int // rows a step
	MicroBatches int // 0: the compiler chooses
}

// Optimizer names the update and its constants.
type Optimizer struct {
	Kind     string // adamw, adam, sgd, lion, lamb, adafactor, muon
	Betas    [2]float64
	Epsilon  float64
	Epsilon2 float64 // adafactor; muon: least norm that Newton–Schulz divides by
	Momentum float64
	Nesterov bool
	Decay    float64  // weight decay
	DecayOn  string   // "matrices" (weights of two or more stored axes) or "all"
	ClipNorm float64  // 0: no clipping
	MaxRMS   float64  // adafactor's clipping of the update
	Steps    int      // Newton–Schulz iterations
	Match    []string // muon: patterns of the weights it takes; adamw, with Betas and Epsilon, takes the others
	Adjust   string   // muon: factor on the rate, "original" √max(1, rows/columns) or "match_rms" 0.2·√max(rows, columns), of the [out, in] matrix
}

// ParameterRule changes how the weights whose names match are trained.
type ParameterRule struct {
	Match string // glob over Hugging Face names: * matches within dots too
	Train *bool
	Rate  *float64 // factor on the learning rate
	Decay *float64 // in place of the optimizer's
	Pos   Pos
}

// Length is how long a run is; exactly one is not zero.
type Length struct {
	Steps  int64
	Tokens int64
	Epochs float64
}

// Precision gives the types.
type Precision struct {
	Compute   string // of what products multiply: "f32", "bf16" or "fp16"
	Master    string // of the weights: "f32", or "bf16" for matrices
	Rounding  string // of a bf16 master: "stochastic" or "nearest"
	Reduce    string
	LossScale LossScale `json:"loss_scale"` // fp16
}

// LossScale is how the factor on the gradients of fp16 begins and changes.
type LossScale struct {
	Initial        float64
	Growth         float64
	GrowthInterval int `json:"growth_interval"`
	Backoff        float64
	Minimum        float64
}

// Memory bounds what a rank may use, and says what is recomputed.
type Memory struct {
	LimitBytes int64  // 0: none
	Recompute  string // "none", "selective", "full", or "" when the compiler chooses
	LossChunks int    // that the rows of the logits are cut into; 0 when the compiler chooses
}

// Parallel is how a step is shared out among ranks.
type Parallel struct {
	Mesh   Mesh
	Zero   int    // 1: ranks of data share out the optimizer's state, 2: and gradients, 3: and weights
	Reduce string // when gradients are summed over ranks: "once", or after "each" micro-batch
	Rules  []Rule

	BucketBytes int64 // of small collectives that become one call; 0: none do

	Attention string // over tokens that ranks share out: "exchange", "gather", "ring", or "" when the compiler chooses

	Pipeline Pipeline

	Codec *Codec // nil: gradients are added up as they are

	Open []string // what the compiler is to choose, such as "mesh.data"; it stands at 0
}

// Pipeline is how stages take turns at the micro-batches.
type Pipeline struct {
	Schedule string // "1f1b", "gpipe" or "zero_bubble"
	Chunks   int    // of layers that each stage has; 0 stands for 1
}

// Rule shares a dim of tensors of a kind and a region out along an axis; an empty kind or region stands for any.
type Rule struct {
	Kind, Region, Dim, Axis string
}

// Table is all rules, those of the axes first.
func (p Parallel) Table() []Rule {
	return append([]Rule{
		{Kind: "activation", Dim: "batch", Axis: "replica"},
		{Kind: "activation", Dim: "batch", Axis: "data"},
		{Kind: "activation", Dim: "seq", Axis: "sequence"},
		{Dim: "heads", Axis: "tensor"},
		{Dim: "kv_heads", Axis: "tensor"},
		{Dim: "mlp", Axis: "tensor"},
		{Dim: "vocab", Axis: "tensor"},
	}, p.Rules...)
}

// Each says whether gradients are summed over ranks after each micro-batch.
func (p Parallel) Each() bool { return p.Zero >= 2 || p.Reduce == "each" }

// Mesh is the number of ranks along each axis.
type Mesh struct {
	Replica  int // groups of ranks of data; 0 stands for 1, as for the others
	Data     int // ranks of a group that take parts of the rows, and of what ZeRO shares out
	Sequence int // of the tokens of each row
	Tensor   int // of heads, MLPs and the vocabulary
	Pipeline int // of the layers
}

// DataRanks is the number of ranks that share out what ZeRO does.
func (m Mesh) DataRanks() int { return max(1, m.Data) }

// RowRanks is the number of ranks that take parts of the rows.
func (m Mesh) RowRanks() int { return max(1, m.Replica) * m.DataRanks() }

// Stages is the number of parts that the layers are cut into along the mesh.
func (m Mesh) Stages() int { return max(1, m.Pipeline) }

// Ranks is the number of all ranks.
func (m Mesh) Ranks() int { return m.RowRanks() * max(1, m.Sequence) * max(1, m.Tensor) * m.Stages() }

// Compile is what the compiler may do.
type Compile struct {
	Unfused bool // operations stay apart that a kernel could do together
}

// Devices is what the plan is for.
type Devices struct {
	Kind     string             // "cpu", "ref" or "cuda"
	Profile  string             // "host", a built-in one, one of Profiles, or a file that gsc calibrate wrote
	Profiles map[string]Profile // the strategy's own
	Threads  int                // of all ranks of a process together; 0: the number of processors
	Nodes    int                // 0: left out, see [Strategy.Nodes]
	PerNode  int                // ranks of a node
}

// Profile is a device profile of a strategy's own: where it differs from a built-in one. What is nil or 0 does not.
type Profile struct {
	Like          string
	MemoryBytes   int64
	ReservedBytes *int64
	AxisBytes     *int64             // reserved for each axis of the mesh
	Bandwidth     float64            // of memory, bytes a second
	Flops         map[string]float64 // peak of products, by precision.compute
	Best          float64            // share of it that large products reach
	Attention     float64            // and attention
	Scores        float64            // how often attention's scores go through memory
	CallSeconds   *float64
	PerNode       int
	Node, Network Link
}

// Link is what joins ranks.
type Link struct {
	Name      string
	Latency   *float64 // seconds
	Bandwidth float64  // bytes a second
}

// Model is an architecture with its sizes, as a list of layers.
type Model struct {
	Architecture string // the definition's kind, such as "gpt2"
	Task         string // "causal", "tokens" or "sequence"
	Vocabulary   int    // 0 until the data is known, when left open
	Context      int
	Width        int
	Outputs      int             // width of the logits; 0 until the data is known, when left open
	Labels       []string        // their names in order, when the strategy or its folder gives them
	Config       json.RawMessage // of config.json
	From         string          // folder of starting weights
	Layers       []Layer
	Pos          Pos
}

// Layer is one layer of an architecture. It takes the hidden state (batch, seq,
// embed) and gives the next; the first, an embedding, takes the tokens. Which
// fields count depends on Kind:
//
//	embedding  Table indexed by Index ("token", "position" or "type"), Rows rows; its result is added to the hidden state if there is one
//	norm       Norm "layer" or "rms", Epsilon, Offset added to the weight; Weight, Bias
//	linear     Linear
//	activation Activation, Cap
//	gated      Up, Gate (each a Linear) and Activation: activation(gate(x))·up(x)
//	scale      Factor
//	dropout    Rate
//	attention  Attention
//	residual   x + Σ over Branches of branch(x)
//	repeat     Branches[i mod len(Branches)] for i = 0 … Count−1; "{layer}" in names is i
//	select     the position Position of each row: (batch, seq, embed) → (batch, embed)
//	group      Branches[0] in order, its operations in the region Region
type Layer struct {
	Kind   string
	Name   string // of its operations; "{layer}" as in weights' names
	Region string // "residual", "attention", "mlp" or "head"
	Pos    Pos

	Index string
	Rows  int

	Norm    string
	Epsilon float64
	Offset  float64

	Weight *Weight // of a norm, and an embedding's table
	Bias   *Weight

	Linear *Linear
	Up     *Linear
	Gate   *Linear

	Activation string
	Cap        float64
	Factor     float64
	Rate       float64
	Position   int
	Count      int

	Attention *Attention
	Branches  [][]Layer
}

// Weight is a weight by its Hugging Face name. Two weights of one name are one tensor (tied).
type Weight struct {
	Name string
	Init plan.Init
	Pos  Pos
}

// Linear is y = x·W + b over the dims In, to the dims Out.
type Linear struct {
	In, Out []plan.Dim
	Layout  string // how the weight is stored: "in_out" or "out_in"
	Weight  Weight
	Bias    *Weight
}

// Attention is self-attention: projections, rotary embedding, scores, output.
// Either QKV is given, whose Out dims hold one named "part" of size 3 (q, k, v in this order), or Q, K and V.
type Attention struct {
	Heads, KVHeads, HeadWidth int

	QKV     *Linear
	Q, K, V *Linear
	Out     *Linear

	Causal  bool
	Window  int     // 0: all
	Scale   float64 // of the scores
	Cap     float64 // 0: none
	Dropout float64 // of the probabilities
	Rotary  *Rotary
	QNorm   *Layer // norm of each head's q (and k) before the rotary embedding
	KNorm   *Layer
}

// Rotary turns the first Width elements of each head of q and k.
type Rotary struct {
	Theta       float64
	Width       int
	Interleaved bool
	Scaling     string // "", "linear" or "llama3"
	Factor      float64
	Low, High   float64
	Original    float64
}
