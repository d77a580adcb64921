"""The forward mathematics of the reference cases, plain PyTorch in whatever type the weights have.

Weights are a dict under their Hugging Face names. Nothing here drops to float32: transformers takes its rotary tables,
RMS norms and softmax there even in a float64 model, so its own numbers are good to seven digits only.

Shapes: B batch, T time, C width, H heads, G key-value heads, D head width, R rotated width, F feed-forward, V vocabulary.
"""

import math

import torch
import torch.nn.functional as F


def gelu_tanh(x):
    return F.gelu(x, approximate="tanh")


ACTIVATIONS = {"gelu": F.gelu, "gelu_new": gelu_tanh, "gelu_pytorch_tanh": gelu_tanh, "relu": F.relu, "silu": F.silu}


# Pieces.


def linear(p, name, x):
    """y = x·Wᵀ + b, W stored [out, in]."""
    return F.linear(x, p[name + ".weight"], p.get(name + ".bias"))


def conv1d(p, name, x):
    """y = x·W + b, W stored [in, out], as GPT-2 has it."""
    return x @ p[name + ".weight"] + p[name + ".bias"]


def layer_norm(p, name, x, eps):
    return F.layer_norm(x, x.shape[-1:], p[name + ".weight"], p[name + ".bias"], eps)


def rms_norm(p, name, x, eps, offset=0.0):
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps) * (p[name + ".weight"] + offset)


def heads(x, width):
    """[B, T, H·D] → [B, T, H, D]."""
    return x.unflatten(-1, (-1, width))


def attention(q, k, v, visible, scale, cap=None):
    """q [B, T, H, D], k and v [B, T, G, D], visible broadcast to [B, 1, T, T] → [B, T, H·D]."""
    group = q.shape[2] // k.shape[2]
    k, v = k.repeat_interleave(group, dim=2), v.repeat_interleave(group, dim=2)
    s = torch.einsum("bthd,bshd->bhts", q, k) * scale
    if cap:
        s = cap * torch.tanh(s / cap)
    prob = s.masked_fill(~visible, -math.inf).softmax(-1)
    return torch.einsum("bhts,bshd->bthd", prob, v).flatten(2)


def causal(t, window=None):
    """Key j is visible to query i when 0 ≤ i − j < window."""
    distance = torch.arange(t)[:, None] - torch.arange(t)[None, :]
    return (distance >= 0) & (distance < (window or t))


def rope(config):
    """The rotary settings: transformers 5 writes rope_parameters, earlier ones rope_theta and rope_scaling, GPT-NeoX its own names."""
    old = {"rope_theta": config.get("rope_theta", config.get("rotary_emb_base", 10000.0)),
           "partial_rotary_factor": config.get("rotary_pct", 1.0)}
    return {**old, **(config.get("rope_scaling") or {}), **(config.get("rope_parameters") or {})}


def rotary_table(config, width, t, dtype):
    """cos and sin [T, 1, R/2] of position·frequency, taken in float64 and rounded once."""
    r = rope(config)
    n = int(width * r["partial_rotary_factor"])
    f = r["rope_theta"] ** (-torch.arange(0, n, 2, dtype=torch.float64) / n)
    kind = r.get("rope_type", r.get("type", "default"))
    f = {"default": lambda: f, "linear": lambda: f / r["factor"], "llama3": lambda: llama3(f, r)}[kind]()
    angle = torch.arange(t, dtype=torch.float64)[:, None, None] * f
    return angle.cos().to(dtype), angle.sin().to(dtype)


def llama3(f, r):
    """Frequencies whose wavelength is short against the original context stay, long ones are divided by factor, between is blended."""
    turns = r["original_max_position_embeddings"] * f / (2 * math.pi)
    s = (turns - r["low_freq_factor"]) / (r["high_freq_factor"] - r["low_freq_factor"])
    s = s.clamp(0, 1)
    return (1 - s) * f / r["factor"] + s * f


def rotate(x, table):
    """Turns the pairs (i, i+R/2) of each head's first R elements, and copies the rest."""
    cos, sin = table
    half = cos.shape[-1]
    a, b, rest = x[..., :half], x[..., half:2 * half], x[..., 2 * half:]
    return torch.cat([a * cos - b * sin, b * cos + a * sin, rest], dim=-1)


# Architectures: (config, weights, batch of input_ids, ...) → logits.


