package plan

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/gsc-project/gsc/kernels"
)

// ParseText reads a plan from its text form: the inverse of [Plan.Text]. An
// error names the line and what was expected. The plan is not verified.
func ParseText(text []byte) (*Plan, error) {
	p := &parser{plan: &Plan{}, seen: map[string]bool{}}
	number := 0
	for len(text) > 0 {
		line, rest, _ := bytes.Cut(text, []byte("\n"))
		text = rest
		number++
		s := &scanner{number: number, text: strings.TrimSuffix(string(line), "\r")}
		if s.done() {
			continue
		}
		if p.line(s); s.err == nil {
			s.end()
		}
		if s.err != nil {
			return nil, s.err
		}
	}
	if p.item == nil {
		return nil, fmt.Errorf("line 1: want %q, found nothing", "gsc plan")
	}
	return cmp.Or(p.outer, p.plan), nil
}

// parser is a plan on its way from text.
type parser struct {
	outer *Plan // of a plan that is one's generation
	plan  *Plan
	item  func(*scanner) // reads an item of the section that is open
	seen  map[string]bool
	stage *Stage
}

// line reads a line: an indented one is an item of the open section, another opens a section.
func (p *parser) line(s *scanner) {
	indented := s.at > 0
	switch {
	case p.item == nil:
		p.header(s)
	case indented:
		p.item(s)
	case p.outer == nil && s.peek() == "gsc":
		p.outer, p.plan, p.seen, p.stage = p.plan, &Plan{}, map[string]bool{}, nil
		p.outer.Generation = p.plan
		p.header(s)
	default:
		p.open(s)
	}
}

func (p *parser) header(s *scanner) {
	s.expect("gsc")
	s.expect("plan")
	if p.plan.Version = s.int("the version of the plan's form"); s.err == nil && p.plan.Version != Version {
		s.fail("%v", versionError(p.plan.Version))
	}
	p.plan.Name = s.name("the plan's name")
	s.expect("device")
	p.plan.Device = s.name("a device kind")
	p.item = nothing
}

// nothing is the item of a section that has none.
func nothing(s *scanner) { s.want("a section, which is not indented") }

// open reads the line that opens a section.
func (p *parser) open(s *scanner) {
	at := s.at
	title := s.word()
	open, ok := sections[title]
	if !ok {
		s.at = at
		s.want("a section such as model, tensors, stage or program")
		return
	}
	if p.seen[title] && title != "program" && title != "schedule" && title != "stage" {
		s.fail("section %s stands twice", title)
		return
	}
	p.seen[title] = true
	p.item = nothing
	open(p, s)
}

// sections has what reads the line of each section, and sets what reads its items.
var sections map[string]func(*parser, *scanner)

func init() {
	sections = map[string]func(*parser, *scanner){
		"strategy":     func(p *parser, s *scanner) { p.plan.Strategy = s.name("a digest") },
		"mesh":         (*parser).mesh,
		"model":        func(p *parser, _ *scanner) { p.item = settingsInto(&p.plan.Model) },
		"training":     func(p *parser, _ *scanner) { p.item = settingsInto(&p.plan.Training) },
		"data":         func(p *parser, _ *scanner) { p.item = settingsInto(&p.plan.Data) },
		"estimate":     func(p *parser, _ *scanner) { p.item = settingsInto(&p.plan.Estimate) },
		"files":        func(p *parser, _ *scanner) { p.item = p.file },
		"choices":      func(p *parser, _ *scanner) { p.item = p.choice },
		"plugins":      func(p *parser, _ *scanner) { p.item = p.plugin },
		"compressions": func(p *parser, _ *scanner) { p.item = p.compression },
		"tensors":      func(p *parser, _ *scanner) { p.item = p.tensor },
		"scalars":      func(p *parser, _ *scanner) { p.item = p.scalar },
		"arenas":       func(p *parser, _ *scanner) { p.item = p.arena },
		"stage":        (*parser).openStage,
		"buffers":      func(p *parser, s *scanner) { p.within(s, p.buffer) },
		"program":      (*parser).openProgram,
		"schedule":     (*parser).openSchedule,
	}
}

