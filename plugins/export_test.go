package plugins

import (
	"context"

	"github.com/gsc-project/gsc/plugins/abi"
)

// Caller makes an instance of a plugin, and gives a call of its init without parameters, with all that a call has around it: bounds, errors, its status.
func (p *Plugin) Caller(ctx context.Context) (call func() error, closing func() error, err error) {
	i, err := p.instance(ctx)
	if err != nil {
		return nil, nil, err
	}
	init := i.module.ExportedFunction(abi.Init)
	return func() error {
		i.stack[0], i.stack[1] = 0, 0
		return i.status(init, 2)
	}, i.close, nil
}

// Print prints a text in pieces, as an instance would.
func Print(text []byte, piece int, tell func(line string)) {
	p := transcript{tell: tell, left: maxPrinted}
	for len(text) > 0 {
		n := min(piece, len(text))
		p.write(text[:n], false)
		text = text[n:]
	}
	p.flush()
}
