"""The table of cases: their models, runs and seeds, and how starting weights and data are drawn from a seed."""

import math

import numpy as np

# Models, in the words of each config.json.


def gpt2(**changes):
    return {"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "vocab_size": 31, "n_embd": 15, "n_layer": 2,
            "n_head": 3, "n_positions": 11, "n_inner": None, "activation_function": "gelu_new", "layer_norm_epsilon": 1e-5,
            "tie_word_embeddings": True, "embd_pdrop": 0.0, "attn_pdrop": 0.0, "resid_pdrop": 0.0, **changes}


def llama(**changes):
    return {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 29, "hidden_size": 18,
            "num_hidden_layers": 2, "num_attention_heads": 3, "num_key_value_heads": 1, "intermediate_size": 25,
            "max_position_embeddings": 16, "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "rope_scaling": None,
            "hidden_act": "silu", "attention_bias": False, "mlp_bias": False, "tie_word_embeddings": False, **changes}


def bert(task, labels, **changes):
    return {"architectures": ["BertFor" + task], "model_type": "bert", "vocab_size": 37, "hidden_size": 15,
            "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 23, "max_position_embeddings": 13,
            "type_vocab_size": 2, "layer_norm_eps": 1e-12, "hidden_act": "gelu", "hidden_dropout_prob": 0.0,
            "attention_probs_dropout_prob": 0.0, "id2label": {str(i): label for i, label in enumerate(labels)},
            "label2id": {label: i for i, label in enumerate(labels)}, **changes}


# As transformers 5 writes it: rope_parameters in place of rope_theta and rope_scaling.
QWEN2 = {"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "dtype": "float32", "vocab_size": 33,
         "hidden_size": 20, "num_hidden_layers": 2, "num_attention_heads": 5, "num_key_value_heads": 1,
         "intermediate_size": 27, "max_position_embeddings": 32, "rms_norm_eps": 1e-6,
         "rope_parameters": {"rope_theta": 100.0, "rope_type": "default"}, "hidden_act": "silu",
         "use_sliding_window": False, "sliding_window": None, "max_window_layers": 2,
         "layer_types": ["full_attention", "full_attention"], "attention_dropout": 0.0, "tie_word_embeddings": True}

GPT_NEOX = {"architectures": ["GPTNeoXForCausalLM"], "model_type": "gpt_neox", "vocab_size": 27, "hidden_size": 16,
            "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 35, "max_position_embeddings": 16,
            "layer_norm_eps": 1e-5, "rotary_pct": 0.25, "rotary_emb_base": 10000, "use_parallel_residual": True,
            "hidden_act": "gelu", "attention_bias": True, "attention_dropout": 0.0, "hidden_dropout": 0.0,
            "tie_word_embeddings": False}

# The caps are small so that logits and scores reach them, the window is shorter than the sequences.
GEMMA2 = {"architectures": ["Gemma2ForCausalLM"], "model_type": "gemma2", "vocab_size": 35, "hidden_size": 12,
          "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 6,
          "intermediate_size": 21, "max_position_embeddings": 32, "rms_norm_eps": 1e-6, "rope_theta": 10000.0,
          "hidden_activation": "gelu_pytorch_tanh", "query_pre_attn_scalar": 3, "sliding_window": 4,
          "attn_logit_softcapping": 1.0, "final_logit_softcapping": 2.0, "attention_bias": False,
          "attention_dropout": 0.0, "pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 2, "tie_word_embeddings": True}

LLAMA3 = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64,
          "rope_type": "llama3"}

# Optimizers.


def adam(kind="adamw", **changes):
    return {"kind": kind, "betas": [0.9, 0.95], "eps": 1e-8, "weight_decay": 0.1, "decay": "matrices", "clip_norm": 1.0, **changes}


def sgd(**changes):
    return {"kind": "sgd", "momentum": 0.9, "weight_decay": 0.01, "decay": "all", "clip_norm": None, **changes}


LION = {"kind": "lion", "betas": [0.9, 0.99], "weight_decay": 0.1, "decay": "matrices", "clip_norm": 1.0}
LAMB = adam("lamb", betas=[0.9, 0.999], eps=1e-6, weight_decay=0.01)
ADAFACTOR = {"kind": "adafactor", "beta2_decay": -0.8, "eps": 1e-3, "eps2": 1e-3, "max_rms": 1.0, "weight_decay": 0.01,
             "decay": "matrices", "clip_norm": None}
