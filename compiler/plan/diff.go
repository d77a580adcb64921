package plan

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/gsc-project/gsc/kernels"
)

// Diff says in words what differs between two plans, old → new, section by section; it is empty when they are equal.
// Tensors, buffers and instructions are aligned by their names; changes that repeat share a line, and a section
// has at most [MaxDiffLines]. Both plans must have passed Verify.
func Diff(a, b *Plan) string {
	d := &differ{}
	d.section("settings", settingChanges(a, b))
	d.section("files", keyed(a.Data.Files, b.Data.Files, func(f File) string { return f.Path }, fileChange))
	d.section("plugins", keyed(a.Plugins, b.Plugins, func(p Plugin) string { return p.Name }, pluginChange))
	d.section("compressions", keyed(a.Compressions, b.Compressions, func(c Compression) string { return c.Tensor }, compressionChange))
	d.section("choices", keyed(a.Choices, b.Choices, func(c Choice) string { return c.What }, choiceChange))
	d.section("memory", memoryChanges(a, b))
	d.section("estimate", estimateChanges(&a.Estimate, &b.Estimate))
	d.section("tensors", keyed(a.Tensors, b.Tensors, func(t Tensor) string { return t.Name }, tensorChange))
	for i := range min(len(a.Stages), len(b.Stages)) {
		if len(a.Stages) > 1 || len(b.Stages) > 1 {
			d.of = fmt.Sprintf(" of stage %d", i)
		}
		d.stage(&a.Stages[i], &b.Stages[i])
	}
	d.of = ""
	d.section("stages", some(changed("number", len(a.Stages), len(b.Stages))))
	if g, h := a.Generation, b.Generation; g != nil && h != nil {
		d.section("generation", strings.Split(strings.TrimSuffix(Diff(g, h), "\n"), "\n"))
	} else if g != h {
		d.section("generation", []string{"one of them has none"})
	}
	if d.out.Len() == 0 && a.Digest() != b.Digest() {
		d.section("numbering", []string{"the same content under other buffer numbers or in another order"})
	}
	return d.out.String()
}

// MaxDiffLines is how many lines a section of [Diff] has.
const MaxDiffLines = 12

// differ writes sections.
type differ struct {
	out strings.Builder
	of  string // what the sections are about, where there are several of it
}

func (d *differ) section(title string, lines []string) {
	if len(lines) == 0 {
		return
	}
	fmt.Fprintf(&d.out, "%s%s\n", title, d.of)
	shown := len(lines)
	if shown > MaxDiffLines {
		shown = MaxDiffLines - 1
	}
	for _, line := range lines[:shown] {
		fmt.Fprintf(&d.out, "  %s\n", line)
	}
	if more := len(lines) - shown; more > 0 {
		fmt.Fprintf(&d.out, "  … and %d more\n", more)
	}
}

// changed says that a value differs; it is empty when it does not.
func changed[T comparable](what string, a, b T) string {
	if a == b {
		return ""
	}
	return fmt.Sprintf("%s: %v → %v", what, a, b)
}

// some leaves out empty lines.
func some(lines ...string) []string {
	return slices.DeleteFunc(lines, func(s string) bool { return s == "" })
}

func settingChanges(a, b *Plan) []string {
	lines := some(changed("name", a.Name, b.Name), changed("strategy", a.Strategy, b.Strategy), changed("device", a.Device, b.Device),
		changed("mesh", axes(a.Mesh), axes(b.Mesh)))
	for _, part := range []struct {
		name string
		a, b any
	}{{"model", &a.Model, &b.Model}, {"training", &a.Training, &b.Training}, {"data", &a.Data, &b.Data}} {
		from, to := settingsOf(part.a), settingsOf(part.b)
		for i := range from {
			lines = append(lines, some(changed(part.name+"."+from[i].key, from[i].brief(), to[i].brief()))...)
			if from[i].brief() == to[i].brief() && from[i].json() != to[i].json() {
				lines = append(lines, fmt.Sprintf("%s.%s: %s, changed behind that", part.name, from[i].key, from[i].brief()))
			}
		}
	}
	return lines
}

// brief is the setting's JSON, cut where it is long.
func (s setting) brief() string {
	const most = 60
	text := []rune(s.json())
	if len(text) > most {
		return fmt.Sprintf("%s… (%d characters)", string(text[:most]), len(text))
	}
	return string(text)
}

// keyed aligns two lists by a name, the second of one name being another than the first, and describes what differs.
func keyed[T any](a, b []T, key func(T) string, change func(a, b T) string) []string {
	from, to := index(a, key), index(b, key)
	var gone, new []string
	groups := &grouper{}
	for _, k := range from.keys {
		j, kept := to.at[k]
		if !kept {
			gone = append(gone, k)
		} else if c := change(a[from.at[k]], b[j]); c != "" {
			groups.add(c, k)
		}
	}
	for _, k := range to.keys {
		if _, known := from.at[k]; !known {
			new = append(new, k)
		}
	}
	return slices.Concat(groups.lines(), prefixed("- ", families(gone)), prefixed("+ ", families(new)))
}

