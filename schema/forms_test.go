package schema

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

const (
	llamaSizes = `"model_type": "llama", "vocab_size": 50, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 64`
	neoxSizes  = `"model_type": "gpt_neox", "vocab_size": 50, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2`
	bertSizes  = `"model_type": "bert", "vocab_size": 300, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64`
)

var (
	qwenSizes  = strings.Replace(llamaSizes, "llama", "qwen2", 1) + `, "num_key_value_heads": 2`
	gemmaSizes = strings.Replace(llamaSizes, "llama", "gemma2", 1) + `, "head_dim": 8`
)

// TestConfigForms reads what different versions of transformers write for the same thing.
func TestConfigForms(t *testing.T) {
	for _, c := range []struct{ config, want string }{
		{llamaSizes, "rotary {Theta:10000 Width:8} kv 4"},
		{llamaSizes + `, "rope_theta": 500.0, "rope_scaling": null, "rope_parameters": null`, "rotary {Theta:500 Width:8} kv 4"},
		{llamaSizes + `, "rope_scaling": {"rope_type": "default"}, "num_key_value_heads": 2`, "rotary {Theta:10000 Width:8} kv 2"},
		{llamaSizes + `, "rope_scaling": {"rope_type": "linear", "factor": 2}`, "rotary {Theta:10000 Width:8 Scaling:linear Factor:2} kv 4"},
		{llamaSizes + `, "rope_theta": 7.0, "rope_scaling": {"type": "linear", "factor": 2.5}`, "rotary {Theta:7 Width:8 Scaling:linear Factor:2.5} kv 4"},
		{llamaSizes + `, "rope_parameters": {"rope_type": "default", "rope_theta": 9.0}, "head_dim": 6`, "rotary {Theta:9 Width:6} kv 4"},
		{llamaSizes + `, "rope_theta": 8, "rope_parameters": {"rope_type": "linear", "factor": 4}`, "rotary {Theta:8 Width:8 Scaling:linear Factor:4} kv 4"},
		{llamaSizes + `, "rope_scaling": {"type": "llama3", "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 16}`,
			"rotary {Theta:10000 Width:8 Scaling:llama3 Factor:8 Low:1 High:4 Original:16} kv 4"},
		{neoxSizes, "rotary {Theta:10000 Width:4} kv 2"},
		{neoxSizes + `, "rotary_pct": 0.5, "rotary_emb_base": 100`, "rotary {Theta:100 Width:8} kv 2"},
		{neoxSizes + `, "rope_parameters": {"rope_type": "default", "rope_theta": 11.0, "partial_rotary_factor": 1.0}`, "rotary {Theta:11 Width:16} kv 2"},
		{neoxSizes + `, "rope_parameters": {"rope_type": "default", "rope_theta": 11.0}`, "rotary {Theta:11 Width:4} kv 2"},
		{neoxSizes + `, "rope_scaling": {"type": "linear", "factor": 3}`, "rotary {Theta:10000 Width:4 Scaling:linear Factor:3} kv 2"},
		{qwenSizes, "windows [0] rotary {Theta:10000 Width:8} kv 2"},
		{qwenSizes + `, "sliding_window": null, "max_window_layers": 1, "layer_types": ["full_attention", "full_attention", "full_attention"]`, "windows [0] rotary {Theta:10000 Width:8} kv 2"},
		{qwenSizes + `, "use_sliding_window": true, "sliding_window": 5, "max_window_layers": 1`, "windows [0 5 5] rotary {Theta:10000 Width:8} kv 2"},
		{qwenSizes + `, "use_sliding_window": true, "sliding_window": 5, "max_window_layers": 2, "layer_types": ["full_attention", "full_attention", "sliding_attention"]`, "windows [0 0 5] rotary {Theta:10000 Width:8} kv 2"},
		{gemmaSizes, "windows [4096 0] rotary {Theta:10000 Width:8} kv 4"},
		{gemmaSizes + `, "layer_types": null, "sliding_window": 6, "attn_logit_softcapping": null, "final_logit_softcapping": null`, "windows [6 0] rotary {Theta:10000 Width:8} kv 4"},
		{gemmaSizes + `, "layer_types": ["sliding_attention", "full_attention", "sliding_attention"]`, "windows [4096 0] rotary {Theta:10000 Width:8} kv 4"},
		{gemmaSizes + `, "layer_types": ["full_attention", "full_attention", "sliding_attention"], "rope_parameters": {"rope_theta": 5.0, "rope_type": "default"}`, "windows [0 0 4096] rotary {Theta:5 Width:8} kv 4"},
		{bertSizes, "sequence 0 []"},
		{`"model_type": "bert", "num_hidden_layers": 1`, "sequence 0 []"},
		{`"model_type": "gpt2", "n_layer": 1`, "gpt2 50257 768 1024"},
		{`"model_type": "gpt_neox", "num_hidden_layers": 1, "vocab_size": 9, "num_attention_heads": 384`, "rotary {Theta:10000 Width:4} kv 384"},
		{`"model_type": "llama", "num_hidden_layers": 1`, "rotary {Theta:10000 Width:128} kv 32"},
		{`"model_type": "qwen2", "num_hidden_layers": 1`, "windows [0] rotary {Theta:10000 Width:128} kv 32"},
		{`"model_type": "gemma2", "num_hidden_layers": 1`, "windows [4096 0] rotary {Theta:10000 Width:256} kv 4"},
		{bertSizes + `, "architectures": null`, "sequence 0 []"},
		{bertSizes + `, "architectures": ["BertForMaskedLM"]`, "sequence 0 []"},
		{bertSizes + `, "num_labels": 4`, "sequence 4 []"},
		{bertSizes + `, "architectures": ["BertForTokenClassification"]`, "tokens 2 []"},
		{bertSizes + `, "architectures": ["BertForTokenClassification"], "id2label": {"0": "O", "1": "B-x", "2": "I-x"}`, "tokens 3 [O B-x I-x]"},
		{bertSizes + `, "architectures": ["BertForSequenceClassification"], "id2label": {"0": "LABEL_0"}, "problem_type": null`, "sequence 1 [] squared_error"},
		{bertSizes + `, "architectures": ["BertForSequenceClassification"], "num_labels": 3, "problem_type": "multi_label_classification"`, "sequence 3 [] binary_cross_entropy"},
		{bertSizes + `, "id2label": {"0": "a", "1": "b"}, "problem_type": "regression", "classifier_dropout": 0.3`, "sequence 2 [a b] squared_error"},
	} {
		if got := form(t, c.config); got != c.want {
			t.Errorf("{%s}:\n     %s\nwant %s", c.config, got, c.want)
		}
	}
}

