package plugins

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
