"""Serves training steps in PyTorch, timed one by one.

usage: torch_step.py MODEL BATCH LENGTH THREADS fp32|bf16

Makes the model, takes two steps to warm up, and prints a line of JSON about itself. For each line N on its input it then
takes N steps and prints {"seconds": [...], "rss_bytes": ...}; it ends with its input.
"""
import json
import resource
import sys
import time

import torch

from models import MODELS, Transformer, adamw, train


def main():
    name, batch, length, threads, precision = sys.argv[1], *map(int, sys.argv[2:5]), sys.argv[5]
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    sizes = MODELS[name]
    model = Transformer(sizes).train()
    optimizer = adamw(model.parameters(), lr=1e-4, weight_decay=0.1)

    def step():
        tokens = torch.randint(sizes.vocabulary, (batch, length))
        targets = torch.randint(sizes.labels or sizes.vocabulary, (batch, length))
        begin = time.perf_counter()
        loss = train(model, optimizer, tokens, targets, precision == "bf16")
        return time.perf_counter() - begin, loss

    first = step()[1]
    step()
    answer(version=torch.__version__, parameters=sum(p.numel() for p in model.parameters()), loss=first)
    for line in sys.stdin:
        seconds = [step()[0] for _ in range(int(line))]
        answer(seconds=seconds, rss_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


def answer(**fields):
    print(json.dumps(fields), flush=True)


if __name__ == "__main__":
    main()
