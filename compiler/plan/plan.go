package plan

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/gsc-project/gsc/kernels"
)

// Version is the version of the plan's form. A plan of another version is refused.
const Version = 1

// Plan is an execution plan. Its ranks are coordinates of the mesh: one stage's
// programs serve every rank of that stage, which is its place along the axis pipeline.
type Plan struct {
	Version  int    `json:"version"`
	Name     string `json:"name"`
	Strategy string `json:"strategy"` // digest of the evaluated strategy
	Device   string `json:"device"`   // a kind of kernels.Kinds
	Mesh     []Axis `json:"mesh"`     // empty: one rank

	Model    Model    `json:"model"`
	Training Training `json:"training"`
	Data     Data     `json:"data"`

	Plugins      []Plugin      `json:"plugins,omitempty"`
	Compressions []Compression `json:"compressions,omitempty"`

	Tensors []Tensor `json:"tensors"` // in the order of their first use
	Scalars []Scalar `json:"scalars"`
	Arenas  []Arena  `json:"arenas"`
	Stages  []Stage  `json:"stages"`

	Choices  []Choice `json:"choices,omitempty"`
	Estimate Estimate `json:"estimate"`

	// Generation is what generates with the weights, which is one rank's affair, where several train. nil: this plan's own programs do.
	Generation *Plan `json:"generation,omitempty"`
}

// Axis is one axis of the mesh.
type Axis struct {
	Name   string `json:"name"`
	Degree int    `json:"degree"`
}

// Degree is the number of ranks along an axis; 1 where the mesh has no such axis.
func (p *Plan) Degree(axis string) int {
	for _, a := range p.Mesh {
		if a.Name == axis {
			return a.Degree
		}
	}
	return 1
}

// StageOf is the stage that a rank runs.
func (p *Plan) StageOf(rank int) int { return p.Place(rank, AxisPipeline) }

// FirstOf is the first of a stage's ranks.
func (p *Plan) FirstOf(stage int) int { return p.Group(0, AxisPipeline)[stage] }

// LastOf is the last of a stage's ranks.
func (p *Plan) LastOf(stage int) int { return p.Group(p.Ranks()-1, AxisPipeline)[stage] }

// Ranks is the number of ranks of the mesh. They are numbered with the last axis fastest.
func (p *Plan) Ranks() int {
	n := 1
	for _, a := range p.Mesh {
		n *= a.Degree
	}
	return n
}

// RankThreads is how many of the threads of a process that holds all ranks are one rank's.
func (p *Plan) RankThreads(threads int) int { return max(1, threads/max(1, p.Ranks())) }

// Place is a rank's place along an axis.
func (p *Plan) Place(rank int, axis string) int {
	for _, a := range slices.Backward(p.Mesh) {
		if a.Name == axis {
			return rank % a.Degree
		}
		rank /= a.Degree
	}
	return 0
}

// Group is the ranks that differ from a rank in their place along an axis alone, in the order of those places.
func (p *Plan) Group(rank int, axis string) []int {
	stride, group := p.stride(axis), make([]int, p.Degree(axis))
	for i := range group {
		group[i] = rank + (i-p.Place(rank, axis))*stride
	}
	return group
}

// stride is how far apart in number neighbours along an axis are.
func (p *Plan) stride(axis string) int {
	stride := 1
	for _, a := range slices.Backward(p.Mesh) {
		if a.Name == axis {
			break
		}
		stride *= a.Degree
	}
	return stride
}

// Expand is a stage as a rank runs it, with its own parts as its operands.
func (p *Plan) Expand(stage, rank int) *Stage {
	st := p.Stages[stage]
	if !st.hasParts() {
		return &p.Stages[stage]
	}
	st.Programs = slices.Clone(st.Programs)
	for i := range st.Programs {
		list := slices.Clone(st.Programs[i].Instructions)
		for j := range list {
			list[j].Operands = slices.Clone(list[j].Operands)
			for k := range list[j].Operands {
				if o := &list[j].Operands[k]; o.Part != "" {
					o.Offset += p.Place(rank, o.Part) * o.step()
					o.Part, o.Step = "", 0
				}
			}
		}
		st.Programs[i].Instructions = list
	}
	return &st
}

