package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// llm.c's own file formats, as train_gpt2.c reads them: 256 int32, then the values.
const (
	llmcHeader     = 256
	llmcCheckpoint = 20240326
	llmcTokens     = 20240520
	llmcContext    = 1024
	llmcPadded     = 50304 // rows of the embedding
	llmcFactor     = 4
	llmcWarm       = 1 // steps that are not counted
)

// llmC runs llm.c's train_gpt2.c between two halves of gsc's steps of the same shapes.
func llmC(s *session, r row) ([]line, error) {
	if s.llmc == "" {
		return nil, errors.New("no llm.c: name the folder of its source by -llmc (make: LLMC=FOLDER)")
	}
	dir := s.path("llmc")
	defer os.RemoveAll(dir)
	program, err := s.buildLLMC(dir)
	if err != nil {
		return nil, err
	}
	m := gpt2(64)
	l := r.line("tokens/s")
	var peer []float64
	var p peaks
	half := s.stepSide(m.task, (s.measurements+1)/2, &p)
	samples, err := interleave(1, half, func() ([]float64, error) { peer, err = s.runLLMC(m, program, dir); return peer, err }, half)
	if err != nil {
		return nil, err
	}
	seconds := append(samples[0], samples[2]...)
	l.compare(over(m.tokens(), seconds), over(m.tokens(), peer))
	l.ofPeak(m.flops(), seconds, p)
	l.Verdict = verdictOf(l.Ratio >= llmcFactor)
	return []line{l}, nil
}

// buildLLMC compiles llm.c as its Makefile does, and writes the files it reads.
func (s *session) buildLLMC(dir string) (string, error) {
	data := filepath.Join(dir, "dev/data/tinyshakespeare")
	if err := os.MkdirAll(data, 0o777); err != nil {
		return "", err
	}
	program := filepath.Join(dir, "train_gpt2")
	source := filepath.Join(s.llmc, "train_gpt2.c")
	cc := exec.CommandContext(s.ctx, "gcc", "-Ofast", "-march=native", "-fopenmp", "-Wno-unused-result", source, "-o", program, "-lm")
	if out, err := cc.CombinedOutput(); err != nil {
		return "", fmt.Errorf("gcc %s: %w: %s", source, err, lastLine(string(out)))
	}
	for _, split := range []string{"train", "val"} {
		if err := os.WriteFile(filepath.Join(data, "tiny_shakespeare_"+split+".bin"), llmcData(), 0o666); err != nil {
			return "", err
		}
	}
	return program, writeCheckpoint(filepath.Join(dir, "gpt2_124M.bin"))
}

func llmcHead(values ...int32) []byte {
	var head [llmcHeader]int32
	copy(head[:], values)
	out, _ := binary.Append(nil, binary.LittleEndian, head[:]) // of a fixed size: it cannot fail
	return out
}

func llmcData() []byte {
	return append(llmcHead(llmcTokens, 1, tokens), littleEndian(ids(tokens, vocabulary))...)
}

// writeCheckpoint writes GPT-2 124M with random weights in the order of llm.c.
func writeCheckpoint(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	const L, C = 12, 768
	w.Write(llmcHead(llmcCheckpoint, 3, llmcContext, vocabulary, L, 12, C, llmcPadded)) // a writer keeps its first error for Flush
	r := rand.New(rand.NewPCG(1, 1))
	for _, part := range []struct {
		elements int
		std, add float64
	}{
		{vocabulary * C, 0.02, 0}, {(llmcPadded - vocabulary) * C, 0, 0}, {llmcContext * C, 0.02, 0},
		{L * C, 0, 1}, {L * C, 0, 0}, {L * 3 * C * C, 0.02, 0}, {L * 3 * C, 0, 0}, {L * C * C, 0.02, 0}, {L * C, 0, 0},
		{L * C, 0, 1}, {L * C, 0, 0}, {L * 4 * C * C, 0.02, 0}, {L * 4 * C, 0, 0}, {L * 4 * C * C, 0.02, 0}, {L * C, 0, 0}, {C, 0, 1}, {C, 0, 0},
	} {
		writeNormal(w, r, part.elements, part.std, part.add)
	}
	return errors.Join(w.Flush(), f.Close())
}

func writeNormal(w io.Writer, r *rand.Rand, n int, std, add float64) {
	var raw [4]byte
	for range n {
		v := add
		if std > 0 {
			v += std * r.NormFloat64()
		}
		binary.LittleEndian.PutUint32(raw[:], math.Float32bits(float32(v)))
		w.Write(raw[:])
	}
}

// runLLMC runs llm.c until it has taken enough steps, and gives the seconds of each but the first.
func (s *session) runLLMC(m model, program, dir string) ([]float64, error) {
	cmd := exec.CommandContext(s.ctx, program)
	cmd.Dir = dir
	cmd.Env = append(peerEnvironment(os.Environ()), fmt.Sprintf("OMP_NUM_THREADS=%d", s.threads), "OMP_PROC_BIND=true")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }() // it would go on for long
	losses, seconds := llmcSteps(out, llmcWarm+s.measurements)
	if len(seconds) <= llmcWarm {
		return nil, fmt.Errorf("llm.c took no steps: %s", lastLine(stderr.String()))
	}
	return seconds[llmcWarm:], m.checkLoss("llm.c", losses[0])
}

// llmcSteps reads steps from what llm.c prints.
func llmcSteps(out io.Reader, n int) (losses, seconds []float64) {
	for lines := bufio.NewScanner(out); len(seconds) < n && lines.Scan(); {
		var step int
		var loss, ms float64
		if at := strings.Index(lines.Text(), "step "); at < 0 {
			continue
		} else if _, err := fmt.Sscanf(lines.Text()[at:], "step %d: train loss %g (took %g ms)", &step, &loss, &ms); err == nil {
			losses, seconds = append(losses, loss), append(seconds, ms/1e3)
		}
	}
	return losses, seconds
}