func (p *parser) mesh(s *scanner) {
	for _, d := range s.dims() {
		p.plan.Mesh = append(p.plan.Mesh, Axis{Name: d.Name, Degree: d.Size})
	}
}

// settingsInto reads settings into a struct, each at most once.
func settingsInto(settings any) func(*scanner) {
	known := map[string]reflect.Value{}
	for _, f := range settingsOf(settings) {
		known[f.key] = f.value
	}
	seen := map[string]bool{}
	return func(s *scanner) {
		key := strings.TrimSuffix(s.peek(), ":")
		field, ok := known[key]
		switch {
		case !ok:
			s.want("a known setting")
			return
		case seen[key]:
			s.fail("setting %s stands twice", key)
			return
		}
		seen[key] = true
		s.expect(key + ":")
		s.json(field.Addr().Interface())
		tidy(field.Addr().Interface())
	}
}

// tidy gives raw JSON its one form: compact, and nil for null.
func tidy(value any) {
	raw, ok := value.(*json.RawMessage)
	if !ok {
		return
	}
	var b bytes.Buffer
	if err := json.Compact(&b, *raw); err != nil {
		return // Verify says so
	}
	*raw = b.Bytes()
	if b.String() == "null" {
		*raw = nil
	}
}

func (p *parser) file(s *scanner) {
	p.plan.Data.Files = append(p.plan.Data.Files, File{Split: s.name("a split"), SizeBytes: s.number64("a size in bytes"),
		Digest: s.name("a digest"), Path: s.name("a path")})
}

func (p *parser) plugin(s *scanner) {
	made := Plugin{Kind: s.name("a kind of plugin"), Name: s.name("a name"), Version: s.name("a version"), Digest: s.name("a digest"), Targets: s.name("what it compares with")}
	s.expect("memory")
	made.MemoryBytes = s.number64("a size in bytes")
	s.expect("time")
	made.Time = time.Duration(s.number64("a time in nanoseconds"))
	if s.accept("fuel") {
		made.Fuel = s.number64("a number of instructions")
	}
	if s.accept("unit") {
		made.Unit = s.name("a unit")
	}
	for s.accept("input") {
		made.Inputs = append(made.Inputs, s.name("the name of an input"))
	}
	s.expect("file")
	made.File = s.name("a file")
	s.json(&made.Params)
	tidy(&made.Params)
	p.plan.Plugins = append(p.plan.Plugins, made)
}

func (p *parser) compression(s *scanner) {
	var c Compression
	s.json(&c)
	p.plan.Compressions = append(p.plan.Compressions, c)
}

func (p *parser) choice(s *scanner) {
	p.plan.Choices = append(p.plan.Choices, Choice{What: s.name("what was chosen"), Value: s.name("a value"), Why: s.name("a reason")})
}

func (p *parser) tensor(s *scanner) {
	t := Tensor{Class: Class(s.name("a class")), Name: s.name("a name"), Buffer: s.reference()}
	s.marshalled(&t.DType, "a type such as f32")
	t.Dims = s.dims()
	for !s.done() {
		switch word := s.peek(); word {
		case "of":
			s.word()
			t.Of = s.name("a weight")
		case "stored":
			s.word()
			t.Stored = s.numbers()
		case "init":
			s.word()
			t.Init = s.init()
		case "frozen":
			s.word()
			t.Frozen = true
		case "cut":
			s.word()
			t.Cut = Cut{s.int("the index of a dim"), s.name("an axis")}
		case "part":
			s.word()
			t.Part = s.name("an axis")
		case "terms":
			s.word()
			t.Terms = true
		case "stage":
			s.word()
			t.Stage = s.int("the number of a stage")
		case "copy":
			s.word()
			t.Copies = append(t.Copies, Copy{Stage: s.int("the number of a stage"), Buffer: s.reference()})
		case "from":
			s.word()
			t.Pos = s.name("a position")
		default:
			s.want("one of of, stored, init, frozen, cut, part, terms, stage, copy, from")
		}
	}
	p.plan.Tensors = append(p.plan.Tensors, t)
}

