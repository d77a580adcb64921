package cpu

import "github.com/gsc-project/gsc/kernels"

// binders is the table of contents: what prepares each operation.
var binders = map[kernels.Op]binder{}
