package main

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gsc-project/gsc"
	"github.com/gsc-project/gsc/kernels/cpu"
)

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{9, 1, 2}, 2}, {[]float64{4, 1, 2, 8}, 3}} {
		if got := median(c.values); got != c.want {
			t.Errorf("median of %v: %v", c.values, got)
		}
	}
	if got := geometricMean([]float64{2, 8}); math.Abs(got-4) > 1e-12 {
		t.Errorf("geometric mean %v", got)
	}
}

// The sides take turns, every other one backwards, until each has enough samples.
func TestInterleave(t *testing.T) {
	var order string
	one := func(name string, values ...float64) side {
		return func() ([]float64, error) { order += name; return values, nil }
	}
	samples, err := interleave(3, one("a", 1), one("b", 2, 3))
	if err != nil || order != "abbaab" || len(samples[0]) != 3 || len(samples[1]) != 6 {
		t.Error(order, samples, err)
	}
}

func TestChoose(t *testing.T) {
	got, err := choose(rows, []string{"*-bf16", "sgemm"})
	if err != nil || !slices.Equal(names(got), []string{"sgemm", "gpt2-t256-bf16", "gpt2-t64-bf16", "char6-bf16", "bert-bf16", "curve-bf16"}) {
		t.Error(names(got), err)
	}
	if _, err := choose(rows, []string{"sgem"}); err == nil || !strings.Contains(err.Error(), "sgem") {
		t.Error(err)
	}
	if _, err := choose(rows, nil); err == nil {
		t.Error("nothing was chosen, and that was fine")
	}
}

func TestReport(t *testing.T) {
	l := rows[1].line("tokens/s")
	l.compare([]float64{250, 251, 249}, []float64{200})
	l.Share, l.Verdict = 0.845, met
	r := report{Machine: []fact{{"threads", "2"}}, Lines: []line{l, rows[2].skipped("no PyTorch"), {Work: "x", Verdict: notMet}, {Work: "y", Verdict: shown}}}
	want := `- threads: 2

| work                                 | gsc          | peer         | ratio  | must reach          | share of peak | result  | note       |
|--------------------------------------|--------------|--------------|--------|---------------------|---------------|---------|------------|
| GPT-2 124M step, 4 × 256 tokens, fp32 | 250 tokens/s | 200 tokens/s | 1.25 × | ≥ min(1.25 ×, 84 %) | 84.5 %        | met     |            |
| GPT-2 124M step, 4 × 64 tokens, fp32  |              |              |        | ≥ min(1.20 ×, 80 %) |               | skipped | no PyTorch |
| x                                    |              |              |        |                     |               | not met |            |
| y                                    |              |              |        |                     |               | shown   |            |

1 of 3 rows met, 1 skipped
`
	squeeze := func(text string) string { return strings.Join(strings.Fields(strings.ReplaceAll(text, "-", "")), " ") }
	if got := r.markdown(); squeeze(got) != squeeze(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	dir := filepath.Join(t.TempDir(), "results")
	if err := r.write(dir); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "results.json"))
	if err != nil {
		t.Fatal(err)
	}
	var back report
	if err := json.Unmarshal(text, &back); err != nil || back.Lines[0].Ratio != 1.25 || back.Lines[1].Note != "no PyTorch" {
		t.Error(back, err)
	}
}

// Every line of the table is as wide as the others.
func TestAligned(t *testing.T) {
	lines := strings.Split(strings.TrimSpace(aligned([][]string{{"a", "b"}, {"4 × 4", ""}, {"", "≥ 88 %"}})), "\n")
	for _, l := range lines {
		if len([]rune(l)) != len([]rune(lines[0])) {
			t.Error(l)
		}
	}
}

func TestParse(t *testing.T) {
	b, err := parseBenchmark([]byte(`{"steps_seconds": [1, 2], "peak_flops": 5, "operations": [{"op": "matmul", "seconds": 3}], "more": 1}`))
	if err != nil || len(b.StepsSeconds) != 2 || b.PeakFlops != 5 || b.Operations[0].Seconds != 3 {
		t.Error(b, err)
	}
	for _, wrong := range []string{``, `{}`, `{"steps_seconds": [0]}`, `{"steps_seconds": ["x"]}`} {
		if _, err := parseBenchmark([]byte(wrong)); err == nil {
			t.Errorf("%q was taken", wrong)
		}
	}
	losses, err := parseLosses([]byte("{\"step\": 1, \"loss\": 4}\n{\"step\": 2, \"loss\": 3, \"lr\": 1}\n"))
	if err != nil || !slices.Equal(losses, []float64{4, 3}) {
		t.Error(losses, err)
	}
	for _, wrong := range []string{"", "{\"step\": 1}\n", "{\"loss\": null}\n", "{"} {
		if _, err := parseLosses([]byte(wrong)); err == nil {
			t.Errorf("%q was taken", wrong)
		}
	}
}

