#!/usr/bin/env bash
# MNASNet of torchvision does not load its own weights from a plain dict: it wants a version that only state_dict() carries.
#
# torchvision 0.29.2, torch 2.14.1, Python 3.11.7, Linux, CPU.
# state_dict() returns a dict with an attribute `_metadata`, in which MNASNet looks for its version. A comprehension, as for a copy of
# the best weights, for renamed keys or for a safetensors file, drops the attribute. The five other networks that were tried load
# such a dict. The error names a version that a reader of the weights cannot find in them.
# Mend: before loading, put the dict into an OrderedDict and set its `_metadata` to {"": {"version": 2}}.
#
# Output seen:
#   mnasnet0_5       state_dict(): loaded   plain dict: ValueError: version should be set to 1 or 2 instead of None
#   mnasnet0_5       the plain dict with a version: loaded
#   mobilenet_v2     state_dict(): loaded   plain dict: loaded
#   resnet18         state_dict(): loaded   plain dict: loaded
#   densenet121      state_dict(): loaded   plain dict: loaded
#   efficientnet_b0  state_dict(): loaded   plain dict: loaded
#   inception_v3     state_dict(): loaded   plain dict: loaded
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -qq torch==2.14.1 torchvision==0.29.2 numpy==2.4.6
cd "$folder"
cat >load.py <<'END'
import platform
from collections import OrderedDict

import torch
import torchvision

print(f"torchvision {torchvision.__version__}, torch {torch.__version__}, Python {platform.python_version()}")


def load(name, state):
    try:
        torchvision.models.get_model(name, weights=None).load_state_dict(state)
    except ValueError as error:
        return f"ValueError: {error}"
    return "loaded"


REFUSED = "ValueError: version should be set to 1 or 2 instead of None"
for name in ("mnasnet0_5", "mobilenet_v2", "resnet18", "densenet121", "efficientnet_b0", "inception_v3"):
    state = torchvision.models.get_model(name, weights=None).state_dict()
    plain = {key: tensor.clone() for key, tensor in state.items()}
    first, second = load(name, state), load(name, plain)
    print(f"{name:16} state_dict(): {first}   plain dict: {second}")
    if (first, second) != ("loaded", REFUSED if name == "mnasnet0_5" else "loaded"):
        raise SystemExit("changed: the plain dict does otherwise")
    if name == "mnasnet0_5":
        mended = OrderedDict(plain)
        mended._metadata = {"": {"version": 2}}
        third = load(name, mended)
        print(f"{name:16} the plain dict with a version: {third}")
        if third != "loaded":
            raise SystemExit("changed: the mend does not work")
END
venv/bin/python -W ignore load.py
