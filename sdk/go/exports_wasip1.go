package gsc

import "unsafe"

// The statuses of calls.
const (
	statusOK        = 0
	statusBadParams = 1
)

// given is the memory that gsc asked for: holding on to it keeps it from being collected.
var given [][]byte

// pointers are multiples of align.
const align = 16

//go:wasmexport gsc_manifest
func exportManifest() uint64 {
	if manifestText == nil {
		panic("gsc: the program registers no plugin: call gsc.Loss in a function init")
	}
	return uint64(len(manifestText))<<32 | uint64(uintptr(unsafe.Pointer(unsafe.SliceData(manifestText))))
}

//go:wasmexport gsc_alloc
func exportAlloc(size uint32) uint32 {
	block := make([]byte, int(size)+align)
	given = append(given, block)
	at := uint32(uintptr(unsafe.Pointer(unsafe.SliceData(block))))
	return (at + align - 1) &^ (align - 1)
}

//go:wasmexport gsc_init
func exportInit(params, length uint32) uint32 {
	if err := initialise(Params(unsafe.Slice((*byte)(at(params)), length))); err != nil {
		println(err.Error())
		return statusBadParams
	}
	return statusOK
}

//go:wasmexport gsc_loss
func exportLoss(call uint32) uint32 {
	losses((*lossCall)(at(call)))
	return statusOK
}
