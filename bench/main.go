// Command bench compares gsc with its peers: PyTorch, OpenBLAS and llm.c do the same work on the same machine by turns with
// gsc, and what counts is the ratio of the medians. README.md beside it explains each row.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"
	"syscall"
)

// options are the flags.
type options struct {
	rows         string
	out          string
	measurements int
	threads      int

	gsc      string
	python   string
	torch    string
	openblas string
	llmc     string
	text     string
}

func main() {
	o := parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

func parse() options {
	var o options
	flag.StringVar(&o.rows, "rows", "*", "globs of the `ROWS` to run: "+strings.Join(names(rows), " "))
	flag.StringVar(&o.out, "out", "runs/bench", "`FOLDER` for results.md and results.json")
	flag.IntVar(&o.measurements, "n", 5, "measurements of each side at least, `N`")
	flag.IntVar(&o.threads, "threads", goruntime.NumCPU(), "`N` threads of gsc and of its peers")
	flag.StringVar(&o.gsc, "gsc", "bin/gsc", "the `PROGRAM`")
	flag.StringVar(&o.python, "python", "/usr/bin/python3", "`PYTHON` with the distribution's torch")
	flag.StringVar(&o.torch, "torch", "", "another `PYTHON`, with a newer torch; the faster of the two counts")
	flag.StringVar(&o.openblas, "openblas", firstMatch("/usr/lib/*-linux-gnu/openblas-openmp/libopenblas.so.0"), "the `LIBRARY`")
	flag.StringVar(&o.llmc, "llmc", "", "`FOLDER` of llm.c's source")
	flag.StringVar(&o.text, "text", "", "`FILE` whose characters the nanogpt row learns; random ones when left out")
	flag.Parse()
	return o
}

// run runs the rows, prints the table and writes it into the folder.
func run(ctx context.Context, o options) error {
	chosen, err := choose(rows, strings.Fields(o.rows))
	if err != nil {
		return err
	}
	s, err := newSession(ctx, o)
	if err != nil {
		return err
	}
	defer s.close()
	lines := s.measure(chosen)
	r := report{Machine: s.machine(), Lines: lines}
	fmt.Print(r.markdown())
	return errors.Join(ctx.Err(), r.write(o.out))
}

// measure runs the rows one after another. What keeps a row from running is said in its place.
func (s *session) measure(chosen []row) []line {
	var lines []line
	for _, r := range chosen {
		if s.ctx.Err() != nil {
			break
		}
		fmt.Fprintf(os.Stderr, "%s: %s\n", r.name, r.work)
		found, err := r.run(s, r)
		if err != nil {
			found = append(found, r.skipped(err.Error()))
		}
		for _, l := range found {
			fmt.Fprintln(os.Stderr, "  "+l.brief())
		}
		lines = append(lines, found...)
	}
	return lines
}

// choose takes the rows whose names match a glob, in the order of the table.
func choose(all []row, globs []string) ([]row, error) {
	for _, glob := range globs {
		if !slices.ContainsFunc(all, func(r row) bool { return matches(glob, r.name) }) {
			return nil, fmt.Errorf("no row is named %s: use %s", glob, strings.Join(names(all), ", "))
		}
	}
	var list []row
	for _, r := range all {
		if slices.ContainsFunc(globs, func(glob string) bool { return matches(glob, r.name) }) {
			list = append(list, r)
		}
	}
	if len(list) == 0 {
		return nil, errors.New("no row was named: leave -rows out for all of them")
	}
	return list, nil
}

func matches(glob, name string) bool {
	ok, err := path.Match(glob, name)
	return ok && err == nil
}

func names(all []row) []string {
	var list []string
	for _, r := range all {
		list = append(list, r.name)
	}
	return list
}

// firstMatch is the first file that a glob matches; empty when there is none.
func firstMatch(glob string) string {
	found, err := filepath.Glob(glob)
	if err != nil || len(found) == 0 {
		return ""
	}
	return found[0]
}
