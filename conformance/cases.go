package conformance

import "embed"

// cases are the project's own reference cases, so that the binary alone can check itself.
//
//go:embed reference/cases
var cases embed.FS
