package plan

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/gsc-project/gsc/kernels"
)

// MaxArenaBytes bounds an arena. Sizes below it can be added and multiplied by small factors without overflow.
const MaxArenaBytes = 1 << 50

// MaxDims bounds the dims of a buffer and of a view.
const MaxDims = 16

// maxDegree bounds an axis of the mesh.
const maxDegree = 1 << 20

// maxSlots bounds what a stage has in flight.
const maxSlots = 1 << 12

// form is rule 1.
func (v *verifier) form() {
	p := v.plan
	if p.Version != Version {
		v.fail("version %d, but this gsc reads version %d: plan again", p.Version, Version)
	}
	if p.Name == "" {
		v.fail("the plan has no name")
	}
	kind, ok := kernels.Kinds[p.Device]
	if !ok {
		v.fail("unknown device kind %q: use one of %s", p.Device, strings.Join(slices.Sorted(maps.Keys(kernels.Kinds)), ", "))
	}
	v.kind = kind
	if g := p.Generation; g != nil && (g.Generation != nil || g.Trains() || len(g.Mesh) > 0) {
		v.fail("generation: a plan that trains, has a mesh or has a generation of its own")
	}
	if want := p.Degree(AxisPipeline); len(p.Stages) != want {
		v.fail("%d stages: the mesh asks for %d", len(p.Stages), want)
	}
}

// values is rule 2.
func (v *verifier) values() {
	for _, message := range strange(reflect.ValueOf(v.plan).Elem()) {
		v.fail("%s", strings.TrimPrefix(message, "."))
	}
	if c := v.plan.Model.Config; len(c) > 0 && !json.Valid(c) {
		v.fail("model.config is not JSON")
	}
}

// strange lists the numbers under a value that are not finite and the strings
// that are not UTF-8, each with its path.
func strange(value reflect.Value) []string {
	var list []string
	switch value.Kind() {
	case reflect.Float64:
		if f := value.Float(); math.IsNaN(f) || math.IsInf(f, 0) {
			list = append(list, fmt.Sprintf(" is %v", f))
		}
	case reflect.String:
		if s := value.String(); !utf8.ValidString(s) {
			list = append(list, fmt.Sprintf(" = %q is not UTF-8", s))
		}
	case reflect.Struct:
		for i, f := range fieldsOf(value.Type()) {
			for _, message := range strange(value.Field(i)) {
				list = append(list, "."+f.name+message)
			}
		}
	case reflect.Slice:
		if !holdsWords(value.Type().Elem()) {
			break
		}
		for i := range value.Len() {
			for _, message := range strange(value.Index(i)) {
				list = append(list, fmt.Sprintf("[%d]%s", i, message))
			}
		}
	}
	return list
}

// holdsWords says whether a type can hold strings or real numbers.
func holdsWords(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Float64, reflect.String, reflect.Struct, reflect.Slice:
		return true
	}
	return false
}

// mesh is rule 3.
func (v *verifier) mesh() {
	seen := map[string]bool{}
	for _, a := range v.plan.Mesh {
		if a.Name == "" || seen[a.Name] {
			v.fail("mesh: axis %q stands twice or has no name", a.Name)
		}
		if !slices.Contains(Axes, a.Name) {
			v.fail("mesh: unknown axis %q: use one of %s", a.Name, strings.Join(Axes, ", "))
		}
		if a.Degree < 2 || a.Degree > maxDegree {
			v.fail("mesh: axis %q has degree %d, which must be 2 to %d: one of 1 is left out", a.Name, a.Degree, maxDegree)
		}
		seen[a.Name] = true
	}
}

// arenas is rule 4.
func (v *verifier) arenas() {
	seen := map[kernels.Space]bool{}
	for _, a := range v.plan.Arenas {
		if seen[a.Space] {
			v.fail("two arenas in space %v", a.Space)
		}
		if a.Space > kernels.DiskMemory {
			v.fail("arena in unknown space %v", a.Space)
		}
		seen[a.Space] = true
		if a.SizeBytes < 0 || a.SizeBytes > MaxArenaBytes {
			v.fail("arena %v: size %d is outside [0, %d]", a.Space, a.SizeBytes, int64(MaxArenaBytes))
		}
		for _, r := range a.Reserved {
			if r.SizeBytes < 0 || r.SizeBytes > MaxArenaBytes {
				v.fail("arena %v: %d bytes reserved for %s are outside [0, %d]", a.Space, r.SizeBytes, r.For, int64(MaxArenaBytes))
			}
		}
	}
}

