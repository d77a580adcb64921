package abi

import "fmt"

// TransformManifest is what the manifest of a transform says besides.
type TransformManifest struct {
	On          On     `json:"on"`           // what it works on
	Order       Order  `json:"order"`        // of records: "any", which "" stands for
	RecordBytes int64  `json:"record_bytes"` // of records: no longer one may be, of 4 bytes each where they are ids; 0: DefaultRecordBytes
	Evaluates   bool   `json:"evaluates"`    // of rows: it is for those of evaluation too, where the strategy does not say
	Labels      string `json:"labels"`       // of rows: "tokens" where it labels tokens with token ids, so that a model that labels tokens can learn from text
	Weights     bool   `json:"weights"`      // of rows: it changes the weights of tokens
}

// On is what a transform works on.
type On string

// What there is.
const (
	OnRecords On = "records" // what files hold, before it becomes tokens
	OnRows    On = "rows"    // tokens, at each step
)

// Order is what a transform of records may know of those before.
type Order string

// The orders.
const (
	AnyOrder   Order = "any"        // nothing: what it gives for a record follows from that record and its seed alone
	Sequential Order = "sequential" // all: one instance sees them in the order of the files, and may remember
)

// LabelsAreTokens is the manifest's word.
const LabelsAreTokens = "tokens"

// DefaultRecordBytes is how long a record may be where a manifest does not say.
const DefaultRecordBytes = 4 << 20

// MaxRecordBytes is how long a manifest may let one be.
const MaxRecordBytes = 1 << 30

// checkTransform holds the members of a transform's manifest against each other, and of other kinds' that there are none.
func (m *Manifest) checkTransform() error {
	t := &m.TransformManifest
	if m.Kind != TransformKind {
		if *t != (TransformManifest{}) {
			return fmt.Errorf("%s is a %s, and its manifest has members of transforms", m.Name, m.Kind)
		}
		return nil
	}
	if t.Order == "" && t.On == OnRecords {
		t.Order = AnyOrder
	}
	if t.RecordBytes == 0 && t.On == OnRecords {
		t.RecordBytes = DefaultRecordBytes
	}
	switch {
	case m.Targets != "" || m.Unit != "" || len(m.Inputs) > 0:
		return fmt.Errorf("the transform %s has members of losses in its manifest", m.Name)
	case t.On != OnRecords && t.On != OnRows:
		return fmt.Errorf(`the transform %s works on %q: use "records" or "rows"`, m.Name, t.On)
	case t.On == OnRecords && t.Order != AnyOrder && t.Order != Sequential:
		return fmt.Errorf(`the transform %s has the order %q: use "any" or "sequential"`, m.Name, t.Order)
	case t.On == OnRecords && (t.RecordBytes < 1 || t.RecordBytes > MaxRecordBytes):
		return fmt.Errorf("the transform %s takes records of %d bytes: use 1 to %d", m.Name, t.RecordBytes, MaxRecordBytes)
	case t.On == OnRecords && (t.Evaluates || t.Labels != "" || t.Weights):
		return fmt.Errorf("the transform %s works on records, and its manifest has members of those that work on rows", m.Name)
	case t.On == OnRows && (t.Order != "" || t.RecordBytes != 0):
		return fmt.Errorf("the transform %s works on rows, and its manifest has members of those that work on records", m.Name)
	case t.Labels != "" && t.Labels != LabelsAreTokens:
		return fmt.Errorf(`the transform %s makes labels that are %q: use "tokens", or leave it out`, m.Name, t.Labels)
	}
	return nil
}

// Columns are records, as words in guest memory.
type Columns struct {
	Records             uint32
	Content, Ends       uint32
	NameCount           uint32
	Names, NameEnds     uint32
	Labels, LabelEnds   uint32
	Numbers, NumberEnds uint32
	Spans, SpanEnds     uint32
}

// RecordsCall is the argument of gsc_transform for records, as words in guest memory.
type RecordsCall struct {
	In      Columns
	Unit    uint32 // bytes of an element of Content: 1 of text, 4 of ids
	Seeds   uint32
	Out     Columns
	Origins uint32
}

// RowsCall is the argument of gsc_transform for rows, as words in guest memory.
type RowsCall struct {
	Rows, Length                    uint32
	Vocabulary, Outputs             uint32
	Ignore                          int32
	Tokens, Labels                  uint32
	LabelsARow                      uint32
	Weights, Types, Segments, Valid uint32
	Seeds                           uint32
}

// Their sizes, and that of a span.
const (
	ColumnsWords     = 12
	RecordsCallWords = 2*ColumnsWords + 3
	RowsCallWords    = 13
	SpanWords        = 3
)
