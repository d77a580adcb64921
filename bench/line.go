package main

import (
	"fmt"
	"strings"
)

// verdict is what became of a line.
type verdict string

const (
	met     verdict = "met"
	notMet  verdict = "not met"
	skipped verdict = "skipped"
	shown   verdict = "shown" // for information: nothing is asked of it
)

// verdictOf says whether what was asked for was reached.
func verdictOf(reached bool) verdict {
	if reached {
		return met
	}
	return notMet
}

// line is one line of the table. Figures are medians; 0 stands for one that there is not.
type line struct {
	Row     string  `json:"row"`
	Work    string  `json:"work"`
	Unit    string  `json:"unit,omitempty"` // of the figures
	GSC     float64 `json:"gsc,omitempty"`
	Peer    float64 `json:"peer,omitempty"`
	Ratio   float64 `json:"ratio,omitempty"` // gsc's figure over the peer's
	Must    string  `json:"must_reach,omitempty"`
	Share   float64 `json:"share,omitempty"`   // of the ceiling
	Ceiling float64 `json:"ceiling,omitempty"` // measured in the same run, in the unit's base: FLOP/s or bytes/s
	Verdict verdict `json:"verdict"`
	Note    string  `json:"note,omitempty"`

	GSCSamples  []float64 `json:"gsc_samples,omitempty"`
	PeerSamples []float64 `json:"peer_samples,omitempty"`
}

// add adds to the note.
func (l *line) add(note string) {
	if l.Note != "" && note != "" {
		l.Note += "; "
	}
	l.Note += note
}

// compare fills in the medians and their ratio.
func (l *line) compare(gsc, peer []float64) {
	l.GSCSamples, l.PeerSamples = gsc, peer
	l.GSC, l.Peer = median(gsc), median(peer)
	if l.Peer > 0 {
		l.Ratio = l.GSC / l.Peer
	}
}

// cells are the line's part of the table.
func (l line) cells() []string {
	return []string{l.Work, figure(l.GSC, l.Unit), figure(l.Peer, l.Unit), ratio(l.Ratio), l.Must, percent(l.Share), string(l.Verdict), l.Note}
}

// brief tells the line while the rest is still running.
func (l line) brief() string {
	var parts []string
	for _, c := range l.cells() {
		if c != "" && c != l.Must {
			parts = append(parts, c)
		}
	}
	return strings.Join(parts, ", ")
}

func figure(v float64, unit string) string {
	switch {
	case v == 0:
		return ""
	case v >= 100:
		return fmt.Sprintf("%.0f %s", v, unit)
	case v >= 1:
		return fmt.Sprintf("%.2f %s", v, unit)
	}
	return fmt.Sprintf("%.4f %s", v, unit)
}

func ratio(v float64) string {
	if v == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f ×", v)
}

func percent(v float64) string {
	if v == 0 {
		return ""
	}
	return fmt.Sprintf("%.1f %%", 100*v)
}
