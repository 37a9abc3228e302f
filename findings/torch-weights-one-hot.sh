#!/usr/bin/env bash
# With class weights the loss of labels and that of the same labels as one-hot rows differ, by what classes the batch happens to hold.
#
# Versions: torch 2.14.1, numpy 2.4.6.
# Behaviour: for labels cross_entropy divides the weighted sum by the weights of the batch, for probabilities by the number of images.
#   A batch of the rare class alone has the same loss as without weights in the first case, and nine times as much in the second. So who
#   adds mixup or cutmix, which need probabilities, to a weighted training changes the size of its steps, and by another factor in each.
# Best guess: one-hot rows are the same targets; the same loss.
# Seen: two classes, weights 1 and 9, random scores of 100 images
#   9 of the rare class: labels 1.0039, one-hot 1.7267; unweighted 0.8912 and 0.8912
#   the rare ones alone: labels 1.1604, one-hot 10.4436; unweighted 1.1604
# Way out: divide by the weights yourself: cross_entropy(..., reduction="sum") / (targets @ weights).sum().
# Exits with 1 when the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq torch==2.14.1 numpy==2.4.6
cat > losses.py <<'PY'
import torch
from torch.nn.functional import cross_entropy, one_hot

torch.manual_seed(0)
scores, labels, weights = torch.randn(100, 2), (torch.rand(100) < 0.1).long(), torch.tensor([1.0, 9.0])
rare = labels == 1
print("torch", torch.__version__, "rare", int(rare.sum()))
same = True
for name, kept in (("all", slice(None)), ("rare alone", rare)):
    targets = one_hot(labels[kept], 2).float()
    by_label = cross_entropy(scores[kept], labels[kept], weight=weights)
    by_row = cross_entropy(scores[kept], targets, weight=weights)
    plain = cross_entropy(scores[kept], labels[kept])
    divided = cross_entropy(scores[kept], targets, weight=weights, reduction="sum") / (targets @ weights).sum()
    print(f"{name}: labels {by_label:.4f}, one-hot {by_row:.4f}, unweighted {plain:.4f}, one-hot divided by the weights {divided:.4f}")
    same &= torch.allclose(by_label, by_row) or not torch.allclose(by_label, divided)
print("guess: labels and one-hot are equal")
if same:
    raise SystemExit("changed: one-hot rows have the loss of labels")
PY
venv/bin/python losses.py
