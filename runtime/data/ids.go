package data

import "encoding/binary"

// ids are whole numbers from 0 on, each held in width bytes: 1, 2 or 4. Exactly one of the slices is in use.
type ids struct {
	width int
	one   []uint8
	two   []uint16
	four  []uint32
}

// widthFor is the least width that holds all numbers below size.
func widthFor(size int) int {
	switch {
	case size <= 1<<8:
		return 1
	case size <= 1<<16:
		return 2
	}
	return 4
}

// newIDs makes room for n numbers below size.
func newIDs(size int, n int64) ids {
	t := ids{width: widthFor(size)}
	switch t.width {
	case 1:
		t.one = make([]uint8, 0, n)
	case 2:
		t.two = make([]uint16, 0, n)
	default:
		t.four = make([]uint32, 0, n)
	}
	return t
}

func (t *ids) len() int64 { return int64(len(t.one) + len(t.two) + len(t.four)) }

func (t *ids) sizeBytes() int64 {
	return int64(cap(t.one)) + 2*int64(cap(t.two)) + 4*int64(cap(t.four))
}

func (t *ids) append(id int32) {
	switch t.width {
	case 1:
		t.one = append(t.one, uint8(id))
	case 2:
		t.two = append(t.two, uint16(id))
	default:
		t.four = append(t.four, uint32(id))
	}
}

func (t *ids) appendAll(list []int32) {
	for _, id := range list {
		t.append(id)
	}
}

// appendRaw appends little-endian numbers of the given width, and says which is the largest.
func (t *ids) appendRaw(raw []byte, width int) (largest int32) {
	for ; len(raw) >= width; raw = raw[width:] {
		id := int32(binary.LittleEndian.Uint16(raw))
		if width == 4 {
			id = int32(binary.LittleEndian.Uint32(raw))
		}
		t.append(id)
		largest = max(largest, id)
	}
	return largest
}

// get sets dst to the numbers from place at on.
func (t *ids) get(dst []int32, at int64) {
	switch t.width {
	case 1:
		widen(dst, t.one[at:])
	case 2:
		widen(dst, t.two[at:])
	default:
		widen(dst, t.four[at:])
	}
}

func widen[T uint8 | uint16 | uint32](dst []int32, src []T) {
	for i, v := range src[:len(dst)] {
		dst[i] = int32(v)
	}
}
