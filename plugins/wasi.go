package plugins

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/tetratelabs/wazero/api"
)

// What functions of WASI return (preview 1, type errno).
const (
	wasiOK          = 0
	wasiBadFile     = 8
	wasiInvalid     = 28
	wasiUnsupported = 52
)

// The files that there are: nothing to read, and two to print on.
const (
	stdin = iota
	stdout
	stderr
)

const (
	nanosecondsPerReading = 1_000_000
	clocks                = 4
	characterDevice       = 2      // a filetype
	rightToRead           = 1 << 1 // fd_read
	rightToWrite          = 1 << 6 // fd_write
)

// wasi are the functions of WASI, preview 1, that a module may import: what the runtimes of Go, Rust and C call before and while they run anything. There are no files beside the three: those that
// work on files are there for runtimes that import them all, and answer that there is no such file. What reaches for a network is not there at all.
var wasi = map[string]imported{
	"args_get":            result("ii", nothing),
	"args_sizes_get":      result("ii", noSizes),
	"environ_get":         result("ii", nothing),
	"environ_sizes_get":   result("ii", noSizes),
	"clock_res_get":       result("ii", clockResolution),
	"clock_time_get":      result("iIi", clockTime),
	"random_get":          result("ii", randomBytes),
	"sched_yield":         result("", nothing),
	"poll_oneoff":         result("iiii", poll),
	"proc_exit":           {params: "i", run: exit},
	"fd_write":            result("iiii", write),
	"fd_read":             result("iiii", read),
	"fd_close":            result("i", standard),
	"fd_fdstat_get":       result("ii", fileStatus),
	"fd_fdstat_set_flags": result("ii", standard),

	"fd_advise":               result("iIIi", noFile),
	"fd_allocate":             result("iII", noFile),
	"fd_datasync":             result("i", noFile),
	"fd_fdstat_set_rights":    result("iII", noFile),
	"fd_filestat_get":         result("ii", noFile),
	"fd_filestat_set_size":    result("iI", noFile),
	"fd_filestat_set_times":   result("iIIi", noFile),
	"fd_pread":                result("iiiIi", noFile),
	"fd_prestat_dir_name":     result("iii", noFile),
	"fd_prestat_get":          result("ii", noFile),
	"fd_pwrite":               result("iiiIi", noFile),
	"fd_readdir":              result("iiiIi", noFile),
	"fd_renumber":             result("ii", noFile),
	"fd_seek":                 result("iIii", noFile),
	"fd_sync":                 result("i", noFile),
	"fd_tell":                 result("ii", noFile),
	"path_create_directory":   result("iii", unsupported),
	"path_filestat_get":       result("iiiii", unsupported),
	"path_filestat_set_times": result("iiiiIIi", unsupported),
	"path_link":               result("iiiiiii", unsupported),
	"path_open":               result("iiiiiIIii", unsupported),
	"path_readlink":           result("iiiiii", unsupported),
	"path_remove_directory":   result("iii", unsupported),
	"path_rename":             result("iiiiii", unsupported),
	"path_symlink":            result("iiiii", unsupported),
	"path_unlink_file":        result("iii", unsupported),
}

func result(params string, run func(*systemCall) uint64) imported {
	return imported{params, api.ValueTypeI32, run}
}

func nothing(*systemCall) uint64     { return wasiOK }
func noFile(*systemCall) uint64      { return wasiBadFile }
func unsupported(*systemCall) uint64 { return wasiUnsupported }

// noSizes(count, bytes): there are no arguments, and no environment.
func noSizes(c *systemCall) uint64 {
	c.putU32(c.u32(0), 0)
	c.putU32(c.u32(1), 0)
	return wasiOK
}

// clockResolution(clock, to)
func clockResolution(c *systemCall) uint64 {
	if c.u32(0) >= clocks {
		return wasiInvalid
	}
	c.putU64(c.u32(1), nanosecondsPerReading)
	return wasiOK
}

// clockTime(clock, precision, to): all clocks are one, which goes on with each reading.
func clockTime(c *systemCall) uint64 {
	if c.u32(0) >= clocks {
		return wasiInvalid
	}
	c.now += nanosecondsPerReading
	c.putU64(c.u32(2), c.now)
	return wasiOK
}

