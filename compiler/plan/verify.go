package plan

import (
	"cmp"
	"fmt"
	goruntime "runtime"
	"slices"
	"strings"
	"sync"

	"github.com/gsc-project/gsc/kernels"
)

// Verify proves the plan sound without running it. A plan it admits computes
// what its instructions say, on any device of its kind, in the memory it names and in no other. The rules, in order:
//
// Structure. The other rules build on these, and are looked at when they hold.
//
//  1. Form: the version is [Version], the plan has a name, the device kind is one of kernels.Kinds, there is a stage for each place along the axis pipeline. A plan's
//     generation is a sound plan without a mesh that generates only, and has none itself.
//  2. Values: every number is finite, every string UTF-8, the model's config JSON.
//  3. Mesh: the axes are known, none stands twice, their degrees are 2 or more.
//  4. Arenas: one for each space; sizes are neither negative nor above [MaxArenaBytes].
//  5. Buffers: the ID is the index; class, type and space are known; at most [MaxDims] dims, none below 1; weights,
//     optimizer state and scalars last, nothing else does, and what lasts has no slots.
//  6. Placement: a buffer, in each of its slots, lies within what its stage takes of the arena of its space and begins at a multiple of the kind's
//     AlignBytes.
//  7. Tensors: names are unique; each has, in its stage and in those that have a copy of it, a buffer of its class, type and number of elements to itself, and each buffer of a weight or of
//     optimizer state has a tensor; state belongs to a weight, and what a weight is computed of is loaded; terms are state, one for each rank that takes rows; the shape in a model folder has as many elements; the kind of Init is known.
//  8. Scalars: names are unique; each has, in every stage, a buffer of class scalar, one element and its type to itself, and each such buffer has a scalar.
//  9. Programs: names are unique; ports name buffers, once; inputs are of class input.
//  10. Training, in a plan that trains: the objective and the kind of rate are known, a table has rates, sequences divide into micro-batches.
//     Plugins have names of their own, and all that is needed to find and bound them. What is compressed is a weight, once, and what is reserved for it is there.
//  11. Schedules: kind and length are unique; there is one to train and one to evaluate for each length bucket of the data, and one for steps without codes where there are
//     such steps, and only there, or, in a plan that only generates, one to prefill and one to decode; calls name programs of that length,
//     slots and micro-batches that exist; training calls every micro-batch; every program is called.
//  12. Batches: the inputs of a call have as many rows as a rank takes of a micro-batch, and, for tokens and what goes with each, its length, which may be
//     padded so that it divides.
//
// Operands, of each instruction.
//
//  13. Reference: operands, predicate and bounds name buffers; the last two are I64 scalars; an absent operand says nothing else; an operand
//     that is a part is one along an axis of the mesh. The rules from here on hold for the first rank of a stage and for the last.
//  14. Range: at most [MaxDims] dims, none below 1; from the first to the last element a view lies within its buffer.
//  15. Contract: kernels.Check admits operands and attributes; the axis of a collective is one of the mesh, its operands have the
//     layout of kernels.ExchangeOf, and it has no predicate, so that all ranks of its group come to it. What is sent or received is so along the axis pipeline,
//     between two stages, and beside what is computed where it is open, and only there.
//  16. Kind: floats have the type that the device kind computes in, or one of the halves that it stores, but for zeros, which any may be; what is not a copy works in device memory; the workspace is as large as the kind asks for.
//  17. Writers: at most one instruction of a stage writes a weight, but for gathering its parts in place, and none a frozen one.
//
// Memory. Each schedule is followed from its start, call by call: a session.
//
//  18. What lasts overlaps nothing else of its space, and a cache nothing that the schedules with a cache use.
//  19. An instruction's outputs overlap neither each other nor its inputs, except where the contract allows an output
//     and an input to be the same view, and but for a gathering whose input is the rank's own part of its output. Nor do they overlap anything of another instruction that
//     is one call with it.
//  20. What is written is a region that can be followed: rows of one width at one distance.
//  21. What is read was written before in the session, whole, by instructions without a predicate or under the reader's, for the
//     same micro-batch unless it is a gradient, and its bytes served no other buffer since.
//  22. Outputs of a program are written by its end.
//
// Order, within each program; the end of a program is waited for on every stream.
//
//  23. Streams are numbered below [MaxStreams]; an event is signalled once, and by an instruction before those that wait for it; the collectives of a
//     stream but the first are along one axis. What is joined stands right behind an instruction of its operation, axis and stream, waits for nothing, and only the last of a
//     call signals; none of them goes on past the end of the program.
//  24. What touches bytes that another stream touched, one of them writing, comes after it by events.
//  25. What is awaited is the event of open instructions of the stage, which may share one. From where such an instruction begins until its event is awaited in a call of
//     its slot, or the schedule ends, nothing writes what it sends and nothing touches what it receives, and it does not begin again.
//
// Meetings, in each kind of schedule. All ranks of a stage do the same, so it is enough to follow one of each, in what they do along the axis pipeline; a plan whose
// ranks stand each for itself has all of them followed, in all that they do together ([Plan.VerifyRanks]).
//
//  26. What a rank sends another on a lane is what that receives, one by one in their order: as many elements of the same type, for the same micro-batch. The ranks of a
//     group come to the same collectives along its axis, in the same order, for the same micro-batch, with the same attributes, elements and types, and, in one stage,
//     with the same buffers.
//  27. None waits for ever: there is an order in which all ranks come to the end of their schedules, each going by the order of its lists, where a collective ends only
//     once all of its group have come to it, sending only once the receiver has, and what goes on beside ends before what waits for its event, what
//     computes behind it on its stream, or the end of its program.
//  28. A rank that stands for itself does what the plan has it do at its place and nothing else: the same instructions with the same views, each after the same writes
//     to its buffers, and the same calls, those that write the same gradients or what lasts in the same order.
//
// All problems are found at once, as a [*Problems].
func (p *Plan) Verify() error {
	v := &verifier{plan: p, seen: map[Problem]bool{}}
	for _, rule := range structureRules {
		rule(v)
	}
	if len(v.problems) == 0 {
		v.stages()
	}
	if len(v.problems) == 0 && len(p.Stages) > 1 {
		v.meetings()
	}
	if err := v.result(); err != nil || p.Generation == nil {
		return err
	}
	return p.Generation.Verify()
}

