"""The transformers that the peer trains: those of bench/strategies, in PyTorch, without dropout.

B batch, T time, C width, H heads, V vocabulary.
"""
import math
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F


@dataclass
class Sizes:
    layers: int
    heads: int
    width: int
    context: int
    vocabulary: int
    labels: int = 0  # 0: causal, the head is the embedding's table; else labels of each token
    bias: bool = True


MODELS = {
    "gpt2-124m": Sizes(12, 12, 768, 1024, 50257),
    "char6": Sizes(6, 6, 384, 256, 65),
    "bert-base": Sizes(12, 12, 768, 512, 30522, labels=9),
    "nanogpt": Sizes(4, 4, 128, 64, 65, bias=False),
}


class Norm(nn.Module):
    """LayerNorm whose bias can be left out, which torch 1.13's own cannot."""

    def __init__(self, s, epsilon=1e-5):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(s.width))
        self.bias = nn.Parameter(torch.zeros(s.width)) if s.bias else None
        self.epsilon = epsilon

    def forward(self, x):
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias, self.epsilon)


class Attention(nn.Module):
    def __init__(self, s):
        super().__init__()
        self.s = s
        self.project = nn.Linear(s.width, 3 * s.width, bias=s.bias)
        self.out = nn.Linear(s.width, s.width, bias=s.bias)
        if not hasattr(F, "scaled_dot_product_attention") and not s.labels:
            above = torch.ones(s.context, s.context, dtype=torch.bool).triu(1)
            self.register_buffer("mask", torch.zeros(s.context, s.context).masked_fill(above, -math.inf))

    def forward(self, x):
        B, T, C = x.shape
        head = C // self.s.heads
        q, k, v = self.project(x).view(B, T, 3, self.s.heads, head).permute(2, 0, 3, 1, 4)
        return self.out(self.mix(q, k, v).transpose(1, 2).reshape(B, T, C))

    def mix(self, q, k, v):
        causal = not self.s.labels
        if hasattr(F, "scaled_dot_product_attention"):
            return F.scaled_dot_product_attention(q, k, v, is_causal=causal)
        score = (q * (1 / math.sqrt(q.shape[-1]))) @ k.transpose(-2, -1)
        if causal:
            T = q.shape[-2]
            score = score + self.mask[:T, :T]
        return score.softmax(-1) @ v


class Block(nn.Module):
    """A layer of GPT-2 (norm before each branch, tanh GELU) or of BERT (norm after each branch, exact GELU)."""

    def __init__(self, s):
        super().__init__()
        self.before = not s.labels
        self.attention = Attention(s)
        self.up, self.down = nn.Linear(s.width, 4 * s.width, bias=s.bias), nn.Linear(4 * s.width, s.width, bias=s.bias)
        self.norm1, self.norm2 = Norm(s), Norm(s)

    def mlp(self, x):
        return self.down(F.gelu(self.up(x), approximate="tanh" if self.before else "none"))

    def forward(self, x):
        if self.before:
            x = x + self.attention(self.norm1(x))
            return x + self.mlp(self.norm2(x))
        x = self.norm1(x + self.attention(x))
        return self.norm2(x + self.mlp(x))


class Transformer(nn.Module):
    def __init__(self, s):
        super().__init__()
        self.s = s
        self.token, self.position = nn.Embedding(s.vocabulary, s.width), nn.Embedding(s.context, s.width)
        self.types = nn.Embedding(2, s.width) if s.labels else None
        self.blocks = nn.ModuleList(Block(s) for _ in range(s.layers))
        self.norm = Norm(s)
        self.head = nn.Linear(s.width, s.labels or s.vocabulary, bias=bool(s.labels))
        self.apply(self.start)
        if not s.labels:
            self.head.weight = self.token.weight

    @staticmethod
    def start(m):
        if isinstance(m, (nn.Linear, nn.Embedding)):
            nn.init.normal_(m.weight, std=0.02)
        if isinstance(m, nn.Linear) and m.bias is not None:
            nn.init.zeros_(m.bias)

    def embed(self, tokens):
        x = self.token(tokens) + self.position.weight[: tokens.shape[1]]
        return x if self.types is None else self.norm(x + self.types(torch.zeros_like(tokens)))

    def forward(self, tokens):
        x = self.embed(tokens)
        for block in self.blocks:
            x = block(x)
        return self.head(x if self.s.labels else self.norm(x))

    def loss(self, tokens, targets, bf16=False):
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            logits = self(tokens)
        return F.cross_entropy(logits.float().flatten(0, 1), targets.flatten())


def adamw(groups, **settings):
    """AdamW in its fastest form: one fused pass where this torch has it for a CPU."""
    try:
        return torch.optim.AdamW(groups, fused=True, **settings)
    except (RuntimeError, TypeError):
        return torch.optim.AdamW(groups, **settings)


def train(model, optimizer, tokens, targets, bf16=False):
    """One training step; gives the loss."""
    loss = model.loss(tokens, targets, bf16)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return loss.item()
