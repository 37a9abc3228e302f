#!/usr/bin/env bash
# Compiled, the gradient of `amax` after an activation is NaN throughout in bfloat16, and right in float32.
#
# torch 2.14.1, Python 3.11.7, Linux, CPU with AVX2 (and the same with torch._inductor.config.cpp.simdlen = 1).
# The backward pass of amax looks for the values that equal the maximum. The compiled code computes the activation once more and
# does not round it to bfloat16, as the maximum was. So no value is equal, and the gradient is divided by a count of zero.
# The forward pass is right, so a loss is finite until the first step. max_pool2d over the whole map is right, and so is
# amax with torch._inductor.config.emulate_precision_casts = True.
#
# Output seen:
#   of 1024 numbers of the gradient are NaN:
#   float32:  amax 0 without compile, 0 with it
#   bfloat16: amax 0 without compile, 1024 with it
#   bfloat16: max_pool2d 0 without compile, 0 with it
#   bfloat16: amax with emulate_precision_casts 0 without compile, 0 with it
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -qq torch==2.14.1 numpy==2.4.6
cd "$folder"
headers=$(venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("include"))')
if ! command -v g++ >/dev/null || [ ! -e "$headers/Python.h" ]; then
    echo "not applicable here: torch.compile needs g++ and the header files of Python"
    exit 0
fi
export TORCHINDUCTOR_CACHE_DIR="$folder/compiled"
cat >gradient.py <<'END'
import logging
import platform

import torch
import torch._inductor.config
from torch.nn.functional import gelu, max_pool2d

logging.disable(logging.WARNING)
print(f"torch {torch.__version__}, Python {platform.python_version()}, {torch.backends.cpu.get_cpu_capability()}")
torch.set_num_threads(1)


def amax(images_NCHW):
    return gelu(images_NCHW).amax((2, 3))


def pool(images_NCHW):
    return max_pool2d(gelu(images_NCHW), images_NCHW.shape[2:])


def count(function, dtype):
    images = torch.randn(2, 8, 8, 8, generator=torch.Generator().manual_seed(0)).to(dtype).requires_grad_()
    function(images).sum().backward()
    return int(images.grad.isnan().sum())


def compare(words, function, dtype, wanted):
    torch._dynamo.reset()
    plain, compiled = count(function, dtype), count(torch.compile(function), dtype)
    print(f"{words} {plain} without compile, {compiled} with it")
    if (plain, compiled) != (0, wanted):
        raise SystemExit(f"changed: expected 0 and {wanted}")


print("of 1024 numbers of the gradient are NaN:")
compare("float32:  amax", amax, torch.float32, 0)
compare("bfloat16: amax", amax, torch.bfloat16, 1024)
compare("bfloat16: max_pool2d", pool, torch.bfloat16, 0)
torch._inductor.config.emulate_precision_casts = True
compare("bfloat16: amax with emulate_precision_casts", amax, torch.bfloat16, 0)
END
venv/bin/python gradient.py
