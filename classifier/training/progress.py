"""What is known of a training run that goes on: its figures by epoch and by step, and the weights to keep."""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from classifier.common.errors import UserError
from classifier.model.image_classifier import ImageClassifier
from classifier.training.measured import Measured
from classifier.training.tally import Sums


@dataclass(frozen=True)
class _Figures:
    """Losses are plain cross-entropies in nats, whatever is minimised. Those of training were taken while the weights moved."""

    train_loss: float
    train_accuracy: float
    val_loss: float | None
    val_accuracy: float | None

    def figures(self) -> dict[str, float]:
        """The measured figures by name; without validation there are no `val_` ones."""
        return {name: value for name, value in vars(self).items() if name.startswith(("train_", "val_")) and value is not None}

    def refuse_divergence(self, where: str) -> None:
        """Raise UserError when a figure is not finite."""
        for name, figure in self.figures().items():
            if not math.isfinite(figure):
                raise UserError(f"training diverged in {where}: {name} is {figure}; try a lower `lr`")


@dataclass(frozen=True)
class Epoch(_Figures):
    """Figures of one epoch. Training figures are means over the epoch, with dropout on."""

    epoch: int


@dataclass(frozen=True)
class StepRow(_Figures):
    """Figures after the step `step`, counted from 1 over the whole run. Training figures are means since the row before."""

    step: int


@dataclass(frozen=True)
class Result:
    """Every epoch so far, and the kept one with its weights (those of `ImageClassifier.network`).

    `steps` are the rows so far, and `since_row` the sums over the steps after the last of them. `processes` are the numbers
    of processes that computed it, one after the other: more than one where a run was broken off and went on with others.
    """

    history: tuple[Epoch, ...]
    kept: Epoch
    weights: dict[str, Tensor]
    steps: tuple[StepRow, ...] = ()
    since_row: Sums = field(default_factory=Sums)
    processes: tuple[int, ...] = ()

    def computed_by(self, num_processes: int) -> "Result":
        """Note who computed the last epoch."""
        if self.processes[-1:] == (num_processes,):
            return self
        return replace(self, processes=(*self.processes, num_processes))

    def extended(self, epoch: Epoch, model: ImageClassifier) -> "Result":
        """Append `epoch`; keep its weights when it is the best on validation, or when there is no validation."""
        history = (*self.history, epoch)
        if _rank(self.kept) >= _rank(epoch):
            return replace(self, history=history)
        return replace(self, history=history, kept=epoch, weights=copy.deepcopy(model.network.state_dict()))


def begun(epoch: Epoch, model: ImageClassifier) -> Result:
    """The first epoch, which is kept so far."""
    return Result((epoch,), epoch, copy.deepcopy(model.network.state_dict()))


def _rank(epoch: Epoch) -> tuple[float, float, int]:
    """Higher is better: validation accuracy, then lower validation loss; the earlier of equals. Without it the later."""
    if epoch.val_accuracy is None or epoch.val_loss is None:
        return 0.0, 0.0, epoch.epoch
    return epoch.val_accuracy, -epoch.val_loss, -epoch.epoch


def row_figures(trained: Sums, validated: Measured | None) -> dict[str, Any]:
    """Those of an Epoch or a StepRow: what was summed while the weights moved, and what validation gave after it, if any."""
    loss, accuracy = trained.means()
    return {
        "train_loss": loss,
        "train_accuracy": accuracy,
        "val_loss": validated.loss if validated else None,
        "val_accuracy": validated.accuracy if validated else None,
    }


class StepHistory:
    """A row every `every` steps, None for none. `validate` gives the figures of that moment, None without validation."""

    def __init__(self, every: int | None, validate: Callable[[], Measured | None], so_far: Result | None) -> None:
        self.every = every
        self.validate = validate
        self.rows = list(so_far.steps) if so_far else []
        self.since_row = so_far.since_row if so_far else Sums()

    def is_due(self, step: int) -> bool:
        """Whether a row is made after `step` steps."""
        return self.every is not None and step % self.every == 0

    def add_row(self, step: int, sums: Sums) -> None:
        """Validate, and make the row of the steps up to `step`, of which `sums` are those that were not carried over."""
        row = StepRow(**row_figures(self.since_row + sums, self.validate()), step=step)
        row.refuse_divergence(f"step {step}")
        self.rows.append(row)
        self.since_row = Sums()

    def carry_over(self, sums: Sums) -> None:
        """Keep the sums of an epoch's last steps for the row that comes in the next."""
        if self.every is not None:
            self.since_row += sums
