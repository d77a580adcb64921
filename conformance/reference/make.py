#!/usr/bin/env python3
"""Makes, and checks, numeric reference cases: short training runs of tiny transformers in float64. README.md tells their form.

    make.py --out DIR [CASE...]           make cases, all of them when none is named
    make.py --verify FOLDER [FOLDER...]   train again from what a folder holds, and compare, in float64 and in float32
    make.py --check FOLDER [FOLDER...]    compare a folder's logits with transformers, which must be installed
"""

import sys

sys.dont_write_bytecode = True

import argparse
import json
import math
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

import cases
import models
import optimizers


def train(config, case, weights, data, dtype):
    """The run that case.json describes, all of it in dtype: the tensors of expected.safetensors, and the optimizers."""
    p = {name: w.to(dtype, copy=True).requires_grad_() for name, w in weights.items()}
    o, out = case["optimizer"], {"loss": [], "grad_norm": []}
    stepping = optimizers.build(o, p)
    for step, lr in enumerate(o["lr"]):
        batches = micro_batches(data, step)
        loss, logits = backward(config, case, p, batches)
        norm = torch.stack([w.grad.square().sum() for w in p.values()]).sum().sqrt()
        if step == 0:
            out["logits"] = logits
            out.update({"grad." + name: w.grad.clone() for name, w in p.items()})
        out["loss"].append(loss)
        out["grad_norm"].append(norm)
        clip(o, p, norm)
        optimizers.step(stepping, lr)
    out.update({"final." + name: w.detach() for name, w in p.items()})
    return {name: torch.stack(x) if isinstance(x, list) else x for name, x in out.items()}, stepping


def micro_batches(data, step):
    return [{name: x[step, i] for name, x in data.items()} for i in range(data["input_ids"].shape[1])]


def backward(config, case, p, batches):
    """Leaves in p the gradients of the mean loss over all that the micro-batches score; returns it and the first logits."""
    total, loss, first = sum(models.scored(config, case, b["labels"]) for b in batches), 0, None
    for w in p.values():
        w.grad = torch.zeros_like(w)
    for batch in batches:
        logits = models.FORWARD[config["model_type"]](config, p, batch)
        part = models.loss_sum(config, case, logits, batch["labels"]) / total
        part.backward()
        loss, first = loss + part.detach(), logits.detach() if first is None else first
    return loss, first


def clip(o, p, norm):
    if o["clip_norm"] is not None:
        factor = (o["clip_norm"] / (norm + 1e-6)).clamp(max=1)
        for w in p.values():
            w.grad *= factor


# Comparison: ‖a−b‖ / max(‖b‖, floor), floor = 10⁻³·(the first step's gradient norm) for gradients and 0 else.

FLOAT32, FLOAT64 = {"values": 2e-6, "weights": 5e-6}, {"values": 1e-9, "weights": 1e-9}


def errors(config, case, weights, want, got):
    """The error of each tensor by the rule; elements that softmax does not see are held to |final − start| ≤ 2·Σ lr."""
    norm, reach, out = want["grad_norm"][0].item(), 2 * sum(case["optimizer"]["lr"]), {}
    for name, b in want.items():
        part, _, weight = name.partition(".")
        a, strayed = got[name].double(), False
        mask = models.unseen(config, weight, b) if part == "final" else None
        if mask is not None:
            strayed = ((a - weights[weight].double()).abs() > reach)[mask].any()
            a, b = a[~mask], b[~mask]
        floor = 1e-3 * norm if part == "grad" else 0.0
        out[name] = math.inf if strayed else (a - b).norm().item() / max(b.norm().item(), floor, 1e-300)
    return out


def summary(found):
    """The largest error of each part of expected.safetensors, as a line."""
    worst = {}
    for name, e in found.items():
        part = name.partition(".")[0]
        worst[part] = max(worst.get(part, 0), e)
    return "  ".join(f"{part} {worst[part]:.1e}" for part in ("logits", "loss", "grad_norm", "grad", "final"))


