package data

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/runtime/checkpoint/safetensors"
)

// tensor is a tensor of a test file; its numbers are int64 or float32.
type tensor struct {
	name    string
	shape   []int
	numbers any
}

func encode(t testing.TB, tensors ...tensor) string {
	t.Helper()
	var infos []safetensors.Info
	for _, x := range tensors {
		dtype := "I64"
		if _, ok := x.numbers.([]float32); ok {
			dtype = "F32"
		}
		infos = append(infos, safetensors.Info{Name: x.name, DType: dtype, Shape: x.shape})
	}
	var out bytes.Buffer
	err := safetensors.Write(&out, nil, infos, func(info safetensors.Info, w io.Writer) error {
		i := slices.IndexFunc(tensors, func(x tensor) bool { return x.name == info.Name })
		return binary.Write(w, binary.LittleEndian, tensors[i].numbers)
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// count is the numbers from, from+1, … of a shape.
func count(from int64, shape ...int) []int64 {
	n := 1
	for _, d := range shape {
		n *= d
	}
	list := make([]int64, n)
	for i := range list {
		list[i] = from + int64(i)
	}
	return list
}

func givenSpec(base string) plan.Data {
	return plan.Data{Format: "safetensors", Tokenizer: "none", Train: []string{"*.safetensors"}, Base: base, Rows: "given", Task: "given", Ignore: -100}
}

func tokenCase(t testing.TB, from int64, steps int) string {
	shape := []int{steps, 2, 3, 4}
	labels := count(from+1, shape...)
	labels[1] = -100
	mask := slices.Repeat([]int64{1, 1, 1, 0}, steps*6)
	return encode(t, tensor{"input_ids", shape, count(from, shape...)}, tensor{"labels", shape, labels},
		tensor{"attention_mask", shape, mask}, tensor{"token_type_ids", shape, mask})
}

func TestGiven(t *testing.T) {
	base := write(t, "a.safetensors", tokenCase(t, 0, 2), "b.safetensors", tokenCase(t, 48, 1))
	s := mustOpen(t, givenSpec(base))
	spec := s.Spec()
	if spec.Length != 4 || spec.Target != "token" || spec.VocabularySize != 72 || spec.Outputs != 73 ||
		spec.Splits.Train != (plan.Count{Rows: 18, Tokens: 72, Records: 3}) || !slices.Equal(spec.Inputs, []string{"tokens", "labels", "mask", "types"}) {
		t.Errorf("%+v", spec)
	}
	b := NewBatch(spec, 6)
	for step := int64(1); step <= 3; step++ {
		if err := s.Fill(7, step, b); err != nil {
			t.Fatal(err)
		}
		first := int32(step-1) * 24
		if b.Tokens[0] != first || b.Tokens[23] != first+23 || b.Labels[0] != first+1 || b.Labels[23] != first+24 || b.Mask[3] != 0 || b.Mask[4] != 1 || b.Types[7] != 0 {
			t.Errorf("step %d: %+v", step, b)
		}
		scored := 24
		if step != 2 {
			scored = 23
		}
		if b.Scored != scored || b.Valid != 18 {
			t.Errorf("step %d: %d scored, %d valid", step, b.Scored, b.Valid)
		}
	}
	if err := s.Fill(7, 4, b); err == nil || err.Error() != "step 4: the files hold 3 steps" {
		t.Error(err)
	}
	if err := s.Fill(7, 1, NewBatch(spec, 5)); err == nil {
		t.Error("a batch of another size was filled")
	}
	if pass := s.Evaluation(Train, 4, 0); pass.Batches() != 5 || pass.Rows() != 18 {
		t.Errorf("%d batches of %d rows", pass.Batches(), pass.Rows())
	}
}

func TestCheckRun(t *testing.T) {
	spec, err := Prepare(givenSpec(write(t, "a.safetensors", tokenCase(t, 0, 2))))
	if err != nil {
		t.Fatal(err)
	}
	if err := CheckRun(spec, 6, 2); err != nil {
		t.Error(err)
	}
	err = CheckRun(spec, 4, 3)
	var list Errors
	if !errors.As(err, &list) || len(list) != 2 || list[0].Path != "batch.sequences" || list[1].Path != "schedule.steps" {
		t.Error(err)
	}
	if err := CheckRun(plan.Data{Rows: "stream"}, 4, 3); err != nil {
		t.Error(err)
	}
}

func TestGivenLabelsOfRows(t *testing.T) {
	ids := tensor{"input_ids", []int{2, 1, 2, 3}, count(0, 2, 1, 2, 3)}
	cases := []struct {
		labels  tensor
		target  string
		outputs int
		want    string // labels, values and weight of step 2
	}{
		{tensor{"labels", []int{2, 1, 2}, []int64{0, 1, 2, -100}}, "row", 3, "[2 -100] [] 1"},
		{tensor{"labels", []int{2, 1, 2}, []float32{0, 1, 2, 3}}, "values", 1, "[] [2 3] 2"},
		{tensor{"labels", []int{2, 1, 2, 2}, []float32{0, 1, 2, 3, 4, 5, 6, 7}}, "values", 2, "[] [4 5 6 7] 2"},
	}
	for _, c := range cases {
		s := mustOpen(t, givenSpec(write(t, "a.safetensors", encode(t, ids, c.labels))))
		b := fillAt(t, s, 1, 2, 2)
		if got := fmt.Sprint(b.Labels, b.Values, b.Weight); got != c.want || s.Spec().Target != c.target || s.Spec().Outputs != c.outputs {
			t.Errorf("%v: %s, target %s, %d outputs", c.labels.shape, got, s.Spec().Target, s.Spec().Outputs)
		}
	}
	weights := tensor{"weights", []int{2, 1, 2}, []float32{1, 1, 0.5, 0}}
	s := mustOpen(t, givenSpec(write(t, "a.safetensors", encode(t, ids, cases[1].labels, weights))))
	if b := fillAt(t, s, 1, 2, 2); b.Weight != 0.5 || b.Scored != 1 {
		t.Errorf("weight %g, %d scored", b.Weight, b.Scored)
	}
}

func TestGivenRefuses(t *testing.T) {
	shape := []int{1, 1, 2, 3}
	ids := tensor{"input_ids", shape, count(0, shape...)}
	labels := tensor{"labels", shape, count(0, shape...)}
	cases := []struct {
		content string
		want    string
	}{
		{"no safetensors", "not a safetensors file"},
		{encode(t, ids), "batches need the tensors input_ids and labels"},
		{encode(t, ids, labels, tensor{"x", []int{1}, []int64{1}}), `unknown tensor "x"`},
		{encode(t, tensor{"input_ids", []int{2, 3}, count(0, 2, 3)}, labels), "input_ids is of shape [2 3], not [steps, micro_batches, batch, length]"},
		{encode(t, ids, tensor{"labels", []int{1, 1, 3}, count(0, 3)}), "labels are I64 of shape [1 1 3], which does not go with input_ids of [1 1 2 3]"},
		{encode(t, ids, labels, tensor{"attention_mask", []int{1, 1, 2}, count(0, 2)}), "attention_mask is of shape [1 1 2], not [1 1 2 3]"},
		{encode(t, ids, labels, tensor{"attention_mask", shape, count(0, shape...)}), "attention_mask: element 2 is 2, neither 0 nor 1"},
		{encode(t, tensor{"input_ids", shape, count(-1, shape...)}, labels), "input_ids: element 0 is -1"},
		{encode(t, ids, tensor{"labels", shape, count(-3, shape...)}), "labels: element 0 is -3, no label and not the one that is ignored, -100"},
		{encode(t, ids, tensor{"labels", shape, count(1<<40, shape...)}), "does not fit"},
		{encode(t, tensor{"input_ids", []int{0, 1, 2, 3}, []int64{}}, tensor{"labels", []int{0, 1, 2, 3}, []int64{}}), "input_ids is of shape [0 1 2 3]"},
	}
	for _, c := range cases {
		_, err := Prepare(givenSpec(write(t, "a.safetensors", c.content)))
		var list Errors
		if !errors.As(err, &list) || !strings.Contains(list[0].Message, c.want) || !strings.HasPrefix(list[0].Message, "a.safetensors: ") || list[0].Path != "data.train.files" {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
}

func TestGivenFilesAreOfOneForm(t *testing.T) {
	shape := []int{1, 1, 6, 4}
	other := encode(t, tensor{"input_ids", shape, count(0, shape...)}, tensor{"labels", shape, count(0, shape...)})
	_, err := Prepare(givenSpec(write(t, "a.safetensors", tokenCase(t, 0, 2), "b.safetensors", other)))
	if err == nil || !strings.Contains(err.Error(), "b.safetensors: its tensors are not of the form of a.safetensors") {
		t.Error(err)
	}
	spec := givenSpec(write(t, "a.safetensors", tokenCase(t, 0, 2), "v.safetensors", tokenCase(t, 0, 1)))
	spec.Train, spec.Validation = []string{"a.safetensors"}, []string{"v.safetensors"}
	if s := mustOpen(t, spec); s.Rows(Validation) != 6 || s.Rows(Test) != 0 {
		t.Errorf("%d rows", s.Rows(Validation))
	}
}

func FuzzGiven(f *testing.F) {
	f.Add([]byte(tokenCase(f, 0, 1)))
	f.Add([]byte(encode(f, tensor{"input_ids", []int{2, 1, 2, 1}, count(0, 4)}, tensor{"labels", []int{2, 1, 2}, []float32{0, 1, 2, 3}})))
	f.Add([]byte("{}"))
	f.Fuzz(func(t *testing.T, content []byte) {
		file, err := safetensors.New("f", bytes.NewReader(content), int64(len(content)))
		if err != nil {
			return
		}
		g, bad := readGiven(file, &plan.Data{Ignore: -100})
		if bad != "" {
			return
		}
		spec := plan.Data{Length: g.length, Target: g.target, Outputs: max(g.columns, 1), Inputs: g.inputs(), Ignore: -100}
		b := NewBatch(spec, int(g.perStep))
		for r := range g.perStep {
			g.fill(b, int(r), r)
		}
		b.count()
	})
}
