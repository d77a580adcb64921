// Package data turns files into batches.
//
// [Prepare] works when a plan is made: it finds the files of a [plan.Data], reads them once and fills in the
// second part of it: the manifest, the vocabulary, the labels, the inputs and the counts. [Open] works
// when the plan is run: it reads the files again, refuses them when they are no longer those of the manifest, and
// holds their tokens in as few bytes as they need ([Set.SizeBytes], which [EstimateBytes] foretells).
//
// A batch is a pure function of the plan, the seed and the step ([Set.Fill]), so that a
// resumed run sees what the run that was never stopped would have seen, and no
// order is stored. It is the whole global batch; micro-batches and ranks take ranges of its rows.
//
// # Rows
//
// Each split is a list of rows, any of which is made without the others:
//
//	stream  Records stand one after the other with one separator between them, where the tokenizer has one
//	        (token.Separator: the character NUL). Row r is the tokens r·T … r·T+T−1 and its labels are r·T+1 … r·T+T. Training drops
//	        the last row when it is not full; evaluation keeps it, its end not scored.
//	packed  Records are cut into pieces of at most T tokens, and each piece is put into the fullest row that has room
//	        (best fit, in the order of the files). Segments count from 1, 0 is padding; positions restart in each segment.
//	padded  A record a row, cut at T tokens; what is cut is counted in Notes.
//	given   A row of the safetensors files a row, as long as they are (Length follows them). Their tensors are input_ids and labels,
//	        and, where they hold them, attention_mask, token_type_ids, position_ids and weights; input_ids is shaped
//	        (steps, micro_batches, batch, length). Step s takes entry s−1 whole, and there is no shuffling.
//
// In packed and padded rows the last token of a record predicts the separator, which is
// itself no input; a row never predicts another record's token.
//
// Characters that training lacks are read as token.Unknown, which every vocabulary of
// characters holds. A position is scored when its label is not Ignore; its weight is 1, or what the files give.
//
// # Transforms
//
// Data may go through plugins ([Transforms], which the front door makes). Those of records stand between the files and the rows: each gathers batches of up to 1024 records or 256 KiB, of one split, and
// hands on what comes out in their order, whoever was done first. What they gave is digested, and held against the plan when the files are read again. Those of rows change
// a batch in [Set.Fill], after its rows are made and before its weight is counted.
//
// # Order
//
// Training row i (from 0) of step s (from 1) is number g = (s−1)·B + i of the run. With R rows in an epoch, "shuffled" takes
// row π(g mod R), π a permutation drawn for epoch g div R; "sequential" takes row g mod R; "random" begins at a place drawn
// for (s, i) among all that leave room for a row and its labels.
package data
