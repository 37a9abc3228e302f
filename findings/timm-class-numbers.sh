#!/usr/bin/env bash
# timm and torchvision give the same folders other class numbers, and see other pictures in them.
#
# Versions: timm 1.0.31, torchvision 0.28.0, torch 2.13.0, pillow 13.0.0.
# Behaviour: timm sorts class folders as a person would, numbers by value and letters without regard to case; torchvision sorts the
#   characters: class_10 before class_2, "Zebra" before "ant". timm takes jpg, jpeg and png alone, so a class whose pictures are all webp
#   or tiff is no class there, and all later numbers move. Nothing is said.
# Best guess: both sort by characters and take what Pillow reads, so 0 labels differ.
# Seen: a model that was trained by the one and measured by the other gets most classes wrong.
#   class_0 to class_11: 10 of 12 class numbers differ
#   ant, Bee, cat, Zebra: 4 of 4 class numbers differ
#   five pictures a class as jpg, png, webp, bmp, tiff: torchvision 15, timm 6
#   ant (webp alone), bee, cat (jpg): torchvision {'ant': 0, 'bee': 1, 'cat': 2}, timm {'bee': 0, 'cat': 1}
# Way out: give timm the list of torchvision's (class_map), or compare class_to_idx before a model is measured.
# Exits with 1 when the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export HF_HOME="$work/hf" HF_HUB_OFFLINE=1
python3 -m venv venv
venv/bin/pip install -qq torch==2.13.0 torchvision==0.28.0 timm==1.0.31 pillow==13.0.0
venv/bin/python - <<'PY'
from pathlib import Path

import torch

try:
    import torchvision
except RuntimeError:  # its compiled operators do not fit a CPU build of torch; folders are read without them
    operators = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        operators.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    import torchvision
import timm
from PIL import Image
from timm.data import create_dataset
from torchvision.datasets import ImageFolder


def both(name, files):
    for number, file in enumerate(files):
        path = Path(name) / file
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (number, 90, 90)).save(path)
    ours, theirs = ImageFolder(name), create_dataset("", name)
    return ours.class_to_idx, theirs.reader.class_to_idx, len(ours), len(theirs)


def differing(name, classes):
    ours, theirs, _, _ = both(name, [f"{one}/0.jpg" for one in classes])
    return sum(ours[one] != theirs[one] for one in classes)


print(f"timm {timm.__version__}, torchvision {torchvision.__version__}, torch {torch.__version__}")
numbered = differing("numbered", [f"class_{number}" for number in range(12)])
print(f"class_0 to class_11: {numbered} of 12 class numbers differ")
cased = differing("cased", ["ant", "Bee", "cat", "Zebra"])
print(f"ant, Bee, cat, Zebra: {cased} of 4 class numbers differ")
suffixes = ("jpg", "png", "webp", "bmp", "tiff")
_, _, *counts = both("kinds", [f"{one}/0.{suffix}" for one in "abc" for suffix in suffixes])
print(f"five pictures a class as {', '.join(suffixes)}: torchvision {counts[0]}, timm {counts[1]}")
ours, theirs, _, _ = both("webp", ["ant/0.webp", "bee/0.jpg", "cat/0.jpg"])
print(f"ant (webp alone), bee, cat (jpg): torchvision {ours}, timm {theirs}")
print("guess: 0 class numbers differ, and as many pictures")
if not numbered or not cased or counts[0] == counts[1] or "ant" in theirs:
    raise SystemExit("changed: another order, or other kinds of files")
PY
