package gsc

import (
	"context"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/compress"
	"github.com/gsc-project/gsc/plugins"
	"github.com/gsc-project/gsc/plugins/abi"
	"github.com/gsc-project/gsc/schema"
)

// withPolicies is the strategy with what the modules of its compression policies say of themselves.
func (ms *modules) withPolicies(s *schema.Strategy) (*schema.Strategy, error) {
	for i, rule := range s.Compress {
		if rule.Plugin == nil {
			continue
		}
		m, err := ms.lookAt(s, rule.Plugin, abi.PolicyKind)
		if err == nil {
			s, err = s.WithPolicy(i, m)
		}
		if err != nil {
			return nil, err
		}
	}
	return s, nil
}

// declare asks a policy about a weight, once, however many plans are tried.
func (ms *modules) declare(p *schema.Plugin, t compress.Tensor) (compress.Declaration, error) {
	q := declaring{loading{p.File, limitsOf(&p.Plugin), string(p.Params)}, t.Name}
	if d, ok := ms.declared[q]; ok {
		return d, nil
	}
	policy, err := ms.policy(&p.Plugin, q.loading)
	if err != nil {
		return compress.Declaration{}, err
	}
	d, err := policy.Declare(t)
	if err == nil {
		ms.declared[q] = d
	}
	return d, err
}

func (ms *modules) policy(p *plan.Plugin, key loading) (*plugins.Policy, error) {
	if ms.policies[key] != nil {
		return ms.policies[key], nil
	}
	module, err := ms.load(p)
	if err != nil {
		return nil, err
	}
	policy, err := module.NewPolicy(context.Background(), p.Params, 0)
	if err == nil {
		ms.policies[key] = policy
	}
	return policy, err
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
