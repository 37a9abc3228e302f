#!/usr/bin/env bash
# `fused=True` on the CPU walks weight, gradient and state as they lie in memory: a loaded state in another layout is mixed up.
#
# torch 2.14.1, Python 3.11.7, Linux, CPU.
# A run saves its optimizer's state. The run that goes on has its network in channels_last, the usual advice for speed on CPUs and
# GPUs; the loaded state keeps the old layout. The plain and the foreach optimizers then make the same step to the bit. The
# fused ones add to each weight the momentum of another one. Nothing is raised.
# Mend: lay each loaded tensor out like its weight, with torch.empty_like(weight).copy_(state).
#
# Output seen:
#   largest difference of a weight after one step of the resumed run, in units of lr
#   SGD    plain 0.00   foreach 0.00   fused 3.79
#   Adam   plain 0.00   foreach 0.00   fused 1.51
#   AdamW  plain 0.00   foreach 0.00   fused 1.51
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -qq torch==2.14.1 numpy==2.4.6
cd "$folder"
cat >resume.py <<'END'
import copy
import platform

import torch

print(f"torch {torch.__version__}, Python {platform.python_version()}, {torch.backends.cpu.get_cpu_capability()}")
torch.set_num_threads(1)
LR = 0.1
WAYS = {"plain": {"foreach": False, "fused": False}, "foreach": {"foreach": True}, "fused": {"fused": True}}


def start(name, way, weight):
    parameter = torch.nn.Parameter(weight)
    momentum = {"momentum": 0.9} if name == "SGD" else {}
    return parameter, getattr(torch.optim, name)([parameter], lr=LR, **momentum, **WAYS[way])


def step(parameter, optimizer, gradient):
    parameter.grad = torch.empty_like(parameter).copy_(gradient)  # laid out like its weight, as after backward()
    optimizer.step()


def difference(name, way):
    generator = torch.Generator().manual_seed(0)
    weight, *gradients = (torch.randn(4, 3, 3, 3, generator=generator) for _ in range(4))
    parameter, optimizer = start(name, way, weight)
    for gradient in gradients[:2]:
        step(parameter, optimizer, gradient)
    saved = copy.deepcopy(optimizer.state_dict())
    kept = parameter.detach().clone()
    step(parameter, optimizer, gradients[2])
    resumed, optimizer = start(name, way, kept.to(memory_format=torch.channels_last))
    optimizer.load_state_dict(saved)
    step(resumed, optimizer, gradients[2])
    return (resumed - parameter).abs().max().item() / LR


print("largest difference of a weight after one step of the resumed run, in units of lr")
right = True
for name in ("SGD", "Adam", "AdamW"):
    found = {way: difference(name, way) for way in WAYS}
    print(f"{name:6} " + "   ".join(f"{way} {value:.2f}" for way, value in found.items()))
    right &= found["plain"] == found["foreach"] == 0 and found["fused"] > 0.1
if not right:
    raise SystemExit("changed: another optimizer is wrong, or none")
END
venv/bin/python resume.py