// form says in short what was read from a config.json.
func form(t *testing.T, config string) string {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "model", "config.json"), []byte("{"+config+"}"))
	model := `{from: "model"}`
	data := `format: "safetensors", train: files: ["a"]`
	if strings.Contains(config, "bert") {
		data = `format: "jsonl", label: "l", rows: "padded", train: files: ["a"]`
		if strings.Contains(config, "ForToken") {
			data = `format: "conll", train: files: ["a"]`
		} else if !strings.Contains(config, "ForSequence") {
			model = `{from: "model", task: "sequence"}`
		}
	}
	text := strings.Replace(fmt.Sprintf(roundTripStrategy, model, ""), `format: "safetensors", train: files: ["data.safetensors"]`, data, 1)
	writeFile(t, filepath.Join(dir, "train.cue"), []byte(text))
	s, err := Load("train.cue", Options{Dir: dir})
	if err != nil {
		return err.Error()
	}
	return shortForm(s)
}

func shortForm(s *Strategy) string {
	if s.Model.Architecture == "bert" {
		text := fmt.Sprintf("%s %d %v", s.Model.Task, s.Model.Outputs, s.Model.Labels)
		if s.Objective.Loss != "cross_entropy" {
			text += " " + s.Objective.Loss
		}
		return text
	}
	if s.Model.Architecture == "gpt2" {
		return fmt.Sprint("gpt2 ", s.Model.Vocabulary, s.Model.Width, s.Model.Context)
	}
	text := ""
	var windows []int
	for l := range everyLayer(s.Model.Layers) {
		if a := l.Attention; a != nil {
			windows = append(windows, a.Window)
			text = fmt.Sprintf("rotary %s kv %d", nonZero(*a.Rotary), a.KVHeads)
		}
	}
	if len(windows) > 1 || strings.Contains("qwen2 gemma2", s.Model.Architecture) {
		text = fmt.Sprintf("windows %v %s", windows, text)
	}
	return text
}

// nonZero prints the fields of a rotary embedding that are set.
func nonZero(r Rotary) string {
	kept := []string{}
	for _, field := range strings.Fields(strings.Trim(fmt.Sprintf("%+v", r), "{}")) {
		if name, value, _ := strings.Cut(field, ":"); value != "0" && value != "" && value != "false" && name != "" {
			kept = append(kept, field)
		}
	}
	return "{" + strings.Join(kept, " ") + "}"
}