def gpt2(config, p, batch):
    ids, eps = batch["input_ids"], config["layer_norm_epsilon"]
    t, width = ids.shape[1], config["n_embd"] // config["n_head"]
    act = ACTIVATIONS[config["activation_function"]]
    x = p["transformer.wte.weight"][ids] + p["transformer.wpe.weight"][:t]
    for i in range(config["n_layer"]):
        h = f"transformer.h.{i}."
        qkv = conv1d(p, h + "attn.c_attn", layer_norm(p, h + "ln_1", x, eps))
        q, k, v = (heads(y, width) for y in qkv.chunk(3, dim=-1))
        x = x + conv1d(p, h + "attn.c_proj", attention(q, k, v, causal(t), width ** -0.5))
        x = x + conv1d(p, h + "mlp.c_proj", act(conv1d(p, h + "mlp.c_fc", layer_norm(p, h + "ln_2", x, eps))))
    x = layer_norm(p, "transformer.ln_f", x, eps)
    return F.linear(x, p.get("lm_head.weight", p["transformer.wte.weight"]))


def head_width(config):
    return config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]


def rotary_attention(p, name, x, width, table, visible, scale, cap=None):
    """The attention of Llama and its kin, from normalised input to output projection."""
    q, k, v = (heads(linear(p, f"{name}.{part}_proj", x), width) for part in "qkv")
    return linear(p, name + ".o_proj", attention(rotate(q, table), rotate(k, table), v, visible, scale, cap))


def gated(p, name, x, act):
    return linear(p, name + ".down_proj", act(linear(p, name + ".gate_proj", x)) * linear(p, name + ".up_proj", x))


def llama(config, p, batch):
    """Llama, and Qwen2, which is Llama with biases on q, k and v."""
    ids, eps, width = batch["input_ids"], config["rms_norm_eps"], head_width(config)
    x = p["model.embed_tokens.weight"][ids]
    table, visible = rotary_table(config, width, ids.shape[1], x.dtype), causal(ids.shape[1])
    act = ACTIVATIONS[config["hidden_act"]]
    for i in range(config["num_hidden_layers"]):
        h = f"model.layers.{i}."
        y = rms_norm(p, h + "input_layernorm", x, eps)
        x = x + rotary_attention(p, h + "self_attn", y, width, table, visible, width ** -0.5)
        x = x + gated(p, h + "mlp", rms_norm(p, h + "post_attention_layernorm", x, eps), act)
    x = rms_norm(p, "model.norm", x, eps)
    return F.linear(x, p.get("lm_head.weight", p["model.embed_tokens.weight"]))


def gemma2(config, p, batch):
    ids, eps, width = batch["input_ids"], config["rms_norm_eps"], head_width(config)
    x = p["model.embed_tokens.weight"][ids] * config["hidden_size"] ** 0.5
    t, scale = ids.shape[1], config["query_pre_attn_scalar"] ** -0.5
    table, act = rotary_table(config, width, t, x.dtype), ACTIVATIONS[config["hidden_activation"]]
    for i in range(config["num_hidden_layers"]):
        h = f"model.layers.{i}."
        norm = lambda name, x: rms_norm(p, f"{h}{name}_layernorm", x, eps, offset=1.0)
        visible = causal(t, config["sliding_window"] if i % 2 == 0 else None)
        y = rms_norm(p, h + "input_layernorm", x, eps, offset=1.0)
        y = rotary_attention(p, h + "self_attn", y, width, table, visible, scale, config["attn_logit_softcapping"])
        x = x + norm("post_attention", y)
        x = x + norm("post_feedforward", gated(p, h + "mlp", norm("pre_feedforward", x), act))
    logits = F.linear(rms_norm(p, "model.norm", x, eps, offset=1.0), p["model.embed_tokens.weight"])
    cap = config["final_logit_softcapping"]
    return cap * torch.tanh(logits / cap) if cap else logits


