package schema

import (
	"fmt"
	"slices"
	"strings"

	"cuelang.org/go/cue"
)

// unknownKey says what is wrong with a key that is not allowed where it stands, and what was probably meant.
func (d *diagnosis) unknownKey(path string) (message, fix string) {
	section, name := parent(path), path[strings.LastIndexAny(path, ".]")+1:]
	if version, ok := later[path]; ok {
		return "this version does not have it", version
	}
	message = "there is no such key"
	allowed := d.keysOf(section)
	if best := nearest(name, allowed); best != "" {
		return message, didYouMean(join(section, best))
	}
	if best := synonyms[name]; slices.Contains(allowed, best) {
		return message, didYouMean(join(section, best))
	}
	for _, by := range []string{section + ".kind", section + ".format", section + ".compute", section + ".master"} {
		if kinds := d.kindsWith(by, name); len(kinds) > 0 {
			kind, _ := d.value.LookupPath(cue.ParsePath(by)).String()
			return fmt.Sprintf("%s %q has no such key", by, kind), fmt.Sprintf("it belongs to %s", quotedList(kinds))
		}
	}
	if best := d.elsewhere(name); best != "" {
		return message, didYouMean(best)
	}
	if len(allowed) > 0 {
		return message, "use one of " + strings.Join(allowed, ", ")
	}
	return message, ""
}

func didYouMean(path string) string { return "did you mean " + path + "?" }

func quotedList(names []string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = fmt.Sprintf("%q", n)
	}
	return strings.Join(quoted, ", ")
}

// later are keys of sections that steer what this version does not have.
var later = map[string]string{
	"memory.offload":   "all memory is the device's",
	"objective.plugin": `write loss: {plugin: "FILE.wasm"}`,

	"parallel.mesh.expert": noExperts,
	"parallel.expert":      noExperts,
}

const noExperts = "no layer has experts; the axes of a mesh are pipeline, replica, data, sequence and tensor"

// synonyms are names that other tools give to keys.
var synonyms = map[string]string{
	"lr": "peak", "learning_rate": "peak", "max_lr": "peak", "min_lr": "floor", "end_lr": "floor", "warmup_steps": "warmup", "warmup_iters": "warmup",
	"max_steps": "steps", "max_iters": "steps", "num_train_epochs": "epochs", "num_epochs": "epochs",
	"batch_size": "sequences", "size": "sequences", "gradient_accumulation_steps": "micro_batches", "accumulation": "micro_batches",
	"eps": "epsilon", "wd": "weight_decay", "decay": "weight_decay", "grad_clip": "clip_norm", "max_grad_norm": "clip_norm",
	"n_layer": "layers", "num_hidden_layers": "layers", "num_layers": "layers", "n_head": "heads", "num_attention_heads": "heads",
	"num_key_value_heads": "kv_heads", "n_embd": "width", "hidden_size": "width", "embed": "width", "dim": "width", "n_positions": "context", "block_size": "context",
	"max_position_embeddings": "context", "vocab_size": "vocabulary", "intermediate_size": "mlp", "n_inner": "mlp", "num_labels": "classes",
	"tie_word_embeddings": "tie", "rope_theta": "rope", "path": "files", "label_smoothing": "smoothing", "batch": "sequences",
}

// keysOf are the fields that a section has.
func (d *diagnosis) keysOf(section string) []string {
	v := d.value
	if section != "" {
		v = d.constraint(section)
	}
	var names []string
	if v.IncompleteKind() == cue.ListKind {
		return nil
	}
	it, err := v.Fields(cue.Optional(true))
	for err == nil && it.Next() {
		if name := it.Selector().Unquoted(); !d.repaired[join(section, name)] {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// elsewhere is the path of a key of this name in another section, when there is one only.
func (d *diagnosis) elsewhere(name string) string {
	var found []string
	for _, section := range append([]string{""}, d.keysOf("")...) {
		for _, key := range d.keysOf(section) {
			if key == name || key == synonyms[name] {
				found = append(found, join(section, key))
			}
		}
	}
	if len(found) == 0 || len(found) > 2 {
		return ""
	}
	return found[0]
}

// tables are the definitions of keys that a section has for one of its kinds only, by what names the kind.
var tables = map[string]string{
	"optimizer.kind": "#Optimizers", "schedule.kind": "#Schedules", "data.format": "#Formats",
	"precision.compute": "#Precisions", "precision.master": "#Masters", CodecPath + ".kind": "#Codecs",
}

// kindsWith are the kinds that have the key.
func (d *diagnosis) kindsWith(by, name string) []string {
	var kinds []string
	table, ok := tables[by]
	if !ok {
		return nil
	}
	it, err := d.definitions().LookupPath(cue.ParsePath(table)).Fields()
	for err == nil && it.Next() {
		if fieldOf(it.Value(), cue.Str(name)).Exists() {
			kinds = append(kinds, it.Selector().Unquoted())
		}
	}
	return kinds
}

// nearest is the name that was probably meant: the one fewest changes away,
// when these are few for its length, or the only one that begins alike.
func nearest(name string, names []string) string {
	best, least := "", max(1, len(name)/3)+1
	for _, n := range names {
		if far := distance(strings.ToLower(name), strings.ToLower(n)); far < least {
			best, least = n, far
		}
	}
	if best != "" || len(name) < 3 {
		return best
	}
	for _, n := range names {
		if strings.HasPrefix(n, name) || len(n) > 3 && strings.HasPrefix(name, n) {
			if best != "" {
				return ""
			}
			best = n
		}
	}
	return best
}

// distance is the number of letters to insert, delete, replace or swap with
// the next one that lead from a to b.
func distance(a, b string) int {
	var before []int
	last, row := []int{}, make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, last, row = last, row, make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
	}
	return row[len(b)]
}
