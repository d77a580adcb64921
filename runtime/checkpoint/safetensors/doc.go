// Package safetensors reads and writes tensors in the safetensors format, and
// opens the model folders that Hugging Face tools write in it.
//
// A file is an 8-byte little-endian length N, a JSON object of N bytes (the
// header), and the data. The header maps each tensor's name to its type, its
// shape and the range of its bytes, counted from the end of the header:
//
//	{"__metadata__": {"format": "pt"},
//	 "wte.weight": {"dtype": "F32", "shape": [50257, 768], "data_offsets": [0, 154389504]}}
//
// Data is little-endian and row-major. Files come from anywhere, so a reader
// trusts nothing: [Open] accepts a file only when
//
//  1. N is at most 100 MB and lies within the file;
//  2. the header is one JSON object in UTF-8 that starts with its brace, without
//     a repeated key, and with nothing but white space after it;
//  3. __metadata__, where present, maps strings to strings;
//  4. each entry has exactly dtype, shape and data_offsets; the type is known;
//     neither the number of elements nor that of bytes overflows;
//  5. a tensor's range is as long as its shape and type say;
//  6. the ranges, in the order of their offsets, cover the data from its first
//     byte to the last byte of the file without a hole or an overlap.
//
// Nothing is allocated by what a header claims: memory is bounded by the
// header's own length, and data is read only when asked for, in pieces.
package safetensors
