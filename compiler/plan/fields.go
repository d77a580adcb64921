package plan

import (
	"reflect"
	"strings"
	"sync"
)

// field is a struct's field by its JSON name.
type field struct {
	name     string
	optional bool // left out of JSON while it is zero
}

var fieldCache sync.Map // by reflect.Type

// fieldsOf lists the fields of a struct of the plan, all of which are exported and have a JSON name.
func fieldsOf(t reflect.Type) []field {
	if known, ok := fieldCache.Load(t); ok {
		return known.([]field)
	}
	list := make([]field, t.NumField())
	for i := range list {
		name, options, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		list[i] = field{name: name, optional: strings.HasPrefix(options, "omit")}
	}
	fieldCache.Store(t, list)
	return list
}