var classes = []Class{Weight, Taught, Gradient, State, Activation, Workspace, Input, ScalarKind, Cache, Transfer}

// lasts says whether buffers of a class hold their value from step to step.
func lasts(c Class) bool { return c == Weight || c == Taught || c == State || c == ScalarKind }

// buffers is rule 5.
func (v *verifier) buffers() {
	for s := range v.plan.Stages {
		st := &v.plan.Stages[s]
		for i := range st.Buffers {
			b := &st.Buffers[i]
			name := fmt.Sprintf("buffer %d %s", i, b.Name)
			switch {
			case b.ID != i:
				v.fail("%s: ID %d is not its index", name, b.ID)
			case !slices.Contains(classes, b.Class):
				v.fail("%s: unknown class %q", name, b.Class)
			case b.DType.Size() == 0:
				v.fail("%s: unknown type %v", name, b.DType)
			case b.Space > kernels.DiskMemory:
				v.fail("%s: unknown space %v", name, b.Space)
			case b.Lasting != lasts(b.Class):
				v.fail("%s: lasting = %v does not go with class %s", name, b.Lasting, b.Class)
			case b.Lasting && b.Slotted:
				v.fail("%s: what lasts has no slots", name)
			}
			if _, ok := elements(b.Shape()); !ok {
				v.fail("%s: dims %v must be at most %d, positive, and their product at most %d", name, b.Dims, MaxDims, int64(MaxArenaBytes))
			}
		}
	}
}

// elements is the product of a shape whose lengths are positive; false where
// one is not, where they are more than MaxDims, or where the product is out of any arena's reach.
func elements(shape []int) (int, bool) {
	if len(shape) > MaxDims {
		return 0, false
	}
	n := 1
	for _, s := range shape {
		if s < 1 || s > MaxArenaBytes/n {
			return 0, false
		}
		n *= s
	}
	return n, true
}

// placement is rule 6.
func (v *verifier) placement() {
	align := max(v.kind.AlignBytes, 1)
	for s := range v.plan.Stages {
		st := &v.plan.Stages[s]
		arenas := map[kernels.Space]int64{}
		for _, a := range v.plan.Arenas {
			arenas[a.Space] = min(v.plan.ArenaBytes(s, a), MaxArenaBytes)
			if arenas[a.Space] > a.SizeBytes {
				v.fail("stage %d: its %d bytes are more than the arena's %d", s, arenas[a.Space], a.SizeBytes)
			}
		}
		if st.Bytes < 0 {
			v.fail("stage %d: %d bytes of the arena", s, st.Bytes)
		}
		if st.Slots < 1 || st.Slots > maxSlots || st.SlotBytes < 0 || st.SlotBytes > MaxArenaBytes || st.SlotBytes%align != 0 {
			v.fail("stage %d: %d slots of %d bytes: there must be 1 to %d, of a multiple of %d bytes", s, st.Slots, st.SlotBytes, maxSlots, align)
			continue
		}
		for i := range st.Buffers {
			if message := place(st, &st.Buffers[i], arenas, align); message != "" {
				v.fail("buffer %d %s: %s", i, st.Buffers[i].Name, message)
			}
		}
	}
}

// place says what is wrong with where a buffer lies. Neither the product of dims nor that of slots can overflow: elements
// are at most 2⁵⁰, their sizes 8, slots 2¹² of at most 2⁵⁰ bytes.
func place(st *Stage, b *Buffer, arenas map[kernels.Space]int64, align int64) string {
	arena, ok := arenas[b.Space]
	n, sized := elements(b.Shape())
	switch {
	case !ok:
		return fmt.Sprintf("there is no arena in space %v", b.Space)
	case b.Offset < 0 || b.Offset%align != 0:
		return fmt.Sprintf("offset %#x is not a multiple of %d", b.Offset, align)
	case !sized:
		return "" // rule 5 says so
	}
	end := int64(n) * int64(b.DType.Size())
	if b.Slotted {
		end += int64(st.Slots-1) * st.SlotBytes
	}
	if b.Offset > arena || end > arena-b.Offset {
		return fmt.Sprintf("%d bytes at offset %#x do not fit into the arena of %d bytes", end, b.Offset, arena)
	}
	return ""
}
