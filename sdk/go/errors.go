package gsc

import "errors"

// ErrInput says of a call, alone or wrapped, that the plugin does not take what it was given; any other error says that it failed.
var ErrInput = errors.New("it does not take this input")
