package conformance

import (
	"regexp"
	"slices"

	"github.com/gsc-project/gsc/schema"
)

type limit struct {
	path    string
	message *regexp.Regexp
}

// limits are what gsc refuses on some meshes, the list of RATIONALE's "What is refused?", by the path of the refusal and what it says. A case
// that meets one is skipped; whatever else a strategy is refused for is a failure.
var limits = []limit{
	{"parallel.zero", regexp.MustCompile(`^parts of weights that are stored in bf16 are not updated by ranks apart`)},
	{"parallel.mesh.tensor", regexp.MustCompile(`^stochastic rounding takes its bits by the places`)},
	{"optimizer.kind", regexp.MustCompile(`^(muon|lamb|adafactor) looks at whole matrices`)},
	{"parallel.mesh.tensor", regexp.MustCompile(`^\d+ ranks do not divide heads = \d+$`)},
	{"parallel.mesh.data", regexp.MustCompile(`^\d+ ranks are more than the \d+ rows of a micro-batch$`)},
	{"parallel.attention", regexp.MustCompile(`^\d+ ranks do not divide \d+ (key-value heads|heads), so that these cannot be exchanged for tokens$`)},
	{"parallel.attention", regexp.MustCompile(`and a ring goes along one axis$`)},
	{"parallel.mesh.pipeline", regexp.MustCompile(`^\d+ parts are more than the \d+ layers`)},
	{"batch.micro_batches", regexp.MustCompile(`micro-batches go through the \d+ stages in whole rounds`)},
}

// beyondLimits says whether limits, and nothing else, are what an error is about.
func beyondLimits(err error) bool {
	list := schema.ErrorsOf(err)
	return len(list) > 0 && !slices.ContainsFunc(list, func(e *schema.Error) bool { return limitOf(e) < 0 })
}

// limitOf is the place of an error among the limits; -1: it is none of them.
func limitOf(e *schema.Error) int {
	return slices.IndexFunc(limits, func(l limit) bool { return e.Path == l.path && l.message.MatchString(e.Message) })
}
