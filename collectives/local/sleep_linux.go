package local

import (
	"time"

	"golang.org/x/sys/unix"
)

// sleep waits without using a processor. It keeps to the time better than time.Sleep does, whose timers may be late by a millisecond.
func sleep(d time.Duration) {
	t := unix.NsecToTimespec(int64(d))
	_ = unix.Nanosleep(&t, nil) // woken early, it is called again
}
