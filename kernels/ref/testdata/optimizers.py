"""Writes optimizers.json: a few steps of each optimizer on one tensor, in float64.

Run it with PyTorch 2.9 or later:

    python optimizers.py

SGD, Adam, AdamW, Adafactor and Muon are PyTorch's; Lion and LAMB are written out here from their papers.
The learning rate changes from step to step. An entry holds the attributes, the weights before the first step, and for each
step the rate, the gradients and the weights after it.
"""

from unittest import mock

import torch

from record import array, randn, write

RATES = [0.1, 0.3, 0.05, 0.7, 0.2]

entries = []


def record(name, attrs, update, shape=(3, 4), factor=1.0, rate_scale=1.0, **extra):
    """Runs update(weight, gradient, rate, step) for a few steps and keeps what it did."""
    weight = randn(*shape)
    entry = {"name": name, "attrs": attrs | {"rate_scale": rate_scale}, "factor": factor, "weight": array(weight), "steps": []}
    for step, rate in enumerate(RATES, 1):
        grad = randn(*shape) * (3 if step == 3 else 1)
        weight = update(weight, grad * factor, rate * rate_scale, step)
        entry["steps"].append({"rate": rate, "grad": array(grad), "weight": array(weight)})
    entries.append(entry | extra)


class Torch:
    """An optimizer of torch.optim as an update function."""

    def __init__(self, kind, **settings):
        self.kind, self.settings, self.optimizer = kind, settings, None

    def __call__(self, weight, grad, rate, step):
        if self.optimizer is None:
            self.parameter = torch.nn.Parameter(weight.clone())
            self.optimizer = self.kind([self.parameter], lr=rate, **self.settings)
        self.optimizer.param_groups[0]["lr"] = rate
        self.parameter.grad = grad.clone()
        self.optimizer.step()
        return self.parameter.detach().clone()


class Lion:
    """Chen et al., arXiv:2302.06675, algorithm 2."""

    def __init__(self, beta1, beta2, decay):
        self.beta1, self.beta2, self.decay, self.m = beta1, beta2, decay, 0.0

    def __call__(self, weight, grad, rate, step):
        direction = torch.sign(self.beta1 * self.m + (1 - self.beta1) * grad)
        self.m = self.beta2 * self.m + (1 - self.beta2) * grad
        return weight - rate * (direction + self.decay * weight)


class LAMB:
    """You et al., arXiv:1904.00962, algorithm 2, with the identity for the scaling function."""

    def __init__(self, beta1, beta2, epsilon, decay):
        self.beta1, self.beta2, self.epsilon, self.decay = beta1, beta2, epsilon, decay
        self.m = self.v = 0.0

    def __call__(self, weight, grad, rate, step):
        self.m = self.beta1 * self.m + (1 - self.beta1) * grad
        self.v = self.beta2 * self.v + (1 - self.beta2) * grad**2
        m, v = self.m / (1 - self.beta1**step), self.v / (1 - self.beta2**step)
        update = m / (v.sqrt() + self.epsilon) + self.decay * weight
        return weight - rate * weight.norm() / update.norm() * update


def gradient_descent():
    record("sgd", {"decay": 0.1}, Torch(torch.optim.SGD, weight_decay=0.1))
    record("sgd", {"momentum": 0.9}, Torch(torch.optim.SGD, momentum=0.9), momentum=True, factor=0.5)
    attrs = {"momentum": 0.8, "decay": 0.1, "nesterov": True}
    record("sgd", attrs, Torch(torch.optim.SGD, momentum=0.8, weight_decay=0.1, nesterov=True), momentum=True)


def adaptive_moments():
    attrs = {"beta1": 0.9, "beta2": 0.95, "epsilon": 1e-3}
    settings = {"betas": (0.9, 0.95), "eps": 1e-3}
    for decay in (0.0, 0.1):
        record("adam", attrs | {"decay": decay}, Torch(torch.optim.Adam, weight_decay=decay, **settings))
        record("adamw", attrs | {"decay": decay}, Torch(torch.optim.AdamW, weight_decay=decay, **settings), factor=0.3, rate_scale=0.5)
        record("lion", {"beta1": 0.9, "beta2": 0.99, "decay": decay}, Lion(0.9, 0.99, decay))
        record("lamb", attrs | {"decay": decay}, LAMB(0.9, 0.95, 1e-3, decay), factor=2.0)


def adafactor():
    """With a rate_scale of 1: PyTorch bounds the rate by 1/√t, gsc by rate_scale/√t."""
    for decay, clip in ((0.0, 1.0), (0.1, 1.5)):
        attrs = {"epsilon": 1e-4, "epsilon2": 1e-3, "max_rms": clip, "decay": decay}
        settings = {"eps": (1e-4, 1e-3), "d": clip, "weight_decay": decay}
        record("adafactor", attrs, Torch(torch.optim.Adafactor, **settings), factored=True)
        record("adafactor", attrs, Torch(torch.optim.Adafactor, **settings), shape=(7,), factor=0.5)


def muon():
    """PyTorch orthogonalises in bfloat16; here that is float64, too."""
    with mock.patch.object(torch, "bfloat16", torch.float64):
        for shape, adjust, alpha in (((3, 4), "original", 1.0), ((6, 2), "original", 3**0.5), ((2, 5), "match_rms_adamw", 0.2 * 5**0.5)):
            for nesterov in (False, True):
                attrs = {"momentum": 0.9, "nesterov": nesterov, "decay": 0.1, "steps": 5, "epsilon": 1e-7, "alpha": alpha}
                settings = {"momentum": 0.9, "nesterov": nesterov, "weight_decay": 0.1, "adjust_lr_fn": adjust}
                record("muon", attrs, Torch(torch.optim.Muon, **settings), shape=shape)


for section in (gradient_descent, adaptive_moments, adafactor, muon):
    section()
write(__file__, entries)