func TestLLMCSteps(t *testing.T) {
	printed := "[GPT-2]\nval loss 11.0\nstep 0: train loss 11.01 (took 4500.5 ms)\n1 2 \n---\nstep 1: train loss 10.9 (took 4000 ms)\nstep 2: train loss 1 (took 1 ms)\n"
	losses, seconds := llmcSteps(strings.NewReader(printed), 2)
	if !slices.Equal(losses, []float64{11.01, 10.9}) || !slices.Equal(seconds, []float64{4.5005, 4}) {
		t.Error(losses, seconds)
	}
}

func TestCurves(t *testing.T) {
	if got := windows([]float64{1, 3, 5, 7, 9}, 2); !slices.Equal(got, []float64{2, 6}) {
		t.Error(got)
	}
	if far, at := farthest([]float64{1, 2.2, 3}, []float64{1, 2, 3.1}); math.Abs(far-0.1) > 1e-12 || at != 1 {
		t.Error(far, at)
	}
	if far, _ := farthest([]float64{math.NaN()}, []float64{1}); far <= 1 {
		t.Error("a curve that is no number is near:", far)
	}
}

// The parameters that are multiplied with are those of the models: all of GPT-2's 124,439,808 but its 786,432 of positions.
func TestModelFlops(t *testing.T) {
	want := 256 * (6*float64(124_439_808-786_432) + 12*12*768*64)
	if got := gpt2(64).flops(); got != want {
		t.Errorf("%v instead of %v", got, want)
	}
	if err := bert.checkLoss("x", math.NaN()); err == nil {
		t.Error("no number is near ln 9")
	}
}

// gsc's own products pass the check in every form, and a wrong element does not.
func TestProducts(t *testing.T) {
	device, err := cpu.New(2)
	if err != nil {
		t.Fatal(err)
	}
	defer device.Close()
	for _, form := range forms {
		p := product{33, 18, 70, form}
		o := randomOperands(p)
		x, err := bindProduct(device, p, o)
		if err != nil {
			t.Fatal(err)
		}
		x.run(1)
		if err := p.check(x.c, o); err != nil {
			t.Error(err)
		}
		for i := range x.c {
			x.c[i] *= 1.0001
		}
		if p.check(x.c, o) == nil {
			t.Errorf("%v: values a ten thousandth off pass", p)
		}
		x.memory.Close()
	}
}

func TestCharacterIDs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(path, []byte("cab×a"), 0o666); err != nil {
		t.Fatal(err)
	}
	if got, err := characterIDs(path); err != nil || !slices.Equal(got, []uint16{2, 0, 1, 3, 0}) {
		t.Error(got, err)
	}
}

func TestPeerEnvironment(t *testing.T) {
	got := peerEnvironment([]string{"A=1", "OPENBLAS_CORETYPE=HASWELL", "OMP_NUM_THREADS=1"})
	if !slices.Equal(got, []string{"A=1", "PYTHONDONTWRITEBYTECODE=1"}) {
		t.Error(got)
	}
	peerCore = coreOf(false, true, true)
	defer func() { peerCore = "" }()
	if got := peerEnvironment([]string{"OPENBLAS_CORETYPE=HASWELL"}); !slices.Contains(got, "OPENBLAS_CORETYPE=SkylakeX") || len(got) != 2 {
		t.Error(got)
	}
}

// Every strategy can be planned with the generated data.
func TestStrategies(t *testing.T) {
	s := &session{dir: t.TempDir()}
	if err := s.makeData(); err != nil {
		t.Fatal(err)
	}
	found, err := filepath.Glob("strategies/*.cue")
	if err != nil || len(found) == 0 {
		t.Fatal(found, err)
	}
	for _, path := range found {
		o := gsc.Options{Tags: []string{"data=" + s.dir}}
		if filepath.Base(path) == "context.cue" {
			o.Tags = append(o.Tags, "length=1024")
		}
		if _, err := gsc.Plan(path, o); err != nil {
			t.Error(err)
		}
	}
}
