package cpu

import (
	"fmt"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// How bandwidth is measured.
const (
	bandwidthBytes = 256 << 20 // much more than a last-level cache
	bandwidthPiece = 1 << 20   // read by one call
)

// BandwidthMeter measures how many bytes a second threads read from memory together, in order and from pages as plans have them:
// the ceiling of whatever reads more than it computes. It measures as often as it is asked to, for a machine whose bandwidth others share.
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
	return openMeter(l, threads)
}

func openMeter(l level, threads int) (*BandwidthMeter, error) {
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