// hasParts says whether ranks see different parts of anything.
func (s *Stage) hasParts() bool {
	for i := range s.Programs {
		for j := range s.Programs[i].Instructions {
			if slices.ContainsFunc(s.Programs[i].Instructions[j].Operands, func(o Operand) bool { return o.Part != "" }) {
				return true
			}
		}
	}
	return false
}

// BatchRows is the rows of a micro-batch.
func (p *Plan) BatchRows() int { return p.Training.Sequences / max(p.Training.MicroBatches, 1) }

// RankRows is how many of them each rank takes; the last ones may take fewer, or none.
func (p *Plan) RankRows() int {
	ranks := p.RowRanks()
	return (p.BatchRows() + ranks - 1) / ranks
}

// RowRanks is the number of ranks that take parts of the rows.
func (p *Plan) RowRanks() int { return max(p.Degree(AxisReplica), 1) * max(p.Degree(AxisData), 1) }

// RowPlace is a rank's place among those that take parts of the rows.
func (p *Plan) RowPlace(rank int) int {
	return p.Place(rank, AxisReplica)*max(p.Degree(AxisData), 1) + p.Place(rank, AxisData)
}

// The axes of a mesh, in their order in it: neighbours along the last are neighbours in number.
const (
	AxisPipeline = "pipeline" // ranks that take parts of the layers
	AxisReplica  = "replica"  // of the batch's rows, in groups
	AxisData     = "data"     // of a group's rows, and of what ZeRO shares out
	AxisSequence = "sequence" // of the tokens of each row
	AxisTensor   = "tensor"   // of heads, of the elements between the projections of an MLP, and of the vocabulary
)

// Axes are all axes, in their order.
var Axes = []string{AxisPipeline, AxisReplica, AxisData, AxisSequence, AxisTensor}

// Model is what the runtime needs to know of the model beside its tensors: the
// sizes that inputs must respect, and what a Hugging Face folder says of it.
type Model struct {
	Architecture string          `json:"architecture"`
	Task         string          `json:"task"` // "causal", "tokens" (a label a token), "sequence" (a label a row)
	Vocabulary   int             `json:"vocabulary"`
	Context      int             `json:"context"`
	Outputs      int             `json:"outputs"`        // width of the logits
	Config       json.RawMessage `json:"config"`         // config.json of the model folder
	From         string          `json:"from,omitempty"` // folder the starting weights come from
	Teacher      Teacher         `json:"teacher,omitzero"`
}

// Teacher is a second model, whose weights are tensors of the class [Taught]. The zero Teacher: there is none.
type Teacher struct {
	Architecture string `json:"architecture"`
	From         string `json:"from"`   // folder of its weights
	Digest       string `json:"digest"` // sha256 of their files, hexadecimal
}

// TeacherPrefix is what the names of a teacher's weights begin with, before those that its folder has.
const TeacherPrefix = "teacher."

// Dim is a named dim of a tensor: batch, seq, kv_seq, embed, heads, kv_heads,
// head, mlp, vocab, layer, expert, part (of a fused projection), position, type or class.
type Dim struct {
	Name string `json:"name"`
	Size int    `json:"size"`
}

// Class says what a buffer is for; memory is accounted by it.
type Class string

// The classes.
const (
	Weight     Class = "weight"
	Taught     Class = "teacher" // weights of a teacher, which nothing trains and no checkpoint holds
	Gradient   Class = "gradient"
	State      Class = "optimizer" // moments and other lasting state of the optimizer
	Activation Class = "activation"
	Workspace  Class = "workspace" // used within one instruction or between the steps of the backward pass
	Input      Class = "input"     // what the data layer fills
	ScalarKind Class = "scalar"
	Cache      Class = "cache"    // keys and values of generation
	Transfer   Class = "transfer" // copies on their way to disk or another space
)

