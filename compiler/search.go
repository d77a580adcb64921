package compiler

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/kernels"
	"github.com/gsc-project/gsc/schema"
)

// Candidate is a way to share a step out among the ranks, and what is expected of it.
type Candidate struct {
	Parallel     schema.Parallel // with nothing open
	MicroBatches int
	Recompute    string

	Price          // by the plan where one was made, else by what one layer takes
	Planned bool   // a plan was made
	ByLayer Price  // by what one layer takes
	Why     string // it is taken, or not
	refused bool   // the strategy does not go with it
}

// Price is what is expected of a candidate.
type Price struct {
	StepSeconds                float64
	Computed, Exposed, Waiting float64 // seconds of the rank that computes most: computing, communication that nothing is computed beside, nothing to do
	PeakBytes                  int64
}

// Priced says whether times and memory are known: they are not where the strategy does not go with the candidate.
func (c *Candidate) Priced() bool { return !c.refused }

// The search plans the candidates that look best, until so many of them fit or so many were planned.
const (
	wantedPlans = 5
	mostPlans   = 12
)

// search settles what a strategy leaves open of parallel, micro-batches and recomputation. It prices every candidate by what one layer takes and moves (layerCost),
// makes plans of the best, and takes the fastest plan that fits. Nothing runs.
type search struct {
	strategy *schema.Strategy
	data     plan.Data
	options  Options
	kind     kernels.Kind
	profile  *Profile
	room     room
	ranks    int
	layers   int
	costs    map[costKey]*layerCost
	divide   []int       // divisors of ranks, once they are asked for
	refused  []Candidate // that the strategy does not go with
	why      error       // of the first of them
}

