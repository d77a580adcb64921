// Package examples holds the modules of the examples' plugins, which gsc can so check wherever it runs.
package examples

import "embed"

// Plugins are the modules, by folder and file.
//
//go:embed */*.wasm
var Plugins embed.FS
