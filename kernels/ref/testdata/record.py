"""What functions.py and optimizers.py share: random inputs and the JSON they are written to."""

import json
import pathlib

import torch

torch.set_default_dtype(torch.float64)
torch.manual_seed(20)


def randn(*shape):
    """Normal values of two decimals, which are short to write."""
    return torch.randn(*shape).round(decimals=2)


def normal(*shape):
    """Normal values that gradients are asked of."""
    return randn(*shape).requires_grad_()


def array(x):
    """A tensor as the tests read it."""
    if not isinstance(x, torch.Tensor):
        x = torch.tensor(x)
    return {"shape": list(x.shape), "values": x.detach().flatten().tolist()}


def write(script, entries):
    """Writes one entry a line, beside the script and under its name."""
    lines = ",\n".join(json.dumps(entry) for entry in entries)
    path = pathlib.Path(script).with_suffix(".json")
    path.write_text(f"[\n{lines}\n]\n")
