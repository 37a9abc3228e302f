"""The training loop: seeded, in memory, a batch at a time. Legend: N images of a batch."""

import copy
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from tqdm import tqdm

from classifier.dataset import ImageDataset
from classifier.errors import UserError
from classifier.inference import outcomes
from classifier.model import ImageClassifier
from classifier.params.train import TrainParams
from classifier.randomness import derived_seed, generator

STEPS_BETWEEN_READINGS = 20
"""The progress bar reads the running sums off the device only this often: each reading waits for the device."""


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


def fit(
    model: ImageClassifier,
    optimizer: torch.optim.Optimizer,
    train_set: ImageDataset,
    val_set: ImageDataset,
    params: TrainParams,
    device: torch.device,
    after_epoch: Callable[[Result], None],
    so_far: Result | None = None,
) -> Result:
    """Minimise the cross-entropy on `train_set`; call `after_epoch` after each epoch; return the history and the kept weights.

    `model` is on `device` already; `so_far` is what a run that was broken off had reached, with `model` and `optimizer` as they
    were then. An empty `val_set` means no validation. Raises UserError when a figure stops being finite.
    """
    result = so_far
    for number in range(len(result.history) + 1 if result else 1, params.epochs + 1):
        train_loss, train_accuracy = _train_epoch(model, optimizer, train_set, params, number, device)
        validated = outcomes(model, val_set, device) if len(val_set) else None
        epoch = Epoch(
            epoch=number,
            train_loss=train_loss,
            train_accuracy=train_accuracy,
            val_loss=validated.loss if validated else None,
            val_accuracy=validated.accuracy if validated else None,
        )
        _refuse_divergence(epoch)
        result = _extended(result, epoch, model)
        after_epoch(result)
    assert result, "TrainParams has epochs >= 1"
    return result


def _train_epoch(
    model: ImageClassifier,
    optimizer: torch.optim.Optimizer,
    train_set: ImageDataset,
    params: TrainParams,
    number: int,
    device: torch.device,
) -> tuple[float, float]:
    """One pass in an order drawn for this epoch; return mean loss and accuracy, summed over images and divided once."""
    model.train()
    torch.manual_seed(derived_seed(params.seed, "dropout", number))
    order = torch.randperm(len(train_set), generator=generator(params.seed, "shuffle", number))
    sums = torch.zeros(2, dtype=torch.float32 if device.type == "mps" else torch.float64, device=device)
    seen = 0
    title = f"epoch {number}/{params.epochs}"
    with tqdm(order.split(params.batch_size), desc=title, unit="step", leave=False, disable=None) as bar:
        for step, rows in enumerate(bar, start=1):
            sums += _train_step(model, optimizer, *train_set.batch(rows), device)
            seen += len(rows)
            if not bar.disable and step % STEPS_BETWEEN_READINGS == 0:
                loss, accuracy = (sums / seen).tolist()
                bar.set_postfix(loss=f"{loss:.4f}", accuracy=f"{accuracy:.4f}")
    loss, accuracy = (sums / seen).tolist()
    return loss, accuracy


def _train_step(
    model: ImageClassifier, optimizer: torch.optim.Optimizer, images_NCHW: Tensor, labels_N: Tensor, device: torch.device
) -> Tensor:
    """One step on one batch; return the sum of its losses and the number of images it got right, before the step."""
    labels_N = labels_N.to(device, non_blocking=True)
    logits_NK = model(images_NCHW.to(device, non_blocking=True))
    loss = cross_entropy(logits_NK, labels_N)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    correct = (logits_NK.detach().argmax(dim=1) == labels_N).sum()
    return torch.stack((loss.detach() * len(labels_N), correct))


def _refuse_divergence(epoch: Epoch) -> None:
    for name, figure in epoch.figures().items():
        if not float("-inf") < figure < float("inf"):
            raise UserError(f"training diverged in epoch {epoch.epoch}: {name} is {figure}; try a lower `lr`")
