// Package examples holds the modules of the examples' plugins, which gsc can so check wherever it runs.
package examples

import "embed"

// Plugins are the modules, by folder and file.
//
//go:embed */*.wasm
var Plugins embed.FS

// GoLoss is the source of the loss in Go, whose module is as large as Go's runtime and is not kept: who has Go makes it, with the library of package sdk.
//
//go:embed plugin-go/main.go
var GoLoss []byte
