package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// peerScripts holds the peers' programs.
const peerScripts = "bench/peers"

// server is a peer's process: it answers each line with a line of JSON, so that it stays warm while gsc has its turn.
type server struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Reader
	errors bytes.Buffer
}

// serve starts a peer and reads what it says of itself.
func serve(ctx context.Context, env []string, about any, name string, args ...string) (*server, error) {
	p := &server{cmd: exec.CommandContext(ctx, name, args...)}
	p.cmd.Env = append(peerEnvironment(os.Environ()), env...)
	p.cmd.Stderr = &p.errors
	in, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.in, p.out = in, bufio.NewReader(out)
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	if err := p.answer(about); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

// ask sends a line and reads the answer.
func (p *server) ask(answer any, question ...any) error {
	if _, err := fmt.Fprintln(p.in, question...); err != nil {
		return p.failed(err)
	}
	return p.answer(answer)
}

func (p *server) answer(v any) error {
	line, err := p.out.ReadBytes('\n')
	if err != nil {
		return p.failed(err)
	}
	if err := json.Unmarshal(line, v); err != nil {
		return fmt.Errorf("%s answers %q: %w", p.cmd.Path, line, err)
	}
	return nil
}

// failed ends the process and says what it said last.
func (p *server) failed(err error) error {
	p.close()
	if said := lastLine(p.errors.String()); said != "" {
		return fmt.Errorf("%s: %s", p.cmd.Path, said)
	}
	return fmt.Errorf("%s: %w", p.cmd.Path, err)
}

// close ends the process: its input's end is its end.
func (p *server) close() {
	p.in.Close()
	_ = p.cmd.Wait() // what it has done is known already
}

// peerEnvironment takes away what would slow a peer down, tells it of the processor where it must be told, and keeps its folder clean.
func peerEnvironment(env []string) []string {
	slow := []string{"OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"}
	env = slices.DeleteFunc(slices.Clone(env), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return slices.Contains(slow, name)
	})
	if peerCore != "" {
		env = append(env, "OPENBLAS_CORETYPE="+peerCore)
	}
	return append(env, "PYTHONDONTWRITEBYTECODE=1")
}

func lastLine(text string) string {
	text = strings.TrimSpace(text)
	return text[strings.LastIndexByte(text, '\n')+1:]
}
