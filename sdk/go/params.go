package gsc

import (
	"strconv"
	"strings"
)

// Params are what the strategy gives a plugin: a JSON object, which holds to the schema in the manifest, and in which the schema's defaults are filled in. Members that are objects or lists are for a
// package that reads JSON.
type Params string

// Number is a member that the schema says is a number. It is 0 where there is none by that name.
func (p Params) Number(name string) float64 {
	member := p.member(name)
	if end := strings.IndexAny(member, ",}] \t\r\n"); end >= 0 {
		member = member[:end]
	}
	value, _ := strconv.ParseFloat(member, 64)
	return value
}

// Flag is a member that the schema says is a bool. It is false where there is none by that name.
func (p Params) Flag(name string) bool { return strings.HasPrefix(p.member(name), "true") }

// Text is a member that the schema says is a string. It is empty where there is none by that name.
func (p Params) Text(name string) string {
	rest, ok := strings.CutPrefix(p.member(name), `"`)
	var text strings.Builder
	for ok && rest != "" && rest[0] != '"' {
		if slash, is := strings.CutPrefix(rest, `\/`); is { // which Go does not have
			text.WriteByte('/')
			rest = slash
			continue
		}
		r, _, tail, err := strconv.UnquoteChar(rest, '"')
		if err != nil {
			break
		}
		text.WriteRune(r)
		rest = tail
	}
	return text.String()
}

// member is the text from a member's value on.
func (p Params) member(name string) string {
	depth := 0
	for i := 0; i < len(p); i++ {
		switch p[i] {
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		case '"':
			from := i + 1
			for i++; i < len(p) && p[i] != '"'; i++ {
				if p[i] == '\\' {
					i++
				}
			}
			if i >= len(p) {
				return ""
			}
			value, is := strings.CutPrefix(strings.TrimLeft(string(p[i+1:]), space), ":")
			if is && depth == 1 && string(p[from:i]) == name {
				return strings.TrimLeft(value, space)
			}
		}
	}
	return ""
}

const space = " \t\r\n"
