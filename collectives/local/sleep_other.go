//go:build !linux

package local

import "time"

// sleep waits without using a processor.
func sleep(d time.Duration) { time.Sleep(d) }
