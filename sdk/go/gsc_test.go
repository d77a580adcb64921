package gsc

import (
	"encoding/json"
	"math"
	"testing"
	"unsafe"
)

func TestExp(t *testing.T) {
	for i := -8700; i < 8800; i++ {
		x := float32(i) / 100
		if got, want := float64(Exp(x)), math.Exp(float64(x)); math.Abs(got/want-1) > 3e-7 {
			t.Errorf("e^%g is %g, want %g", x, got, want)
		}
	}
	if Exp(-1000) != Exp(-87) || Exp(1000) != Exp(88) {
		t.Error("what is outside is not moved to the nearest end")
	}
}

func TestSoftmax(t *testing.T) {
	z, p := make([]float32, 1037), make([]float32, 1037)
	want, sum := 0.0, 0.0
	for i := range z {
		z[i] = float32(i*7919%1000) / 100
		want += math.Exp(float64(z[i]))
	}
	if got := Softmax(z, p); math.Abs(got-math.Log(want)) > 1e-6 || got != Softmax(z, nil) {
		t.Errorf("log Σ e^z is %v, want %v", got, math.Log(want))
	}
	for i, v := range p {
		sum += float64(v)
		if share := math.Exp(float64(z[i])) / want; math.Abs(float64(v)-share) > 1e-6*share {
			t.Errorf("p[%d] is %v, want %v", i, v, share)
		}
	}
	if math.Abs(sum-1) > 1e-5 {
		t.Errorf("Σ p is %v", sum)
	}
}

func TestParams(t *testing.T) {
	p := Params(`{"in": {"gamma": 9, "list": ["gamma", "}"]}, "of": "gamma", "gamma": 2,"delta":-1.5e-3, "on" : true,"off":false, "note": "\u003cü\ud83d\ude00\"\\\n\/>", "lone": "\ud83d\u0041", "a": 7 }`)
	for name, want := range map[string]float64{"gamma": 2, "delta": -1.5e-3, "a": 7, "amma": 0, "list": 0, "of": 0} {
		if got := p.Number(name); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	for name, want := range map[string]bool{"on": true, "off": false, "none": false} {
		if got := p.Flag(name); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	for name, want := range map[string]string{"of": "gamma", "note": "<ü😀\"\\\n/>", "lone": "\ufffdA", "none": "", "gamma": ""} {
		if got := p.Text(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	for _, cut := range []Params{"", "{", `{"a`, `{"a"`, `{"a":`, `{"a":"`, `{"a":"\`, `{"a":"\u00`} {
		if cut.Number("a") != 0 || cut.Flag("a") || cut.Text("a") != "" {
			t.Errorf("%q has a member", cut)
		}
	}
}

func TestManifest(t *testing.T) {
	var got struct {
		ABI                                  int
		Kind, Name, Version, Params, Targets string
	}
	text := Manifest{Name: "n", Version: "1", Params: `mode: *"a" | "b"`, Targets: Values}.text("loss", "")
	if err := json.Unmarshal(text, &got); err != nil || got.ABI != 1 || got.Kind != "loss" || got.Params != `mode: *"a" | "b"` || got.Targets != "values" {
		t.Errorf("%s: %v", text, err)
	}
}

// A program is one plugin, whose loss gets the parameters.
func TestLoss(t *testing.T) {
	k := 0.0
	Loss(Manifest{Name: "n", Version: "1", Targets: Classes}, func(p Params) (RowLoss, error) {
		k = p.Number("k")
		return func(*Row) float32 { return 0 }, nil
	})
	if err := registered.initialise(`{"k": 3}`); err != nil || k != 3 || registered.loss == nil {
		t.Errorf("k is %v: %v", k, err)
	}
	defer func() {
		if recover() == nil {
			t.Error("a program may be two plugins")
		}
	}()
	Loss(Manifest{}, nil)
}

// What a manifest says of its kind is in its text, and nothing else is.
func TestManifestsOfKinds(t *testing.T) {
	base := Manifest{Name: "n", Version: "1"}
	for want, m := range map[string]Manifest{
		`{"abi": 1, "kind": "k", "name": "n", "version": "1"}`:                                                         base,
		`{"abi": 1, "kind": "k", "name": "n", "version": "1", "unit": "pairs", "inputs": ["a", "b"]}`:                  {Name: "n", Version: "1", Unit: Pairs, Inputs: []string{"a", "b"}},
		`{"abi": 1, "kind": "k", "name": "n", "version": "1", "order": "sequential", "record_bytes": 9}`:               {Name: "n", Version: "1", Order: Sequential, RecordBytes: 9},
		`{"abi": 1, "kind": "k", "name": "n", "version": "1", "evaluates": true, "labels": "tokens", "weights": true}`: {Name: "n", Version: "1", Evaluates: true, LabelsTokens: true, Weights: true},
		`{"abi": 1, "kind": "k", "name": "n", "version": "1", "codec": {"contraction": "0.5"}}`:                        {Name: "n", Version: "1", Contraction: "0.5"},
	} {
		if got := string(m.text("k", "")); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestRandom(t *testing.T) {
	r := Random(1234567)
	for _, want := range []uint64{6457827717110365317, 3203168211198807973, 9817491932198370423} {
		if got := r.Uint64(); got != want {
			t.Errorf("%d, want %d", got, want)
		}
	}
	for range 1000 {
		if u := r.Uniform(); u < 0 || u >= 1 {
			t.Errorf("%g", u)
		}
	}
}

// What a column holds lies at a multiple of 16, however it grows.
func TestColumn(t *testing.T) {
	var c column[uint32]
	for i := range 1000 {
		c.add(uint32(i), uint32(2*i))
		if at := uintptr(unsafe.Pointer(unsafe.SliceData(c))); at%align != 0 || c[2*i] != uint32(i) || c[1] != 0 {
			t.Fatalf("%d elements lie at %#x", len(c), at)
		}
	}
}
