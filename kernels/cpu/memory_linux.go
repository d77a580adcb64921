package cpu

import "golang.org/x/sys/unix"

// adviseHuge asks for huge pages; a system that has none says no, which does no harm.
func adviseHuge(bytes []byte) { _ = unix.Madvise(bytes, unix.MADV_HUGEPAGE) }
