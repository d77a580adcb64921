package gsc

import (
	"context"
	"errors"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/compress"
	"github.com/gsc-project/gsc/plugins"
	"github.com/gsc-project/gsc/plugins/abi"
	"github.com/gsc-project/gsc/schema"
)

// withPolicies is the strategy with what the modules of its compression policies say of themselves.
func withPolicies(host *plugins.Host, s *schema.Strategy) (*schema.Strategy, error) {
	for i, rule := range s.Compress {
		if rule.Plugin == nil {
			continue
		}
		m, err := lookAt(host, s, rule.Plugin, abi.PolicyKind)
		if err == nil {
			s, err = s.WithPolicy(i, m)
		}
		if err != nil {
			return nil, err
		}
	}
	return s, nil
}

// declarations asks the policies of a strategy about weights, each once, however many plans are tried.
func declarations(base string) func(*schema.Plugin, compress.Tensor) (compress.Declaration, error) {
	type question struct{ plugin, params, tensor string }
	known := map[question]compress.Declaration{}
	return func(p *schema.Plugin, t compress.Tensor) (d compress.Declaration, err error) {
		q := question{p.Digest, string(p.Params), t.Name}
		if d, ok := known[q]; ok {
			return d, nil
		}
		made, err := loadPlugins("", base, []plan.Plugin{p.Plugin})
		if err != nil {
			return d, err
		}
		defer func() { err = errors.Join(err, made.host.Close()) }()
		policy, err := made.loaded[p.Name].NewPolicy(context.Background(), p.Params, 0)
		if err != nil {
			return d, err
		}
		if d, err = policy.Declare(t); err == nil {
			known[q] = d
		}
		return d, errors.Join(err, policy.Close())
	}
}

// Policy makes a plugin's policy for the rank.
func (h *rankPlugins) Policy(p *plan.Plugin, steps int64) (compress.Policy, error) {
	if made := h.policies[p.Name]; made != nil {
		return made, nil
	}
	made, err := h.loaded[p.Name].NewPolicy(context.Background(), p.Params, steps)
	if err == nil {
		h.policies[p.Name] = made
	}
	return made, err
}
