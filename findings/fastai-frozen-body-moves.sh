#!/usr/bin/env bash
# A frozen body changes in training: every batch normalisation in it learns on, 9,600 weights of ResNet-18 and all its statistics.
#
# Versions: fastai 2.8.12, torch 2.14.1, torchvision 0.29.2.
# Behaviour: freeze() stops the layers of the body but those of batch normalisation, which train with the lowest learning rate
#   (train_bn=True of the Learner). So a body computed once and stored is not what fine_tune's first phase trains with, and two heads
#   trained on "the same frozen body" do not share one.
# Best guess: after freeze() and an epoch the body's tensors are what they were.
# Seen: vision_learner(resnet18), freeze, one epoch of 32 pictures: of the body's 120 tensors 100 have changed (20 weights, 20 biases,
#   and the means, variances and counts of 20 layers): 9,600 trained values. With train_bn=False 60 (the statistics), 0 trained values.
# Way out: train_bn=False, and body.eval() where the statistics must stay too.
# Exits with 1 when the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq fastai==2.8.12 torch==2.14.1 torchvision==0.29.2
cat > train.py <<'PY'
from pathlib import Path

import numpy as np
import torch
from fastai.vision.all import ImageDataLoaders, resnet18, set_seed, vision_learner
from PIL import Image

for label in "ab":
    Path("pictures", label).mkdir(parents=True)
    for number in range(20):
        pixels = np.random.default_rng(number).integers(0, 256, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(f"pictures/{label}/{number}.png")
seen = {}
for train_bn in (True, False):
    set_seed(0)
    batches = ImageDataLoaders.from_folder("pictures", valid_pct=0.2, bs=8, num_workers=0)
    learner = vision_learner(batches, resnet18, pretrained=False, train_bn=train_bn)
    learner.freeze()
    before = {name: value.clone() for name, value in learner.model[0].state_dict().items()}
    with learner.no_bar(), learner.no_logging():
        learner.fit(1, 0.01)
    after = learner.model[0].state_dict()
    moved = [name for name in before if not torch.equal(before[name], after[name].cpu())]
    trained = sum(before[name].numel() for name in moved if name.endswith(("weight", "bias")))
    seen[train_bn] = len(before), len(moved), trained
    print(f"train_bn={train_bn}: {len(moved)} of the body's {len(before)} tensors have changed, {trained} trained values")
print("guess: 0 and 0")
if seen != {True: (120, 100, 9600), False: (120, 60, 0)}:
    raise SystemExit("changed: other tensors of a frozen body move")
PY
venv/bin/python -W ignore train.py
