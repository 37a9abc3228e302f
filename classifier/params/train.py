"""Parameters of the stage `train`."""

from typing import Literal

from pydantic import Field, model_validator

from classifier.params.compute import ComputeParams

Augmentation = Literal["flip", "shift", "crop", "cutout"]
Normalisation = Literal["standard", "half", "unit", "none", "imagenet"]
WITHOUT_CONVOLUTIONS = ("softmax", "mlp")


class TrainParams(ComputeParams):
    """What is trained and how. A param that belongs to one choice is null for that choice's own default."""

    network: Literal["softmax", "mlp", "cnn", "mnist_cnn", "cifar_cnn", "pyramid"]
    normalize: Normalisation
    optimizer: Literal["sgd", "adam", "adamw", "muon"]
    lr: float = Field(gt=0, le=1000)
    momentum: float | None = Field(ge=0, lt=1)
    weight_decay: float = Field(ge=0, le=1)
    schedule: Literal["constant", "linear", "cosine", "onecycle"]
    warmup_fraction: float = Field(ge=0, lt=1)
    batch_size: int = Field(ge=1, le=2**20)
    epochs: int = Field(ge=1, le=100_000)
    augment: list[Augmentation]
    label_smoothing: float = Field(ge=0, lt=1)
    clip_norm: float | None = Field(gt=0)
    ema_decay: float | None = Field(gt=0, lt=1)
    compile: bool
    seed: int = Field(ge=0, le=2**32 - 1)

    @model_validator(mode="after")
    def refuse_what_has_no_effect(self) -> "TrainParams":
        """Raise ValueError for a setting that would change nothing beside the others."""
        if self.momentum is not None and self.optimizer in ("adam", "adamw"):
            raise ValueError(
                f"momentum has no effect with optimizer {self.optimizer!r}; "
                f"write `momentum: null` or `optimizer: sgd`, got {self.momentum}"
            )
        if self.optimizer == "muon" and self.network in WITHOUT_CONVOLUTIONS:
            raise ValueError(
                f"optimizer 'muon' moves convolutions, and network {self.network!r} has none; write `optimizer: adamw`, which "
                "moves all else"
            )
        twice = {name for name in self.augment if self.augment.count(name) > 1}
        if twice:
            raise ValueError(f"augment must name each augmentation once, got {min(twice)!r} twice")
        if {"shift", "crop"} <= set(self.augment):
            raise ValueError("augment: shift has no effect of its own beside crop; name one of the two, got both")
        if self.schedule == "onecycle" and self.warmup_fraction == 0:
            raise ValueError("schedule 'onecycle' needs a warmup_fraction above 0, its own is 0.3; got 0")
        return self
