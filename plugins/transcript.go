package plugins

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"unicode"
)

// How much an instance may print, how long a line of it may be, and how much of what it says on failing is kept for the error.
const (
	maxPrinted  = 64 << 10
	maxLine     = 1 << 10
	maxLastWord = 400
)

// transcript is what an instance prints. Whole lines are told, as far as the limit.
type transcript struct {
	tell    func(line string)
	line    []byte
	failing []byte // the first line that the present call wrote to standard error, with what follows it
	left    int    // bytes; below 0: it was said that the limit is reached
}

// write takes what the guest prints. It takes no longer for what is beyond the limit.
func (t *transcript) write(text []byte, isError bool) {
	if isError {
		t.failing = append(t.failing, text[:min(len(text), maxLastWord-len(t.failing))]...)
	}
	if t.left < 0 {
		return
	}
	within := text[:min(len(text), t.left)]
	t.left -= len(within)
	for len(within) > 0 {
		n := bytes.IndexByte(within, '\n')
		whole := n >= 0
		if !whole {
			n = len(within)
		}
		part := min(n, maxLine-len(t.line))
		t.line = append(t.line, within[:part]...)
		if part < n {
			whole, n = true, part
		} else if whole {
			n++
		}
		within = within[n:]
		if whole {
			t.flush()
		}
	}
	if t.left == 0 {
		t.flush()
		t.left = -1
		t.tell(fmt.Sprintf("it printed %d bytes: what follows is left out", maxPrinted))
	}
}

// flush tells the line, if there is one.
func (t *transcript) flush() {
	if line := printable(string(t.line)); strings.TrimSpace(line) != "" {
		t.tell(line)
	}
	t.line = t.line[:0]
}

// said is the first line of what the present call wrote to standard error.
func (t *transcript) said() string {
	line, _, _ := strings.Cut(strings.TrimLeft(string(t.failing), "\n"), "\n")
	return printable(line)
}

// printable is a text without what would do anything to a terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case !unicode.IsPrint(r):
			return unicode.ReplacementChar
		}
		return r
	}, text)
}

// log takes what plugins print, from any goroutine. What comes before anybody listens is kept, as much as an instance may print.
type log struct {
	mu    sync.Mutex
	to    func(line string)
	kept  []string
	size  int
	quiet bool // what is printed is of a trial, whose error has what there is to know
}

func (l *log) say(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.quiet:
	case l.to != nil:
		l.to(line)
	case l.size < maxPrinted:
		l.kept = append(l.kept, line)
		l.size += len(line)
	}
}

// hush has nothing told until it is told otherwise.
func (l *log) hush(quiet bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.quiet = quiet
}

// listen has what was kept, and all that follows, told to somebody.
func (l *log) listen(to func(line string)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.kept {
		to(line)
	}
	l.to, l.kept = to, nil
}