MUON = adam("muon", muon={"match": ["model.layers.*_proj.weight"], "momentum": 0.95, "nesterov": True, "steps": 5,
                          "eps": 1e-7, "adjust": "original"})


def run(optimizer, peak, steps=5, micro_batches=1, batch=2, length=11, **more):
    """A case.json: a rate that climbs for two steps and falls along a cosine."""
    lr = [peak * min(1, (t + 1) / 2) * (1 if t < 2 else 0.5 + 0.5 * math.cos(math.pi * (t - 1) / (steps - 1)))
          for t in range(steps)]
    return {"steps": steps, "micro_batches": micro_batches, "batch": batch, "length": length, "ignore_index": -100,
            "normalize": "token", **more, "optimizer": {"kind": optimizer["kind"], "lr": lr, **optimizer}}


# The cases: name → config, run, seed. Of the run, "empty" names a micro-batch where nothing is scored and "gaps" masks
# tokens inside sequences; they steer the draw alone. Where Adam or Lion would turn float32's noise into steps (elements whose
# gradient is all but zero), the seed or the optimizer was chosen so that it does not.

SMALL = {"n_embd": 10, "n_head": 2, "n_layer": 1}
LITTLE = {"hidden_size": 12, "num_attention_heads": 2, "intermediate_size": 17, "vocab_size": 23}

CASES = {
    "gpt2-adamw": (gpt2(), run(adam(), 3e-3, steps=6, batch=3), 1),
    "gpt2-accumulate": (gpt2(n_positions=13, n_embd=14, n_head=2), run(adam(clip_norm=0.5), 2e-3, micro_batches=3, empty=[3, 1]), 2),
    "gpt2-untied": (gpt2(tie_word_embeddings=False, vocab_size=23, n_layer=1, activation_function="relu"), run(adam(decay="all", betas=[0.9, 0.999]), 2e-3), 3),
    "gpt2-smoothing": (gpt2(n_embd=21, n_head=3, n_layer=1, n_inner=37), run(adam(clip_norm=None), 2e-3, label_smoothing=0.1), 4),
    "gpt2-adam": (gpt2(**SMALL), run(adam("adam", weight_decay=0.01), 2e-3), 5),
    "gpt2-sgd": (gpt2(**SMALL), run(sgd(), 0.05, steps=6), 6),
    "gpt2-sgd-nesterov": (gpt2(**SMALL), run(sgd(nesterov=True, decay="matrices", clip_norm=0.7), 0.05, steps=6), 7),
    "llama-gqa": (llama(num_attention_heads=3), run(adam(), 2e-3), 8),
    "llama-rope-scaling": (llama(hidden_size=24, num_attention_heads=2, num_key_value_heads=2, head_dim=12, num_hidden_layers=1,
                                 max_position_embeddings=256, rope_scaling=LLAMA3, tie_word_embeddings=True),
                           run(adam(), 2e-3, length=15), 9),
    "llama-biases": (llama(hidden_size=15, head_dim=4, num_attention_heads=3, num_key_value_heads=3, num_hidden_layers=1, attention_bias=True,
                           mlp_bias=True, rope_scaling={"type": "linear", "factor": 2.0}), run(sgd(), 0.05), 22),
    "llama-lion": (llama(**LITTLE), run(LION, 3e-4), 166),
    "llama-lamb": (llama(**LITTLE), run(LAMB, 1e-2), 11),
    "llama-adafactor": (llama(**LITTLE), run(ADAFACTOR, 1e-2, steps=6), 12),
    "llama-muon": (llama(**LITTLE), run(MUON, 2e-3), 13),
    "bert-token": (bert("TokenClassification", ["O", "B", "I"]), run(adam(decay="all", weight_decay=0.01), 2e-3, length=13, batch=3), 14),
    "bert-sequence": (bert("SequenceClassification", ["no", "yes", "maybe"], num_hidden_layers=1, problem_type="single_label_classification"),
                      run(adam(betas=[0.9, 0.999]), 2e-3, batch=3, micro_batches=2), 15),
    "bert-regression": (bert("SequenceClassification", ["warmth", "length"], num_hidden_layers=1, problem_type="regression"),
                        run(sgd(), 0.02, batch=3), 16),
    "bert-multilabel": (bert("SequenceClassification", ["a", "b", "c", "d"], num_hidden_layers=1, problem_type="multi_label_classification",
                             hidden_act="gelu_new"),
                        run(adam(), 2e-3, batch=3, gaps=True), 17),
    "qwen2-tied": (QWEN2, run(adam(), 2e-3), 18),
    "gpt-neox": (GPT_NEOX, run(sgd(clip_norm=1.0), 0.05), 19),
    "gpt-neox-serial": ({**GPT_NEOX, "use_parallel_residual": False, "num_hidden_layers": 1, "rotary_pct": 1.0,
                         "rotary_emb_base": 100}, run(adam(), 2e-3), 23),
    "gemma2": (GEMMA2, run(adam(), 2e-3), 43),
}

