package gsc

import (
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
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
		switch {
		case strings.HasPrefix(rest, `\/`): // which Go does not have
			text.WriteByte('/')
			rest = rest[2:]
		case strings.HasPrefix(rest, `\u`): // a unit of UTF-16, which Go takes for a rune
			if len(rest) < 6 {
				return text.String()
			}
			r := unit(rest)
			rest = rest[6:]
			if both := utf16.DecodeRune(r, unit(rest)); both != utf8.RuneError {
				r, rest = both, rest[6:]
			}
			text.WriteRune(r)
		default:
			r, _, tail, err := strconv.UnquoteChar(rest, '"')
			if err != nil {
				return text.String()
			}
			text.WriteRune(r)
			rest = tail
		}
	}
	return text.String()
}

// unit is the 16-bit unit that a text begins with as \u and four digits; 0 where it does not.
func unit(text string) rune {
	if len(text) < 6 || text[:2] != `\u` {
		return 0
	}
	value, _ := strconv.ParseUint(text[2:6], 16, 16)
	return rune(value)
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
