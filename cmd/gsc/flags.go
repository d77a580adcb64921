package main

import (
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
	f.IntVar(&o.Threads, "threads", 0, "threads in place of the strategy's `N`; they change no bit of the result")
	return o
}
