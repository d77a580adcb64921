//go:build mpi

package mpi

// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"encoding/json"
	"errors"
	"fmt"
	goruntime "runtime"
	"syscall"
	"time"
	"unsafe"
)

// Kinds of notes.
const (
	asks   = "asks"
	tells  = "tells"
	fails  = "fails"
	most   = 2000 // bytes of a note: MPI takes it along at once, though nobody waits for it
	rest   = 5 * time.Millisecond
	looks  = 50 * time.Millisecond // between looks at the other ranks
	dozing = 500 * time.Millisecond
)

// note is what a rank writes to another about the job.
type note struct {
	Kind     string
	Rank     int    // whom it is of
	Progress int64  `json:",omitempty"`
	At       string `json:",omitempty"` // what it is at; empty: at nothing that has a deadline
	Waits    int    // the rank that its steps wait for; −1: none
	Gone     bool   `json:",omitempty"` // it will not speak
	Text     string `json:",omitempty"` // why it fails
}

// sent is a note on its way.
type sent struct {
	memory  unsafe.Pointer // of C: the request, then the bytes
	request *C.MPI_Request
}

// heard is what a rank told last.
type heard struct {
	note
	asked, when time.Time // zero: not yet
	since       time.Time // when its progress was first seen
}

// send writes a note to a rank, which may never read it.
func (w *World) send(n note, rank int) {
	if len(n.Text) > most/2 {
		n.Text = n.Text[:most/2] + " …"
	}
	text, err := json.Marshal(n)
	if err != nil {
		panic(err) // strings and numbers always marshal
	}
	var request C.MPI_Request
	head := int(unsafe.Sizeof(request))
	s := &sent{memory: C.calloc(C.size_t(head+len(text)), 1)}
	s.request = (*C.MPI_Request)(s.memory)
	at := unsafe.Add(s.memory, head)
	copy(unsafe.Slice((*byte)(at), len(text)), text)
	if C.gsc_note(at, C.int(len(text)), C.int(rank), s.request) == C.MPI_SUCCESS {
		w.notes = append(w.notes, s)
	}
}

// read takes the notes that came, and gives up those that arrived.
func (w *World) read() {
	kept := w.notes[:0]
	for _, s := range w.notes {
		var done C.int
		if C.gsc_done(1, s.request, &done) == C.MPI_SUCCESS && done == 0 {
			kept = append(kept, s)
			continue
		}
		C.free(s.memory)
	}
	w.notes = kept
	for {
		var length C.int
		if C.gsc_noted(unsafe.Pointer(&w.room[0]), C.int(len(w.room)), &length) != C.MPI_SUCCESS || length < 0 {
			return
		}
		var n note
		if json.Unmarshal(w.room[:length], &n) == nil {
			w.take(n)
		}
	}
}

// take does what a note asks for.
func (w *World) take(n note) {
	switch n.Kind {
	case asks:
		w.send(w.told(), n.Rank)
	case tells:
		h := w.heard[n.Rank]
		now := time.Now()
		if h.when.IsZero() || n.Progress != h.Progress {
			h.since = now
		}
		h.note, h.when = n, now
		w.heard[n.Rank] = h
	case fails:
		w.gone[n.Rank] = w.gone[n.Rank] || n.Gone
		w.fail(n.Rank, errors.New(n.Text))
	}
}

// told is what this rank tells of itself.
func (w *World) told() note {
	n := note{Kind: tells, Rank: w.rank, Waits: -1}
	if w.options.Look != nil {
		n.Progress, n.At = w.options.Look()
	}
	if b := w.waiting.Load(); b != nil && !(b.group.patient && n.At != "") { // files are saved beside the steps
		n.Waits = w.missing(b)
	}
	return n
}

// missing is the rank that a call waits for, or the one under way in its group does.
func (w *World) missing(b *bound) int {
	if len(b.group.queue) == 0 {
		return -1
	}
	return b.group.queue[0].missing()
}

