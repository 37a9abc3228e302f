"""The training loop: seeded, in memory, a batch at a time. Legend: N images of a batch, K classes."""

import copy
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from tqdm import tqdm

from classifier.augmentations import Augmentations
from classifier.batches import Batches
from classifier.compiled import compiled
from classifier.dataset import ImageDataset
from classifier.dropout import DropoutKeys
from classifier.errors import UserError
from classifier.inference import outcomes
from classifier.model import ImageClassifier
from classifier.optimizers import build_optimizers
from classifier.params.train import TrainParams
from classifier.randomness import generator
from classifier.schedules import lr_factor

STEPS_BETWEEN_READINGS = 20
"""Figures are counted, and read off the device, only this often: each reading waits for the device."""


@dataclass(frozen=True)
class Epoch:
    """Figures of one epoch. Training figures are means over the epoch, while the weights moved and dropout was on."""

    epoch: int
    train_loss: float
    train_accuracy: float
    val_loss: float | None
    val_accuracy: float | None

    def figures(self) -> dict[str, float]:
        """The measured figures by name; without validation there are no `val_` ones."""
        return {name: figure for name, figure in asdict(self).items() if name != "epoch" and figure is not None}


@dataclass(frozen=True)
class Result:
    """Every epoch so far, and the kept one with its weights (those of `ImageClassifier.network`)."""

    history: tuple[Epoch, ...]
    kept: Epoch
    weights: dict[str, Tensor]


def _extended(result: Result | None, epoch: Epoch, model: ImageClassifier) -> Result:
    """Append `epoch`; keep its weights when it is the best on validation, or when there is no validation."""
    history = (*result.history, epoch) if result else (epoch,)
    if result and _rank(result.kept) >= _rank(epoch):
        return replace(result, history=history)
    return Result(history, epoch, copy.deepcopy(model.network.state_dict()))


def _rank(epoch: Epoch) -> tuple[float, float, int]:
    """Higher is better: validation accuracy, then lower validation loss; the earlier of equals. Without it the later."""
    if epoch.val_accuracy is None or epoch.val_loss is None:
        return 0.0, 0.0, epoch.epoch
    return epoch.val_accuracy, -epoch.val_loss, -epoch.epoch


class Trainee:
    """What a training run changes: `model`, the state of its `optimizers`, and the running average of the model, if asked for.

    `model` must be on `device` already.
    """

    def __init__(self, model: ImageClassifier, params: TrainParams, device: torch.device) -> None:
        self.model = model
        self.optimizers = build_optimizers(model.network, params, device)
        self.peak_lrs = [[group["lr"] for group in optimizer.param_groups] for optimizer in self.optimizers]
        self.clip_norm, self.ema_decay = params.clip_norm, params.ema_decay
        self.average = None if params.ema_decay is None else copy.deepcopy(model)

    @property
    def judged(self) -> ImageClassifier:
        """What is validated and kept: the average where there is one."""
        return self.average or self.model

    def set_lr(self, factor: float) -> None:
        """Set each learning rate to `factor` times its peak."""
        for optimizer, peaks in zip(self.optimizers, self.peak_lrs, strict=True):
            for group, peak in zip(optimizer.param_groups, peaks, strict=True):
                group["lr"] = peak * factor

    def step(self, number: int) -> None:
        """Take the step `number` of the run, counted from 0: move the weights by their gradients, and the average after them.

        The gradients' joint norm is first brought to `clip_norm` at most. The average is short in the first steps, so that the
        first weights fade: its decay is (1 + number) / (10 + number) at most.
        """
        if self.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.clip_norm)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        if self.average and self.ema_decay:
            decay = min(self.ema_decay, (1 + number) / (10 + number))
            _move_average(self.average.network.state_dict(), self.model.network.state_dict(), decay)


def _move_average(average: dict[str, Tensor], weights: dict[str, Tensor], decay: float) -> None:
    """average = decay · average + (1 - decay) · weights, of the statistics of batch normalisation too; counts are copied."""
    for name, mean in average.items():
        if mean.is_floating_point():
            mean.lerp_(weights[name], 1 - decay)
        else:
            mean.copy_(weights[name])


