package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

// TestLoad runs the cases of testdata. A case is an archive: the files of a
// strategy, of which train.cue is loaded; args, a line each: -t KEY=VALUE, --set PATH=VALUE, a path in place of train.cue, or
// +layers, +launch or +positions to show more of what was loaded; and want, the errors or a
// summary of the strategy. GSC_UPDATE=1 rewrites want.
func TestLoad(t *testing.T) {
	cases, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(cases) == 0 {
		t.Fatal("no cases", err)
	}
	for _, name := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) { runCase(t, name) })
	}
}

func runCase(t *testing.T, name string) {
	archive, err := txtar.ParseFile(name)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	want, args := -1, ""
	for i, f := range archive.Files {
		switch f.Name {
		case "want":
			want = i
		case "args":
			args = string(f.Data)
		default:
			writeFile(t, filepath.Join(dir, f.Name), f.Data)
		}
	}
	got := loadCase(dir, args)
	if wrong := strings.HasPrefix(filepath.Base(name), "wrong-"); wrong != strings.HasPrefix(got, "error:\n") {
		t.Errorf("a case named wrong-… is an error, others are not")
	}
	if noise.MatchString(got) {
		t.Errorf("noise in\n%s", got)
	}
	if want >= 0 && string(archive.Files[want].Data) == got {
		return
	}
	if os.Getenv("GSC_UPDATE") == "" {
		t.Fatalf("got:\n%s\nGSC_UPDATE=1 rewrites the expectation", got)
	}
	if want < 0 {
		want = len(archive.Files)
		archive.Files = append(archive.Files, txtar.File{Name: "want"})
	}
	archive.Files[want].Data = []byte(got)
	if err := os.WriteFile(name, txtar.Format(archive), 0o666); err != nil {
		t.Fatal(err)
	}
}

func writeFile(t *testing.T, name string, text []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, text, 0o666); err != nil {
		t.Fatal(err)
	}
}

// loadCase loads a case's strategy and shows the outcome.
func loadCase(dir, args string) string {
	path, opts, more := "train.cue", Options{Dir: dir}, ""
	for line := range strings.Lines(args) {
		line = strings.TrimSpace(line)
		switch key, value, _ := strings.Cut(line, " "); {
		case key == "-t":
			opts.Tags = append(opts.Tags, value)
		case key == "--set":
			opts.Set = append(opts.Set, value)
		case strings.HasPrefix(key, "+"):
			more += key
		case key != "":
			path = key
		}
	}
	s, err := Load(path, opts)
	text := ""
	if err != nil {
		var list Errors
		if !errors.As(err, &list) {
			text = "not of type Errors: "
		}
		text = "error:\n" + text + err.Error() + "\n"
	} else {
		text = summary(s, more)
	}
	return strings.ReplaceAll(text, dir, "$DIR")
}

// summary shows what was decoded: a line a section, zero fields left out.
func summary(s *Strategy, more string) string {
	var b strings.Builder
	v := reflect.ValueOf(*s)
	for i := range v.NumField() {
		switch name := v.Type().Field(i).Name; name {
		case "Positions", "Digest", "Evaluated", "origin":
		case "Launch":
			if strings.Contains(more, "+launch") {
				fmt.Fprintf(&b, "%s: %s\n", name, show(s.Launch))
			}
		default:
			if !v.Field(i).IsZero() {
				fmt.Fprintf(&b, "%s: %s\n", name, show(v.Field(i).Interface()))
			}
		}
	}
	if strings.Contains(more, "+layers") {
		showLayers(&b, s.Model.Layers, 0)
	}
	if strings.Contains(more, "+positions") {
		for _, path := range slices.Sorted(mapsKeys(s.Positions)) {
			fmt.Fprintf(&b, "%s %s\n", path, s.Positions[path])
		}
	}
	return b.String()
}

func mapsKeys(m map[string]Pos) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// show is a value as JSON without what is zero, and without layers and positions.
func show(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	var values any
	if err := json.Unmarshal(text, &values); err != nil {
		return err.Error()
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(withoutZeros(values)); err != nil {
		return err.Error()
	}
	return strings.TrimSpace(b.String())
}

func withoutZeros(v any) any {
	m, ok := v.(map[string]any)
	if !ok {
		return v
	}
	for key, value := range m {
		if key == "Layers" || key == "Pos" || value == nil || value == "" || value == 0.0 || value == false {
			delete(m, key)
			continue
		}
		if m[key] = withoutZeros(value); key != "Config" && reflect.ValueOf(m[key]).Kind() == reflect.Map && len(m[key].(map[string]any)) == 0 {
			delete(m, key)
		}
	}
	return m
}

// showLayers prints layers as an indented tree.
func showLayers(b *strings.Builder, layers []Layer, depth int) {
	for _, l := range layers {
		branches, weights := l.Branches, layerWeights(&l)
		l.Branches, l.Weight, l.Bias, l.Linear, l.Up, l.Gate = nil, nil, nil, nil, nil, nil
		indent := strings.Repeat("  ", depth)
		if l.Attention != nil {
			a := *l.Attention
			a.QKV, a.Q, a.K, a.V, a.Out = nil, nil, nil, nil, nil
			l.Attention = &a
		}
		fmt.Fprintf(b, "%s%s at %s\n", indent, show(l), l.Pos)
		for _, w := range weights {
			fmt.Fprintf(b, "%s  %s\n", indent, w)
		}
		for i, branch := range branches {
			fmt.Fprintf(b, "%s branch %d\n", indent, i)
			showLayers(b, branch, depth+1)
		}
	}
}

// layerWeights lists the weights of a layer with dims and initialisation.
func layerWeights(l *Layer) []string {
	var list []string
	one := func(role string, w *Weight, dims string) {
		if w != nil {
			list = append(list, fmt.Sprintf("%s %s %s%s at %s", role, w.Name, dims, show(w.Init), w.Pos))
		}
	}
	linear := func(role string, p *Linear) {
		if p != nil {
			one(role, &p.Weight, fmt.Sprintf("%v→%v %s ", p.In, p.Out, p.Layout))
			one(role+".bias", p.Bias, "")
		}
	}
	one("weight", l.Weight, "")
	one("bias", l.Bias, "")
	linear("linear", l.Linear)
	linear("gate", l.Gate)
	linear("up", l.Up)
	if a := l.Attention; a != nil {
		linear("qkv", a.QKV)
		linear("q", a.Q)
		linear("k", a.K)
		linear("v", a.V)
		linear("out", a.Out)
	}
	return list
}
