"""Parameters of the stage `train`."""

from typing import Literal

from pydantic import Field, model_validator

from classifier.params.compute import ComputeParams


class TrainParams(ComputeParams):
    """What is trained and how. A param that belongs to one choice is null for that choice's own default."""

    network: Literal["softmax", "mlp", "cnn"]
    optimizer: Literal["sgd", "adam", "adamw"]
    lr: float = Field(gt=0, le=1000)
    momentum: float | None = Field(ge=0, lt=1)
    weight_decay: float = Field(ge=0, le=1)
    batch_size: int = Field(ge=1, le=2**20)
    epochs: int = Field(ge=1, le=100_000)
    seed: int = Field(ge=0, le=2**32 - 1)

    @model_validator(mode="after")
    def refuse_what_has_no_effect(self) -> "TrainParams":
        """Only SGD has a momentum of its own; Adam's two are not this one."""
        if self.momentum is not None and self.optimizer != "sgd":
            raise ValueError(
                f"momentum has no effect with optimizer {self.optimizer!r}; "
                f"write `momentum: null` or `optimizer: sgd`, got {self.momentum}"
            )
        return self
