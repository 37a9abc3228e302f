"""The files in metrics/ as the stages write them. (That of models/model.json is classifier.model.description.)"""

from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, RootModel, ValidatorFunctionWrapHandler, WrapValidator, model_validator

from classifier.images.schema import Count, DatasetSplit

TEST_METRICS = "metrics/test.json"
TRAIN_METRICS = "metrics/train.json"
DATA_METRICS = "metrics/data.json"


def _whole_as_such(value: object, validate: ValidatorFunctionWrapHandler) -> float:
    number: float = validate(value)
    return value if type(value) is int else number


Metric = Annotated[float, Field(allow_inf_nan=False), WrapValidator(_whole_as_such)]


class Metrics(RootModel[dict[str, Metric]]):
    """metrics/test.json or metrics/train.json, by name; numbers of epochs stay whole numbers."""

    model_config = ConfigDict(strict=True)


class DataMetrics(BaseModel):
    """The details in metrics/data.json: what `classifier.splits.data_check.data_report` counts. In older runs they are all."""

    model_config = ConfigDict(strict=True, frozen=True)

    images: dict[DatasetSplit, Count]
    classes: Count
    classes_missing: dict[DatasetSplit, Count]
    imbalance: Annotated[float, Field(ge=1, allow_inf_nan=False)]
    constant: dict[DatasetSplit, Count]
    repeated: dict[DatasetSplit, Count]
    leaked: dict[str, Count]
    """By `LATER_in_EARLIER`, two of the splits."""
    near_copies: Count | None = None
    near_copies_full: Count | None = None
    """Both if they were looked for."""
    label_conflicts: Count
    unreadable: Count
    unreadable_files: list[str] = []
    pixel_max: int | None = None

    @model_validator(mode="before")
    @classmethod
    def take_details(cls, found: Any) -> Any:
        """Pass over the six numbers that stand before them for DVC's tables."""
        if not isinstance(found, dict) or "details" not in found:
            return found
        if not isinstance(found["details"], list) or len(found["details"]) != 1:
            raise ValueError("details needs a list of one report")
        return found["details"][0]

    @model_validator(mode="after")
    def is_about_the_same_splits(self) -> Self:
        splits = list(self.images)
        for counts in (self.classes_missing, self.constant, self.repeated):
            if list(counts) != splits:
                raise ValueError(f"each count needs the splits {', '.join(splits)}, got {', '.join(counts)}")
        unknown = self.leaked.keys() - {f"{later}_in_{earlier}" for later in splits for earlier in splits}
        if unknown:
            raise ValueError(f"leaked needs pairs of the splits {', '.join(splits)}, got {min(unknown)[:80]}")
        return self