def gpt_neox(config, p, batch):
    """query_key_value is stored head by head: the q, k and v of one head lie together."""
    ids, eps = batch["input_ids"], config["layer_norm_eps"]
    t, width = ids.shape[1], config["hidden_size"] // config["num_attention_heads"]
    x = p["gpt_neox.embed_in.weight"][ids]
    table, act = rotary_table(config, width, t, x.dtype), ACTIVATIONS[config["hidden_act"]]
    for i in range(config["num_hidden_layers"]):
        h = f"gpt_neox.layers.{i}."
        qkv = linear(p, h + "attention.query_key_value", layer_norm(p, h + "input_layernorm", x, eps))
        q, k, v = heads(qkv, 3 * width).chunk(3, dim=-1)
        y = attention(rotate(q, table), rotate(k, table), v, causal(t), width ** -0.5)
        after = x + linear(p, h + "attention.dense", y)
        z = layer_norm(p, h + "post_attention_layernorm", x if config["use_parallel_residual"] else after, eps)
        x = after + linear(p, h + "mlp.dense_4h_to_h", act(linear(p, h + "mlp.dense_h_to_4h", z)))
    x = layer_norm(p, "gpt_neox.final_layer_norm", x, eps)
    return F.linear(x, p.get("embed_out.weight", p["gpt_neox.embed_in.weight"]))


def bert(config, p, batch):
    x = bert_encoder(config, p, batch)
    if config["architectures"] == ["BertForSequenceClassification"]:
        x = torch.tanh(linear(p, "bert.pooler.dense", x[:, 0]))
    return linear(p, "classifier", x)


def bert_encoder(config, p, batch):
    ids, eps = batch["input_ids"], config["layer_norm_eps"]
    width, act = config["hidden_size"] // config["num_attention_heads"], ACTIVATIONS[config["hidden_act"]]
    visible = batch["attention_mask"].bool()[:, None, None, :]
    e = "bert.embeddings."
    x = (p[e + "word_embeddings.weight"][ids] + p[e + "token_type_embeddings.weight"][batch["token_type_ids"]]
         + p[e + "position_embeddings.weight"][:ids.shape[1]])
    x = layer_norm(p, e + "LayerNorm", x, eps)
    for i in range(config["num_hidden_layers"]):
        h = f"bert.encoder.layer.{i}."
        q, k, v = (heads(linear(p, f"{h}attention.self.{part}", x), width) for part in ("query", "key", "value"))
        y = linear(p, h + "attention.output.dense", attention(q, k, v, visible, width ** -0.5))
        x = layer_norm(p, h + "attention.output.LayerNorm", x + y, eps)
        y = linear(p, h + "output.dense", act(linear(p, h + "intermediate.dense", x)))
        x = layer_norm(p, h + "output.LayerNorm", x + y, eps)
    return x


FORWARD = {"gpt2": gpt2, "llama": llama, "qwen2": llama, "gemma2": gemma2, "gpt_neox": gpt_neox, "bert": bert}


# Losses.


def problem(config):
    """What the labels are: classes, or float targets for each label."""
    if config["architectures"] != ["BertForSequenceClassification"]:
        return "single_label_classification"
    return config.get("problem_type") or "single_label_classification"


def scored(config, case, labels):
    """The number of tokens, or of sequences, that the loss is the mean over."""
    if problem(config) != "single_label_classification":
        return labels.shape[:-1].numel()
    return int((labels != case["ignore_index"]).sum())


def loss_sum(config, case, logits, labels):
    """Σ of the losses of what is scored; with float targets, one sequence's loss is the mean over its labels."""
    kind = problem(config)
    if kind == "regression":
        return (logits - labels.to(logits)).square().mean(-1).sum()
    if kind == "multi_label_classification":
        return F.binary_cross_entropy_with_logits(logits, labels.to(logits), reduction="none").mean(-1).sum()
    return F.cross_entropy(logits.flatten(0, -2), labels.flatten(), reduction="sum", ignore_index=case["ignore_index"],
                           label_smoothing=case.get("label_smoothing", 0.0))


def unseen(config, name, weight):
    """Which elements have no gradient in exact arithmetic, so that Adam would turn noise into steps: the biases of keys, which
    softmax does not see, except where rotation makes them depend on the distance. A mask, or None."""
    mask = torch.zeros(weight.shape, dtype=torch.bool)
    if name.endswith("attention.self.key.bias"):
        return ~mask
    if name.endswith("attn.c_attn.bias"):
        mask.chunk(3)[1].fill_(True)
        return mask
    if name.endswith("attention.query_key_value.bias"):
        width = config["hidden_size"] // config["num_attention_heads"]
        turned = int(width * rope(config)["partial_rotary_factor"])
        mask.view(-1, 3, width)[:, 1, turned:] = True
        return mask
    return None