// structureRules are rules 1 to 12.
var structureRules = []func(*verifier){
	(*verifier).form, (*verifier).values, (*verifier).mesh, (*verifier).arenas, (*verifier).buffers, (*verifier).placement,
	(*verifier).tensors, (*verifier).scalars, (*verifier).programs, (*verifier).training, (*verifier).plugins, (*verifier).compressions, (*verifier).schedules, (*verifier).batches,
}

// stages applies rules 13 to 25 to each stage, as the first of its ranks runs it and as the last does. An instruction whose operands are refused takes
// part in the later ones as a writer of its outputs alone, so that one mistake gives one problem. They are looked at side by side, and what is found is told in their order.
func (v *verifier) stages() {
	var found []*verifier
	var group sync.WaitGroup
	room := make(chan struct{}, goruntime.GOMAXPROCS(0))
	for s := range v.plan.Stages {
		if !v.parts(s) {
			continue
		}
		ranks := []int{v.plan.FirstOf(s)}
		if v.plan.Stages[s].hasParts() {
			ranks = append(ranks, v.plan.LastOf(s))
		}
		for _, rank := range ranks {
			one := &verifier{plan: v.plan, kind: v.kind, seen: map[Problem]bool{}}
			found = append(found, one)
			room <- struct{}{}
			group.Go(func() { one.rank(s, rank); <-room })
		}
	}
	group.Wait()
	for _, one := range found {
		for _, p := range one.problems {
			v.add(p)
		}
	}
}

// rank applies the rules to a stage as a rank runs it.
func (v *verifier) rank(s, rank int) {
	sv := &stageVerifier{verifier: v, index: s, rank: rank, stage: v.plan.Expand(s, rank), refused: map[*Instruction]bool{}}
	sv.operands()
	sv.openings()
	sv.writers()
	sv.separation()
	sv.sessions()
	sv.order()
}

