"""Parameters of the stage `evaluate`."""

from typing import Annotated, Literal

from pydantic import BeforeValidator

from classifier.common.errors import short_repr
from classifier.compute.params import ComputeParams


def _choice(value: object) -> object:
    """Refuse what cannot be `flip_tta` in one sentence, not in one for each of the types it may have."""
    if value == "auto" or isinstance(value, bool):
        return value
    raise ValueError(f"flip_tta must be 'auto', true or false, got {short_repr(value)}")


FlipTta = Annotated[bool | Literal["auto"], BeforeValidator(_choice)]


class EvaluateParams(ComputeParams):
    """How to compute; what to compute stands in models/model.json."""

    flip_tta: FlipTta


def resolve_flip_tta(flip_tta: bool | Literal["auto"], hflip_invariant: bool) -> bool:
    """`flip_tta`, or for "auto": whether the mirror image of an image shows the same class."""
    return hflip_invariant if flip_tta == "auto" else flip_tta
