"""Parameters of the stage `train`, and of what launches it."""

from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from classifier.common.errors import short_repr
from classifier.common.params import Params
from classifier.compute.params import ComputeParams
from classifier.networks.names import WITHOUT_CONVOLUTIONS
from classifier.networks.params import NetworkParams

Augmentation = Literal["flip", "shift", "crop", "cutout", "cutmix"]
Normalisation = Literal["standard", "half", "unit", "none", "imagenet"]
LossName = Literal["cross_entropy", "mse"]
OptimizerName = Literal["sgd", "adam", "adamw", "muon"]
ScheduleName = Literal["constant", "linear", "cosine", "onecycle"]
SMALLEST_WEIGHT, LARGEST_WEIGHT = 0.000001, 1_000_000


def _weights(value: object) -> object:
    """Refuse what cannot be `class_weights` in one sentence, not in one for each of the types it may have."""
    if value is None or value == "balanced" or (isinstance(value, list) and len(value) > 1 and all(map(_is_weight, value))):
        return value
    raise ValueError(
        f"class_weights must be null, 'balanced' or a number for each class, {SMALLEST_WEIGHT:f} to {LARGEST_WEIGHT}, "
        f"got {short_repr(value)}"
    )


def _augmentations(value: object) -> object:
    """Refuse what cannot be `augment` in one sentence, not in one for each of the types it may have."""
    if value == "auto" or (isinstance(value, list) and all(name in get_args(Augmentation) for name in value)):
        return value
    raise ValueError(f"augment must be 'auto' or a list of any of {', '.join(get_args(Augmentation))}, got {short_repr(value)}")


def _is_weight(value: object) -> bool:
    return type(value) in (int, float) and SMALLEST_WEIGHT <= value <= LARGEST_WEIGHT  # type: ignore[operator]


class TrainParams(NetworkParams, ComputeParams):
    """What is trained and how. A param that belongs to one choice is null for that choice's own default."""

    freeze: bool
    normalize: Normalisation
    loss: LossName
    class_weights: Annotated[list[float] | Literal["balanced"] | None, BeforeValidator(_weights)]
    optimizer: Literal["auto", OptimizerName]
    lr: float = Field(gt=0, le=1000)
    momentum: float | None = Field(ge=0, lt=1)
    nesterov: bool | None
    weight_decay: float = Field(ge=0, le=1)
    schedule: ScheduleName
    warmup_fraction: float = Field(ge=0, lt=1)
    batch_size: int = Field(ge=1, le=2**20)
    shuffle: bool
    drop_last: bool
    epochs: int = Field(ge=1, le=100_000)
    min_steps: int = Field(ge=0, le=100_000)
    augment: Annotated[list[Augmentation] | Literal["auto"], BeforeValidator(_augmentations)]
    label_smoothing: float = Field(ge=0, lt=1)
    clip_norm: float | None = Field(gt=0)
    ema_decay: float | None = Field(gt=0, lt=1)
    compile: bool
    eval_every: int | None = Field(ge=1, le=10**9)
    evaluate_train: bool
    seed: int = Field(ge=0, le=2**32 - 1)

    @property
    def chosen_optimizer(self) -> OptimizerName:
        """`optimizer`, or for "auto": muon where convolutions are trained, else adamw, at the same `lr`."""
        if self.optimizer != "auto":
            return self.optimizer
        return "adamw" if self.network in WITHOUT_CONVOLUTIONS or self.freeze else "muon"

    @model_validator(mode="after")
    def check_optimizer(self) -> "TrainParams":
        """Raise ValueError for a setting of the optimizer or its rate that would change nothing beside the others."""
        by_auto = ", which is `auto` here" if self.optimizer == "auto" else ""
        name = f"optimizer {self.chosen_optimizer!r}{by_auto}"
        if self.momentum is not None and self.chosen_optimizer in ("adam", "adamw"):
            raise ValueError(
                f"momentum has no effect with {name}; write `momentum: null` or `optimizer: sgd`, got {self.momentum}"
            )
        if self.nesterov is not None and (self.momentum == 0 or self.chosen_optimizer in ("adam", "adamw")):
            beside = "momentum 0" if self.momentum == 0 else name
            raise ValueError(f"nesterov has no effect with {beside}; write `nesterov: null`, got {self.nesterov}")
        if self.optimizer == "muon" and self.network in WITHOUT_CONVOLUTIONS:
            raise ValueError(
                f"optimizer 'muon' moves convolutions, and network {self.network!r} has none; write `optimizer: auto`"
            )
        if self.schedule == "onecycle" and self.warmup_fraction == 0:
            raise ValueError("schedule 'onecycle' needs a warmup_fraction above 0, its own is 0.3; got 0")
        return self

    @model_validator(mode="after")
    def check_loss(self) -> "TrainParams":
        """Raise ValueError for a setting of the cross-entropy beside another loss, and for weights that are all the same."""
        if self.loss != "cross_entropy" and self.label_smoothing > 0:
            raise ValueError(
                f"label_smoothing has no effect with loss {self.loss!r}; write `label_smoothing: 0` or `loss: cross_entropy`, "
                f"got {self.label_smoothing}"
            )
        if self.loss != "cross_entropy" and self.class_weights is not None:
            raise ValueError(
                f"class_weights has no effect with loss {self.loss!r}; write `class_weights: null` or `loss: cross_entropy`"
            )
        if isinstance(self.class_weights, list) and len(set(self.class_weights)) == 1:
            raise ValueError("class_weights has no effect when all are the same; write `class_weights: null`")
        return self

    @model_validator(mode="after")
    def check_augment(self) -> "TrainParams":
        """Raise ValueError for an augmentation that would change nothing beside the others."""
        if self.augment == "auto":
            return self
        twice = {name for name in self.augment if self.augment.count(name) > 1}
        if twice:
            raise ValueError(f"augment must name each augmentation once, got {min(twice)!r} twice")
        if {"shift", "crop"} <= set(self.augment):
            raise ValueError("augment: shift has no effect of its own beside crop; name one of the two, got both")
        if "cutmix" in self.augment and self.class_weights is not None:
            raise ValueError("augment: cutmix mixes classes, which class_weights cannot weigh; name one of the two, got both")
        return self

    @model_validator(mode="after")
    def check_freeze(self) -> "TrainParams":
        """Raise ValueError for a frozen network that nobody trained, and for an optimizer that would find nothing to move."""
        if self.freeze and not self.pretrained:
            raise ValueError("freeze keeps pretrained weights, and there are none; write `pretrained: true` or `freeze: false`")
        if self.freeze and self.optimizer == "muon":
            raise ValueError("optimizer 'muon' moves convolutions, and `freeze: true` trains none; write `optimizer: auto`")
        return self


def _one_command(launcher: str) -> str:
    if not launcher.strip() or launcher.lstrip().startswith("-") or "\n" in launcher:
        raise ValueError(
            f"launcher must be a command on one line that runs a Python module, as python, got {short_repr(launcher)}"
        )
    return launcher


class LauncherParams(Params):
    """What starts the training: `python`, or `torchrun …` for several processes (stages.launch)."""

    launcher: Annotated[str, Field(min_length=1), AfterValidator(_one_command)]