func (s *scanner) init() Init {
	in := Init{Kind: s.name("a kind of initialisation")}
	for _, v := range []struct {
		name  string
		value *float64
	}{{"value", &in.Value}, {"std", &in.Std}, {"bound", &in.Bound}} {
		if s.accept(v.name) {
			s.expectMark('=')
			*v.value = s.float("a number")
		}
	}
	return in
}

// marshalled reads a word into what has a text form.
func (s *scanner) marshalled(into interface{ UnmarshalText([]byte) error }, what string) {
	w := s.peek()
	if s.err == nil && into.UnmarshalText([]byte(w)) != nil {
		s.want(what)
	}
	s.word()
}

func (p *parser) scalar(s *scanner) {
	p.plan.Scalars = append(p.plan.Scalars, Scalar{Name: s.name("a scalar"), Buffer: s.reference()})
}

func (p *parser) arena(s *scanner) {
	if s.accept("reserve") {
		if len(p.plan.Arenas) == 0 {
			s.fail("an arena must stand before what is reserved beside it")
			return
		}
		a := &p.plan.Arenas[len(p.plan.Arenas)-1]
		a.Reserved = append(a.Reserved, Reserve{SizeBytes: s.number64("a size in bytes"), For: s.name("what it is for")})
		return
	}
	var a Arena
	s.marshalled(&a.Space, "a memory space such as device")
	a.SizeBytes = s.number64("a size in bytes")
	p.plan.Arenas = append(p.plan.Arenas, a)
}

func (p *parser) openStage(s *scanner) {
	s.expect("slots")
	stage := Stage{Slots: s.int("a number of slots")}
	if s.accept("bytes") {
		stage.SlotBytes = s.number64("the distance between slots in bytes")
	}
	if s.accept("of") {
		stage.Bytes = s.number64("a number of bytes of the arena")
	}
	p.plan.Stages = append(p.plan.Stages, stage)
	p.stage = &p.plan.Stages[len(p.plan.Stages)-1]
	p.seen["buffers"] = false
}

// within opens a section of a stage.
func (p *parser) within(s *scanner, item func(*scanner)) {
	if p.stage == nil {
		s.fail("a stage must be opened before")
	}
	p.item = item
}

func (p *parser) buffer(s *scanner) {
	b := Buffer{ID: s.reference(), Name: s.name("a name"), Class: Class(s.name("a class"))}
	s.marshalled(&b.DType, "a type such as f32")
	b.Dims = s.dims()
	s.marshalled(&b.Space, "a memory space such as device")
	s.expectMark('@')
	b.Offset = s.number64("an offset in bytes")
	b.Lasting = s.accept("lasting")
	b.Slotted = s.accept("slotted")
	p.stage.Buffers = append(p.stage.Buffers, b)
}

func (p *parser) openProgram(s *scanner) {
	p.within(s, nil)
	program := Program{Name: s.name("a name")}
	if s.accept("length") {
		program.Length = s.int("a length")
	}
	if s.err == nil {
		p.stage.Programs = append(p.stage.Programs, program)
		last := &p.stage.Programs[len(p.stage.Programs)-1]
		p.item = func(s *scanner) { p.programLine(s, last) }
	}
}

func (p *parser) programLine(s *scanner, program *Program) {
	switch {
	case s.accept("input"):
		program.Inputs = append(program.Inputs, Port{Name: s.name("a name"), Buffer: s.reference()})
	case s.accept("output"):
		program.Outputs = append(program.Outputs, Port{Name: s.name("a name"), Buffer: s.reference()})
	default:
		program.Instructions = append(program.Instructions, p.instruction(s))
	}
}

func (p *parser) openSchedule(s *scanner) {
	p.within(s, nil)
	schedule := Schedule{Kind: s.name("a kind of schedule")}
	if s.accept("length") {
		schedule.Length = s.int("a length")
	}
	if s.err == nil {
		p.stage.Schedules = append(p.stage.Schedules, schedule)
		last := &p.stage.Schedules[len(p.stage.Schedules)-1]
		p.item = func(s *scanner) { last.Calls = append(last.Calls, s.call()) }
	}
}

