package compiler

// Error is a strategy that cannot be compiled, with the place that says so.
type Error struct {
	Pos     string // file:line:column
	Message string
}

func (e *Error) Error() string {
	if e.Pos == "" {
		return e.Message
	}
	return e.Pos + ": " + e.Message
}