def fit(
    trainee: Trainee,
    train_set: ImageDataset,
    val_set: ImageDataset,
    params: TrainParams,
    device: torch.device,
    after_epoch: Callable[[Result], None],
    so_far: Result | None = None,
) -> Result:
    """Minimise the cross-entropy on `train_set`; call `after_epoch` after each epoch; return the history and the kept weights.

    `so_far` is what a run that was broken off had reached, with `trainee` as it was then. An empty `val_set` means no
    validation. Raises UserError when a figure stops being finite.
    """
    _refuse_lone_images(trainee.model, len(train_set), params)
    batches = Batches(train_set, device)
    forward = compiled(trainee.model) if params.compile else trainee.model
    result = so_far
    for number in range(len(result.history) + 1 if result else 1, params.epochs + 1):
        train_loss, train_accuracy = _train_epoch(trainee, forward, batches, params, number)
        validated = outcomes(trainee.judged, val_set, device) if len(val_set) else None
        epoch = Epoch(
            epoch=number,
            train_loss=train_loss,
            train_accuracy=train_accuracy,
            val_loss=validated.loss if validated else None,
            val_accuracy=validated.accuracy if validated else None,
        )
        _refuse_divergence(epoch)
        result = _extended(result, epoch, trainee.judged)
        after_epoch(result)
    assert result, "TrainParams has epochs >= 1"
    return result


def _train_epoch(
    trainee: Trainee, forward: Callable[[Tensor], Tensor], batches: Batches, params: TrainParams, number: int
) -> tuple[float, float]:
    """One pass in an order drawn for this epoch; return mean loss and accuracy, summed over images and divided once."""
    trainee.model.train()
    num_images = len(batches.dataset)
    order = batches.placed(torch.randperm(num_images, generator=generator(params.seed, "shuffle", number)))
    dropout = DropoutKeys(trainee.model, num_images, params.seed, number, batches.device)
    augmented = Augmentations(params.augment, num_images, params.seed, number, batches.device)
    tally = _Tally(batches.device)
    steps = order.split(params.batch_size)
    num_steps = len(steps) * params.epochs
    title = f"epoch {number}/{params.epochs}"
    with tqdm(steps, desc=title, unit="step", leave=False, disable=None) as bar:
        for step, rows_N in enumerate(bar, start=len(steps) * (number - 1)):
            dropout.choose(rows_N)
            images_NCHW, labels_N = batches.cut(rows_N)
            logits_NK = forward(augmented(images_NCHW, rows_N))
            cross_entropy(logits_NK, labels_N, label_smoothing=params.label_smoothing).backward()
            trainee.set_lr(lr_factor(params.schedule, step, num_steps, params.warmup_fraction))
            trainee.step(step)
            if tally.add(logits_NK.detach(), labels_N) and not bar.disable:
                loss, accuracy = tally.means()
                bar.set_postfix(loss=f"{loss:.4f}", accuracy=f"{accuracy:.4f}")
    return tally.means()


class _Tally:
    """Sums of loss and of images classified right, before each step; counted for many steps at once."""

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

    def means(self) -> tuple[float, float]:
        """Mean cross-entropy in nats, without smoothing, and accuracy of all that was added."""
        self._count()
        loss, accuracy = (self.sums / self.seen).tolist()
        return loss, accuracy

    def _count(self) -> None:
        if self.waiting:
            logits_NK, labels_N = (torch.cat(column) for column in zip(*self.waiting, strict=True))
            loss = cross_entropy(logits_NK, labels_N, reduction="none").to(self.sums.dtype).sum()
            self.sums += torch.stack((loss, (logits_NK.argmax(dim=1) == labels_N).sum()))
            self.waiting.clear()


def _refuse_lone_images(model: nn.Module, num_images: int, params: TrainParams) -> None:
    """Raise UserError when a batch of one image would be normalised over itself alone."""
    sizes = {min(num_images, params.batch_size), num_images % params.batch_size}
    if 1 in sizes and any(isinstance(layer, nn.BatchNorm2d) for layer in model.modules()):
        raise UserError(
            f"batch_size: network {params.network!r} needs batches of two images or more, but {num_images} training images in "
            f"batches of {params.batch_size} leave one alone; choose another batch_size"
        )


def _refuse_divergence(epoch: Epoch) -> None:
    for name, figure in epoch.figures().items():
        if not float("-inf") < figure < float("inf"):
            raise UserError(f"training diverged in epoch {epoch.epoch}: {name} is {figure}; try a lower `lr`")
