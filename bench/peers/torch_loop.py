"""Serves nanoGPT's training loop in PyTorch, timed as a whole.

usage: torch_loop.py TOKENS THREADS

TOKENS is a file of uint16 token ids below 65. Prints a line of JSON about itself. For each line N on its input it then trains a
new model for N steps (4 layers, 4 heads, width 128, 12 rows of 64 tokens at random places; AdamW, cosine rate, clipping; no evaluation) and prints
{"seconds": ..., "loss": ...}, the time of the loop alone; it ends with its input.
"""
import json
import math
import sys
import time

import numpy
import torch

from models import MODELS, Transformer, adamw, train

BATCH, LENGTH = 12, 64


def batch(data):
    places = torch.randint(len(data) - LENGTH, (BATCH,))
    return torch.stack([data[i : i + LENGTH] for i in places]), torch.stack([data[i + 1 : i + 1 + LENGTH] for i in places])


def rate(step, steps, peak=1e-3, floor=1e-4, warmup=100):
    if step < warmup:
        return peak * (step + 1) / warmup
    return floor + (peak - floor) * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(steps - warmup, 1)))


def loop(data, steps):
    torch.manual_seed(1337)
    model = Transformer(MODELS["nanogpt"]).train()
    matrices = [p for p in model.parameters() if p.dim() > 1]
    vectors = [p for p in model.parameters() if p.dim() == 1]
    optimizer = adamw([{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}], lr=1e-3, betas=(0.9, 0.99))
    begin = time.perf_counter()
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = rate(step, steps)
        loss = train(model, optimizer, *batch(data))
    return {"seconds": time.perf_counter() - begin, "loss": loss}


def main():
    torch.set_num_threads(int(sys.argv[2]))
    data = torch.from_numpy(numpy.fromfile(sys.argv[1], "<u2").astype("int64"))
    loop(data, 20)
    print(json.dumps({"version": torch.__version__}), flush=True)
    for line in sys.stdin:
        print(json.dumps(loop(data, int(line))), flush=True)


if __name__ == "__main__":
    main()