# Names and shapes of the weights.


def shapes(config):
    """Yields (name, shape, kind), kind one of weight, embedding, bias, norm, and offset for a norm that adds 1."""
    yield from {"gpt2": gpt2_shapes, "llama": llama_shapes, "qwen2": llama_shapes, "gemma2": llama_shapes,
                "gpt_neox": neox_shapes, "bert": bert_shapes}[config["model_type"]](config)


def table(name, rows, width):
    yield name + ".weight", (rows, width), "embedding"


def dense(name, n_in, n_out, bias=True, stored_in_out=False):
    yield name + ".weight", (n_in, n_out) if stored_in_out else (n_out, n_in), "weight"
    if bias:
        yield name + ".bias", (n_out,), "bias"


def norm(name, width):
    yield name + ".weight", (width,), "norm"
    yield name + ".bias", (width,), "bias"


def gpt2_shapes(config):
    c, f = config["n_embd"], config["n_inner"] or 4 * config["n_embd"]
    yield from table("transformer.wte", config["vocab_size"], c)
    yield from table("transformer.wpe", config["n_positions"], c)
    for i in range(config["n_layer"]):
        h = f"transformer.h.{i}."
        yield from norm(h + "ln_1", c)
        yield from dense(h + "attn.c_attn", c, 3 * c, stored_in_out=True)
        yield from dense(h + "attn.c_proj", c, c, stored_in_out=True)
        yield from norm(h + "ln_2", c)
        yield from dense(h + "mlp.c_fc", c, f, stored_in_out=True)
        yield from dense(h + "mlp.c_proj", f, c, stored_in_out=True)
    yield from norm("transformer.ln_f", c)
    if not config["tie_word_embeddings"]:
        yield from table("lm_head", config["vocab_size"], c)


def llama_shapes(config):
    c, f, kind = config["hidden_size"], config["intermediate_size"], config["model_type"]
    d = config.get("head_dim") or c // config["num_attention_heads"]
    q, kv = config["num_attention_heads"] * d, config["num_key_value_heads"] * d
    qkv, out, mlp = kind == "qwen2" or config["attention_bias"], config.get("attention_bias", False), config.get("mlp_bias", False)
    scale = "offset" if kind == "gemma2" else "norm"
    norms = ["input", "post_attention"] + (["pre_feedforward", "post_feedforward"] if kind == "gemma2" else [])
    yield from table("model.embed_tokens", config["vocab_size"], c)
    for i in range(config["num_hidden_layers"]):
        h = f"model.layers.{i}."
        for name in norms:
            yield f"{h}{name}_layernorm.weight", (c,), scale
        for part, width in ("q", q), ("k", kv), ("v", kv):
            yield from dense(f"{h}self_attn.{part}_proj", c, width, qkv)
        yield from dense(h + "self_attn.o_proj", q, c, out)
        yield from dense(h + "mlp.gate_proj", c, f, mlp)
        yield from dense(h + "mlp.up_proj", c, f, mlp)
        yield from dense(h + "mlp.down_proj", f, c, mlp)
    yield "model.norm.weight", (c,), scale
    if not config["tie_word_embeddings"]:
        yield from table("lm_head", config["vocab_size"], c)


