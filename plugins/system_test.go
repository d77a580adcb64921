package plugins_test

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/gsc-project/gsc/plugins"
)

// loadSystem loads the module of testdata/system, which tells by its losses what it sees of a computer: the clock in milliseconds, twice, a random byte, the number of
// arguments and of variables, and the bytes that it printed.
func loadSystem(t *testing.T, h *plugins.Host) *plugins.Plugin {
	t.Helper()
	wasm, err := os.ReadFile("testdata/system/looks.wasm")
	if err != nil {
		t.Fatal(err)
	}
	p, err := h.Load(ctx, "looks.wasm", wasm, plugins.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// What a plugin sees of a computer is the same in every instance and in every host.
func TestSystemIsTheSame(t *testing.T) {
	var first []float32
	for range 2 {
		h := newHost(t)
		p := loadSystem(t, h)
		for range 2 {
			b := newBatch(7, 4)
			for i := range b.labels {
				b.labels[i] = 0
			}
			b.run(t, p, "{}", 1, alone)
			if first == nil {
				first = b.loss
				t.Log(first)
			}
			if !slices.Equal(first, b.loss) {
				t.Errorf("it saw %v once, and %v again", first, b.loss)
			}
		}
	}
	if clock := first[:2]; clock[0] != 1 || clock[1] != 2 {
		t.Errorf("two readings of the clock are %v ms", clock)
	}
	if first[3] != 0 || first[4] != 0 || first[5] != 12 || first[6] != 3600 {
		t.Errorf("%v arguments, %v variables, %v bytes printed, the clock %v s after an hour of sleep", first[3], first[4], first[5], first[6])
	}
}

// What plugins print is told by line with their names, what comes before anybody listens as well; the rest of a line when the instance ends.
func TestPrinted(t *testing.T) {
	h := newHost(t)
	p := loadSystem(t, h)
	b := newBatch(7, 4)
	b.run(t, p, "{}", 1, alone)
	var lines []string
	h.Log(func(line string) { lines = append(lines, line) })
	b.run(t, p, "{}", 1, alone)
	const name = "looks.wasm (looks 1): "
	if want := []string{name + "hello", name + "world\ufffd", name + "hello", name + "world\ufffd"}; !slices.Equal(lines, want) {
		t.Errorf("told %q, want %q", lines, want)
	}
}

// An endless print is cut at its limit, and said to be.
func TestPrintedForEver(t *testing.T) {
	h := newHost(t)
	wasm, err := os.ReadFile("testdata/hostile/wasi-write-endless.wasm")
	if err != nil {
		t.Fatal(err)
	}
	size, lines := 0, []string(nil)
	h.Log(func(line string) { size, lines = size+len(line), append(lines, line) })
	if err := attempt(h, wasm, bound); err == nil {
		t.Fatal("it ended")
	}
	if size > 100<<10 {
		t.Errorf("%d bytes were told", size)
	}
	if last := lines[len(lines)-1]; !strings.HasSuffix(last, "it printed 65536 bytes: what follows is left out") {
		t.Errorf("the last line is %q", last)
	}
}

// Sections of a module that lie about themselves, and modules that are too large in one way or another.
func TestMalformedSections(t *testing.T) {
	h := newHost(t)
	header := []byte("\x00asm\x01\x00\x00\x00")
	section := func(number byte, body ...byte) []byte {
		return append(append([]byte{number}, leb(len(body))...), body...)
	}
	huge := make([]byte, 20<<20)
	for name, c := range map[string]struct {
		wasm []byte
		want string
	}{
		"version 2":          {[]byte("\x00asm\x02\x00\x00\x00"), "does not begin as a WebAssembly module of version 1"},
		"a component":        {[]byte("\x00asm\x0d\x00\x01\x00"), "does not begin as a WebAssembly module of version 1"},
		"unknown section":    {section(99, 0), "unknown kind 99"},
		"section twice":      {append(section(1, 0), section(1, 0)...), "stands twice, or out of order"},
		"section too long":   {[]byte{1, 100, 0}, "ends in the middle"},
		"bytes left over":    {section(1, 0, 0, 0), "longer than what it says it holds"},
		"endless number":     {section(1, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80), "a number"},
		"too many types":     {section(1, 0xff, 0xff, 0xff, 0xff, 0x0f), "ends in the middle"},
		"code without type":  {append(section(3, 1, 0), section(10, 1, 2, 0, 11)...), "a function has the type 0 of 0"},
		"bodies missing":     {append(section(1, 1, 0x60, 0, 0), section(3, 1, 0)...), "has no code"},
		"globals by heaps":   {section(6, append(leb(1<<15), bytes.Repeat([]byte{0x7f, 0, 0x41, 0, 0x0b}, 1<<15)...)...), "32768 globals, more than 16384"},
		"locals by heaps":    {slices.Concat(section(1, 1, 0x60, 0, 0), section(3, 1, 0), section(10, 1, 8, 1, 0xff, 0xff, 0xff, 0x7f, 0x7f, 0x0b, 0x0b)), "locals"},
		"100 MB of data":     {section(11, slices.Concat([]byte{1, 1}, leb(len(huge)*5), bytes.Repeat(huge, 5))...), "more than 33554432"},
		"two memories":       {section(5, 2, 0, 1, 0, 1), "2 memories, more than 1"},
		"shared memory":      {section(5, 1, 3, 1, 1), "limits of the kind 3"},
		"memory of 64 bits":  {section(5, 1, 4, 1), "limits of the kind 4"},
		"tables by heaps":    {section(4, append([]byte{100}, bytes.Repeat([]byte{0x70, 0, 1}, 100)...)...), "100 tables, more than 16"},
		"instruction of 3.0": {slices.Concat(section(1, 1, 0x60, 0, 0), section(3, 1, 0), section(10, 1, 4, 0, 0x12, 0, 0x0b)), "not of WebAssembly 2.0"},
		"export of nothing":  {section(7, 1, 1, 'f', 0, 7), "there is no function 7"},
		"start of nothing":   {section(8, 7), "there is no function 7"},
	} {
		t.Run(name, func(t *testing.T) {
			err := attempt(h, append(slices.Clone(header), c.wasm...), bound)
			if name == "version 2" || name == "a component" {
				err = attempt(h, c.wasm, bound)
			}
			if err == nil || !strings.HasPrefix(err.Error(), "plugin F: this is no module that gsc takes: ") || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want … %s", err, c.want)
			}
		})
	}
}

// leb is an unsigned number as modules hold them.
func leb(n int) []byte {
	var out []byte
	for ; n >= 0x80; n >>= 7 {
		out = append(out, byte(n)|0x80)
	}
	return append(out, byte(n))
}

// FuzzPrinted: whatever is printed in whatever pieces, what is told is bounded, printable and by line.
func FuzzPrinted(f *testing.F) {
	f.Add([]byte("hello\nworld"), 3)
	f.Add(bytes.Repeat([]byte("x"), 70000), 1000)
	f.Fuzz(func(t *testing.T, text []byte, piece int) {
		if piece <= 0 {
			return
		}
		size := 0
		plugins.Print(text, piece, func(line string) {
			if size += len(line); len(line) > 3<<10 || strings.ContainsAny(line, "\n\r\x1b\x00") {
				t.Fatalf("%d bytes: %q", len(line), line)
			}
		})
		if size > 3*(64<<10)+100 {
			t.Fatalf("%d bytes were told", size)
		}
	})
}