// find gives the plan of the best candidate, and all candidates, the best first, those that the strategy does not go with last.
func (x *search) find() (*plan.Plan, []Candidate, error) {
	list, err := x.enumerate()
	if err != nil {
		return nil, nil, err
	}
	if len(list) == 0 && len(x.refused) > 0 && !strings.HasPrefix(schema.ErrorsOf(x.why)[0].Path, "parallel") { // it is no matter of meshes
		return nil, nil, x.why
	}
	if len(list) == 0 {
		return nil, nil, x.none()
	}
	slices.SortStableFunc(list, func(a, b Candidate) int {
		return cmp.Or(cmp.Compare(x.overflow(a.PeakBytes), x.overflow(b.PeakBytes)), cmp.Compare(a.StepSeconds, b.StepSeconds))
	})
	var best *plan.Plan
	fits, planned, smallest, wrong := 0, 0, int64(0), x.why
	var chosen *Candidate
	for i := range list {
		if fits == wantedPlans || planned == mostPlans {
			break
		}
		if x.refuses(list[i].Parallel.Mesh) {
			continue
		}
		p, err := x.compile(&list[i])
		if schema.ErrorsOf(err) != nil { // another mesh may do
			x.refuse(list[i], err)
			wrong = err
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		planned++
		if smallest == 0 || list[i].PeakBytes < smallest {
			smallest = list[i].PeakBytes
		}
		if x.room.bytes > 0 && list[i].PeakBytes > x.room.bytes {
			continue
		}
		if fits++; best == nil || list[i].StepSeconds < chosen.StepSeconds {
			best, chosen = p, &list[i]
		}
	}
	if planned == 0 {
		return nil, nil, wrong
	}
	if best == nil {
		return nil, nil, x.strategy.Wrong(x.room.path, fmt.Sprintf("nothing fits into %s: of %d ways to share the work out among %d ranks, the least of the %d that were planned takes %s",
			plan.FormatBytes(x.room.bytes), len(list), x.ranks, planned, plan.FormatBytes(smallest)), x.room.fix())
	}
	if err := best.Verify(); err != nil {
		return nil, nil, err
	}
	chosen.Why = "taken"
	taken := *chosen // the list moves
	list = slices.DeleteFunc(list, func(c Candidate) bool { return !c.Planned && x.refuses(c.Parallel.Mesh) })
	x.rank(list, &taken)
	best.Choices = append(x.explain(&taken, len(list), planned), best.Choices...)
	return best, append(list, x.refused...), nil
}

// none says that there is no candidate, and why one of the meshes is none.
func (x *search) none() error {
	why := "rows, heads, layers and micro-batches must be enough for it"
	if list := schema.ErrorsOf(x.why); len(list) > 0 {
		why = "of the first one tried, " + list[0].Path + ": " + list[0].Message
	}
	return x.strategy.Wrong("parallel", fmt.Sprintf("no mesh of %d ranks goes with the rest of the strategy: %s", x.ranks, why), "give other numbers of ranks or rows, or leave more of it open")
}

// overflow is 1 for what is not expected to fit, with what the price of a layer is off by.
func (x *search) overflow(bytes int64) int {
	if x.room.bytes > 0 && float64(bytes) > 1.02*float64(x.room.bytes) {
		return 1
	}
	return 0
}

// compile makes a candidate's plan, and notes what that says.
func (x *search) compile(c *Candidate) (*plan.Plan, error) {
	s := *x.strategy
	s.Parallel, s.Batch.MicroBatches, s.Memory.Recompute = c.Parallel, c.MicroBatches, c.Recompute
	anything := x.room
	anything.bytes = 0
	options := x.options
	options.unproved = true
	p, err := compile(&s, anything, x.data, x.kind, options)
	if err != nil {
		return nil, err
	}
	e := &p.Estimate
	c.Planned, c.StepSeconds, c.Exposed, c.Waiting, c.PeakBytes = true, e.StepSeconds, e.ExposedSeconds, e.BubbleSeconds, p.PeakBytes()
	c.Computed = c.StepSeconds - c.Exposed - c.Waiting
	return p, nil
}

// rank says of each candidate why it lost, and puts the chosen one first, then what was planned and fits, then the rest.
func (x *search) rank(list []Candidate, chosen *Candidate) {
	group := func(c *Candidate) int {
		switch {
		case x.room.bytes > 0 && c.PeakBytes > x.room.bytes:
			return 2
		case c.Planned:
			return 0
		}
		return 1
	}
	for i := range list {
		c := &list[i]
		switch {
		case c.Why != "": // it is taken
		case group(c) == 2:
			c.Why = fmt.Sprintf("takes %s of %s", plan.FormatBytes(c.PeakBytes), plan.FormatBytes(x.room.bytes))
		default:
			c.Why = c.against(chosen)
		}
	}
	slices.SortStableFunc(list, func(a, b Candidate) int {
		return cmp.Or(cmp.Compare(group(&a), group(&b)), cmp.Compare(a.StepSeconds, b.StepSeconds))
	})
}

// against says how a candidate is slower than the one that was taken: as their plans say or, where it has none, as one layer says of both.
func (c *Candidate) against(chosen *Candidate) string {
	layers := c.ByLayer.against(&chosen.ByLayer)
	if !c.Planned {
		return layers
	}
	why := c.Price.against(&chosen.Price)
	if c.ByLayer.StepSeconds < chosen.ByLayer.StepSeconds {
		why += "; by layers " + layers
	}
	return why
}

// against says how much longer a step takes than at another price, and what for.
func (p *Price) against(o *Price) string {
	share := 100 * (p.StepSeconds/o.StepSeconds - 1)
	switch {
	case math.Abs(share) < 0.05:
		return "as fast"
	case share < 0:
		return fmt.Sprintf("%.1f %% faster", -share)
	}
	type part struct {
		seconds float64
		does    string
	}
	parts := []part{{p.Computed - o.Computed, "computing"}, {p.Exposed - o.Exposed, "communicating"}, {p.Waiting - o.Waiting, "idling"}}
	most := slices.MaxFunc(parts, func(a, b part) int { return cmp.Compare(a.seconds, b.seconds) })
	return fmt.Sprintf("%.1f %% slower: %s more %s", share, plan.FormatSeconds(most.seconds), most.does)
}

func (x *search) explain(c *Candidate, all, planned int) []plan.Choice {
	within := "any memory"
	if x.room.bytes > 0 {
		within = x.room.of
	}
	why := fmt.Sprintf("the fastest by estimate of %d candidates within %s, of which %d were planned", all, within, planned)
	list := []plan.Choice{{What: "parallel", Value: c.Form(), Why: why}}
	if x.strategy.Batch.MicroBatches == 0 {
		list = append(list, plan.Choice{What: "batch.micro_batches", Value: fmt.Sprint(c.MicroBatches), Why: "likewise"})
	}
	if x.strategy.Memory.Recompute == "" {
		list = append(list, plan.Choice{What: "memory.recompute", Value: c.Recompute, Why: "likewise"})
	}
	return list
}

// Form is the candidate's section parallel in a few words.
func (c *Candidate) Form() string {
	m := c.Parallel.Mesh
	var words []string
	for _, a := range []struct {
		name   string
		degree int
	}{{"pipeline", m.Pipeline}, {"replica", m.Replica}, {"data", m.Data}, {"sequence", m.Sequence}, {"tensor", m.Tensor}} {
		if a.degree > 1 {
			words = append(words, fmt.Sprintf("%s %d", a.name, a.degree))
		}
	}
	if len(words) == 0 {
		words = append(words, "1 rank")
	}
	if c.Parallel.Zero > 0 {
		words = append(words, fmt.Sprintf("zero %d", c.Parallel.Zero))
	}
	if m.Pipeline > 1 && !c.refused {
		words = append(words, strings.ReplaceAll(c.Parallel.Pipeline.Schedule, "_", "-"))
		if c.Parallel.Pipeline.Chunks > 1 {
			words = append(words, fmt.Sprintf("%d chunks", c.Parallel.Pipeline.Chunks))
		}
	}
	if len(c.Parallel.Rules) > 0 && m.Tensor > 1 {
		words = append(words, "residual shared")
	}
	return strings.Join(words, ", ")
}

// enumerate lists all that the strategy admits, priced.
func (x *search) enumerate() ([]Candidate, error) {
	var list []Candidate
	s := x.strategy
	for _, stages := range x.degrees("mesh.pipeline", s.Parallel.Mesh.Pipeline, x.layers) {
		for _, tensor := range x.degrees("mesh.tensor", s.Parallel.Mesh.Tensor, x.tensors()) {
			for _, sequence := range x.degrees("mesh.sequence", s.Parallel.Mesh.Sequence, x.sequences()) {
				rest := x.ranks / (stages * tensor * sequence)
				if rest*stages*tensor*sequence != x.ranks {
					continue
				}
				for _, replicas := range x.replicas(rest, sequence*tensor) {
					more, err := x.ofMesh(schema.Mesh{Pipeline: stages, Replica: replicas, Data: rest / replicas, Sequence: sequence, Tensor: tensor})
					if err != nil {
						return nil, err
					}
					list = append(list, more...)
				}
			}
		}
	}
	return list, nil
}

// degrees are what an axis may have: what the strategy says or, where it is open, the divisors of the ranks up to a most.
func (x *search) degrees(path string, given, most int) []int {
	if !slices.Contains(x.strategy.Parallel.Open, path) {
		return []int{max(1, given)}
	}
	var list []int
	for _, n := range x.divisors() {
		if n <= most {
			list = append(list, n)
		}
	}
	return list
}

// divisors of the number of ranks, ascending.
func (x *search) divisors() []int {
	if x.divide != nil {
		return x.divide
	}
	for n := 1; n <= x.ranks; n++ {
		if x.ranks%n == 0 {
			x.divide = append(x.divide, n)
		}
	}
	return x.divide
}

// replicas are the numbers of groups that ranks which share rows out may form, of which each shares out what ZeRO does: one, and those of a node where all are on several.
func (x *search) replicas(ranks, neighbours int) (list []int) {
	tried := []int{1}
	if group := x.node() / neighbours; group > 1 && ranks > group && ranks%group == 0 {
		tried = append(tried, ranks/group)
	}
	m := x.strategy.Parallel.Mesh
	if !slices.Contains(x.strategy.Parallel.Open, "mesh.replica") {
		tried = []int{max(1, m.Replica)}
	}
	data := x.degrees("mesh.data", m.Data, x.ranks)
	for _, n := range tried {
		if ranks%n == 0 && slices.Contains(data, ranks/n) {
			list = append(list, n)
		}
	}
	return list
}

// node is how many ranks a node has, whose links are fast.
func (x *search) node() int { return cmp.Or(x.profile.PerNode, x.ranks) }

// tensors is the most ranks along tensor that are tried: those of a node, unless the strategy says of other axes what they have.
func (x *search) tensors() int {
	if x.strategy.Parallel.AllAxesOpen() {
		return x.node()
	}
	return x.ranks
}

// longRow is from how many tokens on a row is worth sharing out, where all of the mesh is open.
const longRow = 8192

// records are how many rows of a batch stay together for the loss, whole; 0: any part of one may stand alone.
func (x *search) records() int {
	if p := x.strategy.Objective.Plugin; p != nil {
		return p.Records()
	}
	return 0
}

// sequences is the most ranks along sequence that are tried.
func (x *search) sequences() int {
	switch all := x.strategy.Parallel.AllAxesOpen(); {
	case x.records() > 0 || all && x.data.Length < longRow:
		return 1
	case all:
		return x.node()
	}
	return x.ranks
}

// ofMesh lists the candidates of a mesh.
func (x *search) ofMesh(m schema.Mesh) (list []Candidate, err error) {
	var refused *Candidate
	var why error
	for _, micro := range x.microBatches(m) {
		rows := x.strategy.Batch.Sequences / (micro * m.RowRanks())
		for _, policy := range x.policies() {
			cost, err := x.cost(costKey{m.Tensor, m.Sequence, rows, policy})
			if err != nil {
				return nil, err
			}
			if cost.refused != nil {
				if refused == nil {
					refused, why = &Candidate{Parallel: x.parallel(m, 0, schema.Pipeline{}), MicroBatches: micro, Recompute: policy}, cost.refused
				}
				continue
			}
			for _, zero := range x.stagesOfZero(m) {
				for _, pipeline := range x.pipelines(m, micro) {
					c := Candidate{Parallel: x.parallel(m, zero, pipeline), MicroBatches: micro, Recompute: policy}
					x.price(&c, cost)
					list = append(list, c)
				}
			}
		}
	}
	if len(list) == 0 && refused != nil {
		x.refuse(*refused, why)
	}
	return list, nil
}

// parallel is the section with nothing open.
func (x *search) parallel(m schema.Mesh, zero int, pipeline schema.Pipeline) schema.Parallel {
	p := x.strategy.Parallel
	p.Open, p.Mesh, p.Zero, p.Pipeline, p.Rules = nil, m, zero, pipeline, x.rules(m)
	return p
}

// refuse notes a candidate that the strategy does not go with, and why: one for each mesh.
func (x *search) refuse(c Candidate, err error) {
	if x.refuses(c.Parallel.Mesh) {
		return
	}
	first := schema.ErrorsOf(err)[0]
	c.refused, c.Why = true, fmt.Sprintf("refused: %s: %s", first.Path, first.Message)
	x.refused, x.why = append(x.refused, c), cmp.Or(x.why, err)
}

func (x *search) refuses(m schema.Mesh) bool {
	return slices.ContainsFunc(x.refused, func(c Candidate) bool { return c.Parallel.Mesh == m })
}

// rules share the residual stream out along tensor, too, on devices of their own: it sends as much, and keeps less (Korthikanti et al.,
// arXiv:2205.05198, section 4.2).
func (x *search) rules(m schema.Mesh) []schema.Rule {
	given := x.strategy.Parallel.Rules
	if len(given) > 0 || m.Tensor < 2 || !x.kind.Separate || x.data.Length%m.Tensor != 0 {
		return given
	}
	return []schema.Rule{{Kind: "activation", Region: "residual", Dim: "seq", Axis: plan.AxisTensor}}
}

// microBatches are the numbers of micro-batches that leave each rank the same number of rows, and stages something to do.
func (x *search) microBatches(m schema.Mesh) (list []int) {
	b := x.strategy.Batch
	for rows := 1; rows <= 32 && rows*m.RowRanks() <= b.Sequences; rows *= 2 {
		if n := b.Sequences / (rows * m.RowRanks()); n*rows*m.RowRanks() == b.Sequences && rows%max(1, x.records()) == 0 && n <= schema.MostMicroBatches && (b.MicroBatches == 0 || n == b.MicroBatches) && (m.Pipeline == 1 || n >= m.Pipeline) {
			list = append(list, n)
		}
	}
	if len(list) == 0 && b.MicroBatches > 0 && b.Sequences%(b.MicroBatches*m.RowRanks()) == 0 {
		list = append(list, b.MicroBatches)
	}
	return list
}

func (x *search) policies() []string {
	if p := x.strategy.Memory.Recompute; p != "" {
		return []string{p}
	}
	return recomputePolicies
}

func (x *search) stagesOfZero(m schema.Mesh) []int {
	p := x.strategy.Parallel
	switch {
	case !slices.Contains(p.Open, "zero"):
		return []int{p.Zero}
	case m.Data == 1 || x.strategy.Precision.Master == "bf16":
		return []int{0}
	}
	if m.Replica > 1 { // without ZeRO groups are nothing but more ranks
		return []int{1, 2, 3}
	}
	return []int{0, 1, 2, 3}
}

// pipelines are the schedules for so many micro-batches. gpipe is never faster than 1f1b, and takes more memory.
func (x *search) pipelines(m schema.Mesh, micro int) (list []schema.Pipeline) {
	p := x.strategy.Parallel
	schedules, chunks := []string{p.Pipeline.Schedule}, []int{max(1, p.Pipeline.Chunks)}
	if slices.Contains(p.Open, "pipeline.schedule") {
		schedules = []string{"1f1b", "zero_bubble"}
	}
	if slices.Contains(p.Open, "pipeline.chunks") {
		chunks = []int{1, 2, 3, 4}
	}
	if m.Pipeline == 1 {
		return []schema.Pipeline{{Schedule: schedules[0], Chunks: 1}}
	}
	for _, schedule := range schedules {
		for _, n := range chunks {
			if n == 1 || schedule == "1f1b" && micro%m.Pipeline == 0 && n*m.Pipeline <= x.layers {
				list = append(list, schema.Pipeline{Schedule: schedule, Chunks: n})
			}
		}
	}
	return list
}