// prefixed marks what was added or removed, the first few of it.
func prefixed(prefix string, list []string) []string {
	const most = 6
	if len(list) > most {
		list = append(list[:most-1:most-1], fmt.Sprintf("… and %d more", len(list)-most+1))
	}
	for i := range list {
		list[i] = prefix + list[i]
	}
	return list
}

// families joins names that differ in the number of a layer alone: h.*.ln_1 (12).
func families(names []string) []string {
	count, first := map[string]int{}, map[string]string{}
	var order []string
	for _, n := range names {
		f := family(n)
		if count[f]++; count[f] == 1 {
			order, first[f] = append(order, f), n
		}
	}
	list := make([]string, len(order))
	for i, f := range order {
		list[i] = first[f]
		if n := count[f]; n > 1 {
			list[i] = fmt.Sprintf("%s (%d)", f, n)
		}
	}
	return list
}

// family puts a star for every part of a name that is a number.
func family(name string) string {
	parts := strings.Split(name, ".")
	for i, p := range parts {
		if _, err := strconv.Atoi(p); err == nil {
			parts[i] = "*"
		}
	}
	return strings.Join(parts, ".")
}

// indexed gives the place of each element of a list by its name.
type indexed struct {
	at   map[string]int
	keys []string // in the order of the list
}

func index[T any](list []T, key func(T) string) indexed {
	x := indexed{at: map[string]int{}}
	seen := map[string]int{}
	for i, item := range list {
		k := key(item)
		seen[k]++
		if n := seen[k]; n > 1 {
			k += "#" + strconv.Itoa(n)
		}
		x.at[k] = i
		x.keys = append(x.keys, k)
	}
	return x
}

// grouper joins what changes in the same way.
type grouper struct {
	order []string
	names map[string][]string
}

func (g *grouper) add(change, name string) {
	if g.names == nil {
		g.names = map[string][]string{}
	}
	if g.names[change] == nil {
		g.order = append(g.order, change)
	}
	g.names[change] = append(g.names[change], name)
}

func (g *grouper) lines() []string {
	var lines []string
	for _, change := range g.order {
		names := families(g.names[change])
		if len(names) > 4 {
			names = append(names[:3:3], fmt.Sprintf("… (%d in all)", len(g.names[change])))
		}
		lines = append(lines, strings.Join(names, ", ")+": "+change)
	}
	return lines
}

func fileChange(a, b File) string {
	return strings.Join(some(changed("split", a.Split, b.Split), changed("size", a.SizeBytes, b.SizeBytes), changed("digest", a.Digest, b.Digest)), ", ")
}

func choiceChange(a, b Choice) string {
	return strings.Join(some(changed("value", a.Value, b.Value), changed("why", a.Why, b.Why)), ", ")
}

func tensorChange(a, b Tensor) string {
	return strings.Join(some(changed("class", a.Class, b.Class), changed("of", a.Of, b.Of), dimsChange(a.Dims, b.Dims),
		changed("stored", numbers(a.StoredShape()), numbers(b.StoredShape())), changed("type", a.DType, b.DType),
		changed("init", a.Init, b.Init), changed("frozen", a.Frozen, b.Frozen), changed("cut", a.Cut, b.Cut), changed("part", a.Part, b.Part), changed("terms", a.Terms, b.Terms), changed("stage", a.Stage, b.Stage),
		changed("copies", fmt.Sprint(a.Copies), fmt.Sprint(b.Copies)), changed("from", a.Pos, b.Pos)), ", ")
}

// memoryChanges compares the peaks by class, and what is reserved.
func memoryChanges(a, b *Plan) []string {
	from, to := a.Memory(), b.Memory()
	if reflect.DeepEqual(from.Classes, to.Classes) && reflect.DeepEqual(from.Reserved, to.Reserved) && from.ArenaBytes == to.ArenaBytes &&
		reflect.DeepEqual(from.OtherArenas, to.OtherArenas) {
		return nil
	}
	rows := func(m Memory) map[string]int64 {
		list := map[string]int64{}
		for _, c := range m.Classes {
			list[classWords[c.Class]] = c.SizeBytes
		}
		for _, r := range m.Reserved {
			list["reserved for "+r.For] += r.SizeBytes
		}
		for _, o := range m.OtherArenas {
			list[o.Space.String()+" arena"] = o.SizeBytes
		}
		list["device arena"] = m.ArenaBytes
		return list
	}
	x, y := rows(from), rows(to)
	names := maps.Clone(x)
	maps.Copy(names, y)
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(names)) {
		lines = append(lines, bytesChange(name, x[name], y[name])...)
	}
	lines = append(lines, bytesChange("total", from.TotalBytes, to.TotalBytes)...)
	return append(lines, some(changed("peak", from.where(), to.where()))...)
}

