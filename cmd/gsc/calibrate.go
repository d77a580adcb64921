package main

import (
	"fmt"
	"os"
	"time"

	"github.com/google/renameio/v2"
	"github.com/spf13/cobra"

	"github.com/gsc-project/gsc"
	"github.com/gsc-project/gsc/compiler/plan"
)

func calibrateCommand() *cobra.Command {
	o := gsc.CalibrateOptions{}
	var output string
	cmd := &cobra.Command{
		Use:   "calibrate",
		Short: "Measure this machine, so that plans can say how long they will take on it",
		Long: `Calibrate runs every operation over a grid of sizes and writes a device profile, in some six minutes. A strategy
names it by devices: profile: "FILE", or a command by --profile FILE. Nothing else should run meanwhile.`,
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var file *renameio.PendingFile // opened before a minute is spent on measuring
			if output != "-" {
				var err error
				if file, err = pending(output); err != nil {
					return err
				}
				defer file.Cleanup()
			}
			start := time.Now()
			o.Note = func(format string, args ...any) {
				fmt.Fprintf(cmd.ErrOrStderr(), "%5.1f s  %s\n", time.Since(start).Seconds(), fmt.Sprintf(format, args...))
			}
			ctx, stop := interruptible()
			defer stop()
			p, err := gsc.Calibrate(ctx, o)
			if err != nil {
				return err
			}
			if file == nil {
				_, err = os.Stdout.Write(p.Text())
				return err
			}
			if _, err := file.Write(p.Text()); err != nil {
				return err
			}
			if err := file.CloseAtomicallyReplace(); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: profile %s of %d threads: %sFLOP/s in registers, %sB/s read from memory, %d tables, in %.0f s\n",
				output, p.Name, p.Threads, plan.FormatCount(p.PeakFlops), plan.FormatCount(p.ReadBytesPerSecond), len(p.Tables), time.Since(start).Seconds())
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVarP(&output, "output", "o", "profile.json", "write the profile to `FILE`; - writes it to standard output")
	f.StringVar(&o.Name, "name", "", "`NAME` of the profile; cpu-THREADS when left out")
	f.BoolVar(&o.Quick, "quick", false, "measure the least sizes alone: to see that it works, not to rely on")
	return cmd
}
