package gsc

import (
	"encoding/json"
	"math"
	"testing"
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
	p := Params(`{"gamma": 2,"delta":-1.5e-3, "a": 7 }`)
	for name, want := range map[string]float64{"gamma": 2, "delta": -1.5e-3, "a": 7, "amma": 0} {
		if got := p.Number(name); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
}

func TestManifest(t *testing.T) {
	var got struct {
		ABI                                  int
		Kind, Name, Version, Params, Targets string
	}
	text := Manifest{Name: "n", Version: "1", Params: `mode: *"a" | "b"`, Targets: Values}.text("loss")
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
	if err := initialise(`{"k": 3}`); err != nil || k != 3 || losses == nil {
		t.Errorf("k is %v: %v", k, err)
	}
	defer func() {
		if recover() == nil {
			t.Error("a program may be two plugins")
		}
	}()
	Loss(Manifest{}, nil)
}
