// Package schema is the strategy language: the CUE definitions of a strategy
// and of the model architectures, and what loads a strategy by them.
//
// [Load] evaluates a strategy, holds it against the definitions and against the
// rules that tie its sections together, and returns it as a [Strategy] with every default filled
// in and the position of each value, or all its errors at once ([Errors]). [Write] writes the definitions out for
// cue vet and editors.
//
// An architecture is data: a definition in CUE that lists its layers, their
// weights with Hugging Face names, layouts and initialisation, and how its sizes
// stand in a config.json. The compiler knows the layers alone.
package schema