// bytesChange writes sizes in units, or in bytes where the units hide the difference.
func bytesChange(what string, a, b int64) []string {
	if a == b {
		return nil
	}
	from, to := FormatBytes(a), FormatBytes(b)
	if from == to {
		from, to = fmt.Sprintf("%d B", a), fmt.Sprintf("%d B", b)
	}
	line := fmt.Sprintf("%s: %s → %s", what, from, to)
	if a > 0 && b > 0 {
		line += percent(float64(a), float64(b))
	}
	return []string{line}
}

// percent writes a change as a share, or as a factor where that is large.
func percent(a, b float64) string {
	if share := b/a - 1; share < 9 {
		return fmt.Sprintf(" (%+.1f %%)", 100*share)
	}
	return fmt.Sprintf(" (×%.0f)", b/a)
}

func estimateChanges(a, b *Estimate) []string {
	var lines []string
	from, to := settingsOf(a), settingsOf(b)
	for i := range from {
		line := changed(from[i].key, from[i].json(), to[i].json())
		if x, y := from[i].value, to[i].value; line != "" && x.CanFloat() && x.Float() > 0 {
			line += percent(x.Float(), y.Float())
		}
		lines = append(lines, some(line)...)
	}
	return lines
}

// stage compares buffers, programs and schedules.
func (d *differ) stage(a, b *Stage) {
	lines := some(changed("slots", a.Slots, b.Slots), changed("slot bytes", a.SlotBytes, b.SlotBytes), changed("bytes", a.Bytes, b.Bytes))
	lines = append(lines, keyed(a.Buffers, b.Buffers, func(x Buffer) string { return string(x.Class) + " " + x.Name }, bufferChange)...)
	d.section("buffers", append(lines, moved(a, b)...))
	from := index(a.Programs, func(p Program) string { return p.Name })
	to := index(b.Programs, func(p Program) string { return p.Name })
	d.section("programs", keyed(a.Programs, b.Programs, func(p Program) string { return p.Name }, func(Program, Program) string { return "" }))
	for _, name := range from.keys {
		if j, ok := to.at[name]; ok {
			d.program(a, b, &a.Programs[from.at[name]], &b.Programs[j])
		}
	}
	d.section("schedules", keyed(a.Schedules, b.Schedules, func(s Schedule) string { return s.title() }, callsChange))
}

func bufferChange(a, b Buffer) string {
	return strings.Join(some(dimsChange(a.Dims, b.Dims), changed("type", a.DType, b.DType), changed("space", a.Space, b.Space),
		changed("lasting", a.Lasting, b.Lasting), changed("slotted", a.Slotted, b.Slotted)), ", ")
}

// dimsChange names the dims that differ alone, where the others stay.
func dimsChange(a, b []Dim) string {
	var lines []string
	for i := range min(len(a), len(b)) {
		if a[i].Name != b[i].Name || len(a) != len(b) {
			return changed("dims", dims(a), dims(b))
		}
		lines = append(lines, changed("dim "+a[i].Name, a[i].Size, b[i].Size))
	}
	return strings.Join(some(lines...), ", ")
}

// moved counts the buffers that lie elsewhere.
func moved(a, b *Stage) []string {
	key := func(x Buffer) string { return string(x.Class) + " " + x.Name }
	from, to := index(a.Buffers, key), index(b.Buffers, key)
	n := 0
	for _, k := range from.keys {
		if j, ok := to.at[k]; ok && a.Buffers[from.at[k]].Offset != b.Buffers[j].Offset {
			n++
		}
	}
	if n == 0 {
		return nil
	}
	return []string{fmt.Sprintf("%s at other offsets", plural(n, "buffer"))}
}

func callsChange(a, b Schedule) string {
	if slices.Equal(a.Calls, b.Calls) {
		return ""
	}
	if len(a.Calls) != len(b.Calls) {
		return plural(len(a.Calls), "call") + " → " + plural(len(b.Calls), "call")
	}
	return "its calls are others, or in another order"
}

