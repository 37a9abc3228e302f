#!/usr/bin/env bash
# safetensors writes other bytes each time the same tensors are saved with the same metadata.
#
# Versions: safetensors 0.8.0, numpy 2.4.6.
# Behaviour: the metadata are kept in a hash map without an order, and written in whatever order that map has. With no or one entry
#   the bytes are always the same; with more, nearly every save gives other bytes. The tensors are always the same.
# Best guess: the same content gives the same bytes, as with the tensors, which are sorted. So 1 file of 20.
# Seen: 19 or 20 different files of 20 saves with six entries, within one process; the length is the same.
#   metadata entries: 0, different files of 20 saves: 1
#   metadata entries: 1, different files of 20 saves: 1
#   metadata entries: 2, different files of 20 saves: 2
#   metadata entries: 6, different files of 20 saves: 20
# For DVC each of them is a new model: every stage after it runs again, and the cache keeps each.
# Way out: one entry only, which holds all that is to be said as JSON with sorted keys.
# Exits with 1 when the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq safetensors==0.8.0 numpy==2.4.6
venv/bin/python - <<'PY'
import hashlib

import numpy as np
import safetensors
from safetensors.numpy import load, save

KEYS = ["network", "classes", "image_size", "normalize", "seed", "epoch"]
weights = {"weight": np.arange(12, dtype=np.float32).reshape(3, 4), "bias": np.zeros(3, np.float32)}
print(f"safetensors {safetensors.__version__}, numpy {np.__version__}")
different = {}
for count in (0, 1, 2, 6):
    metadata = dict.fromkeys(KEYS[:count], "some text") or None
    files = [save(weights, metadata=metadata) for _ in range(20)]
    assert all(np.array_equal(load(file)["weight"], weights["weight"]) for file in files)
    different[count] = len({hashlib.sha256(file).digest() for file in files})
    print(f"metadata entries: {count}, different files of 20 saves: {different[count]}")
print("guess: 1 of 20 each time")
if different[0] != 1 or different[1] != 1 or different[6] == 1:
    raise SystemExit("changed: the order of the metadata is another matter now")
PY