// Tensor is a logical tensor that outlives a step: a weight, or optimizer
// state of one. Its buffer holds this rank's part of it.
type Tensor struct {
	Name   string        `json:"name"` // a weight's is its Hugging Face name
	Class  Class         `json:"class"`
	Of     string        `json:"of,omitempty"` // the weight that a state belongs to, or that a weight is computed of when it is loaded
	Dims   []Dim         `json:"dims"`
	Stored []int         `json:"stored,omitempty"` // shape in a model folder, when Dims factor it further
	DType  kernels.DType `json:"dtype"`
	Init   Init          `json:"init,omitzero"`
	Frozen bool          `json:"frozen,omitempty"`
	Cut    Cut           `json:"cut,omitzero"`    // how ranks share a dim out; the zero Cut: not at all
	Part   string        `json:"part,omitempty"`  // an axis: each rank along it keeps one of as many neighbouring parts of what a cut leaves; "": all of that
	Terms  bool          `json:"terms,omitempty"` // the first dim counts the ranks that take rows: each keeps a term of its own, and what counts is their sum
	Stage  int           `json:"stage,omitempty"`
	Buffer int           `json:"buffer"` // an ID, in that stage
	Copies []Copy        `json:"copies,omitempty"`
	Pos    string        `json:"pos,omitempty"`
}

// Residual is what the names of tensors end with that are a weight's terms: what codes of its gradient left out.
const Residual = ".residual"

// Copy is a weight in another stage that uses it, too. The tensor's own stage updates it.
type Copy struct {
	Stage  int `json:"stage"`
	Buffer int `json:"buffer"`
}

// In is the tensor's buffer in a stage; false where the stage has none.
func (t *Tensor) In(stage int) (buffer int, ok bool) {
	if t.Stage == stage {
		return t.Buffer, true
	}
	for _, c := range t.Copies {
		if c.Stage == stage {
			return c.Buffer, true
		}
	}
	return 0, false
}

// Cut is how the ranks along an axis share a dim out, evenly.
type Cut struct {
	Dim  int    `json:"dim"`
	Axis string `json:"axis"`
}

// Trains says whether the plan trains; one that does not generates only.
func (p *Plan) Trains() bool {
	for i := range p.Stages {
		for j := range p.Stages[i].Schedules {
			if p.Stages[i].Schedules[j].Kind == Train {
				return true
			}
		}
	}
	return false
}

// Shape is the lengths of the tensor's dims.
func (t *Tensor) Shape() []int {
	shape := make([]int, len(t.Dims))
	for i, d := range t.Dims {
		shape[i] = d.Size
	}
	return shape
}

// StoredShape is the shape in a model folder.
func (t *Tensor) StoredShape() []int {
	if t.Stored != nil {
		return t.Stored
	}
	return t.Shape()
}

// Init is how a tensor starts: "zeros", "ones", "constant" (Value), "normal"
// (mean 0, Std), "uniform" (in [−Bound, Bound)), or of state as [InitWeight]. Element i takes
// its random bits from kernels.Philox with PurposeInit, the tensor's name and i.
type Init struct {
	Kind  string  `json:"kind"`
	Value float64 `json:"value,omitempty"`
	Std   float64 `json:"std,omitempty"`
	Bound float64 `json:"bound,omitempty"`
}

// InitWeight is how a master starts: as the weight that it is of does, before that is rounded to a half.
const InitWeight = "weight"

// Scalar is a value that the runtime writes into a buffer before a schedule
// runs, or reads after it. It has the same buffer in every stage.
type Scalar struct {
	Name   string `json:"name"` // one of the Scalar… constants
	Buffer int    `json:"buffer"`
}

// The scalars.
const (
	ScalarStep     = "step"     // I64: updates done, this one counted; 1 in the first step
	ScalarSeed     = "seed"     // I64: the strategy's
	ScalarOrigin   = "origin"   // I64: place of the micro-batch's first row in the global batch
	ScalarPosition = "position" // I64: tokens already in the cache
	ScalarRate     = "rate"     // F64: learning rate
	ScalarWeight   = "weight"   // F64: Σw over the step
	ScalarLoss     = "loss"     // F64, read: Σwℓ over the step
	ScalarNorm     = "norm"     // F64, read: norm of the gradient before clipping
	ScalarFinite   = "finite"   // I64, read: 1 where the norm is finite

	// Of dynamic loss scaling; the program update changes them, and checkpoints keep them.
	ScalarLossScale = "loss_scale" // F64: factor on the gradients
	ScalarGood      = "good"       // I64: steps since the scale changed or a gradient was not finite
	ScalarUpdates   = "updates"    // I64: steps that changed weights, which is what the optimizer counts

	// ScalarPruned is there where a policy that is a plugin decides on several stages, of which each knows its own weights alone.
	ScalarPruned = "pruned" // F64: elements of the stage's weights that are pruned; read: of all stages'
)

