package launch

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// mapping is a mapping of YAML, in order. Values are strings, ints, bools, mappings and lists; keys whose value is nil or an
// empty mapping or list are left out.
type mapping []field

type field struct {
	key   string
	value any
}

type list []any

// yaml writes a mapping as a block.
func (m mapping) yaml() []byte {
	var b strings.Builder
	m.write(&b, "", "")
	return []byte(b.String())
}

// write begins its first line with first, the others with indent.
func (m mapping) write(b *strings.Builder, first, indent string) {
	for _, f := range m {
		if isEmpty(f.value) {
			continue
		}
		fmt.Fprintf(b, "%s%s:", first, scalar(f.key))
		first = indent
		switch v := f.value.(type) {
		case mapping:
			b.WriteByte('\n')
			v.write(b, indent+"  ", indent+"  ")
		case list:
			b.WriteByte('\n')
			v.write(b, indent+"  ")
		default:
			fmt.Fprintf(b, " %s\n", scalar(v))
		}
	}
}

func (l list) write(b *strings.Builder, indent string) {
	for _, v := range l {
		if m, ok := v.(mapping); ok {
			m.write(b, indent+"- ", indent+"  ")
		} else {
			fmt.Fprintf(b, "%s- %s\n", indent, scalar(v))
		}
	}
}

func isEmpty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case mapping:
		for _, f := range v {
			if !isEmpty(f.value) {
				return false
			}
		}
		return true
	case list:
		return len(v) == 0
	}
	return false
}

func scalar(v any) string {
	if s, ok := v.(string); ok {
		return yamlString(s)
	}
	return fmt.Sprint(v)
}

// plainString are strings that need no quotes; what YAML 1.1 and 1.2 take for something else begins otherwise or is among notStrings.
var (
	plainString = regexp.MustCompile(`^[A-Za-z/][A-Za-z0-9_./-]*$`)
	notStrings  = regexp.MustCompile(`(?i)^(y|n|yes|no|on|off|true|false|null)$`)
)

// yamlString quotes a string of valid UTF-8 so that any reader of YAML gets it back.
func yamlString(s string) string {
	if plainString.MatchString(s) && !notStrings.MatchString(s) {
		return s
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteRune('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case strconv.IsPrint(r):
			b.WriteRune(r)
		case r <= 0xff:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r <= 0xffff:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
