"""Writes functions.json: operations and their gradients on small inputs, by PyTorch in float64.

Run it with PyTorch 2.9 or later and transformers 5:

    python functions.py

An entry holds an operation's attributes and all its operands, outputs included, by the names of the contract.
"""

import math

import torch
import torch.nn.functional as F
from transformers import LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

from record import array, normal, write

entries = []


def entry(op, attrs, tolerance=1e-12, **operands):
    operands = {name: array(x) for name, x in operands.items() if x is not None}
    entries.append({"op": op, "attrs": attrs, "tolerance": tolerance, "operands": operands})


def grads(y, dy, *inputs):
    """The gradients of the inputs; None stands for an input that is left out."""
    present = [x for x in inputs if x is not None]
    found = iter(torch.autograd.grad(y, present, dy, retain_graph=True))
    return [None if x is None else next(found) for x in inputs]


def activations():
    cap = 1.5
    kinds = {
        "relu": F.relu,
        "gelu": F.gelu,
        "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
        "silu": F.silu,
        "sigmoid": torch.sigmoid,
        "tanh": torch.tanh,
        "soft_cap": lambda x: cap * torch.tanh(x / cap),
    }
    for kind, f in kinds.items():
        attrs = {"kind": kind} | ({"cap": cap} if kind == "soft_cap" else {})
        x = torch.tensor([-30.0, -6.0, -2.5, -1.0, -0.1, 0.1, 0.7, 3.0, 12.0]).requires_grad_()
        up, dy = normal(9), normal(9)
        entry("activate", attrs, x=x, y=f(x))
        entry("activate_grad", attrs, dy=dy, x=x, dx=grads(f(x), dy, x)[0])
        y = f(x) * up
        dgate, dup = grads(y, dy, x, up)
        entry("gate", attrs, gate=x, up=up, y=y)
        entry("gate_grad", attrs, dy=dy, gate=x, up=up, dgate=dgate, dup=dup)


def embeddings():
    ids = torch.tensor([[1, 3, 1], [0, 3, 3]])
    table, dy = normal(5, 2), normal(2, 3, 2)
    y = F.embedding(ids, table)
    entry("embedding", {}, ids=ids, table=table, y=y)
    entry("embedding_grad", {}, ids=ids, dy=dy, dtable=grads(y, dy, table)[0])


def products():
    for trans_a in (False, True):
        for trans_b in (False, True):
            a, b, bias = normal(3, 4), normal(4, 2), normal(2)
            entry(
                "matmul",
                {"trans_a": trans_a, "trans_b": trans_b},
                a=a.T if trans_a else a,
                b=b.T if trans_b else b,
                bias=bias,
                c=torch.addmm(bias, a, b),
            )


def norms():
    for weight, bias in ((normal(5), normal(5)), (normal(5), None), (None, None)):
        x, dy = normal(2, 2, 5), normal(2, 2, 5)
        y, mean, rstd = torch.native_layer_norm(x, [5], weight, bias, 1e-3)
        mean, rstd = mean.squeeze(-1), rstd.squeeze(-1)
        dx, dweight, dbias = grads(y, dy, x, weight, bias)
        entry("layer_norm", {"epsilon": 1e-3}, x=x, weight=weight, bias=bias, y=y, mean=mean, rstd=rstd)
        entry("layer_norm_grad", {}, dy=dy, x=x, weight=weight, mean=mean, rstd=rstd, dx=dx, dweight=dweight, dbias=dbias)
    for weight, offset in ((normal(5), 0.0), (normal(5), 1.0), (None, 0.0)):
        x, dy = normal(2, 2, 5), normal(2, 2, 5)
        y = F.rms_norm(x, [5], None if weight is None else weight + offset, 1e-3)
        rstd = torch.rsqrt(x.square().mean(-1) + 1e-3)
        dx, dweight = grads(y, dy, x, weight)
        entry("rms_norm", {"epsilon": 1e-3, "offset": offset}, x=x, weight=weight, y=y, rstd=rstd)
        entry("rms_norm_grad", {"offset": offset}, dy=dy, x=x, weight=weight, rstd=rstd, dx=dx, dweight=dweight)


def rotary_tables():
    """transformers keeps frequencies in float32, hence the tolerance."""
    positions = torch.tensor([[0, 1, 7], [2, 9, 11]])
    scalings = {
        "": ({"rope_type": "default"}, {}),
        "linear": ({"rope_type": "linear", "factor": 4.0}, {"rope_factor": 4.0}),
        "llama3": (
            {
                "rope_type": "llama3",
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 8192,
            },
            {"rope_factor": 8.0, "rope_low": 1.0, "rope_high": 4.0, "rope_original": 8192.0},
        ),
    }
    for name, (scaling, attrs) in scalings.items():
        frequencies = rope_frequencies(scaling)
        angles = positions[..., None] * frequencies.double()
        table = torch.cat([angles.cos(), angles.sin()], -1)
        entry("rotary_table", {"theta": 500000.0, "rope_scaling": name} | attrs, 1e-6, positions=positions, table=table)


def rope_frequencies(scaling):
    config = LlamaConfig(hidden_size=16, num_attention_heads=1, rope_theta=500000.0, max_position_embeddings=131072)
    config.rope_parameters = scaling | {"rope_theta": 500000.0}
    if scaling["rope_type"] == "default":
        return 500000.0 ** (-torch.arange(0, 16, 2) / 16)
    return ROPE_INIT_FUNCTIONS[scaling["rope_type"]](config, "cpu")[0]


