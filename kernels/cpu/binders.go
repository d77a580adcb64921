package cpu

import "github.com/gsc-project/gsc/kernels"

// binders is the table of contents: what prepares each operation.
var binders = map[kernels.Op]binder{
	kernels.Attention:     bindAttention,
	kernels.AttentionGrad: bindAttentionGrad,
	kernels.NewtonSchulz:  bindNewtonSchulz,
	kernels.MatMul:        bindMatMul,
	kernels.Zero:          bindZero,
	kernels.Copy:          bindCopy,
	kernels.Iota:          bindIota,
	kernels.Shift:         bindShift,
	kernels.Embedding:     bindEmbedding,
	kernels.EmbeddingGrad: bindEmbeddingGrad,
	kernels.Select:        bindSelect,
	kernels.SelectGrad:    bindSelectGrad,
	kernels.CacheWrite:    bindCacheWrite,

	kernels.Widen: bindWiden,
	kernels.Round: bindRound,

	kernels.Add:          bindAdd,
	kernels.AddBias:      bindAddBias,
	kernels.Scale:        bindScale,
	kernels.Activate:     bindActivate,
	kernels.ActivateGrad: bindActivateGrad,
	kernels.Gate:         bindGate,
	kernels.GateGrad:     bindGateGrad,
	kernels.Dropout:      bindDropout,
	kernels.SumRows:      bindSumRows,

	kernels.LayerNorm:     bindLayerNorm,
	kernels.LayerNormGrad: bindLayerNormGrad,
	kernels.RMSNorm:       bindRMSNorm,
	kernels.RMSNormGrad:   bindRMSNormGrad,

	kernels.RotaryTable: bindRotaryTable,
	kernels.Rotary:      bindRotary,

	kernels.CrossEntropy:           bindCrossEntropy,
	kernels.CrossEntropyPart:       bindCrossEntropyPart,
	kernels.CrossEntropyJoin:       bindCrossEntropyJoin,
	kernels.CrossEntropyGrad:       bindCrossEntropyGrad,
	kernels.BinaryCrossEntropy:     binaryCrossEntropy.bind,
	kernels.BinaryCrossEntropyGrad: binaryCrossEntropy.bindGrad,
	kernels.SquaredError:           squaredError.bind,
	kernels.SquaredErrorGrad:       squaredError.bindGrad,
	kernels.LossSum:                bindLossSum,
	kernels.ArgMax:                 bindArgMax,

	kernels.SumSquares:       bindSumSquares,
	kernels.ClipFactor:       bindClipFactor,
	kernels.LossScale:        bindLossScale,
	kernels.SGD:              bindSGD,
	kernels.Adam:             bindAdam,
	kernels.AdamW:            bindAdamW,
	kernels.Lion:             bindLion,
	kernels.LAMBMoments:      bindLAMBMoments,
	kernels.LAMBApply:        bindLAMBApply,
	kernels.AdafactorMoments: bindAdafactorMoments,
	kernels.AdafactorNorms:   bindAdafactorNorms,
	kernels.AdafactorApply:   bindAdafactorApply,
	kernels.MuonMomentum:     bindMuonMomentum,
	kernels.MuonApply:        bindMuonApply,

	kernels.QuantizeRows:  bindQuantizeRows,
	kernels.MatMulInt8:    bindMatMulInt8,
	kernels.EmbeddingInt8: bindEmbeddingInt8,

	kernels.PruneMask:    bindPruneMask,
	kernels.ApplyMask:    bindApplyMask,
	kernels.FakeQuantize: bindFakeQuantize,
	kernels.Encode:       bindEncode,
	kernels.Decode:       bindDecode,
}
