#!/usr/bin/env bash
# A layer made on the meta device, where nothing is computed, makes torch import its whole compiler, if its weights are normal.
#
# Versions: torch 2.14.1, numpy 2.4.6.
# Behaviour: normal_ on a meta tensor is a Python reference function, whose wrapper imports torch._dynamo, and with it SymPy and
#   torch.distributed, at its first call. uniform_ and trunc_normal_ have a meta kernel in C++ and import nothing. So nn.Linear and
#   nn.Conv2d are free, nn.Embedding and nn.init.normal_ are not.
# Best guess: 0 modules; a network without memory costs as little time as it costs memory, whatever its first weights are.
# Seen: modules of Python that the call imports, each in a new process
#   nn.Linear 1, nn.Conv2d 1, trunc_normal_ 1, torch.randn 488 (no compiler), nn.Embedding 893, nn.init.normal_ 893
#   processor time of the two last: 1.3 s each, against 2.2 s for importing torch
# Way out: do not initialise where the tensor is meta (`tensor.is_meta`), or make the network on the CPU where it is small.
# Exits with 1 when the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq torch==2.14.1 numpy==2.4.6
cat > one.py <<'PY'
import sys
import time

import torch
from torch import nn

made = {
    "nn.Linear": lambda: nn.Linear(3, 3),
    "nn.Conv2d": lambda: nn.Conv2d(3, 3, 3),
    "trunc_normal_": lambda: nn.init.trunc_normal_(torch.empty(3)),
    "nn.Embedding": lambda: nn.Embedding(3, 3),
    "nn.init.normal_": lambda: nn.init.normal_(torch.empty(3)),
    "torch.randn": lambda: torch.randn(3),
}
if len(sys.argv) == 1:
    print(*made)
    raise SystemExit
before, begun = set(sys.modules), time.process_time()
with torch.device("meta"):
    made[sys.argv[1]]()
seconds = time.process_time() - begun
new = sys.modules.keys() - before
print(sys.argv[1], len(new), "torch._dynamo" in new, f"{seconds:.2f}")
PY
venv/bin/python -c 'import torch; print("torch", torch.__version__)'
for name in $(venv/bin/python one.py); do venv/bin/python one.py "$name"; done | tee seen
echo "guess: 0 modules each"
test "$(awk '$3 == "True" && $2 > 300 {print $1}' seen | xargs)" = "nn.Embedding nn.init.normal_" ||
    { echo "changed: another list of what imports the compiler"; exit 1; }
