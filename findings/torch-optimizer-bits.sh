#!/usr/bin/env bash
# `foreach=True`, another memory layout and another number of threads keep every bit of a step of Adam. `fused=True` does not.
#
# torch 2.14.1, Python 3.11.7, Linux, CPU with AVX2 (with ATEN_CPU_CAPABILITY=default the counts are a little different).
# All steps get the same weight and gradients; only the way of the optimizer differs. `foreach` and `fused` both stand for the
# same formula in fewer calls, but only `fused` rounds otherwise. So a run that goes on with the other value of `fused`
# ends with other weights. (Threads and layout can still change the bits of the gradients, which are no part of this.)
#
# Output seen:
#   weights with other bits than the plain optimizer's, of 36864, after five steps
#   Adam   foreach 0   two threads 0   channels_last 0   fused 600
#   AdamW  foreach 0   two threads 0   channels_last 0   fused 594
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -qq torch==2.14.1 numpy==2.4.6
cd "$folder"
cat >steps.py <<'END'
import platform

import torch

print(f"torch {torch.__version__}, Python {platform.python_version()}, {torch.backends.cpu.get_cpu_capability()}")
PLAIN = {"foreach": False, "fused": False}


def train(name, threads=1, memory_format=torch.contiguous_format, **way):
    torch.set_num_threads(threads)
    generator = torch.Generator().manual_seed(0)
    tensors = [torch.randn(64, 64, 3, 3, generator=generator).to(memory_format=memory_format) for _ in range(6)]
    parameter = torch.nn.Parameter(tensors[0])
    optimizer = getattr(torch.optim, name)([parameter], lr=0.01, **way)
    for gradient in tensors[1:]:
        parameter.grad = gradient
        optimizer.step()
    return parameter.detach()


print("weights with other bits than the plain optimizer's, of 36864, after five steps")
right = True
for name in ("Adam", "AdamW"):
    plain = train(name, **PLAIN)
    others = {
        "foreach": train(name, foreach=True),
        "two threads": train(name, threads=2, **PLAIN),
        "channels_last": train(name, memory_format=torch.channels_last, **PLAIN),
        "fused": train(name, fused=True),
    }
    found = {words: int((weights != plain).sum()) for words, weights in others.items()}
    print(f"{name:6} " + "   ".join(f"{words} {count}" for words, count in found.items()))
    right &= found.pop("fused") > 0 and not any(found.values())
if not right:
    raise SystemExit("changed: another way differs, or none")
END
venv/bin/python steps.py
