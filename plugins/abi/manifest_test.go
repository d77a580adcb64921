package abi

import "testing"

// FuzzManifest: whatever a module says of itself is a manifest that is right, or an error.
func FuzzManifest(f *testing.F) {
	for _, text := range []string{
		`{"abi": 1, "kind": "loss", "name": "mine", "version": "1.0.0", "targets": "classes"}`,
		`{"abi": 1, "kind": "transform", "name": "mine", "version": "1.0.0", "on": "records", "order": "sequential", "record_bytes": 1000, "params": "a: int"}`,
		`{"abi": 1, "kind": "transform", "name": "mine", "version": "1.0.0", "on": "rows", "evaluates": true, "labels": "tokens", "weights": true}`,
		`{"abi": 1, "kind": "policy", "name": "mine", "version": "1.0.0"}`, `{}{}`, `null`, `[`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := ParseManifest(text)
		if err != nil {
			return
		}
		if m.Kind == TransformKind && m.On == OnRecords && (m.RecordBytes < 1 || m.Order == "") || m.Kind == LossKind && m.Targets == "" {
			t.Errorf("%q is taken for %+v", text, m)
		}
		if m.Brief() == "" {
			t.Error("it has no words")
		}
	})
}
