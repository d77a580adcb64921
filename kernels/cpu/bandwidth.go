package cpu

import (
	"fmt"
	"slices"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// How ReadBandwidth measures.
const (
	bandwidthBytes  = 1 << 30 // far more than any cache holds
	bandwidthPiece  = 1 << 20 // claimed by a thread at a time
	bandwidthRounds = 9
)

// ReadBandwidth measures how many bytes a second so many threads read from memory together, in order and from pages as plans
// have them: the median of several passes over 1 GiB. It is the ceiling of whatever reads more than it computes.
func ReadBandwidth(threads int) (bytesPerSecond float64, err error) {
	l, err := chooseLevel()
	if err != nil {
		return 0, err
	}
	bytes, err := mapPages(bandwidthBytes)
	if err != nil {
		return 0, fmt.Errorf("cpu: %d bytes to read: %w", bandwidthBytes, err)
	}
	defer func() { _ = unix.Munmap(bytes) }()
	for i := 0; i < len(bytes); i += unix.Getpagesize() { // pages that were never written are all the same one
		bytes[i] = 1
	}
	took := make([]time.Duration, bandwidthRounds)
	for i := range took {
		took[i] = readAll(readers[l], bytes, threads)
	}
	slices.Sort(took)
	return float64(len(bytes)) / took[len(took)/2].Seconds(), nil
}

// readAll reads all bytes once, each thread its own stretch.
func readAll(read func(p *byte, n int) uint32, bytes []byte, threads int) time.Duration {
	start := time.Now()
	var all sync.WaitGroup
	pieces := len(bytes) / bandwidthPiece
	for t := range threads {
		all.Go(func() {
			for i := pieces * t / threads; i < pieces*(t+1)/threads; i++ {
				read(&bytes[i*bandwidthPiece], bandwidthPiece)
			}
		})
	}
	all.Wait()
	return time.Since(start)
}

// readGeneric reads in plain Go.
func readGeneric(p *byte, n int) uint32 {
	var sum uint64
	for _, v := range unsafe.Slice((*uint64)(unsafe.Pointer(p)), n/8) {
		sum |= v
	}
	return uint32(sum)
}