func (s *scanner) call() Call {
	s.expect("call")
	c := Call{Program: s.name("a program")}
	if s.accept("micro_batch") {
		c.MicroBatch = s.int("a number")
	}
	if s.accept("slot") {
		c.Slot = s.int("a number")
	}
	return c
}

// instruction reads a line as [Stage.Format] writes it.
func (p *parser) instruction(s *scanner) Instruction {
	var in Instruction
	s.marshalled(&in.Op, "an operation, input or output")
	if s.err != nil {
		return in
	}
	in.Name = s.name("a name")
	in.Operands = p.operands(s, &kernels.Contracts[in.Op])
	if s.mark('{') {
		s.attrs(&in.Attrs)
	}
	if s.accept("stream") {
		in.Stream = s.int("a stream")
	}
	for wait := s.accept("wait"); wait; wait = s.mark(',') {
		in.Wait = append(in.Wait, s.int("an event"))
	}
	if s.accept("signal") {
		in.Signal = s.int("an event")
	}
	in.Joined = s.accept("joined")
	if s.accept("open") {
		in.Open = s.int("an event")
	}
	for await := s.accept("await"); await; await = s.mark(',') {
		in.Await = append(in.Await, s.int("an event"))
	}
	if s.accept("if") {
		in.Predicate = s.reference() + 1
	}
	if s.accept("from") {
		in.Pos = s.name("a position")
	}
	return in
}

// operands reads name=view until something else stands there.
func (p *parser) operands(s *scanner, c *kernels.Contract) []Operand {
	list := make([]Operand, len(c.Params))
	for i := range list {
		list[i] = Absent
	}
	for {
		word := s.peek()
		if s.err != nil || !strings.HasPrefix(s.text[s.at+len(word):], "=") {
			return list
		}
		i := c.Param(word)
		if i < 0 || list[i].Buffer != Absent.Buffer {
			s.want("an operand of " + c.Name + " that is not given yet")
			return list
		}
		s.word()
		s.mark('=')
		list[i] = p.operand(s)
	}
}

func (p *parser) operand(s *scanner) Operand {
	o := Operand{Buffer: s.reference()}
	if s.err == nil && o.Buffer >= len(p.stage.Buffers) {
		s.fail("there is no buffer %%%d", o.Buffer)
		return o
	}
	if s.mark('+') {
		o.Offset = s.digits("an offset in elements")
	}
	if s.mark('@') {
		o.Part = s.name("an axis")
		if s.mark('(') {
			o.Step = s.digits("a step in elements")
			s.expectMark(')')
		}
	}
	switch {
	case s.err != nil:
	case strings.HasPrefix(s.text[s.at:], "["):
		o.Shape = s.numbers()
	default:
		o.Shape = p.stage.Buffers[o.Buffer].Shape()
	}
	if s.mark('/') {
		o.Strides = s.numbers()
	}
	if s.mark('<') {
		o.Bound = s.reference() + 1
	}
	return o
}

// attrs reads attributes up to the closing brace.
func (s *scanner) attrs(a *kernels.Attrs) {
	value := reflect.ValueOf(a).Elem()
	for s.err == nil && !s.mark('}') {
		word := s.word()
		i := -1
		for j, f := range fieldsOf(value.Type()) {
			if f.name == word {
				i = j
			}
		}
		if i < 0 {
			s.at -= len(word)
			s.want("an attribute or a closing brace")
			return
		}
		s.attr(value.Field(i))
	}
}

func (s *scanner) attr(v reflect.Value) {
	if v.Kind() == reflect.Bool {
		v.SetBool(true)
		return
	}
	s.expectMark('=')
	switch v.Kind() {
	case reflect.String:
		v.SetString(s.name("a word"))
	case reflect.Float64:
		v.SetFloat(s.float("a number"))
	default:
		n := s.number64("a whole number")
		if v.CanUint() && (n < 0 || v.OverflowUint(uint64(n))) {
			s.fail("%d is out of range", n)
		} else if v.CanUint() {
			v.SetUint(uint64(n))
		} else {
			v.SetInt(n)
		}
	}
}
