// Package compressed writes a checkpoint whose weights were pruned and quantised while they were trained as a Hugging Face model folder in the layout of
// compressed-tensors, which vLLM and transformers load.
//
// A weight W of a module M, that is M.weight, is [out, in] there, whichever way the architecture stores it. A quantised one becomes, with so many groups along in (1: one scale for each output):
//
//	int-quantized    int8 weights whose module's activations are quantised, too
//	                 M.weight             int8 [out, in], whole numbers q
//	                 M.weight_zero_point  int8 [out, groups], where there are zero points z
//	pack-quantized   other weights of 8 or 4 bits
//	                 M.weight_packed      int32 [out, ⌈in·bits/32⌉], q + 2^(bits−1) in bits side by side, the first in the lowest
//	                 M.weight_shape       int64 [2], out and in
//	                 M.weight_zero_point  int32 [⌈out·bits/32⌉, groups], packed likewise along the outputs
//	both             M.weight_scale       float32 [out, groups], so that W = (q − z)·scale
//
// What is pruned and not quantised stays as it is, zeros and all. config.json gets the member quantization_config: for each way of rounding a group that names its modules,
// and under sparsity_config how much is 0 and in what pattern. Every other tensor is copied as it is.
//
// Source: the compressed-tensors project, version 0.20, whose pack-quantized compressor gives the order of bits.
package compressed
