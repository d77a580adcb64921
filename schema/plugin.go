package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/cuecontext"
	"cuelang.org/go/cue/errors"
	"cuelang.org/go/cue/token"

	"github.com/gsc-project/gsc/compiler/plan"
)

// wirePlugin is a plugin as a strategy names it.
type wirePlugin struct {
	Plugin string
	Params json.RawMessage
	Memory any
	Time   string
	Fuel   float64
}

// objective reads the loss, which is a name or a plugin.
func (w *wireObjective) objective() (Objective, error) {
	o := Objective{IgnoreIndex: w.IgnoreIndex, Smoothing: w.Smoothing}
	if w.Teacher != nil {
		o.Teacher = &Teacher{From: w.Teacher.From}
	}
	if !bytes.HasPrefix(w.Loss, []byte("{")) {
		return o, json.Unmarshal(w.Loss, &o.Loss)
	}
	var given wirePlugin
	if err := json.Unmarshal(w.Loss, &given); err != nil {
		return o, err
	}
	var err error
	o.Loss = plan.ObjectivePlugin
	o.Plugin, err = given.plugin("objective.loss", plan.PluginLoss)
	return o, err
}

// plugin reads what a strategy says of a plugin of a kind.
func (w *wirePlugin) plugin(path, kind string) (*Plugin, error) {
	memory, err := sizeBytes(w.Memory)
	if err != nil {
		return nil, err
	}
	bound, err := time.ParseDuration(w.Time)
	if err != nil {
		return nil, err
	}
	return &Plugin{Path: path, Text: string(w.Params), Plugin: plan.Plugin{Kind: kind, File: w.Plugin, MemoryBytes: memory, Time: bound, Fuel: int64(w.Fuel)}}, nil
}

// Module is what a plugin's module says of itself.
type Module struct {
	Name, Version, Digest string
	Params                string // the schema of its parameters, the fields of a struct in CUE
	Targets               string // of a loss
	Unit                  string // of a loss, [plan.UnitSequences] or [plan.UnitPairs]; "": rows
	Inputs                []string
	Transform             TransformModule
}

// WithPlugin is the strategy with what was found in the module of its loss. The parameters are held against the module's schema, which fills in its defaults; what is wrong
// with them stands where the strategy writes it.
func (s *Strategy) WithPlugin(m Module) (*Strategy, error) {
	params, err := s.params(s.Objective.Plugin, m)
	if err != nil {
		return nil, err
	}
	made, p := *s, *s.Objective.Plugin
	p.Name, p.Version, p.Digest, p.Params, p.Targets, p.Unit, p.Inputs = m.Name, m.Version, m.Digest, params, m.Targets, m.Unit, m.Inputs
	made.Objective.Plugin = &p
	made.Data.Task = dataTask(made.Data.Format, made.Model.Task, made.Objective)
	made.Data.Unit, made.Data.Further = m.Unit, made.Objective.further()
	if list := made.pluginFits(); len(list) > 0 {
		return nil, list.sorted()
	}
	return &made, nil
}

// pluginFits holds what the plugin compares with against model and metrics, as the rules of the schema do for the losses that it knows.
func (s *Strategy) pluginFits() (list Errors) {
	p := s.Objective.Plugin
	if p.Targets == plan.TargetValues && s.Model.Task != "sequence" {
		list.add(s.Wrong(p.Path, fmt.Sprintf("%s compares with numbers of a row, but model.task is %q", p.Name, s.Model.Task), "use a loss over classes"))
	}
	if p.Targets == plan.TargetValues && len(s.Evaluate.Metrics) > 0 {
		list.add(s.Wrong("evaluate.metrics", fmt.Sprintf("they count right classes, which %s does not give", p.Name), "leave them out"))
	}
	for _, err := range []*Error{s.inputsFit(), s.unitFits()} {
		if err != nil {
			list.add(err)
		}
	}
	return list
}

// further are the inputs of the plugin that the data must hold.
func (o Objective) further() (names []string) {
	for _, name := range o.Plugin.Inputs {
		if name != plan.InputTeacher || o.Teacher == nil {
			names = append(names, name)
		}
	}
	return names
}

// inputsFit holds the plugin's inputs against where they can come from.
func (s *Strategy) inputsFit() *Error {
	p, further := s.Objective.Plugin, s.Objective.further()
	switch {
	case s.Objective.Teacher != nil && !slices.Contains(p.Inputs, plan.InputTeacher):
		return s.Wrong("objective.teacher", fmt.Sprintf("%s takes no %s", p.Name, plan.InputTeacher), "leave the teacher out, or use a loss whose manifest names that input")
	case len(further) > 0 && further[0] == plan.InputTeacher && s.Data.Format != "safetensors":
		return s.Wrong(p.Path, fmt.Sprintf("%s takes %s, and there is no teacher", p.Name, further[0]), `give objective.teacher: {from: "FOLDER"}, or batches (data.format: "safetensors") that hold it`)
	case len(further) > 0 && s.Data.Format != "safetensors":
		return s.Wrong(p.Path, fmt.Sprintf("%s takes %s, which the data does not have", p.Name, further[0]), `give batches (data.format: "safetensors") that hold it`)
	}
	return nil
}

