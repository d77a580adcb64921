package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// models are settings of each architecture that differ from the defaults.
var models = map[string]string{
	"gpt2":      `schema.#GPT2 & {layers: 2, heads: 4, width: 64, context: 32, mlp: 100, tie: false, bias: false, activation: "relu", epsilon: 1e-6, std: 0.03, dropout: {embedding: 0.1, attention: 0.2, residual: 0.3}`,
	"llama":     `schema.#Llama & {layers: 2, heads: 4, kv_heads: 2, head: 12, width: 64, context: 32, mlp: 96, tie: true, attention_bias: true, mlp_bias: true, rope: {theta: 5e5, scaling: "llama3", factor: 8, low: 2, high: 3, original: 16}, dropout: attention: 0.1`,
	"llama-2":   `schema.#Llama & {layers: 2, heads: 4, width: 64, context: 32, mlp: 96, rope: {scaling: "linear", factor: 2}`,
	"qwen2":     `schema.#Qwen2 & {layers: 3, heads: 4, kv_heads: 2, width: 64, context: 32, mlp: 96, window: 8, window_from: 1, tie: true`,
	"qwen2-all": `schema.#Qwen2 & {layers: 3, heads: 4, kv_heads: 2, width: 64, context: 32, mlp: 96`,
	"gpt_neox":  `schema.#GPTNeoX & {layers: 2, heads: 4, width: 64, context: 32, parallel: false, attention_bias: false, rotary_share: 0.5, rope: theta: 5000, dropout: {hidden: 0.1, attention: 0.2}`,
	"gemma2":    `schema.#Gemma2 & {layers: 3, heads: 4, kv_heads: 2, head: 8, width: 64, context: 32, mlp: 96, window: 8, sliding: [false, false, true], attention_cap: 0, logits_cap: 10, scale_by: 30`,
	"gemma2-1":  `schema.#Gemma2 & {layers: 2, heads: 4, kv_heads: 2, head: 8, width: 64, context: 32, mlp: 96`,
	"bert":      `schema.#BERT & {task: "tokens", labels: ["O", "B-x", "I-x"], layers: 2, heads: 4, width: 64, context: 32, types: 3, dropout: {hidden: 0.1, classifier: 0.2}`,
	"bert-rows": `schema.#BERT & {task: "sequence", classes: 3, layers: 2, heads: 4, width: 64, context: 32, activation: "gelu_tanh"`,
}

const roundTripStrategy = `package strategy

import "github.com/gsc-project/gsc/schema"

schema.#Strategy & {
	name: "run"
	model: %s
	data: {format: "safetensors", train: files: ["data.safetensors"]}
	batch: sequences: 4
	schedule: {kind: "constant", peak: 1e-3, steps: 10}
	%s
}
`

// TestConfigRoundTrip: the config.json of a model, read back, gives the same layers and the same config.json.
func TestConfigRoundTrip(t *testing.T) {
	for name, model := range models {
		t.Run(name, func(t *testing.T) {
			more := ""
			if name == "bert-rows" {
				more = `objective: loss: "binary_cross_entropy"`
			}
			first := loadText(t, t.TempDir(), fmt.Sprintf(roundTripStrategy, model+", vocabulary: 50}", more))
			dir := t.TempDir()
			writeFile(t, filepath.Join(dir, "model", "config.json"), first.Model.Config)
			second := loadText(t, dir, fmt.Sprintf(roundTripStrategy, `{from: "model"}`, ""))
			if a, b := layersText(first), layersText(second); a != b {
				t.Errorf("layers differ:\n%s\nread back:\n%s", a, b)
			}
			if a, b := canonicalText(t, first.Model.Config), canonicalText(t, second.Model.Config); a != b {
				t.Errorf("config.json differs:\n%s\nread back:\n%s", a, b)
			}
			if first.Objective != second.Objective {
				t.Errorf("objective %+v, read back %+v", first.Objective, second.Objective)
			}
		})
	}
}

func loadText(t *testing.T, dir, text string) *Strategy {
	t.Helper()
	writeFile(t, filepath.Join(dir, "train.cue"), []byte(text))
	s, err := Load("train.cue", Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// layersText shows layers without their positions.
func layersText(s *Strategy) string {
	var b strings.Builder
	showLayers(&b, s.Model.Layers, 0)
	lines := strings.Split(b.String(), "\n")
	for i, line := range lines {
		lines[i], _, _ = strings.Cut(line, " at ")
	}
	return strings.Join(lines, "\n")
}

func canonicalText(t *testing.T, text []byte) string {
	t.Helper()
	var values map[string]any
	if err := json.Unmarshal(text, &values); err != nil {
		t.Fatal(err)
	}
	for key, value := range values {
		if value == nil {
			delete(values, key)
		}
	}
	again, _ := json.Marshal(values)
	return string(again)
}

// TestWithSizes: what the data gives takes the place of what was left open, and the digest stays.
func TestWithSizes(t *testing.T) {
	text := fmt.Sprintf(roundTripStrategy, `schema.#BERT & {task: "tokens", layers: 2, heads: 4, width: 64, context: 32}`, "")
	text = strings.Replace(text, `format: "safetensors", train: files: ["data.safetensors"]`, `format: "conll", train: files: ["a.conll"]`, 1)
	s := loadText(t, t.TempDir(), text)
	if s.Model.Vocabulary != 0 || s.Model.Outputs != 0 {
		t.Fatal("sizes are not open")
	}
	sized, err := s.WithSizes(300, 3, []string{"O", "B-\"x\"", "I-x"})
	if err != nil {
		t.Fatal(err)
	}
	if m := sized.Model; m.Vocabulary != 300 || m.Outputs != 3 || m.Layers[0].Rows != 300 || !bytes.Contains(m.Config, []byte(`"1":"B-\"x\""`)) {
		t.Errorf("got vocabulary %d, outputs %d, rows %d, config %s", m.Vocabulary, m.Outputs, m.Layers[0].Rows, m.Config)
	}
	if sized.Digest != s.Digest || !bytes.Equal(sized.Evaluated, s.Evaluated) {
		t.Error("the digest changed")
	}
}
