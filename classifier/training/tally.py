"""Counts of a training that goes on: sums over images, to be divided once. Legend: N images of a batch, K classes."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

STEPS_BETWEEN_READINGS = 20
"""Figures are counted, and read off the device, only this often: each reading waits for the device."""


@dataclass(frozen=True)
class Sums:
    """Over `seen` images: the cross-entropies in nats, and how many were classified right."""

    loss: float = 0.0
    correct: float = 0.0
    seen: int = 0

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(self.loss + other.loss, self.correct + other.correct, self.seen + other.seen)

    def means(self) -> tuple[float, float]:
        """Mean cross-entropy in nats, and accuracy (0 to 1)."""
        return self.loss / self.seen, self.correct / self.seen


class Tally:
    """Sums of plain cross-entropy, whatever is minimised, and of images classified right, before each step."""

    def __init__(self, device: torch.device) -> None:
        self.sums = torch.zeros(2, dtype=torch.float32 if device.type == "mps" else torch.float64, device=device)
        self.seen = 0
        self.waiting: list[tuple[Tensor, Tensor]] = []

    def add(self, logits_NK: Tensor, labels_N: Tensor) -> bool:
        """Note a step; return whether the sums have been brought up to date."""
        self.seen += len(labels_N)
        self.waiting.append((logits_NK, labels_N))
        if len(self.waiting) < STEPS_BETWEEN_READINGS:
            return False
        self._count()
        return True

    def read(self) -> Sums:
        """The sums of all that was added since the last `take`; this waits for the device."""
        self._count()
        loss, correct = self.sums.tolist()
        return Sums(loss, correct, self.seen)

    def take(self) -> Sums:
        """The same, and begin anew."""
        sums = self.read()
        self.sums.zero_()
        self.seen = 0
        return sums

    def _count(self) -> None:
        if self.waiting:
            logits_NK, labels_N = (torch.cat(column) for column in zip(*self.waiting, strict=True))
            loss = cross_entropy(logits_NK, labels_N, reduction="none").to(self.sums.dtype).sum()
            self.sums += torch.stack((loss, (logits_NK.argmax(dim=1) == labels_N).sum()))
            self.waiting.clear()
