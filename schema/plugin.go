package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/cuecontext"
	"cuelang.org/go/cue/errors"

	"github.com/gsc-project/gsc/compiler/plan"
)

// wirePlugin is a plugin as a strategy names it.
type wirePlugin struct {
	Plugin string
	Params json.RawMessage
	Memory any
	Time   string
}

// objective reads the loss, which is a name or a plugin.
func (w *wireObjective) objective() (Objective, error) {
	o := Objective{IgnoreIndex: w.IgnoreIndex, Smoothing: w.Smoothing}
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

// Module is what a plugin's module says of itself.
type Module struct {
	Name, Version, Digest string
	Params                string // the schema of its parameters, the fields of a struct in CUE
	Targets               string // of a loss
}

// WithPlugin is the strategy with what was found in the module of its loss. The parameters are held against the module's schema, which fills in its defaults; what is wrong
// with them stands where the strategy writes it.
func (s *Strategy) WithPlugin(m Module) (*Strategy, error) {
	params, err := s.params(s.Objective.Plugin, m)
	if err != nil {
		return nil, err
	}
	made, p := *s, *s.Objective.Plugin
	p.Name, p.Version, p.Digest, p.Params, p.Targets = m.Name, m.Version, m.Digest, params, m.Targets
	made.Objective.Plugin = &p
	made.Data.Task = dataTask(made.Data.Format, made.Model.Task, made.Objective)
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
	return list
}

// params checks the parameters of a plugin, and gives them complete.
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
	best := ""
	for _, f := range faults {
		format, args := f.Msg()
		if message := strings.Join(append(f.Path(), fmt.Sprintf(format, args...)), ": "); telling(message) >= telling(best) {
			best = message
		}
	}
	return nil, fmt.Errorf("%s; %s", best, paramsFix(schema))
}

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