// program compares the instructions of two programs, aligned by name.
func (d *differ) program(sa, sb *Stage, a, b *Program) {
	key := func(in Instruction) string { return in.Op.String() + " " + in.Name }
	from, to := index(a.Instructions, key), index(b.Instructions, key)
	lines := some(changed("length", a.Length, b.Length))
	if n := outOfOrder(from, to); n > 0 {
		lines = append(lines, fmt.Sprintf("%s in another place", plural(n, "instruction")))
	}
	portName := func(p Port) string { return p.Name }
	bufferName := func(x, y Port) string { return changed("buffer", sa.Buffers[x.Buffer].Name, sb.Buffers[y.Buffer].Name) }
	lines = append(lines, keyed(a.Inputs, b.Inputs, portName, bufferName)...)
	lines = append(lines, keyed(a.Outputs, b.Outputs, portName, bufferName)...)
	shapes := []string{}
	lines = append(lines, keyed(a.Instructions, b.Instructions, key, func(x, y Instruction) string {
		change, shapesOnly := instructionChange(sa, sb, &x, &y)
		if shapesOnly {
			shapes = append(shapes, key(x)+": "+change)
			return ""
		}
		return change
	})...)
	if len(shapes) > 0 {
		lines = append(lines, fmt.Sprintf("%s of other shapes, such as %s", plural(len(shapes), "instruction"), shapes[0]))
	}
	d.section("program "+a.Name, lines)
}

// outOfOrder counts how many instructions of both programs do not keep their
// order: all but a longest ascending subsequence of their new places.
func outOfOrder(from, to indexed) int {
	common := 0
	var ends []int // the least end of an ascending subsequence of each length
	for _, k := range from.keys {
		place, kept := to.at[k]
		if !kept {
			continue
		}
		common++
		i, _ := slices.BinarySearch(ends, place)
		if i == len(ends) {
			ends = append(ends, place)
		} else {
			ends[i] = place
		}
	}
	return common - len(ends)
}

// instructionChange describes what differs, and says whether it is nothing but shapes.
func instructionChange(sa, sb *Stage, a, b *Instruction) (change string, shapesOnly bool) {
	shapesOnly = true
	lines := []string{}
	for i := range min(len(a.Operands), len(b.Operands)) {
		x, y := &a.Operands[i], &b.Operands[i]
		lines = append(lines, operandChange(operandName(a, i), sa, sb, x, y))
		nameA, _ := sa.describe(x)
		nameB, _ := sb.describe(y)
		shapesOnly = shapesOnly && nameA == nameB && x.Offset == y.Offset
	}
	rest := append(attrChanges(&a.Attrs, &b.Attrs), changed("stream", a.Stream, b.Stream), changed("wait", numbers(a.Wait), numbers(b.Wait)),
		changed("signal", a.Signal, b.Signal), changed("joined", a.Joined, b.Joined), changed("open", a.Open, b.Open),
		changed("await", numbers(a.Await), numbers(b.Await)), changed("if", sa.predicate(a), sb.predicate(b)), changed("from", a.Pos, b.Pos))
	rest = some(rest...)
	lines = some(append(lines, rest...)...)
	return strings.Join(lines, ", "), shapesOnly && len(rest) == 0 && len(lines) > 0
}

// predicate names the scalar that an instruction is run under.
func (s *Stage) predicate(in *Instruction) string {
	if in.Predicate == 0 {
		return "always"
	}
	return s.Buffers[in.Predicate-1].Name
}

// operandChange leaves out the buffer's name where it stays the same, and the number of the layer in any case, so that layers share a line.
func operandChange(name string, sa, sb *Stage, x, y *Operand) string {
	nameA, viewA := sa.describe(x)
	nameB, viewB := sb.describe(y)
	switch {
	case nameA == nameB:
		return changed(name, viewA, viewB)
	case viewA == viewB:
		viewA, viewB = "", ""
	}
	if family(nameA) != family(nameB) {
		nameA, nameB = family(nameA), family(nameB)
	}
	return fmt.Sprintf("%s: %s%s → %s%s", name, nameA, viewA, nameB, viewB)
}

// describe gives the name of an operand's buffer and the view of it.
func (s *Stage) describe(o *Operand) (name, view string) {
	if o.Buffer < 0 {
		return "absent", ""
	}
	view = numbers(o.Shape)
	if o.Offset != 0 {
		view += fmt.Sprintf("%+d", o.Offset)
	}
	if o.Part != "" {
		view += "@" + o.Part
		if o.Step != 0 {
			view += fmt.Sprintf("(%d)", o.Step)
		}
	}
	if len(o.Strides) > 0 {
		view += "/" + numbers(o.Strides)
	}
	if o.Bound > 0 {
		view += "<" + s.Buffers[o.Bound-1].Name
	}
	return s.Buffers[o.Buffer].Name, view
}

func attrChanges(a, b *kernels.Attrs) []string {
	if *a == *b {
		return nil
	}
	var lines []string
	x, y := reflect.ValueOf(a).Elem(), reflect.ValueOf(b).Elem()
	for i, f := range fieldsOf(x.Type()) {
		lines = append(lines, some(changed(f.name, fmt.Sprint(x.Field(i)), fmt.Sprint(y.Field(i))))...)
	}
	slices.SortFunc(lines, cmp.Compare)
	return lines
}
