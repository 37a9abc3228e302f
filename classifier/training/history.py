"""What is measured while a network trains: by epoch and by step, and which weights to keep. Legend: N images, K classes."""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from classifier.common.errors import UserError
from classifier.model.dataset import ImageDataset
from classifier.model.image_classifier import ImageClassifier
from classifier.model.inference import predict
from classifier.training.distributed import DistributedContext

TRAIN_EPOCH = "train_epoch"
"""In metrics/train.json: how many epochs are done. The names are such that DVC's sorted tables begin with the test metrics."""
STEPS_BETWEEN_READINGS = 20
"""Metrics are counted, and read off the device, only this often: each reading waits for the device."""


@dataclass(frozen=True)
class Metrics:
    """Mean cross-entropy in nats, and accuracy (0 to 1)."""

    loss: float
    accuracy: float


@dataclass(frozen=True)
class MetricSums:
    """Over `seen` images: the cross-entropies in nats, and how many were classified right."""

    loss: float = 0.0
    correct: float = 0.0
    seen: int = 0

    def __add__(self, other: "MetricSums") -> "MetricSums":
        return MetricSums(self.loss + other.loss, self.correct + other.correct, self.seen + other.seen)

    def all_reduce(self, context: DistributedContext) -> "MetricSums":
        """Over the images of all processes."""
        if context.size == 1:
            return self
        sums = torch.tensor([self.loss, self.correct, self.seen], dtype=torch.float64)
        context.all_reduce(sums)
        loss, correct, seen = sums.tolist()
        return MetricSums(loss, correct, round(seen))

    def means(self) -> Metrics:
        """Over the images seen, of which there must be one at least."""
        return Metrics(self.loss / self.seen, self.correct / self.seen)


class MetricAccumulator:
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

    def read(self) -> MetricSums:
        """The sums of all that was added since the last `take`; this waits for the device."""
        self._count()
        loss, correct = self.sums.tolist()
        return MetricSums(loss, correct, self.seen)

    def take(self) -> MetricSums:
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


def evaluate(model: ImageClassifier, dataset: ImageDataset, context: DistributedContext) -> Metrics:
    """Run `model` in evaluation mode over `dataset`, which must not be empty. Every process returns the same."""
    rows = context.shard_slice(len(dataset))
    part, sums = ImageDataset(dataset.images_NCHW[rows], dataset.labels_N[rows]), MetricSums()
    if len(part):
        predictions = predict(model, part)
        correct = float((predictions.predicted_N == predictions.actual_N).sum())
        sums = MetricSums(float(predictions.loss_N.sum(dtype="float64")), correct, len(part))
    return sums.all_reduce(context).means()


@dataclass(frozen=True)
class _Row:
    """Losses are plain cross-entropies in nats, whatever is minimised. Those of training were taken while the weights moved."""

    train_loss: float
    train_accuracy: float
    val_loss: float | None
    val_accuracy: float | None

    def metrics(self) -> dict[str, float]:
        """The metrics by name; without validation there are no `val_` ones."""
        return {name: value for name, value in vars(self).items() if name.startswith(("train_", "val_")) and value is not None}

    def check_finite(self, where: str) -> None:
        """Raise UserError when a metric is not finite."""
        for name, value in self.metrics().items():
            if not math.isfinite(value):
                raise UserError(f"training diverged in {where}: {name} is {value}; try a lower `lr`")


@dataclass(frozen=True)
class Epoch(_Row):
    """Metrics of one epoch. Those of training are means over the epoch, with dropout on."""

    epoch: int


@dataclass(frozen=True)
class StepRow(_Row):
    """Metrics after the step `step`, counted from 1 over the whole run. Those of training are means since the row before."""

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
    since_row: MetricSums = field(default_factory=MetricSums)
    processes: tuple[int, ...] = ()

    def with_processes(self, num_processes: int) -> "Result":
        """Note how many processes computed the last epoch."""
        if self.processes[-1:] == (num_processes,):
            return self
        return replace(self, processes=(*self.processes, num_processes))

    def with_epoch(self, epoch: Epoch, model: ImageClassifier) -> "Result":
        """Append `epoch`; keep its weights when it is the best on validation, or when there is no validation."""
        history = (*self.history, epoch)
        if _rank(self.kept) >= _rank(epoch):
            return replace(self, history=history)
        return replace(self, history=history, kept=epoch, weights=copy.deepcopy(model.network.state_dict()))