def neox_shapes(config):
    c, f = config["hidden_size"], config["intermediate_size"]
    yield from table("gpt_neox.embed_in", config["vocab_size"], c)
    for i in range(config["num_hidden_layers"]):
        h = f"gpt_neox.layers.{i}."
        yield from norm(h + "input_layernorm", c)
        yield from norm(h + "post_attention_layernorm", c)
        yield from dense(h + "attention.query_key_value", c, 3 * c)
        yield from dense(h + "attention.dense", c, c)
        yield from dense(h + "mlp.dense_h_to_4h", c, f)
        yield from dense(h + "mlp.dense_4h_to_h", f, c)
    yield from norm("gpt_neox.final_layer_norm", c)
    yield from table("embed_out", config["vocab_size"], c)


def bert_shapes(config):
    c, f, e = config["hidden_size"], config["intermediate_size"], "bert.embeddings."
    yield from table(e + "word_embeddings", config["vocab_size"], c)
    yield from table(e + "position_embeddings", config["max_position_embeddings"], c)
    yield from table(e + "token_type_embeddings", config["type_vocab_size"], c)
    yield from norm(e + "LayerNorm", c)
    for i in range(config["num_hidden_layers"]):
        h = f"bert.encoder.layer.{i}."
        for part in "query", "key", "value":
            yield from dense(h + "attention.self." + part, c, c)
        yield from dense(h + "attention.output.dense", c, c)
        yield from norm(h + "attention.output.LayerNorm", c)
        yield from dense(h + "intermediate.dense", c, f)
        yield from dense(h + "output.dense", f, c)
        yield from norm(h + "output.LayerNorm", c)
    if config["architectures"] == ["BertForSequenceClassification"]:
        yield from dense("bert.pooler.dense", c, c)
    yield from dense("classifier", c, len(config["id2label"]))


# Draws. RandomState is the one generator of numpy whose stream is frozen for good, so weights and data never change.

CENTRE_SPREAD = {"weight": (0, 0.15), "embedding": (0, 0.2), "bias": (0, 0.05), "norm": (1, 0.1), "offset": (0, 0.1)}


def draw_weights(config, seed):
    random = np.random.RandomState(seed)
    weights = {}
    for name, shape, kind in shapes(config):
        centre, spread = CENTRE_SPREAD[kind]
        weights[name] = (centre + spread * random.standard_normal(shape)).astype(np.float32)
    return weights


def draw_data(config, case, seed):
    random = np.random.RandomState(1000 + seed)
    shape = tuple(case[key] for key in ("steps", "micro_batches", "batch", "length"))
    data = {"input_ids": random.randint(0, config["vocab_size"], shape)}
    if config["model_type"] == "bert":
        data.update(draw_mask(random, shape, case.get("gaps", False)))
    data["labels"] = draw_labels(random, config, case, data, shape)
    return {name: x.astype(np.float32 if x.dtype.kind == "f" else np.int64) for name, x in data.items()}


def draw_mask(random, shape, gaps):
    """Sequences of two segments, of different lengths, the first full; with gaps, tokens inside are masked as well."""
    place, row = np.arange(shape[-1]), shape[:-1] + (1,)
    length = random.randint(shape[-1] // 2, shape[-1] + 1, row)
    length[:, :, 0] = shape[-1]
    mask = place < length
    types = (place >= random.randint(2, shape[-1] // 2, row)) & mask
    if gaps:
        mask &= (random.uniform(size=shape) > 0.2) | (place == 0)
    return {"attention_mask": mask.astype(np.int64), "token_type_ids": types.astype(np.int64)}


def draw_labels(random, config, case, data, shape):
    """Classes, a ragged part of them not scored, or a float for each label of a sequence."""
    n = len(config["id2label"]) if "id2label" in config else config["vocab_size"]
    match config.get("problem_type"):
        case "regression":
            return random.standard_normal(shape[:-1] + (n,))
        case "multi_label_classification":
            return random.randint(0, 2, shape[:-1] + (n,)).astype(np.float64)
        case "single_label_classification":
            return random.randint(0, n, shape[:-1])
    labels = random.randint(0, n, shape)
    hidden = random.uniform(size=shape) < random.uniform(0, 0.6, shape[:2] + (1, 1))
    hidden |= data.get("attention_mask", np.ones(shape)) == 0
    if "empty" in case:
        hidden[tuple(case["empty"])] = True
    return np.where(hidden, case["ignore_index"], labels)
