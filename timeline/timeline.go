// Package timeline writes what happens in a step in the form that the viewers of Chrome and Perfetto read (the Trace Event Format, JSON): a
// process for each rank, a thread for each of its streams.
package timeline

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"
)

// Event is an instruction that runs once.
type Event struct {
	Name       string // of the instruction
	Op         string
	Program    string
	Pos        string // in the strategy or an architecture
	MicroBatch int
	Rank       int
	Stream     int
	Start      time.Duration // since the step began
	Length     time.Duration
	Axis       string // of a collective
	SentBytes  int64
}

// entry is an event of the format. Times are in microseconds.
type entry struct {
	Phase    string         `json:"ph"`
	Name     string         `json:"name"`
	Category string         `json:"cat,omitempty"`
	Process  int            `json:"pid"`
	Thread   int            `json:"tid"`
	Start    float64        `json:"ts"`
	Length   float64        `json:"dur"`
	Args     map[string]any `json:"args,omitempty"`
}

// stream is what the stream of an event of it is called.
func (e *Event) stream() string {
	switch {
	case e.Stream == 0:
		return "computing"
	case e.Op == "send":
		return "sending"
	case e.Op == "receive":
		return "receiving"
	}
	return "beside it, along " + e.Axis
}

// Write writes events. rank names the process of a rank; nil numbers them.
func Write(w io.Writer, events []Event, rank func(int) string) error {
	if rank == nil {
		rank = func(n int) string { return fmt.Sprintf("rank %d", n) }
	}
	list := []entry{}
	events = inTurn(events)
	seen := map[[2]int]bool{}
	for _, e := range events {
		if key := [2]int{e.Rank, e.Stream}; !seen[key] {
			seen[key] = true
			list = append(list, entry{Phase: "M", Name: "process_name", Process: e.Rank, Args: map[string]any{"name": rank(e.Rank)}},
				entry{Phase: "M", Name: "thread_name", Process: e.Rank, Thread: e.Stream, Args: map[string]any{"name": e.stream()}})
		}
		args := map[string]any{"program": e.Program, "micro_batch": e.MicroBatch}
		if e.Pos != "" {
			args["from"] = e.Pos
		}
		if e.Axis != "" {
			args["axis"] = e.Axis
		}
		if e.SentBytes > 0 {
			args["sent_bytes"] = e.SentBytes
		}
		list = append(list, entry{Phase: "X", Name: e.Name, Category: e.Op, Process: e.Rank, Thread: e.Stream,
			Start: micros(e.Start), Length: micros(e.Length), Args: args})
	}
	return json.NewEncoder(w).Encode(map[string]any{"displayTimeUnit": "ms", "traceEvents": list})
}

// inTurn has what is on one stream begin when what came before is done: calls are started ahead, and a viewer wants those of a track one behind the other.
func inTurn(events []Event) []Event {
	events = slices.Clone(events)
	slices.SortStableFunc(events, func(a, b Event) int { return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.end(), b.end())) })
	type track struct{ rank, stream int }
	ends := map[track]time.Duration{}
	for i := range events {
		e, t := &events[i], track{events[i].Rank, events[i].Stream}
		end := max(e.end(), ends[t])
		e.Start = max(e.Start, ends[t])
		e.Length, ends[t] = end-e.Start, end
	}
	return events
}

func (e *Event) end() time.Duration { return e.Start + e.Length }

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
