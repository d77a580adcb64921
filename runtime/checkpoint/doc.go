// Package checkpoint keeps a run's checkpoints: written whole or not at all,
// checked before they are used, and readable by any other split of the model
// and by other tools. It also opens the model folders that runs start from.
//
// The folder checkpoints/ of a run holds one folder for each checkpoint:
//
//	step-00000500/
//	    config.json, tokenizer files    ┐ a Hugging Face model folder: other tools
//	    model.safetensors               ┘ load step-00000500 as it stands
//	    state.safetensors               the optimizer's tensors
//	    state.json                      step, plan, the run's own state; every file with size and digest
//
// Weights and optimizer state are stored as whole logical tensors, so that
// nothing in a checkpoint depends on the mesh that saved it. Weights of more
// than 5 GB are split into files of at most that size (or of one tensor),
// with the index that Hugging Face's loaders expect.
//
// # What a kill or a full disk leaves behind
//
// A checkpoint is written into a hidden folder beside its place; each file is
// brought to the disk, state.json last, then the folder; then it is
// renamed into place, and the parent is brought to the disk. Older checkpoints are removed only after
// that. Whatever happens on the way, what was there before stays as it was.
// Names that start with a dot are unfinished business: [Open] finishes it.
//
// Several processes that keep parts of the tensors save together ([OpenTogether]), each its own bytes into the same files; the folder is the same, and so
// is what a kill or a full disk leaves behind.
//
// # What is trusted
//
// Nothing: [Newest] reads every byte of a checkpoint and compares sizes and
// xxhash64 digests before it hands it out, state.json by a digest of its own.
// One that fails is refused, with the file and the reason, and the one before is tried.
package checkpoint