// unitFits holds what the plugin sees together against how rows are made and shared out.
func (s *Strategy) unitFits() *Error {
	p, of := s.Objective.Plugin, "sequences"
	records := p.Records()
	if records == 0 {
		return nil
	}
	if records > 1 {
		of = "pairs of rows"
	}
	rows, ranks := s.Batch.Sequences/max(1, s.Batch.MicroBatches), s.Parallel.Mesh.RowRanks()
	switch {
	case s.Parallel.Mesh.Sequence > 1:
		return s.Wrong("parallel.mesh.sequence", fmt.Sprintf("ranks would share the tokens of a row out, and %s must see %s whole", p.Name, of), "use parallel.mesh.data, tensor or pipeline with it")
	case records > 1 && (s.Data.Rows == "stream" || s.Data.Rows == "packed"):
		return s.Wrong("data.rows", fmt.Sprintf("%s compares two records, and rows are %q", p.Name, s.Data.Rows), `use "padded", whose rows 2i and 2i+1 are a pair`)
	case rows%records != 0 && s.Batch.MicroBatches > 1:
		return s.Wrong("batch.micro_batches", fmt.Sprintf("%d rows of a micro-batch are no whole number of pairs, which %s compares", rows, p.Name), "use fewer micro-batches")
	case rows%records != 0:
		return s.Wrong("batch.sequences", fmt.Sprintf("%d rows are no whole number of pairs, which %s compares", rows, p.Name), "use an even number")
	case ranks > 1 && rows%(ranks*records) != 0:
		return s.Wrong("parallel.mesh.data", fmt.Sprintf("%d ranks do not share the %d rows of a micro-batch out in %s, which %s must see whole", ranks, rows, of, p.Name), "use a number of ranks that does")
	}
	return nil
}

// params checks a plugin's parameters, and gives them complete.
func (s *Strategy) params(given *Plugin, m Module) (json.RawMessage, error) {
	path := given.Path + ".params"
	text, faults, schemaErr := complete(m.Params, given.Text)
	switch {
	case schemaErr != nil:
		return nil, s.Wrong(given.Path+".plugin", fmt.Sprintf("the schema of the parameters in %s is no CUE: %v", given.File, schemaErr), "ask who made the plugin")
	case len(faults) > 0:
		return nil, s.wrongParams(m, path, faults)
	}
	return text, nil
}

// complete holds a plugin's parameters, JSON or CUE, against their schema, and fills in its defaults.
func complete(schema, given string) (text json.RawMessage, faults []errors.Error, schemaErr error) {
	ctx := cuecontext.New()
	allowed := ctx.CompileString("close({\n" + schema + "\n})")
	if err := allowed.Err(); err != nil {
		return nil, nil, err
	}
	value := ctx.CompileString(given).Unify(allowed)
	if err := value.Validate(cue.Concrete(true), cue.Final(), cue.All()); err != nil {
		return nil, errors.Errors(err), nil
	}
	made, err := value.MarshalJSON()
	if err != nil {
		return nil, errors.Errors(errors.Promote(err, "parameters")), nil
	}
	var beyond *json.UnmarshalTypeError
	if errors.As(json.Unmarshal(made, new(any)), &beyond) {
		return nil, []errors.Error{errors.Newf(token.NoPos, "%s is more than a float64 holds", beyond.Value)}, nil
	}
	return json.RawMessage(made), nil, nil
}

// Params are a plugin's parameters outside of any strategy: what is given, in CUE, held against their schema and completed.
func Params(schema, given string) ([]byte, error) {
	text, faults, schemaErr := complete(schema, given)
	if schemaErr != nil {
		return nil, fmt.Errorf("their schema is no CUE: %w", schemaErr)
	}
	if len(faults) == 0 {
		return text, nil
	}
	best, missing := "", false
	for _, f := range faults {
		format, args := f.Msg()
		if message := strings.Join(append(f.Path(), fmt.Sprintf(format, args...)), ": "); telling(message) >= telling(best) {
			best = message
			missing = slices.ContainsFunc(faultsOf(f), func(f fault) bool { return f.kind == faultMissing })
		}
	}
	err := fmt.Errorf("%s; %s", best, paramsFix(schema))
	if missing {
		err = &MissingError{err}
	}
	return nil, err
}

// MissingError is a parameter without a default that was not given.
type MissingError struct{ error }

// wrongParams is what is wrong with parameters, one thing for each of them. Of a field with a default CUE also says that there are several errors, and that the value is not
// the default, which says least.
func (s *Strategy) wrongParams(m Module, path string, faults []errors.Error) error {
	said := map[string]string{}
	for _, e := range faults {
		at := strings.Join(append([]string{path}, e.Path()...), ".")
		format, args := e.Msg()
		if message := fmt.Sprintf(format, args...); telling(message) >= telling(said[at]) {
			said[at] = message
		}
	}
	var list Errors
	for at, message := range said {
		list.add(s.Wrong(at, fmt.Sprintf("%s does not take it: %s", m.Name, message), paramsFix(m.Params)))
	}
	return list.sorted()
}

// telling is how much a message of CUE's says.
func telling(message string) int {
	switch {
	case message == "":
		return 0
	case strings.Contains(message, "empty disjunction"):
		return 1
	case strings.Contains(message, "conflicting values"):
		return 2
	}
	return 3
}

// paramsFix says what a plugin takes.
func paramsFix(schema string) string {
	if strings.TrimSpace(schema) == "" {
		return "it takes no parameters: leave them out"
	}
	return "it takes: " + strings.Join(strings.Fields(schema), " ")
}
