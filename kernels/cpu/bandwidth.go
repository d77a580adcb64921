package cpu

import (
	"fmt"
	"slices"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// How bandwidth is measured.
const (
	bandwidthBytes  = 1 << 30 // far more than any cache holds
	bandwidthPiece  = 1 << 20 // read by one call
	bandwidthPasses = 9
)

// ReadBandwidth measures how many bytes a second so many threads read from memory together, in order and from pages as plans
// have them: the median of several passes over 1 GiB. It is the ceiling of whatever reads more than it computes.
func ReadBandwidth(threads int) (bytesPerSecond float64, err error) {
	m, err := OpenBandwidthMeter(threads)
	if err != nil {
		return 0, err
	}
	defer func() { _ = m.Close() }()
	passes := make([]float64, bandwidthPasses)
	for i := range passes {
		passes[i] = m.Pass()
	}
	slices.Sort(passes)
	return passes[len(passes)/2], nil
}

// BandwidthMeter measures again and again, for what must be held against a machine whose bandwidth others share.
type BandwidthMeter struct {
	threads int
	bytes   []byte
	read    func(p *byte, n int) uint32
}

// OpenBandwidthMeter takes the memory to read.
func OpenBandwidthMeter(threads int) (*BandwidthMeter, error) {
	l, err := chooseLevel()
	if err != nil {
		return nil, err
	}
	bytes, err := mapPages(bandwidthBytes)
	if err != nil {
		return nil, fmt.Errorf("cpu: %d bytes to read: %w", bandwidthBytes, err)
	}
	for i := 0; i < len(bytes); i += unix.Getpagesize() { // pages that were never written are all the same one
		bytes[i] = 1
	}
	return &BandwidthMeter{threads, bytes, readers[l]}, nil
}

// Close frees the memory.
func (m *BandwidthMeter) Close() error { return unix.Munmap(m.bytes) }

// Pass reads all of the memory once, each thread its own stretch, and gives the bytes a second.
func (m *BandwidthMeter) Pass() float64 {
	start := time.Now()
	var all sync.WaitGroup
	pieces := len(m.bytes) / bandwidthPiece
	for t := range m.threads {
		all.Go(func() {
			for i := pieces * t / m.threads; i < pieces*(t+1)/m.threads; i++ {
				m.read(&m.bytes[i*bandwidthPiece], bandwidthPiece)
			}
		})
	}
	all.Wait()
	return float64(len(m.bytes)) / time.Since(start).Seconds()
}

// readGeneric reads in plain Go.
func readGeneric(p *byte, n int) uint32 {
	var sum uint64
	for _, v := range unsafe.Slice((*uint64)(unsafe.Pointer(p)), n/8) {
		sum |= v
	}
	return uint32(sum)
}