// Problem is one broken rule. Program is empty and Instruction −1 where it is not of a program or an instruction.
type Problem struct {
	Stage       int
	Program     string
	Instruction int
	Name        string // of the instruction
	Pos         string // where it came from, FILE:LINE:COLUMN
	Message     string

	program int // index, for the order of problems
}

func (p Problem) String() string {
	var b strings.Builder
	if p.Program != "" {
		fmt.Fprintf(&b, "stage %d: program %s: ", p.Stage, p.Program)
	}
	if p.Instruction >= 0 {
		fmt.Fprintf(&b, "instruction %d (%s): ", p.Instruction, p.Name)
	}
	b.WriteString(p.Message)
	if p.Pos != "" {
		b.WriteString("\n    " + p.Pos)
	}
	return b.String()
}

// MaxProblems is how many problems an error lists.
const MaxProblems = 50

// Problems are what is wrong with a plan, in the order of its instructions. Beyond [MaxProblems] they are only counted.
type Problems struct {
	Plan string // its name
	List []Problem
	More int
}

func (e *Problems) Error() string {
	lines := []string{fmt.Sprintf("plan %q is not sound:", e.Plan)}
	for _, p := range e.List {
		lines = append(lines, p.String())
	}
	if e.More > 0 {
		lines = append(lines, fmt.Sprintf("… and %d more", e.More))
	}
	return strings.Join(lines, "\n")
}

// verifier collects the problems of a plan.
type verifier struct {
	plan     *Plan
	kind     kernels.Kind
	problems []Problem
	seen     map[Problem]bool
}

// fail notes a problem of the plan as a whole.
func (v *verifier) fail(format string, args ...any) {
	v.add(Problem{Instruction: -1, program: -1, Message: fmt.Sprintf(format, args...)})
}

// failAt notes a problem of something that came from a position.
func (v *verifier) failAt(pos, format string, args ...any) {
	v.add(Problem{Instruction: -1, program: -1, Pos: pos, Message: fmt.Sprintf(format, args...)})
}

func (v *verifier) add(p Problem) {
	if !v.seen[p] {
		v.seen[p] = true
		v.problems = append(v.problems, p)
	}
}

func (v *verifier) result() error {
	if len(v.problems) == 0 {
		return nil
	}
	slices.SortStableFunc(v.problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Stage, b.Stage), cmp.Compare(a.program, b.program), cmp.Compare(a.Instruction, b.Instruction))
	})
	shown := min(len(v.problems), MaxProblems)
	return &Problems{Plan: v.plan.Name, List: v.problems[:shown], More: len(v.problems) - shown}
}

// stageVerifier looks at one stage of a plan whose structure is sound.
type stageVerifier struct {
	*verifier
	index   int
	rank    int // one of those that run it
	stage   *Stage
	refused map[*Instruction]bool // by the rules for operands
}

// at is a place in a stage. The instruction is −1 for the program as a whole.
type at struct{ program, instruction int }

func (v *stageVerifier) failIn(a at, format string, args ...any) {
	program := &v.stage.Programs[a.program]
	p := Problem{Stage: v.index, Program: program.Name, program: a.program, Instruction: a.instruction, Message: fmt.Sprintf(format, args...)}
	if a.instruction >= 0 {
		in := &program.Instructions[a.instruction]
		p.Name, p.Pos = in.Name, in.Pos
	}
	v.add(p)
}

// each calls f for every instruction of the stage.
func (v *stageVerifier) each(f func(a at, in *Instruction)) {
	for i := range v.stage.Programs {
		for j := range v.stage.Programs[i].Instructions {
			f(at{i, j}, &v.stage.Programs[i].Instructions[j])
		}
	}
}

// role is how an instruction uses an operand.
func role(in *Instruction, operand int) kernels.Role {
	return kernels.Contracts[in.Op].RoleOf(operand, in.Attrs)
}

// label names a buffer in a message.
func (s *Stage) label(id int) string { return fmt.Sprintf("%%%d %s", id, s.Buffers[id].Name) }