def first_result(epoch: Epoch, model: ImageClassifier) -> Result:
    """That of the first epoch, which is kept so far."""
    return Result((epoch,), epoch, copy.deepcopy(model.network.state_dict()))


def _rank(epoch: Epoch) -> tuple[float, float, int]:
    """Higher is better: validation accuracy, then lower validation loss; the earlier of equals. Without it the later."""
    if epoch.val_accuracy is None or epoch.val_loss is None:
        return 0.0, 0.0, epoch.epoch
    return epoch.val_accuracy, -epoch.val_loss, -epoch.epoch


def row_metrics(trained: MetricSums, validated: Metrics | None) -> dict[str, Any]:
    """Those of an Epoch or a StepRow: what was summed while the weights moved, and what validation gave after it, if any."""
    means = trained.means()
    return {
        "train_loss": means.loss,
        "train_accuracy": means.accuracy,
        "val_loss": validated.loss if validated else None,
        "val_accuracy": validated.accuracy if validated else None,
    }


class StepHistory:
    """A row every `every` steps, 0 for none. `validate` gives the metrics of that moment, None without validation."""

    def __init__(self, every: int, validate: Callable[[], Metrics | None], so_far: Result | None) -> None:
        self.every = every
        self.validate = validate
        self.rows = list(so_far.steps) if so_far else []
        self.since_row = so_far.since_row if so_far else MetricSums()

    def is_due(self, step: int) -> bool:
        """Whether a row is made after `step` steps."""
        return self.every > 0 and step % self.every == 0

    def add_row(self, step: int, sums: MetricSums) -> None:
        """Validate, and make the row of the steps up to `step`, of which `sums` are those that were not carried over."""
        row = StepRow(**row_metrics(self.since_row + sums, self.validate()), step=step)
        row.check_finite(f"step {step}")
        self.rows.append(row)
        self.since_row = MetricSums()

    def carry_over(self, sums: MetricSums) -> None:
        """Keep the sums of an epoch's last steps for the row that comes in the next."""
        if self.every:
            self.since_row += sums


def history_table(result: Result) -> pd.DataFrame:
    """One row an epoch: epoch, train_loss, train_accuracy and, with validation, val_loss, val_accuracy."""
    return pd.DataFrame([{"epoch": epoch.epoch} | epoch.metrics() for epoch in result.history])


def steps_table(result: Result) -> pd.DataFrame:
    """One row every `eval_every` steps, with the columns of the table of epochs but `step` for `epoch`; maybe none."""
    columns = ["step", *result.history[-1].metrics()]
    return pd.DataFrame([{"step": row.step} | row.metrics() for row in result.steps], columns=columns)


def empty_table(index: str, with_validation: bool) -> pd.DataFrame:
    """The table of epochs or steps before there are any."""
    splits = ("train", "val") if with_validation else ("train",)
    return pd.DataFrame(columns=[index, *(f"{split}_{measure}" for split in splits for measure in ("loss", "accuracy"))])


def train_metrics(result: Result, again: Metrics | None = None) -> dict[str, float]:
    """The kept epoch's metrics, to six decimals, how many epochs are done, and the number of the kept one.

    `again` is what the kept weights say of the images to train on: `kept_train_loss` and `kept_train_accuracy`. The order is
    that of the columns of `dvc exp show`.
    """
    kept = result.kept.metrics()
    order = ("val_accuracy", "val_loss", "train_accuracy", "train_loss")
    metrics = {name: kept[name] for name in order if name in kept}
    if again:
        metrics |= {"kept_train_accuracy": again.accuracy, "kept_train_loss": again.loss}
    rounded = {name: round(value, 6) for name, value in metrics.items()}
    return rounded | {TRAIN_EPOCH: result.history[-1].epoch, "train_best_epoch": result.kept.epoch}


def epoch_line(result: Result, num_epochs: int) -> str:
    """The last epoch's metrics on one line, starred when it is the one kept so far."""
    last = result.history[-1]
    metrics = "  ".join(f"{name} {value:.4f}" for name, value in last.metrics().items())
    return f"epoch {last.epoch}/{num_epochs}  {metrics}{'  *' if last is result.kept else ''}"
