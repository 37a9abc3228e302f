"""The recipe of one training: the params with every choice made, for these images and this machine.

`params.yaml` leaves choices open: null for an optimizer's own momentum, `auto` for what goes by the images. They are made
here, once, and checked against the images. What trains reads the Recipe. Legend: N images, K classes, C channels.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from classifier.common.errors import UserError, short_repr
from classifier.compute.params import Precision
from classifier.images.arrays import Labels
from classifier.images.schema import Standardised
from classifier.training.params import Augmentation, LossName, Normalisation, OptimizerName, ScheduleName, TrainParams

DEFAULT_MOMENTUM = {"sgd": 0.9, "muon": 0.95}
EPOCHS_TO_A_PLAIN_ONE = 5
"""Of so many epochs with cutmix one is left for the end, where nothing is mixed: the last steps are about whole images."""
MAX_ROWS = 10_000
"""Of the history by step: the checkpoint carries it, and git keeps it."""
IMAGENET_MEAN = [0.485, 0.456, 0.406]
IMAGENET_STD = [0.229, 0.224, 0.225]
"""Of red, green and blue over ImageNet's training images, as torchvision publishes them with its weights."""


@dataclass(frozen=True)
class Recipe:
    """All that decides what a training computes, but for the images themselves. Nothing in it is null or `auto`."""

    network: str
    pretrained: bool
    freeze: bool
    seed: int
    precision: Precision
    compile: bool

    num_images: int
    """To train on."""
    mean: list[float]
    std: list[float]
    """Of each channel, in units of 1/255: by what the pixels are normalised."""
    augment: tuple[Augmentation, ...]
    shuffle: bool
    batch_size: int
    """Images that all processes take together in a step."""
    steps_per_epoch: int
    epochs: int
    eval_every: int
    """Steps from a row of the history to the next; 0 for no rows."""
    evaluate_train: bool

    loss: LossName
    label_smoothing: float
    class_weights: tuple[float, ...]
    """One a class; empty where all classes weigh the same."""
    optimizer: OptimizerName
    lr: float
    momentum: float
    """Of sgd and muon; 0 for adam and adamw, which have means of their own."""
    nesterov: bool
    weight_decay: float
    clip_norm: float
    """Largest norm of all gradients together; infinite for no limit."""
    ema_decay: float
    """Of the running average of the weights, a step; 0 for no average."""
    schedule: ScheduleName
    warmup_fraction: float

    @property
    def num_steps(self) -> int:
        """Of the whole run."""
        return self.steps_per_epoch * self.epochs

    @property
    def smallest_batch(self) -> int:
        """Images of the epoch's last step, where they may be fewer than `batch_size`."""
        return min(self.batch_size, self.num_images - (self.steps_per_epoch - 1) * self.batch_size)

    @property
    def last_mixed_epoch(self) -> int:
        """The epoch after which images are no longer mixed by cutmix; 0 without it."""
        return self.epochs - self.epochs // EPOCHS_TO_A_PLAIN_ONE if "cutmix" in self.augment else 0