def rotations():
    x, angles = normal(2, 3, 2, 4), normal(2, 3, 2)
    cos, sin = (torch.cat([f, f], -1) for f in (angles.cos(), angles.sin()))
    y, _ = apply_rotary_pos_emb(x, x, cos, sin, unsqueeze_dim=2)
    table = torch.cat([angles.cos(), angles.sin()], -1)
    entry("rotary", {}, x=x, table=table, y=y)
    entry("rotary", {"inverse": True}, x=y, table=table, y=x)
    # Interleaved pairs are complex numbers that are turned.
    turned = torch.view_as_complex(x.unflatten(-1, (2, 2)).contiguous()) * torch.polar(torch.ones_like(angles), angles)[:, :, None]
    entry("rotary", {"interleaved": True}, x=x, table=table, y=torch.view_as_real(turned).flatten(-2))


def attention(t=3, s=4, attrs=None, visible=None, **operands):
    """Scaled dot-product attention with grouped heads, and with a soft cap where there is one."""
    attrs = {"scale": 0.6} | (attrs or {})
    q, k, v, do = normal(2, t, 4, 2), normal(2, s, 2, 2), normal(2, s, 2, 2), normal(2, t, 4, 2)
    mask = torch.ones(2, 1, t, s, dtype=torch.bool) if visible is None else visible[:, None]
    kh, vh = (x.repeat_interleave(2, 2) for x in (k, v))
    scores = torch.einsum("bthd,bshd->bhts", q, kh) * attrs["scale"]
    if "cap" in attrs:
        scores = attrs["cap"] * torch.tanh(scores / attrs["cap"])
        o = torch.einsum("bhts,bshd->bthd", scores.masked_fill(~mask, -math.inf).softmax(-1), vh)
    else:
        heads_first = (x.transpose(1, 2) for x in (q, k, v))
        o = F.scaled_dot_product_attention(*heads_first, attn_mask=mask, scale=attrs["scale"], enable_gqa=True).transpose(1, 2)
    lse = scores.masked_fill(~mask, -math.inf).logsumexp(-1)
    dq, dk, dv = grads(o, do, q, k, v)
    inputs = {"q": q, "k": k, "v": v} | operands
    entry("attention", attrs, **inputs, o=o, lse=lse)
    entry("attention_grad", attrs, do=do, **inputs, o=o, lse=lse, dq=dq, dk=dk, dv=dv)


def attentions():
    attention()
    attention(attrs={"cap": 0.8})
    back = torch.arange(3)[:, None] + 1 - torch.arange(4)[None]  # how far back key j is from query i at offset 1

    def both(x):
        return x.expand(2, *x.shape)

    attention(attrs={"causal": True}, visible=both(back >= 0), offset=1)
    attention(attrs={"causal": True, "window": 2}, visible=both((back >= 0) & (back < 2)), offset=1)
    attention(attrs={"window": 2}, visible=both(back.abs() < 2), offset=1)
    lengths = torch.tensor([4, 2])
    attention(visible=(torch.arange(4) < lengths[:, None])[:, None].expand(2, 3, 4), lengths=lengths)
    queries, keys = torch.tensor([[1, 1, 2], [1, 2, 2]]), torch.tensor([[1, 1, 2, 2], [1, 2, 2, 3]])
    same = queries[:, :, None] == keys[:, None]
    attention(visible=same, q_segments=queries, k_segments=keys)
    attention(attrs={"causal": True}, visible=same & (back >= -1), q_segments=queries, k_segments=keys, offset=2)
    padding = torch.tensor([[1, 1, 0, 1], [1, 0, 0, 0]])
    attention(visible=(padding == 1)[:, None].expand(2, 3, 4), k_segments=padding)


def losses():
    weights, weight = torch.tensor([[0.5, 2.0, 1.0], [0.0, 1.5, 3.0]]), 7.0
    for smoothing in (0.0, 0.2):
        z, labels = normal(2, 3, 4), torch.tensor([[1, 0, -100], [3, 3, 2]])
        attrs = {"ignore_index": -100, "smoothing": smoothing}
        loss = F.cross_entropy(z.flatten(0, 1), labels.flatten(), reduction="none", ignore_index=-100, label_smoothing=smoothing).view(2, 3)
        lse = z.logsumexp(-1)
        entry("cross_entropy", attrs, logits=z, labels=labels, loss=loss, lse=lse)
        for w in (weights, None):
            dz = grads(loss, (torch.ones(2, 3) if w is None else w) / weight, z)[0]
            entry("cross_entropy_grad", attrs, logits=z, labels=labels, lse=lse, row_weights=w, weight=weight, dlogits=dz)
    elementwise = {"binary_cross_entropy": F.binary_cross_entropy_with_logits, "squared_error": F.mse_loss}
    for op, f in elementwise.items():
        z, targets = normal(2, 3, 4), torch.rand(2, 3, 4).round(decimals=2)
        loss = f(z, targets, reduction="none").mean(-1)
        entry(op, {}, logits=z, targets=targets, loss=loss)
        dz = grads(loss, weights / weight, z)[0]
        entry(op + "_grad", {}, logits=z, targets=targets, row_weights=weights, weight=weight, dlogits=dz)


def clipping():
    for max_norm in (0.5, 100.0):
        p = torch.nn.Parameter(torch.zeros(6))
        p.grad = normal(6).detach()
        before = p.grad.clone()
        norm = torch.nn.utils.clip_grad_norm_([p], max_norm)
        factor = (p.grad / before)[0]
        entry("clip_factor", {"max_norm": max_norm}, total=before.square().sum(), norm=norm, factor=factor, finite=1)


for section in (activations, embeddings, products, norms, rotary_tables, rotations, attentions, losses, clipping):
    section()
write(__file__, entries)
