#!/usr/bin/env bash
# load_state and skip_first_batches, as Accelerate's guide resumes, leave out a quarter of the images and take another quarter twice.
#
# Versions: accelerate 1.15.0, torch 2.14.1.
# Behaviour: save_state stores the random numbers as they are in the middle of the epoch, and load_state puts them back; the new pass
#   then draws another order, whose first batches are skipped. No warning. With use_seedable_sampler=True the order of an epoch is
#   made from the seed and the number of the epoch, and the resume is exact.
# Best guess: the skipped batches are those that were trained on: 100 images, each once.
# Seen: epoch of 100 images in shuffled batches of 10, set_seed(0), saved after 5 steps, resumed in a new process
#   default: 48 images once, 26 twice, 26 never; use_seedable_sampler: 100 once, 0 twice, 0 never
# Way out: DataLoaderConfiguration(use_seedable_sampler=True), or resume at the ends of epochs only.
# Exits with 1 when the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq accelerate==1.15.0 torch==2.14.1
cat > train.py <<'PY'
import sys

import torch
from accelerate import Accelerator, DataLoaderConfiguration
from accelerate.utils import set_seed
from torch.utils.data import DataLoader, TensorDataset

sampler, part = sys.argv[1:]
set_seed(0)
accelerator = Accelerator(cpu=True, dataloader_config=DataLoaderConfiguration(use_seedable_sampler=sampler == "seedable"))
model = torch.nn.Linear(1, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
images = TensorDataset(torch.arange(100.0)[:, None])
model, optimizer, batches = accelerator.prepare(model, optimizer, DataLoader(images, batch_size=10, shuffle=True))
if part == "resumed":
    accelerator.load_state(sampler)
    batches = accelerator.skip_first_batches(batches, 5)
for number, (batch,) in enumerate(batches, start=1):
    with open(f"{sampler}.txt", "a") as file:
        print(*(int(value) for value in batch.flatten()), file=file)
    accelerator.backward(model(batch).mean())
    optimizer.step()
    optimizer.zero_grad()
    if part == "killed" and number == 5:
        accelerator.save_state(sampler)
        break
PY
for sampler in default seedable; do
    venv/bin/python train.py $sampler killed 2> log || { cat log; exit 1; }
    venv/bin/python train.py $sampler resumed 2> log || { cat log; exit 1; }
    tr ' ' '\n' < $sampler.txt | sort | uniq -c |
        awk -v sampler=$sampler '{count[$1]++} END {print sampler ": " count[1] + 0 " images once, " count[2] + 0 " twice, " 100 - NR " never"}'
done > seen
cat seen
echo "guess: 100 images once, 0 twice, 0 never"
awk '/^default/ && $6 > 10 {plain = 1} /^seedable: 100 images once/ {seedable = 1} END {exit !(plain && seedable)}' seen ||
    { echo "changed: other images after the resume"; exit 1; }