// Arena is the one allocation of a memory space. Reserved is what lies outside
// it in that space all the same: what a device, driver or the process itself takes.
type Arena struct {
	Space     kernels.Space `json:"space"`
	SizeBytes int64         `json:"size_bytes"`
	Reserved  []Reserve     `json:"reserved,omitempty"`
}

// Reserve is one line of what is taken outside the arena.
type Reserve struct {
	For       string `json:"for"`
	SizeBytes int64  `json:"size_bytes"`
}

// Stage is what the ranks of one pipeline stage run.
type Stage struct {
	Slots     int        `json:"slots"`                // activation slots: micro-batches in flight
	SlotBytes int64      `json:"slot_bytes,omitempty"` // distance between the slots of a slotted buffer
	Bytes     int64      `json:"bytes,omitempty"`      // of device memory that its ranks take of the arena; 0: all of it
	Buffers   []Buffer   `json:"buffers"`              // indexed by ID
	Programs  []Program  `json:"programs"`
	Schedules []Schedule `json:"schedules"`
}

// Buffer is a place in an arena. A lasting buffer holds its value from step to
// step; another holds it from the instruction that writes it to
// the last that reads it, and its bytes serve others before and after.
type Buffer struct {
	ID      int           `json:"id"`
	Name    string        `json:"name"`
	Class   Class         `json:"class"`
	Space   kernels.Space `json:"space"`
	Offset  int64         `json:"offset"` // bytes from the start of the arena (slotted: in slot 0)
	DType   kernels.DType `json:"dtype"`
	Dims    []Dim         `json:"dims"`
	Lasting bool          `json:"lasting,omitempty"`
	Slotted bool          `json:"slotted,omitempty"` // one for each activation slot
}

// Shape is the lengths of the buffer's dims.
func (b *Buffer) Shape() []int {
	shape := make([]int, len(b.Dims))
	for i, d := range b.Dims {
		shape[i] = d.Size
	}
	return shape
}

// SizeBytes is the size of one slot's buffer.
func (b *Buffer) SizeBytes() int64 {
	return int64(kernels.Elements(b.Shape())) * int64(b.DType.Size())
}

// Program is a straight line of instructions. Its inputs are filled before it
// runs, by the data layer; its outputs stay until another program of the stage runs.
type Program struct {
	Name         string        `json:"name"`
	Length       int           `json:"length,omitempty"` // the length bucket it is for; 0: any
	Inputs       []Port        `json:"inputs,omitempty"`
	Outputs      []Port        `json:"outputs,omitempty"`
	Instructions []Instruction `json:"instructions"`
}

// Port is a buffer under the name that the runtime knows it by.
type Port struct {
	Name   string `json:"name"`
	Buffer int    `json:"buffer"`
}

// Instruction is one operation in place.
type Instruction struct {
	Op        kernels.Op    `json:"op"`
	Name      string        `json:"name"`     // of the operation, such as "h.3.attn" or "h.3.attn.grad"
	Operands  []Operand     `json:"operands"` // in the order of the contract
	Attrs     kernels.Attrs `json:"attrs,omitzero"`
	Stream    int           `json:"stream,omitempty"`
	Wait      []int         `json:"wait,omitempty"`      // events
	Signal    int           `json:"signal,omitempty"`    // an event; 0: none
	Joined    bool          `json:"joined,omitempty"`    // a collective that is one call with the one before it: they begin together, and end together
	Open      int           `json:"open,omitempty"`      // a sending or receiving that goes on past the end of its program, as an event of the stage; 0: it does not
	Await     []int         `json:"await,omitempty"`     // such events: those begun in the slot of the call have ended before the instruction begins, and all behind it in any stream
	Predicate int           `json:"predicate,omitempty"` // ID of an I64 scalar's buffer, plus 1: skipped while it holds 0
	Pos       string        `json:"pos,omitempty"`       // file:line:column of the strategy or architecture
}

// Operand is a view of a buffer. Absent operands have Buffer −1.
type Operand struct {
	Buffer  int   `json:"buffer"`
	Offset  int   `json:"offset,omitempty"`  // elements
	Shape   []int `json:"shape,omitempty"`   // as the operation sees it
	Strides []int `json:"strides,omitempty"` // elements; nil: dense
	Bound   int   `json:"bound,omitempty"`   // ID of a scalar's buffer, plus 1, that holds the actual length of the first bounded dim

	// Part is an axis along which each rank sees another view of this shape; Offset is that of the first, and the others follow each
	// Step elements further, 0 standing for as many as a view has. "": all see this one.
	Part string `json:"part,omitempty"`
	Step int    `json:"step,omitempty"`
}

