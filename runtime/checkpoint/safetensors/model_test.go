package safetensors

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// folder makes a model folder. A shard is a list of scalar tensors.
func folder(t *testing.T, index string, shards map[string][]string) string {
	t.Helper()
	dir := t.TempDir()
	put := func(name string, b []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if index != "" {
		put(IndexFile, []byte(index))
	}
	for name, tensors := range shards {
		var infos []Info
		data := map[string][]byte{}
		for i, tensor := range tensors {
			infos = append(infos, Info{Name: tensor, DType: F32})
			data[tensor] = floatBytes(float32(len(name) + i))
		}
		put(name, write(t, nil, infos, data))
	}
	return dir
}

func TestOpenModel(t *testing.T) {
	const index = `{"metadata":{"total_size":12},"weight_map":{"a":"1.safetensors","b":"1.safetensors","c":"22.safetensors"}}`
	single := folder(t, "", map[string][]string{ModelFile: {"a", "b"}})
	split := folder(t, index, map[string][]string{"1.safetensors": {"a", "b"}, "22.safetensors": {"c", "unlisted"}, "other.safetensors": {"a"}})
	for dir, want := range map[string]string{single: "a b", split: "a b c unlisted"} {
		m, err := OpenModel(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		var names []string
		for _, info := range m.Tensors() {
			names = append(names, info.Name)
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("tensors %q, want %q", got, want)
		}
		var v [1]float32
		last := names[len(names)-1]
		if err := m.ReadFloat32(last, v[:]); err != nil || v[0] == 0 {
			t.Errorf("%s: %v, %v", last, v, err)
		}
		if info, ok := m.Lookup(last); !ok || info.SizeBytes != 4 {
			t.Errorf("%s: %v, %v", last, info, ok)
		}
		if err := m.ReadFloat32("none", v[:]); err == nil || !strings.Contains(err.Error(), `no tensor "none"`) {
			t.Error(err)
		}
	}
}

func TestOpenModelRefuses(t *testing.T) {
	shards := map[string][]string{"1.safetensors": {"a"}, "2.safetensors": {"b"}}
	tests := []struct {
		index  string
		shards map[string][]string
		want   []string
	}{
		{"", nil, []string{"holds neither model.safetensors nor model.safetensors.index.json"}},
		{"", map[string][]string{"pytorch_model.bin": nil}, []string{"holds pytorch_model.bin but no model.safetensors: convert"}},
		{`{"weight_map":{}}`, shards, []string{"index.json: weight_map is missing or empty"}},
		{`{"weight_map":[]}`, shards, []string{"index.json: weight_map: want an object"}},
		{`{"weight_map":{"a":1}}`, shards, []string{`tensor "a": want a string, got 1`}},
		{`{"weight_map":{"a":"../1.safetensors"}}`, shards, []string{`tensor "a": "../1.safetensors" is not the name of a file in the folder`}},
		{`{"weight_map":{"a":""}}`, shards, []string{`tensor "a": "" is not the name of a file in the folder`}},
		{`{"weight_map":{"a":"1.safetensors","a":"2.safetensors"}}`, shards, []string{`key "a" appears twice`}},
		{`not JSON`, shards, []string{"index.json: does not start"}},
		{`{"weight_map":{"a":"1.safetensors","b":"3.safetensors","c":"1.safetensors"}}`, shards,
			[]string{`1.safetensors: lacks tensor "c"`, "3.safetensors: no such file"}},
		{`{"weight_map":{"a":"1.safetensors","b":"2.safetensors"}}`, map[string][]string{"1.safetensors": {"a", "b"}, "2.safetensors": {"b"}},
			[]string{`2.safetensors: tensor "b" lies in 1.safetensors too`}},
	}
	for _, test := range tests {
		dir := folder(t, test.index, test.shards)
		_, err := OpenModel(dir)
		for _, want := range test.want {
			if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), dir) {
				t.Errorf("%s: got %v, want %q", test.index, err, want)
			}
		}
	}
	if _, err := OpenModel(filepath.Join(t.TempDir(), "none")); !os.IsNotExist(err) {
		t.Errorf("got %v, want that the folder does not exist", err)
	}
}

func TestTruncatedShardIsNamed(t *testing.T) {
	dir := folder(t, `{"weight_map":{"a":"1.safetensors"}}`, map[string][]string{"1.safetensors": {"a"}})
	path := filepath.Join(dir, "1.safetensors")
	if err := os.Truncate(path, 40); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenModel(dir); err == nil || !strings.Contains(err.Error(), path+": header") {
		t.Error(err)
	}
}

func FuzzIndex(f *testing.F) {
	f.Add([]byte(`{"metadata":{"total_size":12},"weight_map":{"a":"1.safetensors","b":"2.safetensors"}}`))
	f.Add([]byte(`{"weight_map":{"a":"../x"},"weight_map":{}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		shards, err := parseIndex(text)
		if err != nil {
			return
		}
		for name, tensors := range shards {
			if filepath.Base(name) != name || len(tensors) == 0 {
				t.Errorf("shard %q of %q", name, tensors)
			}
		}
	})
}
