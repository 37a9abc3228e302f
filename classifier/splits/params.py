"""Parameters of the stage `build`."""

from pydantic import Field, model_validator

from classifier.common.params import Params, check_has_effect
from classifier.images.schema import OWN


class BuildParams(Params):
    """`val_fraction` of the training rows become the validation split, drawn by `seed`; 0 means no validation.

    Before that, `test_fraction` of a person's own images become the test split, where they have none; null is 0.2.
    """

    dataset: str = Field(min_length=1)
    val_fraction: float = Field(ge=0, lt=1)
    test_fraction: float | None = Field(gt=0, lt=1)
    seed: int = Field(ge=0, le=2**32 - 1)

    @model_validator(mode="after")
    def check_settings_have_effect(self) -> "BuildParams":
        """Every data set of the catalogue has a test split."""
        check_has_effect(self.dataset, OWN, test_fraction=self.test_fraction)
        return self