// A call does no more between two looks at the clock than this: buffers or subscriptions, and random bytes.
const (
	mostInCall  = 1 << 10
	randomPiece = 64 << 10
)

// atMost ends a guest that has more done in a call.
func (c *systemCall) atMost(n uint32, what string) {
	if n > mostInCall {
		panic(ended{fmt.Errorf("%s: %d %s at a time, more than %d", c.name, n, what, mostInCall)})
	}
}

// randomBytes(to, size)
func randomBytes(c *systemCall) uint64 {
	for piece := range slices.Chunk(c.bytes(c.u32(0), uint64(c.u32(1))), randomPiece) {
		_, _ = c.random.Read(piece) // never fails
		c.budget.ask()
	}
	return wasiOK
}

// exit(code)
func exit(c *systemCall) uint64 {
	panic(ended{ExitError{c.u32(0), c.printed.said()}})
}

// standard(file, …): what is done to one of the three files changes nothing.
func standard(c *systemCall) uint64 {
	if c.u32(0) > stderr {
		return wasiBadFile
	}
	return wasiOK
}

// fileStatus(file, to) tells the type of one of the three files, and what may be done with it.
func fileStatus(c *systemCall) uint64 {
	file := c.u32(0)
	if file > stderr {
		return wasiBadFile
	}
	to := c.bytes(c.u32(1), 24)
	clear(to)
	to[0] = characterDevice
	right := uint64(rightToWrite)
	if file == stdin {
		right = rightToRead
	}
	binary.LittleEndian.PutUint64(to[8:], right)
	return wasiOK
}

// read(file, buffers, count, size): there is nothing to read.
func read(c *systemCall) uint64 {
	if c.u32(0) != stdin {
		return wasiBadFile
	}
	c.putU32(c.u32(3), 0)
	return wasiOK
}

// write(file, buffers, count, size) prints buffers, each of which is a pointer and a length.
func write(c *systemCall) uint64 {
	file := c.u32(0)
	if file != stdout && file != stderr {
		return wasiBadFile
	}
	c.atMost(c.u32(2), "buffers")
	list, total := c.bytes(c.u32(1), 8*uint64(c.u32(2))), uint64(0)
	for ; len(list) > 0; list = list[8:] {
		text := c.bytes(binary.LittleEndian.Uint32(list), uint64(binary.LittleEndian.Uint32(list[4:])))
		if total += uint64(len(text)); total > math.MaxUint32 {
			return wasiInvalid
		}
		c.printed.write(text, file == stderr)
	}
	c.putU32(c.u32(3), uint32(total))
	return wasiOK
}

// The sizes of what poll takes and gives, and where things lie in them.
const (
	subscriptionBytes = 48 // data, tag at 8; of a clock: the time at 24, flags at 40
	eventBytes        = 32 // data, error at 8, tag at 10
	tagClock          = 0
	absoluteTime      = 1
)

// poll(subscriptions, events, count, happened) waits for nothing: whoever waits for a time has it at once, and the clock shows it. A file is none to wait for.
func poll(c *systemCall) uint64 {
	count := uint64(c.u32(2))
	if count == 0 {
		return wasiInvalid
	}
	c.atMost(c.u32(2), "subscriptions")
	in, out := c.bytes(c.u32(0), subscriptionBytes*count), c.bytes(c.u32(1), eventBytes*count)
	for i := range count {
		s, e := in[subscriptionBytes*i:], out[eventBytes*i:][:eventBytes]
		data, tag := binary.LittleEndian.Uint64(s), s[8]
		code := uint16(wasiBadFile)
		if tag == tagClock {
			code = wasiOK
			c.wake(binary.LittleEndian.Uint64(s[24:]), s[40]&absoluteTime != 0)
		}
		clear(e)
		binary.LittleEndian.PutUint64(e, data)
		binary.LittleEndian.PutUint16(e[8:], code)
		e[10] = tag
	}
	c.putU32(c.u32(3), uint32(count))
	return wasiOK
}

// wake sets the clock to a time that was waited for. It never goes back.
func (s *system) wake(time uint64, absolute bool) {
	if !absolute {
		time += s.now
	}
	s.now = max(s.now, time)
}
