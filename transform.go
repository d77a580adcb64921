package gsc

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/plugins"
	"github.com/gsc-project/gsc/plugins/abi"
	"github.com/gsc-project/gsc/record"
	"github.com/gsc-project/gsc/runtime/data"
	"github.com/gsc-project/gsc/schema"
)

// withTransforms is the strategy with what the modules of its data's transforms say of themselves.
func (ms *modules) withTransforms(s *schema.Strategy) (*schema.Strategy, error) {
	if len(s.Transforms) == 0 {
		return s, nil
	}
	list := make([]schema.Module, len(s.Transforms))
	for i := range s.Transforms {
		var err error
		if list[i], err = ms.lookAt(s, &s.Transforms[i].Plugin, abi.TransformKind); err != nil {
			return nil, err
		}
	}
	return s.WithTransforms(list)
}

// transforms runs those that data go through.
type transforms struct {
	host    *pluginHost
	plugins func(name string) *plan.Plugin
	seed    uint64
	workers int // that records are shared out among
}

// Seed is the run's.
func (t *transforms) Seed() uint64 { return t.seed }

// find is a plugin that was loaded.
func (t *transforms) find(name string) (*plugins.Plugin, *plan.Plugin, error) {
	p := t.plugins(name)
	if p == nil || t.host == nil || t.host.loaded[name] == nil {
		return nil, nil, fmt.Errorf("the plan has no plugin %q", name)
	}
	return t.host.loaded[name], p, nil
}

// Records makes a transform of records.
func (t *transforms) Records(which plan.Transform) (record.Transform, error) {
	module, p, err := t.find(which.Plugin)
	if err != nil {
		return nil, err
	}
	made, err := module.NewRecords(context.Background(), p.Params, t.workers)
	if err != nil {
		return nil, err
	}
	return made, nil
}

// Rows makes a transform of rows. Its instances live as long as the host.
func (t *transforms) Rows(which plan.Transform, length int) (record.RowTransform, error) {
	module, p, err := t.find(which.Plugin)
	if err != nil {
		return nil, err
	}
	made, err := module.NewRows(context.Background(), p.Params, length)
	if err != nil {
		return nil, err
	}
	return made, nil
}

// strategyTransforms are those of a strategy whose modules were looked at; the closer frees them.
func strategyTransforms(s *schema.Strategy) (data.Transforms, io.Closer, error) {
	var list []plan.Plugin
	for _, t := range s.Transforms {
		list = append(list, t.Plugin.Plugin)
	}
	host, err := loadPlugins("", s.Data.Base, list)
	if err != nil {
		return nil, nil, err
	}
	made := &transforms{host: host, plugins: (&plan.Plan{Plugins: list}).Plugin, seed: s.Seed, workers: processors(s.Devices.Threads)}
	return made, host.host, nil
}

// openData opens the data of the session's plan, with the transforms that they go through.
func (s *session) openData(threads int) (err error) {
	if len(s.plan.Data.Transforms) == 0 {
		s.set, err = data.Open(s.plan.Data)
		return err
	}
	if err := s.openPlugins(); err != nil {
		return err
	}
	s.set, err = data.OpenWith(s.plan.Data, &transforms{host: s.plugins, plugins: s.plan.Plugin, seed: s.plan.Training.Seed, workers: processors(threads)})
	return err
}

// OpenData opens the data of a plan, with the transforms that they go through, whose modules lie in the folder of a run or where the strategy had them. What it gives besides frees these.
func OpenData(p *plan.Plan, run string, threads int) (*data.Set, io.Closer, error) {
	s := &session{plan: p, modules: run}
	if err := s.openData(threads); err != nil {
		return nil, nil, errors.Join(err, s.Close())
	}
	return s.set, s, nil
}
