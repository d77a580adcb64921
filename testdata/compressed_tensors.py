"""Holds an exported folder to the checkpoint that it was made of, with the compressed-tensors package's own decompression.

    python3 compressed_tensors.py EXPORTED CHECKPOINT [NAME of a weight that the checkpoint has as [in, out]]...
"""
import json
import os
import sys

here = os.path.dirname(os.path.abspath(__file__))
sys.path = [p for p in sys.path if os.path.abspath(p or ".") != here]  # this file has the package's name

import torch
from safetensors.torch import load_file

from compressed_tensors.compressors import BaseCompressor
from compressed_tensors.quantization import QuantizationConfig

folder, checkpoint, across = sys.argv[1], sys.argv[2], set(sys.argv[3:])
exported = load_file(os.path.join(folder, "model.safetensors"))
trained = load_file(os.path.join(checkpoint, "model.safetensors"))
with open(os.path.join(folder, "config.json")) as f:
    members = json.load(f)["quantization_config"]
members.pop("sparsity_config", None)
config = QuantizationConfig.model_validate(members)
modules = 0
for scheme in config.config_groups.values():
    compressor = BaseCompressor.get_value_from_registry(scheme.format or config.format)
    for module in scheme.targets:
        state = {k[len(module) + 1:]: v for k, v in exported.items() if k.startswith(module + ".weight")}
        made = compressor.decompress(state, scheme)["weight"]
        want = trained[module + ".weight"]
        if module + ".weight" in across:
            want = want.T
        torch.testing.assert_close(made, want.to(made.dtype), rtol=1e-6, atol=0)
        modules += 1
print(f"{modules} modules decompress to the checkpoint's weights")
if modules == 0:
    sys.exit("no module was quantised")