def failures(found, limit):
    kind = lambda name: "weights" if name.startswith(("grad.", "final.")) else "values"
    return [f"{name} {e:.1e}" for name, e in found.items() if not e <= limit[kind(name)]]


# Folders.


def make(out, name):
    config, case, seed = cases.CASES[name]
    weights = {n: torch.from_numpy(w) for n, w in cases.draw_weights(config, seed).items()}
    data = {n: torch.from_numpy(x) for n, x in cases.draw_data(config, case, seed).items()}
    case = {key: value for key, value in case.items() if key not in ("gaps", "empty")}
    expected, _ = train(config, case, weights, data, torch.float64)
    folder = out / name
    folder.mkdir(parents=True, exist_ok=True)
    for file, value in ("config.json", config), ("case.json", case):
        (folder / file).write_text(json.dumps(value, indent=1) + "\n")
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    save_file(data, folder / "data.safetensors")
    save_file({n: x.contiguous() for n, x in expected.items()}, folder / "expected.safetensors")
    size = sum(f.stat().st_size for f in folder.iterdir())
    print(f"{name}: {sum(w.numel() for w in weights.values())} weights, {size / 1000:.0f} kB")


def load(folder):
    config, case = (json.loads((folder / f).read_text()) for f in ("config.json", "case.json"))
    return config, case, *(load_file(folder / f"{part}.safetensors") for part in ("model", "data", "expected"))


def verify(folder):
    """Whether the folder's expected tensors are what this script computes, and within reach of float32."""
    config, case, weights, data, want = load(folder)
    good = True
    for dtype, limit in (torch.float64, FLOAT64), (torch.float32, FLOAT32):
        got, stepping = train(config, case, weights, data, dtype)
        assert got.keys() == want.keys(), f"{folder}: tensors differ: {sorted(got.keys() ^ want.keys())}"
        found = errors(config, case, weights, want, got)
        bad = failures(found, limit)
        margin = "".join(f"  margin {o.margin:.1e}" for o in stepping if isinstance(o, optimizers.Lion))
        print(f"{folder.name:20} {str(dtype)[6:]}  {summary(found)}{margin}" + "".join("\n    too far: " + b for b in bad))
        good = good and not bad
    return good


def check(folder):
    """Whether transformers, reading the folder, gives the same logits (and loss, where its definition is ours)."""
    import transformers
    config, case, _, data, want = load(folder)
    kind = getattr(transformers, config["architectures"][0])
    model, info = kind.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager", output_loading_info=True)
    assert not any(info.values()), f"{folder}: {info}"
    batch = micro_batches(data, 0)[0]
    labels = batch.pop("labels")
    with torch.no_grad():
        own = {"labels": labels} if "BertFor" in config["architectures"][0] and case["micro_batches"] == 1 else {}
        got = model.double().eval()(**batch, **{n: x.double() if x.is_floating_point() else x for n, x in own.items()})
    e = ((got.logits - want["logits"]).norm() / want["logits"].norm()).item()
    loss = abs(got.loss - want["loss"][0]).item() if own else 0.0
    print(f"{folder.name:20} {config['architectures'][0]}  logits {e:.1e}" + (f"  loss {loss:.1e}" if own else ""))
    return max(e, loss) < 1e-5


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, metavar="DIR")
    parser.add_argument("--verify", type=Path, nargs="+", metavar="FOLDER", default=[])
    parser.add_argument("--check", type=Path, nargs="+", metavar="FOLDER", default=[])
    parser.add_argument("cases", nargs="*", metavar="CASE", help=", ".join(cases.CASES))
    args = parser.parse_args()
    unknown = set(args.cases) - cases.CASES.keys()
    if unknown or not (args.out or args.verify or args.check):
        parser.error(f"no case {', '.join(sorted(unknown))}" if unknown else "nothing to do")
    torch.set_num_threads(1)
    for name in (args.cases or cases.CASES) if args.out else []:
        make(args.out, name)
    good = [verify(folder) for folder in args.verify] + [check(folder) for folder in args.check]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
