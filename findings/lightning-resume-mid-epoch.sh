#!/usr/bin/env bash
# A seeded run that is resumed from a checkpoint in the middle of an epoch trains on the first half again, and never on the other.
#
# Versions: lightning 2.6.6, torch 2.14.1, torchdata 0.11.0.
# Behaviour: the checkpoint holds how many batches were done, not which. The resumed process makes as many steps as were left, from a
#   new pass over the DataLoader. With seed_everything, as reproducible scripts have it, the new pass begins with the batches of the old one.
#   A warning speaks of "unreliable results". StatefulDataLoader of torchdata in place of DataLoader resumes exactly.
# Best guess: the steps that were left take the images that were left: 100 images, each once.
# Seen: epoch of 100 images in shuffled batches of 10, checkpoint after 5 steps, killed, resumed
#   DataLoader: 50 images twice, 50 never; StatefulDataLoader: 0 twice, 0 never
# Way out: checkpoints at the ends of epochs only, or StatefulDataLoader.
# Exits with 1 when the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq lightning==2.6.6 torch==2.14.1 torchdata==0.11.0
cat > train.py <<'PY'
import os
import sys

import lightning
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch.utils.data import DataLoader, TensorDataset
from torchdata.stateful_dataloader import StatefulDataLoader

loader, part = sys.argv[1:]


class Model(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)

    def training_step(self, batch, number):
        with open(f"{loader}.txt", "a") as file:
            print(*(int(value) for value in batch[0].flatten()), file=file)
        return self.layer(batch[0]).mean()

    def on_train_batch_end(self, *_):
        if part == "killed" and self.global_step == 5:
            self.trainer.save_checkpoint(f"{loader}.ckpt")
            os._exit(0)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)


lightning.seed_everything(0)
images = TensorDataset(torch.arange(100.0)[:, None])
batches = {"DataLoader": DataLoader, "StatefulDataLoader": StatefulDataLoader}[loader](images, batch_size=10, shuffle=True)
trainer = lightning.Trainer(
    max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False
)
trainer.fit(Model(), batches, ckpt_path=f"{loader}.ckpt" if part == "resumed" else None)
PY
for loader in DataLoader StatefulDataLoader; do
    venv/bin/python train.py $loader killed 2> log || { cat log; exit 1; }
    venv/bin/python train.py $loader resumed 2> log || { cat log; exit 1; }
    tr ' ' '\n' < $loader.txt | sort | uniq -c |
        awk -v loader=$loader '{count[$1]++} END {print loader ": " count[1] + 0 " images once, " count[2] + 0 " twice, " 100 - NR " never"}'
done > seen
cat seen
echo "guess: 100 images once, 0 twice, 0 never"
test "$(xargs < seen)" = "DataLoader: 0 images once, 50 twice, 50 never StatefulDataLoader: 100 images once, 0 twice, 0 never" ||
    { echo "changed: other images after the resume"; exit 1; }
