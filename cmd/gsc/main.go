// Command gsc validates, plans and runs training strategies.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/gsc-project/gsc"
)

func main() {
	// Arenas lie outside the heap; what is in it is the data, once, and little else. Collecting early keeps
	// the process near what its plan predicts.
	debug.SetGCPercent(20)
	err := gsc.Join()
	if err == nil {
		err = root().Execute()
	}
	if gsc.Leave(err, tell) != nil {
		os.Exit(1)
	}
}

// tell says why the program ends.
func tell(err error) {
	if errors.Is(err, context.Canceled) {
		err = errors.New("interrupted")
	}
	var status exitStatus
	if errors.As(err, &status) {
		os.Exit(int(status))
	}
	if !errors.Is(err, errQuiet) {
		fmt.Fprintln(os.Stderr, "gsc:", err)
	}
}

// together marks the commands that the processes of a job do together, each for one rank.
var together = map[string]string{"together": "true"}

// errQuiet ends the program with status 1 after everything was said.
var errQuiet = errors.New("")

// exitStatus ends the program with a status after everything was said.
type exitStatus int

func (s exitStatus) Error() string { return fmt.Sprintf("status %d", int(s)) }

// interruptible is a context for what ends cleanly when it is interrupted, or
// asked to terminate. A second signal ends the process at once.
func interruptible() (ctx context.Context, stop context.CancelFunc) {
	ctx, stop = signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}

func root() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "gsc",
		Short: "Train transformers by a plan that is known before the first step",
		Long: `gsc compiles a training strategy, written in CUE, into an explicit execution plan,
and runs that plan. What gsc plan shows is what gsc train does.`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	cmd.CompletionOptions.HiddenDefaultCmd = true
	cmd.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		if gsc.Joined() && len(cmd.Annotations) == 0 {
			return fmt.Errorf("%s is done by one process: start it without mpirun", cmd.CommandPath())
		}
		return nil
	}
	if !gsc.First() {
		cmd.SetOut(io.Discard)
	}
	cmd.SetFlagErrorFunc(usage)
	cmd.AddCommand(vetCommand(), planCommand(), trainCommand(), submitCommand(), benchCommand(), calibrateCommand(), evalCommand(), generateCommand(), exportCommand(), schemaCommand(), pluginCommand(), conformanceCommand())
	return cmd
}
