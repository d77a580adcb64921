package gsc

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/gsc-project/gsc/compiler"
	"github.com/gsc-project/gsc/compiler/plan"
	"github.com/gsc-project/gsc/schema"
)

// measuredProfile is the profile of a file that the options or else the strategy name; nil when neither does.
func measuredProfile(s *schema.Strategy, o Options) (*compiler.Profile, error) {
	if o.Profile != "" {
		return o.profile(s.Devices.Kind)
	}
	if !compiler.IsProfileFile(s.Devices.Profile) {
		return nil, nil
	}
	p, err := readProfile(s.Devices.Profile, s.Devices.Kind)
	var wrong *compiler.ProfileError
	if !errors.As(err, &wrong) {
		return p, err
	}
	at := *s.Wrong("devices.profile", filepath.Base(wrong.File)+": "+wrong.Message, "gsc calibrate -o "+filepath.Base(wrong.File)+" writes a new one")
	if wrong.Line > 0 {
		at.At = append(at.At, s.At(wrong.File, wrong.Line, wrong.Column))
	}
	return nil, &at
}

// profile is that of the file that the options name; nil when they name none.
func (o Options) profile(kind string) (*compiler.Profile, error) {
	if o.Profile == "" {
		return nil, nil
	}
	p, err := readProfile(o.Profile, kind)
	if err != nil {
		return nil, fmt.Errorf("--profile: %w", err)
	}
	return p, nil
}

// readProfile reads a profile of a device kind.
func readProfile(path, kind string) (*compiler.Profile, error) {
	p, err := compiler.ReadProfile(path)
	if err == nil && p.Kind != kind {
		err = &compiler.ProfileError{File: path, Message: fmt.Sprintf("it is of device kind %s, the plan is for %s", p.Kind, kind)}
	}
	return p, err
}

// profile is what prices the plan of what is given: that of a file, one of the strategy's own, or a built-in one.
func (g *given) profile(p *plan.Plan) (*compiler.Profile, error) {
	if g.strategy == nil {
		found, err := g.options.profile(p.Device)
		if found == nil && err == nil {
			found = compiler.BuiltIn(p.Device, p.Estimate.Profile)
		}
		return found, err
	}
	if found, err := measuredProfile(g.strategy, g.options); found != nil || err != nil {
		return found, err
	}
	return compiler.ProfileOf(g.strategy)
}
