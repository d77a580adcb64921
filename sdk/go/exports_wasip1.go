package gsc

import "errors"

// The statuses of calls.
const (
	statusOK        = 0
	statusBadParams = 1
	statusBadInput  = 2
	statusFailed    = 4
)

// given is the memory that gsc asked for: holding on to it keeps it from being collected.
var given [][]byte

//go:wasmexport gsc_manifest
func exportManifest() uint64 {
	if registered.manifest == nil {
		panic("gsc: the program registers no plugin: call gsc.Loss, or what makes another kind, in a function init")
	}
	return uint64(len(registered.manifest))<<32 | uint64(to(registered.manifest))
}

//go:wasmexport gsc_alloc
func exportAlloc(size uint32) uint32 {
	block := aligned[byte](int(size))
	given = append(given, block)
	return uint32(to(block))
}

//go:wasmexport gsc_init
func exportInit(params, length uint32) uint32 {
	if err := registered.initialise(Params(pointer[byte](params).from(0, int(length)))); err != nil {
		println(err.Error())
		return statusBadParams
	}
	return statusOK
}

// status says how a call went, and prints why it failed.
func status(err error) uint32 {
	if err == nil {
		return statusOK
	}
	println(err.Error())
	if errors.Is(err, ErrInput) {
		return statusBadInput
	}
	return statusFailed
}

//go:wasmexport gsc_loss
func exportLoss(call uint32) uint32 {
	registered.loss((*lossCall)(at(call)))
	return statusOK
}

//go:wasmexport gsc_transform
func exportTransform(call uint32) uint32 { return status(registered.transform(at(call))) }

//go:wasmexport gsc_declare
func exportDeclare(call uint32) uint32 {
	registered.declare((*policyCall)(at(call)))
	return statusOK
}

//go:wasmexport gsc_decide
func exportDecide(call uint32) uint32 {
	registered.decide((*policyCall)(at(call)))
	return statusOK
}

//go:wasmexport gsc_code_bytes
func exportCodeBytes(n uint32) uint32 { return uint32(registered.codeBytes(int(n))) }

//go:wasmexport gsc_encode
func exportEncode(call uint32) uint32 {
	registered.encode((*codecCall)(at(call)))
	return statusOK
}

//go:wasmexport gsc_decode
func exportDecode(call uint32) uint32 { return status(registered.decode((*codecCall)(at(call)))) }
