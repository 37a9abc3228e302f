"""Typed, bounded parameters, read as DVC reads them and refused by name."""

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from classifier.errors import UserError


class Params(BaseModel):
    """Base of each stage's parameters: no coercion (`"3"` is not 3), no NaN, no field that the class does not name."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)


AnyParams = TypeVar("AnyParams", bound=Params)


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a flat YAML mapping by the rules of DVC (YAML 1.2 through the same parser: `1e-05` is a number, `no` a string).

    Raises UserError for a file that is missing, not UTF-8, not YAML, not a mapping, or has a key twice.
    """
    try:
        values = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run this in the folder that has it") from None
    except (YAMLError, UnicodeDecodeError, ValueError) as error:
        raise UserError(f"{path}: not readable as YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise UserError(f"{path}: needs lines like `lr: 0.001`, got {type(values).__name__}")
    return values


def validate(path: Path, values: dict[str, Any], model: type[AnyParams]) -> AnyParams:
    """Build `model` from its own keys of `values`. Raises UserError for the first key that is missing or refused."""
    try:
        return model.model_validate({name: values[name] for name in model.model_fields if name in values})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise UserError(f"{path}: {_sentence(first)}") from None


def refuse_unknown_keys(path: Path, values: dict[str, Any], known: Iterable[str]) -> None:
    """Raise UserError for the first key that is not `known`, with the nearest name that is."""
    names = sorted(known)
    for key in values:
        if key not in names:
            nearest = difflib.get_close_matches(str(key), names, n=1, cutoff=0)
            hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
            raise UserError(f"{path}: no stage in dvc.yaml uses the key {str(key)!r}{hint}")


def _sentence(error: ErrorDetails) -> str:
    """Say one pydantic error as `lr must be greater than 0, got -0.1`."""
    name = ".".join(str(part) for part in error["loc"])
    if error["type"] == "missing":
        return f"the key {name!r} is missing"
    if error["type"] == "value_error":
        return str(error["ctx"]["error"])
    rule = error["msg"].replace("Input should be", "must be", 1)
    return f"{name} {rule}, got {str(error['input'])[:80]!r}"
