"""The optimizers of the reference cases: PyTorch's own where it has them in the type of the weights, else written from the papers."""

import math
from fnmatch import fnmatchcase

import torch


class Lion(torch.optim.Optimizer):
    """u = sign(β₁·m + (1−β₁)·g); w −= η·(u + λ·w); m = β₂·m + (1−β₂)·g. Chen et al., arXiv:2302.06675, algorithm 2."""

    def __init__(self, params, lr=0.0, betas=(0.9, 0.99), weight_decay=0.0):
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})
        self.margin = math.inf  # the smallest |β₁·m + (1−β₁)·g| that a sign was taken of, zeros apart

    @torch.no_grad()
    def step(self):
        for group, w, state in members(self, "m"):
            (b1, b2), m = group["betas"], state["m"]
            u = b1 * m + (1 - b1) * w.grad
            self.margin = min(self.margin, u[u != 0].abs().min().item()) if (u != 0).any() else self.margin
            w.sub_(group["lr"] * (u.sign() + group["weight_decay"] * w))
            m.mul_(b2).add_(w.grad, alpha=1 - b2)


class LAMB(torch.optim.Optimizer):
    """m and v as Adam's; r = m̂/(√v̂ + ε) + λ·w; w −= η·(‖w‖/‖r‖)·r, the ratio 1 where a norm is 0.

    You et al., arXiv:1904.00962, algorithm 2.
    """

    def __init__(self, params, lr=0.0, betas=(0.9, 0.999), eps=1e-6, weight_decay=0.0):
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "t": 0})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            group["t"] += 1
        for group, w, state in members(self, "m", "v"):
            (b1, b2), m, v, t = group["betas"], state["m"], state["v"], group["t"]
            m.mul_(b1).add_(w.grad, alpha=1 - b1)
            v.mul_(b2).addcmul_(w.grad, w.grad, value=1 - b2)
            r = m / (1 - b1 ** t) / ((v / (1 - b2 ** t)).sqrt() + group["eps"]) + group["weight_decay"] * w
            norms = w.norm(), r.norm()
            w.sub_(group["lr"] * (norms[0] / norms[1] if min(norms) > 0 else 1.0) * r)


class Muon(torch.optim.Optimizer):
    """m = μ·m + (1−μ)·g; u = (1−μ)·g + μ·m with nesterov, else m; w −= η·λ·w; w −= η·√max(1, out/in)·NewtonSchulz(u).

    The weights are stored [out, in].

    Jordan et al., Muon: an optimizer for hidden layers in neural networks (2024). It is torch.optim.Muon but for the
    iteration, which torch runs in bfloat16 whatever the weights are.
    """

    def __init__(self, params, lr=0.0, momentum=0.95, nesterov=True, steps=5, eps=1e-7, weight_decay=0.0):
        super().__init__(params, {"lr": lr, "momentum": momentum, "nesterov": nesterov, "steps": steps, "eps": eps,
                                  "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self):
        for group, w, state in members(self, "m"):
            mu, m = group["momentum"], state["m"]
            m.mul_(mu).add_(w.grad, alpha=1 - mu)
            u = (1 - mu) * w.grad + mu * m if group["nesterov"] else m
            u = newton_schulz(u, group["steps"], group["eps"])
            w.mul_(1 - group["lr"] * group["weight_decay"])
            w.sub_(group["lr"] * math.sqrt(max(1, w.shape[0] / w.shape[1])) * u)


def newton_schulz(x, steps, eps, coefficients=(3.4445, -4.7750, 2.0315)):
    """x/max(‖x‖, ε), lying, then steps times A = xxᵀ, B = b·A + c·A², x = a·x + B·x; stood up again if it stood."""
    a, b, c = coefficients
    tall = x.shape[0] > x.shape[1]
    x = (x.T if tall else x) / x.norm().clamp(min=eps)
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if tall else x


def members(optimizer, *names):
    """Every weight with its group and its state, which starts as zeros."""
    for group in optimizer.param_groups:
        for w in group["params"]:
            state = optimizer.state[w]
            for name in names:
                state.setdefault(name, torch.zeros_like(w))
            yield group, w, state


def groups(o, named):
    """Parameter groups: with decay "matrices", weights of fewer than two axes are not decayed."""
    for w in named.values():
        decays = o["decay"] == "all" or w.ndim >= 2
        yield {"params": [w], "weight_decay": o["weight_decay"] if decays else 0.0}


def build(o, named):
    """The list of optimizers that together make one step of case.json's optimizer o over the named weights."""
    params = lambda named: list(groups(o, named))
    adam = {key: o[key] for key in ("betas", "eps") if key in o}
    match o["kind"]:
        case "adamw":
            return [torch.optim.AdamW(params(named), foreach=False, **adam)]
        case "adam":
            return [torch.optim.Adam(params(named), foreach=False, **adam)]
        case "sgd":
            return [torch.optim.SGD(params(named), momentum=o["momentum"], nesterov=o.get("nesterov", False), foreach=False)]
        case "adafactor":
            return [torch.optim.Adafactor(params(named), beta2_decay=o["beta2_decay"], eps=(o["eps"], o["eps2"]), d=o["max_rms"])]
        case "lion":
            return [Lion(params(named), betas=o["betas"])]
        case "lamb":
            return [LAMB(params(named), **adam)]
        case "muon":
            chosen, rest = split(o["muon"]["match"], named)
            settings = {key: o["muon"][key] for key in ("momentum", "nesterov", "steps", "eps")}
            return [Muon(params(chosen), **settings), torch.optim.AdamW(params(rest), foreach=False, **adam)]
    raise ValueError(f"optimizer kind {o['kind']!r}: use one of adamw, adam, sgd, adafactor, lion, lamb, muon")


def split(patterns, named):
    chosen = {name: w for name, w in named.items() if any(fnmatchcase(name, p) for p in patterns)}
    return chosen, {name: w for name, w in named.items() if name not in chosen}


def step(optimizers, lr):
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = lr
        optimizer.step()
