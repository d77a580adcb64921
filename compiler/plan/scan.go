package plan

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// scanner reads the words of one line. The first failure stays; what is read after it is zero.
type scanner struct {
	number int // of the line, from 1
	text   string
	at     int
	err    error
}

// want fails with what was expected at this place, and what stands there.
func (s *scanner) want(what string) {
	if s.err != nil {
		return
	}
	found := "the end of the line"
	if rest := strings.TrimSpace(s.text[s.at:]); rest != "" {
		if len(rest) > 40 {
			rest = strings.ToValidUTF8(rest[:40], "") + "…"
		}
		found = strconv.Quote(rest)
	}
	s.fail("want %s, found %s", what, found)
}

func (s *scanner) fail(format string, args ...any) {
	if s.err == nil {
		s.err = fmt.Errorf("line %d, column %d: %s", s.number, s.at+1, fmt.Sprintf(format, args...))
	}
}

func (s *scanner) space() {
	for s.at < len(s.text) && (s.text[s.at] == ' ' || s.text[s.at] == '\t') {
		s.at++
	}
}

// done says whether nothing is left to read, or nothing can be.
func (s *scanner) done() bool {
	s.space()
	return s.err != nil || s.at == len(s.text)
}

// end fails unless the line ends here.
func (s *scanner) end() {
	if !s.done() {
		s.want("the end of the line")
	}
}

// peek is the word without quotes that begins here; it may be empty.
func (s *scanner) peek() string {
	s.space()
	if s.err != nil {
		return ""
	}
	rest := s.text[s.at:]
	for i, r := range rest {
		if !bare(r) {
			return rest[:i]
		}
	}
	return rest
}

// word reads the word that peek shows.
func (s *scanner) word() string {
	w := s.peek()
	s.at += len(w)
	return w
}

// accept reads a given word, if it stands here.
func (s *scanner) accept(word string) bool {
	if s.peek() != word {
		return false
	}
	s.at += len(word)
	return true
}

// expect reads a given word.
func (s *scanner) expect(word string) {
	if !s.accept(word) {
		s.want(strconv.Quote(word))
	}
}

// mark reads a given punctuation mark, if it stands here.
func (s *scanner) mark(m byte) bool {
	s.space()
	if s.err != nil || s.at >= len(s.text) || s.text[s.at] != m {
		return false
	}
	s.at++
	return true
}

func (s *scanner) expectMark(m byte) {
	if !s.mark(m) {
		s.want(strconv.Quote(string(m)))
	}
}

// name reads a name, quoted or not.
func (s *scanner) name(what string) string {
	s.space()
	if s.err == nil && s.at < len(s.text) && s.text[s.at] == '"' {
		quoted, err := strconv.QuotedPrefix(s.text[s.at:])
		if err != nil {
			s.want(what + " that ends with a quote")
			return ""
		}
		s.at += len(quoted)
		text, _ := strconv.Unquote(quoted)
		return text
	}
	w := s.word()
	if w == "" {
		s.want(what)
	}
	return w
}

// number64 reads a whole number, decimal, or hexadecimal after 0x.
func (s *scanner) number64(what string) int64 {
	n, err := strconv.ParseInt(s.peek(), 0, 64)
	if err != nil {
		s.want(what)
		return 0
	}
	s.word()
	return n
}

func (s *scanner) int(what string) int { return int(s.number64(what)) }

// digits reads the digits that stand here as a number, and leaves what follows them.
func (s *scanner) digits(what string) int {
	end := s.at
	for s.err == nil && end < len(s.text) && s.text[end] >= '0' && s.text[end] <= '9' {
		end++
	}
	n, err := strconv.Atoi(s.text[s.at:end])
	if err != nil {
		s.want(what)
		return 0
	}
	s.at = end
	return n
}

func (s *scanner) float(what string) float64 {
	f, err := strconv.ParseFloat(s.peek(), 64)
	if err != nil {
		s.want(what)
		return 0
	}
	s.word()
	return f
}

// reference reads the number of a buffer, such as %3.
func (s *scanner) reference() int {
	if !s.mark('%') {
		s.want("a buffer such as %3")
		return 0
	}
	return s.digits("the number of a buffer")
}

// numbers reads a list such as [4,64].
func (s *scanner) numbers() []int {
	list := []int{}
	s.list(func() { list = append(list, s.int("a number")) })
	return list
}

// dims reads a list such as [batch 4, seq 64].
func (s *scanner) dims() []Dim {
	list := []Dim{}
	s.list(func() { list = append(list, Dim{Name: s.name("the name of a dim"), Size: s.int("the size of a dim")}) })
	return list
}

// list reads what stands between brackets, separated by commas.
func (s *scanner) list(item func()) {
	s.expectMark('[')
	if s.mark(']') {
		return
	}
	for n := 1; s.err == nil; n++ {
		if n > MaxDims {
			s.fail("a list has at most %d entries", MaxDims)
			return
		}
		item()
		if s.mark(']') {
			return
		}
		s.expectMark(',')
	}
}

// json reads the rest of the line into a value.
func (s *scanner) json(into any) {
	s.space()
	if s.err != nil {
		return
	}
	if err := json.Unmarshal([]byte(s.text[s.at:]), into); err != nil {
		s.fail("%v", err)
		return
	}
	s.at = len(s.text)
}