// step is the distance between the views of neighbouring ranks.
func (o *Operand) step() int {
	if o.Step != 0 {
		return o.Step
	}
	return kernels.Elements(o.Shape)
}

// Absent stands for an optional operand that is left out.
var Absent = Operand{Buffer: -1}

// Schedule is what one stage does for one kind of request.
type Schedule struct {
	Kind   string `json:"kind"`             // one of the kinds below
	Length int    `json:"length,omitempty"` // length bucket; 0: any
	Calls  []Call `json:"calls"`
}

// The kinds of schedules.
const (
	Train    = "train"    // one step: all micro-batches, and the update
	Uncoded  = "uncoded"  // the same of the first steps, in which gradients are added up that are coded later
	Evaluate = "evaluate" // one micro-batch, without gradients
	Prefill  = "prefill"  // a prompt into the cache
	Decode   = "decode"   // one token more
	Load     = "load"     // weights that are not kept as they are stored: each program's input is one, under its name
)

// Call runs a program on a micro-batch, in an activation slot.
type Call struct {
	Program    string `json:"program"`
	MicroBatch int    `json:"micro_batch,omitempty"`
	Slot       int    `json:"slot,omitempty"`
}

// UpdateProgram is what the program is called that moves the weights, once a step. Those that stand around it in a schedule have names that begin with this one and a point.
const UpdateProgram = "update"

// Updates says whether a call is for a whole step, and not for a micro-batch.
func (c Call) Updates() bool {
	return c.Program == UpdateProgram || strings.HasPrefix(c.Program, UpdateProgram+".")
}

// trains says whether a schedule is that of a training step.
func (s *Schedule) trains() bool { return s.Kind == Train || s.Kind == Uncoded }

// Choice is something that the strategy left open and the compiler settled.
type Choice struct {
	What  string `json:"what"`
	Value string `json:"value"`
	Why   string `json:"why"`
}

// Estimate is what the compiler expects of a run on the device profile.
type Estimate struct {
	Profile       string  `json:"profile"`
	Parameters    int64   `json:"parameters"`
	Trained       int64   `json:"trained"`         // parameters that are not frozen
	FlopsPerToken float64 `json:"flops_per_token"` // of a training step, forward, backward and recomputation
	FlopsPerStep  float64 `json:"flops_per_step"`
	StepSeconds   float64 `json:"step_seconds"`
	TokensPerStep int64   `json:"tokens_per_step"`

	ExposedSeconds float64 `json:"exposed_seconds,omitempty"` // of a step: collectives that nothing is computed beside
	UncodedSeconds float64 `json:"uncoded_seconds,omitempty"` // of one of the first steps, before gradients are coded
	BubbleSeconds  float64 `json:"bubble_seconds,omitempty"`  // of a step: in which a rank has nothing to do, since what it waits for is not computed yet

	// Of devices of their own.
	ModelFlops   float64 `json:"model_flops,omitempty"`    // of a step: 6 for each parameter and token, and attention over all pairs; what is computed again does not count
	PeakFlops    float64 `json:"peak_flops,omitempty"`     // of a rank's device a second, in the type that is multiplied
	MemoryBytes  int64   `json:"memory_bytes,omitempty"`   // of a rank's device
	RanksPerNode int     `json:"ranks_per_node,omitempty"` // 0: all ranks are one process
	NodeLink     string  `json:"node_link,omitempty"`      // what joins the ranks of a node
	NetworkLink  string  `json:"network_link,omitempty"`   // and nodes
}

// RunSeconds is the time of a run's steps.
func (e *Estimate) RunSeconds(t *Training) float64 {
	return e.StepSeconds*float64(t.Steps-t.Uncoded) + e.UncodedSeconds*float64(t.Uncoded)
}

// Utilisation is the share of the ranks' peak that the model's own arithmetic reaches; 0 where the peak is not known.
func (e *Estimate) Utilisation(ranks int) float64 {
	if e.PeakFlops == 0 || e.StepSeconds == 0 {
		return 0
	}
	return e.ModelFlops / e.StepSeconds / e.PeakFlops / float64(ranks)
}
