package main

import (
	"errors"
	"fmt"
	"math"

	"github.com/spf13/cobra"

	"github.com/gsc-project/gsc"
)

// strategyFlags adds the flags of every command that loads a strategy.
func strategyFlags(cmd *cobra.Command) *gsc.Options {
	o := &gsc.Options{}
	f := cmd.Flags()
	f.StringArrayVarP(&o.Tags, "tag", "t", nil, "value of a @tag of the strategy, as `KEY=VALUE`; may be repeated")
	f.StringArrayVar(&o.Set, "set", nil, "replace a value of the strategy, as `PATH=VALUE`, the value in CUE; may be repeated")
	f.StringVar(&o.Device, "device", "", "device `KIND` in place of the strategy's: cpu or ref")
	f.StringVar(&o.Profile, "profile", "", "device profile `FILE` that estimates use in place of the strategy's; it changes no bit of the result")
	f.IntVar(&o.Threads, "threads", 0, "threads in place of the strategy's `N`; they change no bit of the result")
	return o
}

// usage adds to what is wrong with a command's arguments how it is used.
func usage(cmd *cobra.Command, err error) error {
	return fmt.Errorf("%w\nusage: %s", err, cmd.UseLine())
}

// exactly, between and atLeast want so many arguments.
func exactly(n int) cobra.PositionalArgs { return between(n, n) }

func atLeast(n int) cobra.PositionalArgs { return between(n, math.MaxInt) }

func between(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch n := len(args); {
		case n < least:
			return usage(cmd, errors.New("an argument is missing"))
		case n > most:
			return usage(cmd, fmt.Errorf("%q is one argument too many", args[most]))
		}
		return nil
	}
}
