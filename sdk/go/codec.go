package gsc

// Codec makes codes of gradients, which ranks send each other in place of these. It keeps nothing from call to call: what a code leaves out gsc adds to the next gradient.
type Codec interface {
	// CodeBytes is the length of the longest code of n numbers, of which there are 65,536 at most.
	CodeBytes(n int) int
	// Encode codes numbers, which are finite, and says how many bytes the code has. The code begins at a multiple of 16.
	Encode(values []float32, code []byte) int
	// Decode sets the numbers to what a code says, all of them finite. A code that comes from elsewhere may be anything: ErrInput of what Encode would not have made.
	Decode(code []byte, values []float32) error
}

// GradientCodec makes the program a plugin that codes gradients; its manifest has a Contraction. prepare gets the parameters, once, and gives the codec for them, or says why there is none.
func GradientCodec(m Manifest, prepare func(Params) (Codec, error)) {
	describe("policy", "", m)
	var codec Codec
	prepared(&codec, prepare)
	registered.codeBytes = func(n int) int { return codec.CodeBytes(n) }
	registered.encode = func(c *codecCall) {
		n := int(c.numbers)
		c.bytes = uint32(codec.Encode(c.values.from(0, n), c.code.from(0, codec.CodeBytes(n))))
	}
	registered.decode = func(c *codecCall) error {
		return codec.Decode(c.code.from(0, int(c.bytes)), c.values.from(0, int(c.numbers)))
	}
}

// codecCall is a call as it lies in memory.
type codecCall struct {
	numbers uint32
	values  pointer[float32]
	code    pointer[byte]
	bytes   uint32
}