// serve starts MPI and ends it, on one thread, and meanwhile gets calls on and looks after the other ranks.
func (w *World) serve(begun chan<- error) {
	goruntime.LockOSThread()
	err := w.begin()
	begun <- err
	if err != nil {
		return
	}
	idle := time.NewTimer(rest)
	var looked time.Time
	for {
		w.mu.Lock()
		w.poll()
		busy := len(w.active) > 0 && w.waiters.Load() == 0
		if now := time.Now(); now.Sub(looked) > rest {
			w.read()
			if now.Sub(looked) > looks {
				if now.Sub(looked) > 4*dozing {
					clear(w.heard) // this process was stopped, and may not count the others' silence
				}
				looked = now
				w.watch(now)
			}
		}
		w.mu.Unlock()
		if busy {
			time.Sleep(nap)
			continue
		}
		idle.Reset(rest)
		select {
		case <-w.leave:
			w.mu.Lock()
			w.finished <- wrong(C.gsc_finalize())
			return
		case <-w.wake:
		case <-idle.C:
		}
	}
}

// watch looks for ranks that are gone, and after the one that this rank's steps wait for.
func (w *World) watch(now time.Time) {
	if w.failure.Load() != nil && w.speaker() != w.rank || w.ends.Load() {
		return
	}
	for r, h := range w.places {
		if !w.gone[r] && r != w.rank && h.name == w.places[w.rank].name && errors.Is(syscall.Kill(int(h.pid), 0), syscall.ESRCH) {
			w.gone[r] = true
			w.fail(r, fmt.Errorf("it was killed, or ended without a word%s", w.mine()))
		}
	}
	b := w.waiting.Load()
	if b == nil || now.Sub(b.begun) < dozing || w.failure.Load() != nil {
		return
	}
	if len(b.group.queue) > 0 {
		if err := b.group.queue[0].agree(); err != nil {
			w.fail(w.rank, err)
			return
		}
	}
	if first := w.missing(b); first >= 0 {
		w.suspect(b, w.idle(first, now), now)
	}
}

// mine says what this rank is at meanwhile.
func (w *World) mine() string {
	if w.options.Look == nil {
		return ""
	}
	_, at := w.options.Look()
	if at == "" {
		return fmt.Sprintf("; rank %d was between steps", w.rank)
	}
	return fmt.Sprintf("; rank %d was at %s", w.rank, at)
}

// idle is the rank that this one waits for in the end, by what they told, beginning with one. All on the way are asked again.
func (w *World) idle(rank int, now time.Time) int {
	for range w.size {
		h := w.heard[rank]
		if now.Sub(h.asked) > dozing/2 {
			if h.asked.IsZero() || now.Sub(h.when) > 4*dozing && now.Sub(h.asked) > 4*dozing {
				h.when, h.since = now, now // asked after a pause: silence counts from now on
			}
			h.asked = now
			w.send(note{Kind: asks, Rank: w.rank}, rank)
			w.heard[rank] = h
		}
		if h.Kind == "" || h.Waits < 0 || h.Waits == w.rank {
			break
		}
		rank = h.Waits
	}
	return rank
}

// suspect fails the job when a rank has been silent for the deadline, or at one instruction while steps wait for it.
func (w *World) suspect(b *bound, rank int, now time.Time) {
	limit, h := w.options.Deadline, w.heard[rank]
	switch {
	case limit == 0 || h.asked.IsZero():
	case now.Sub(h.when) > limit:
		w.gone[rank] = true
		w.fail(rank, fmt.Errorf("it has not answered for %v, and others wait for it in group %s%s", limit.Round(time.Second/10), b.group.name, w.mine()))
	case h.At != "" && !b.group.patient && now.Sub(h.since) > limit:
		w.fail(rank, fmt.Errorf("at %s: it has done nothing for %v, and others wait for it in group %s", h.At, limit.Round(time.Second/10), b.group.name))
	}
}
