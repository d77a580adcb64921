package timeline_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/gsc-project/gsc/timeline"
)

func TestWrite(t *testing.T) {
	var b bytes.Buffer
	err := timeline.Write(&b, []timeline.Event{
		{Name: "h.0", Op: "matmul", Program: "forward", Rank: 1, Start: 1500 * time.Nanosecond, Length: time.Millisecond, Pos: "a.cue:1:2"},
		{Name: "gather", Op: "all_gather", Program: "forward", Rank: 1, Stream: 1, Length: time.Microsecond, Axis: "data", SentBytes: 64},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Events []struct {
			Phase    string         `json:"ph"`
			Name     string         `json:"name"`
			Process  int            `json:"pid"`
			Thread   int            `json:"tid"`
			Start    float64        `json:"ts"`
			Length   float64        `json:"dur"`
			Category string         `json:"cat"`
			Args     map[string]any `json:"args"`
		} `json:"traceEvents"`
	}
	if err := json.Unmarshal(b.Bytes(), &file); err != nil {
		t.Fatal(err)
	}
	if n := len(file.Events); n != 6 { // two names of each stream, and the events
		t.Fatalf("%d entries: %s", n, b.Bytes())
	}
	gather, product := file.Events[2], file.Events[5] // by their beginnings
	if product.Phase != "X" || product.Name != "h.0" || product.Category != "matmul" || product.Process != 1 || product.Start != 1.5 || product.Length != 1000 || product.Args["from"] != "a.cue:1:2" {
		t.Errorf("%+v", product)
	}
	if gather.Thread != 1 || gather.Args["sent_bytes"] != 64.0 {
		t.Errorf("%+v", gather)
	}
	if file.Events[0].Args["name"] != "rank 1" || file.Events[1].Args["name"] != "beside it, along data" || gather.Args["axis"] != "data" {
		t.Errorf("%+v", file.Events)
	}
}

// TestStreamsAreInTurn: calls that were started while others ran begin behind them, on their stream alone.
func TestStreamsAreInTurn(t *testing.T) {
	var b bytes.Buffer
	if err := timeline.Write(&b, []timeline.Event{
		{Name: "second", Rank: 0, Stream: 1, Start: 2000, Length: 9000}, {Name: "first", Rank: 0, Stream: 1, Start: 1000, Length: 4000},
		{Name: "within", Rank: 0, Stream: 1, Start: 3000, Length: 1000}, {Name: "beside", Rank: 0, Stream: 2, Start: 1500, Length: 1000},
	}, nil); err != nil {
		t.Fatal(err)
	}
	var file struct {
		Events []struct {
			Phase  string  `json:"ph"`
			Name   string  `json:"name"`
			Start  float64 `json:"ts"`
			Length float64 `json:"dur"`
		} `json:"traceEvents"`
	}
	if err := json.Unmarshal(b.Bytes(), &file); err != nil {
		t.Fatal(err)
	}
	want := map[string][2]float64{"first": {1, 4}, "second": {5, 6}, "within": {11, 0}, "beside": {1.5, 1}}
	for _, e := range file.Events {
		if e.Phase == "X" && [2]float64{e.Start, e.Length} != want[e.Name] {
			t.Errorf("%s is at %v for %v, want %v", e.Name, e.Start, e.Length, want[e.Name])
		}
	}
}