def resolve(params: TrainParams, info: Standardised, labels_N: Labels, precision: Precision, num_processes: int = 1) -> Recipe:
    """The recipe by `params` for images that `info` describes, of which the ones to train on have `labels_N`.

    `epochs` are as many as the param says, or as many more as `min_steps` needs: passes over few images have few steps.
    `momentum` is the optimizer's own where the param is null, and it is Nesterov's unless `nesterov` is false. Raises UserError
    where a param makes no sense for these images, or for so many processes.
    """
    num_images = len(labels_N)
    steps_per_epoch = num_images // params.batch_size if params.drop_last else -(-num_images // params.batch_size)
    if steps_per_epoch == 0:
        raise UserError(
            f"drop_last: {num_images} training images do not fill a batch of {params.batch_size}; lower batch_size or write "
            "`drop_last: false`"
        )
    check_batch_size(params.batch_size, num_processes)
    epochs = max(params.epochs, -(-params.min_steps // steps_per_epoch))
    if params.eval_every is not None:
        _check_eval_every(params.eval_every, steps_per_epoch * epochs)
    mean, std = resolve_normalisation(params.normalize, info)
    optimizer = params.chosen_optimizer
    momentum = DEFAULT_MOMENTUM.get(optimizer, 0.0) if params.momentum is None else params.momentum
    return Recipe(
        network=params.network,
        pretrained=params.pretrained,
        freeze=params.freeze,
        seed=params.seed,
        precision=precision,
        compile=params.compile,
        num_images=num_images,
        mean=mean,
        std=std,
        augment=tuple(resolve_augment(params.augment, info.hflip_invariant)),
        shuffle=params.shuffle,
        batch_size=params.batch_size,
        steps_per_epoch=steps_per_epoch,
        epochs=epochs,
        eval_every=params.eval_every or 0,
        evaluate_train=params.evaluate_train,
        loss=params.loss,
        label_smoothing=params.label_smoothing,
        class_weights=resolve_class_weights(params.class_weights, labels_N, info.classes),
        optimizer=optimizer,
        lr=params.lr,
        momentum=momentum,
        nesterov=momentum > 0 and params.nesterov is not False,
        weight_decay=params.weight_decay,
        clip_norm=math.inf if params.clip_norm is None else params.clip_norm,
        ema_decay=params.ema_decay or 0.0,
        schedule=params.schedule,
        warmup_fraction=params.warmup_fraction,
    )


def resolve_augment(augment: list[Augmentation] | Literal["auto"], hflip_invariant: bool) -> list[Augmentation]:
    """`augment`, or for "auto": flips where the mirror image of an image shows the same class, else nothing."""
    if augment == "auto":
        return ["flip"] if hflip_invariant else []
    return augment


def resolve_normalisation(name: Normalisation, info: Standardised) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel, in units of 1/255, by which the images of `info` are normalised.

    "standard" is those of the training split itself: then the network sees mean 0 and standard deviation 1. "half" brings the
    pixels to -1 to 1, "unit" to 0 to 1, and "none" leaves them at 0 to 255. "imagenet" is ImageNet's; a grey image gets the
    means over the three channels, so that copies of it in three channels have about the statistics of a grey photograph there.
    Raises UserError for images of other channels, of which ImageNet has none.
    """
    channels = info.shape_CHW[0]
    if name == "standard":
        return info.mean, info.std
    if name != "imagenet":
        mean, std = {"half": (0.5, 0.5), "unit": (0.0, 1.0), "none": (0.0, 1 / 255)}[name]
        return [mean] * channels, [std] * channels
    if channels == 3:
        return IMAGENET_MEAN, IMAGENET_STD
    if channels == 1:
        return [round(sum(IMAGENET_MEAN) / 3, 6)], [round(sum(IMAGENET_STD) / 3, 6)]
    raise UserError(
        f"normalize 'imagenet' is for images of 1 or 3 channels, and these have {channels}; write `normalize: standard`"
    )


def resolve_class_weights(
    asked: Sequence[float] | Literal["balanced"] | None, labels_N: Labels, classes: Sequence[str]
) -> tuple[float, ...]:
    """The weight of each class, or none at all. "balanced" is N / (K · images of the class), as in scikit-learn.

    Raises UserError unless there is a weight for each class, and for "balanced" an image to train on.
    """
    if asked is None:
        return ()
    if asked == "balanced":
        counts_K = np.bincount(labels_N, minlength=len(classes))
        if 0 in counts_K:
            lacking = short_repr(classes[int(np.argmin(counts_K))])
            raise UserError(f"class_weights 'balanced' needs an image of each class to train on, found none of {lacking}")
        return tuple(float(weight) for weight in len(labels_N) / (len(classes) * counts_K))
    if len(asked) != len(classes):
        raise UserError(f"class_weights needs a number for each of the {len(classes)} classes, got {len(asked)}")
    return tuple(float(weight) for weight in asked)


def check_batch_size(batch_size: int, num_processes: int) -> None:
    """Raise UserError when `batch_size`, the images that all processes take together in a step, is not dealt out evenly."""
    if batch_size % num_processes:
        lower = batch_size // num_processes * num_processes
        nearest = lower if lower and batch_size - lower <= num_processes / 2 else lower + num_processes
        raise UserError(
            f"batch_size is that of all processes together and must be a multiple of {num_processes}, their number, "
            f"got {batch_size}; the nearest is {nearest}"
        )


def _check_eval_every(eval_every: int, num_steps: int) -> None:
    """Raise UserError when it would make no row, or more than MAX_ROWS."""
    num_rows = num_steps // eval_every
    if num_rows == 0:
        raise UserError(
            f"eval_every {eval_every} has no effect on a run of {num_steps} steps; write {num_steps} or less, or "
            "`eval_every: null`"
        )
    if num_rows > MAX_ROWS:
        raise UserError(
            f"eval_every {eval_every} makes {num_rows} rows of {num_steps} steps; plots/steps.csv takes {MAX_ROWS}; "
            f"write {-(-num_steps // MAX_ROWS)} or more"
        )
