package schema

import (
	"fmt"
	"strings"
)

// Wrong makes an error about the value at a path of a loaded strategy, found
// by someone else: the data layer, say. It stands where the strategy writes the value or, when it
// does not, where it writes what is nearest around it.
func (s *Strategy) Wrong(path, message, fix string) *Error {
	e := &Error{Path: path, Message: message, Fix: fix}
	for at := path; at != ""; at = parent(at) {
		if pos := s.Positions[at]; pos != "" && (at == path || !strings.HasPrefix(string(pos), "gsc/")) {
			e.At = []Pos{pos}
			break
		}
	}
	return e
}

// At is a place in a file that the strategy names, as messages show it.
func (s *Strategy) At(file string, line, column int) Pos {
	return Pos(fmt.Sprintf("%s:%d:%d", s.origin.show(file), line, column))
}
