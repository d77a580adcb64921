package plugins_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/gsc-project/gsc/kernels"
	"github.com/gsc-project/gsc/kernels/cpu"
	"github.com/gsc-project/gsc/plugins"
)

var ctx = context.Background()

func newHost(t testing.TB) *plugins.Host {
	t.Helper()
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	h, err := plugins.NewHost(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

func load(t testing.TB, h *plugins.Host, name string) *plugins.Plugin {
	t.Helper()
	wasm, err := os.ReadFile("../examples/plugin-losses/" + name)
	if err != nil {
		t.Fatal(err)
	}
	p, err := h.Load(ctx, name, wasm, plugins.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func tensor[T any](data []T, dtype kernels.DType, shape ...int) kernels.Tensor {
	return kernels.Tensor{Data: unsafe.Pointer(unsafe.SliceData(data)), DType: dtype, Shape: shape}
}

// alone is a spread over one worker, and among over several, who take pieces in any order.
func alone(pieces int, job func(piece, worker int)) {
	for p := range pieces {
		job(p, 0)
	}
}

func among(workers int) plugins.Spread {
	return func(pieces int, job func(piece, worker int)) {
		var wait sync.WaitGroup
		next := make(chan int)
		for w := range workers {
			wait.Go(func() {
				for p := range next {
					job(p, w)
				}
			})
		}
		for _, p := range rand.Perm(pieces) {
			next <- p
		}
		close(next)
		wait.Wait()
	}
}

// batch is rows of random logits, some of whose labels are not scored.
type batch struct {
	rows, classes   int
	logits, weights []float32
	labels          []int32
	loss, gradient  []float32
	total, scale    float64
}

func newBatch(rows, classes int) *batch {
	b := &batch{rows: rows, classes: classes, logits: make([]float32, rows*classes), weights: make([]float32, rows), labels: make([]int32, rows),
		loss: make([]float32, rows), gradient: make([]float32, rows*classes), total: 17, scale: 3}
	r := rand.New(rand.NewPCG(1, 2))
	for i := range b.logits {
		b.logits[i] = float32(r.NormFloat64() * 3)
	}
	for i := range b.labels {
		b.labels[i], b.weights[i] = int32(r.IntN(classes)), float32(r.IntN(3))/2
	}
	for i := 0; i < rows; i += 5 {
		b.labels[i] = -100
	}
	return b
}

func (b *batch) bind() plugins.Rows {
	return plugins.Rows{Logits: tensor(b.logits, kernels.F32, b.rows, b.classes), Labels: tensor(b.labels, kernels.I32, b.rows), Weights: tensor(b.weights, kernels.F32, b.rows),
		Ignore: -100, Loss: tensor(b.loss, kernels.F32, b.rows), Gradient: tensor(b.gradient, kernels.F32, b.rows, b.classes), Total: &b.total, Scale: &b.scale}
}

// run computes the loss of a batch by a plugin.
func (b *batch) run(t testing.TB, p *plugins.Plugin, params string, workers int, spread plugins.Spread) {
	t.Helper()
	l, err := p.NewLoss(ctx, []byte(params), b.classes, 1, workers)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := l.Bind(b.bind(), spread)(); err != nil {
		t.Fatal(err)
	}
}

// want is the focal loss of a row in float64, and its gradient; γ = 0 makes it the cross entropy.
func (b *batch) want(row int, gamma float64) (loss float64, gradient []float64) {
	z, y := b.logits[row*b.classes:][:b.classes], b.labels[row]
	gradient = make([]float64, b.classes)
	if y < 0 {
		return 0, gradient
	}
	top, total := float64(slices.Max(z)), 0.0
	for _, v := range z {
		total += math.Exp(float64(v) - top)
	}
	log := float64(z[y]) - top - math.Log(total)
	p, q := math.Exp(log), -math.Expm1(log)
	slope := math.Pow(q, gamma)
	if gamma > 0 {
		slope -= gamma * math.Pow(q, gamma-1) * p * log
	}
	for v := range z {
		gradient[v] = slope * math.Exp(float64(z[v])-top) / total
	}
	gradient[y] = -slope * q
	return -math.Pow(q, gamma) * log, gradient
}

func TestLossesOfTheExamples(t *testing.T) {
	h := newHost(t)
	type trial struct {
		file, params string
		gamma        float64
		classes      int
	}
	trials := []trial{{"cross_entropy.wasm", "{}", 0, 1001}, {"cross_entropy.wasm", "{}", 0, 50257},
		{"focal.wasm", `{"gamma":2}`, 2, 33}, {"focal.wasm", `{"gamma":0.5}`, 0.5, 33}, {"focal.wasm", `{"gamma":0}`, 0, 300}}
	for classes := 1; classes <= 2*64+4; classes++ { // turns of 64, of 4, and what is left
		trials = append(trials, trial{"cross_entropy.wasm", "{}", 0, classes})
	}
	for _, c := range trials {
		b := newBatch(23, c.classes)
		b.run(t, load(t, h, c.file), c.params, 1, alone)
		for row := range b.rows {
			loss, gradient := b.want(row, c.gamma)
			if d := math.Abs(float64(b.loss[row]) - loss); d > 2e-6*(1+loss) {
				t.Errorf("%s%s, %d classes, row %d: loss %g, want %g", c.file, c.params, c.classes, row, b.loss[row], loss)
			}
			k := b.scale * float64(b.weights[row]) / b.total
			for v, g := range gradient {
				if got := float64(b.gradient[row*c.classes+v]); math.Abs(got-k*g) > 2e-6*k*(math.Abs(g)+1e-3) {
					t.Fatalf("%s%s, %d classes, row %d: gradient %d is %g, want %g", c.file, c.params, c.classes, row, v, got, k*g)
				}
			}
		}
	}
}

// TestThreadsChangeNoBit: whoever computes which chunk, the bits are the same.
func TestThreadsChangeNoBit(t *testing.T) {
	h := newHost(t)
	p := load(t, h, "focal.wasm")
	first := newBatch(1500, 257)
	first.run(t, p, `{"gamma":1.5}`, 1, alone)
	for _, workers := range []int{2, 4} {
		b := newBatch(1500, 257)
		b.run(t, p, `{"gamma":1.5}`, workers, among(workers))
		if !slices.Equal(b.loss, first.loss) || !slices.Equal(b.gradient, first.gradient) {
			t.Errorf("with %d workers the bits differ", workers)
		}
	}
}

// TestLogitsThatAreNotFinite: the model's, not the plugin's mistake. Their rows have no loss, and the others theirs.
func TestLogitsThatAreNotFinite(t *testing.T) {
	h := newHost(t)
	b := newBatch(6, 9)
	b.logits[2*9+8], b.logits[3*9+1] = float32(math.NaN()), float32(math.Inf(1))
	b.run(t, load(t, h, "cross_entropy.wasm"), "{}", 1, alone)
	for row, l := range b.loss {
		if bad := row == 2 || row == 3; bad != math.IsNaN(float64(l)) || bad != math.IsNaN(float64(b.gradient[row*9])) {
			t.Errorf("row %d: loss %g, gradient %g", row, l, b.gradient[row*9])
		}
	}
}

// TestNothingIsAllocated: not by a call.
func TestNothingIsAllocated(t *testing.T) {
	h := newHost(t)
	p := load(t, h, "cross_entropy.wasm")
	l, err := p.NewLoss(ctx, []byte("{}"), 257, 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	run := l.Bind(newBatch(300, 257).bind(), alone)
	if n := testing.AllocsPerRun(20, func() {
		if err := run(); err != nil {
			t.Error(err)
		}
	}); n > 0 {
		t.Errorf("a call allocates %g times", n)
	}
}

// BenchmarkLoss is the example's cross entropy with everything around it, on one core, with the loops of the cpu device.
func BenchmarkLoss(b *testing.B) {
	for _, classes := range []int{50257} {
		h := newHost(b)
		rows := max(8, 4096/classes)
		l, err := load(b, h, "cross_entropy.wasm").NewLoss(ctx, []byte("{}"), classes, 1, 1)
		if err != nil {
			b.Fatal(err)
		}
		device, err := cpu.New(1)
		if err != nil {
			b.Fatal(err)
		}
		defer device.Close()
		bound := newBatch(rows, classes).bind()
		bound.Vectors = device
		run := l.Bind(bound, alone)
		least := time.Hour
		for b.Loop() {
			start := time.Now()
			if err := run(); err != nil {
				b.Fatal(err)
			}
			least = min(least, time.Since(start))
		}
		scored := float64(rows-(rows+4)/5) * float64(classes)
		b.ReportMetric(float64(least.Nanoseconds())/scored, "least-ns/element")
	}
}

// idle are no loops: what is left is the guest's own.
type idle struct{}

func (idle) Carry(_, _ []float32, _ float32, _ bool) bool { return true }

// BenchmarkLossAgainstNative is the cross entropy over [1024 × 50257] with everything around it, beside the same source compiled for this processor with vectors of 128 bits, by turns: what
// counts is the ratio. The guest's is that of a call on one row without what is around it. With -short it takes fewer rows.
func BenchmarkLossAgainstNative(b *testing.B) {
	if _, err := exec.LookPath("clang"); err != nil || goruntime.GOARCH != "amd64" {
		b.Skip("clang, and a processor of the family amd64, are not here")
	}
	rows, classes := 1024, 50257
	if testing.Short() {
		rows = 64
	}
	program := filepath.Join(b.TempDir(), "native")
	source, _ := filepath.Abs("../examples/plugin-losses/cross_entropy.c")
	build := exec.Command("clang", "-O3", "-msse4.2", "-I", "testdata/native", "-I", "../sdk/c", fmt.Sprintf("-DSOURCE=%q", source), "-o", program, "testdata/native/main.c")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	l, err := load(b, newHost(b), "cross_entropy.wasm").NewLoss(ctx, []byte("{}"), classes, 1, 1)
	if err != nil {
		b.Fatal(err)
	}
	device, err := cpu.New(1)
	if err != nil {
		b.Fatal(err)
	}
	defer device.Close()
	batch := newBatch(rows, classes)
	for i := range batch.labels {
		batch.labels[i] = int32(i * 7919 % classes)
	}
	bound := batch.bind()
	bound.Vectors = device
	run, least, native, guest := l.Bind(bound, alone), math.Inf(1), math.Inf(1), math.Inf(1)
	one := newBatch(1, classes)
	one.labels[0] = 0
	bound = one.bind()
	bound.Vectors = idle{}
	call := l.Bind(bound, alone)
	for b.Loop() {
		out, err := exec.Command(program, strconv.Itoa(rows), strconv.Itoa(classes)).Output()
		if err != nil {
			b.Fatal(err)
		}
		var took, total float64
		if _, err := fmt.Sscan(string(out), &took, &total); err != nil || !(total > 0) {
			b.Fatalf("%q: %v", out, err)
		}
		native = min(native, took)
		for range 3 {
			start := time.Now()
			if err := run(); err != nil {
				b.Fatal(err)
			}
			least = min(least, float64(time.Since(start).Nanoseconds())/float64(rows*classes))
		}
		for range 200 {
			start := time.Now()
			if err := call(); err != nil {
				b.Fatal(err)
			}
			guest = min(guest, float64(time.Since(start).Nanoseconds())/float64(classes))
		}
	}
	b.ReportMetric(guest, "guest-ns/element")
	b.ReportMetric(guest/native, "guest-ratio")
	b.ReportMetric(least, "least-ns/element")
	b.ReportMetric(native, "native-ns/element")
	b.ReportMetric(least/native, "ratio")
}

// BenchmarkCall is what a call of a loss takes beside its work: one row of one class.
func BenchmarkCall(b *testing.B) {
	h := newHost(b)
	l, err := load(b, h, "huber.wasm").NewLoss(ctx, []byte(`{"delta":1}`), 1, 1, 1)
	if err != nil {
		b.Fatal(err)
	}
	run := l.Bind(plugins.Rows{Logits: tensor([]float32{1}, kernels.F32, 1, 1), Targets: tensor([]float32{0}, kernels.F32, 1, 1), Loss: tensor([]float32{0}, kernels.F32, 1),
		Gradient: tensor([]float32{0}, kernels.F32, 1, 1)}, alone)
	for b.Loop() {
		if err := run(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkHostToGuest is what it takes to get into a guest and out again, with bounds on and a status looked at: the cross entropy's init does nothing.
func BenchmarkHostToGuest(b *testing.B) {
	call, closing, err := load(b, newHost(b), "cross_entropy.wasm").Caller(ctx)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := call(); err != nil {
			b.Fatal(err)
		}
	}
	if err := closing(); err != nil {
		b.Fatal(err)
	}
}
