package meter_test

import (
	"testing"

	"github.com/tetratelabs/wazero"

	"github.com/gsc-project/gsc/plugins/meter"
)

// FuzzRewrite: a module that is valid stays valid, and nothing but an error comes of one that is not. What Rewrite refuses of valid modules is beyond its limits alone, of which
// the seeds touch none.
func FuzzRewrite(f *testing.F) {
	for _, name := range []string{"sum", "bulk"} {
		f.Add(read(f, name))
	}
	f.Add([]byte("\x00asm\x01\x00\x00\x00"))
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter().WithMemoryLimitPages(meter.DefaultLimits.MemoryPages))
	f.Fuzz(func(t *testing.T, wasm []byte) {
		if len(wasm) > 1<<16 {
			return
		}
		valid := true
		if m, err := r.CompileModule(ctx, wasm); err != nil {
			valid = false
		} else {
			_ = m.Close(ctx)
		}
		out, err := meter.Rewrite(wasm, meter.Limits{})
		if !valid || err != nil {
			return
		}
		m, err := r.CompileModule(ctx, out)
		if err != nil {
			t.Fatalf("a valid module is not valid any more: %v", err)
		}
		_ = m.Close(ctx)
	})
}

// TestRefusesWhatItWouldHide: indices that would mean what the rewriter added, had they not been looked at.
func TestRefusesWhatItWouldHide(t *testing.T) {
	module := func(sections ...string) []byte {
		wasm := "\x00asm\x01\x00\x00\x00"
		for _, s := range sections {
			wasm += s
		}
		return []byte(wasm)
	}
	const types, function = "\x01\x04\x01\x60\x00\x00", "\x03\x02\x01\x00"
	for name, c := range map[string]struct{ body, want string }{
		"a call of a function that is added":      {"\x10\x01\x0b", "section code: function 0: there is no function 1: it has 1"},
		"a reference to one":                      {"\xd2\x03\x1a\x0b", "section code: function 0: there is no function 3: it has 1"},
		"the global that holds the fuel":          {"\x42\x7f\x24\x00\x0b", "section code: function 0: there is no global 0: there are 0"},
		"the local that holds the fuel":           {"\x42\x7f\x21\x00\x0b", "section code: function 0: there is no local 0: there are 0"},
		"an instruction of another proposal":      {"\x12\x00\x0b", "section code: function 0: the instruction 0x12 is not of WebAssembly 2.0"},
		"a relaxed vector instruction":            {"\xfd\x80\x02\x0b", "section code: function 0: the instruction 0xfd 256 is not of WebAssembly 2.0"},
		"a body that ends before its function":    {"\x02\x40\x0b", "section code: function 0: it ends in the middle of something"},
		"a body that goes on behind its function": {"\x0b\x01", "section code: function 0: a function goes on behind its end"},
		"a fill without memory":                   {"\xfc\x0b\x00\x0b", "section code: function 0: it works on memory, but has none"},
	} {
		body := "\x00" + c.body
		code := string([]byte{1, byte(len(body))}) + body
		_, err := meter.Rewrite(module(types, function, "\x0a"+string(byte(len(code)))+code), meter.Limits{})
		if err == nil || err.Error() != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}
