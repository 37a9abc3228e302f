"""Typed, bounded parameters, read as DVC reads them and refused by name."""

import difflib
import warnings
from pathlib import Path, PurePath
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo
from pydantic_core import ErrorDetails
from ruamel.yaml.error import YAMLError

from classifier.common.errors import UserError, short_message, short_repr
from classifier.common.yaml import parse_yaml

PARAMS_FILE = Path("params.yaml")


class Params(BaseModel):
    """Base of each stage's parameters: no coercion (`"3"` is not 3), no NaN, no field that the class does not name."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)


AnyParams = TypeVar("AnyParams", bound=Params)


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a flat YAML mapping by the rules of DVC (YAML 1.2 through the same library: `1e-05` is a number, `no` a string).

    Raises UserError for a file that is missing, not UTF-8, not YAML, not a mapping, or has a key twice.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # of an anchor that stands there twice, which YAML allows
            values = parse_yaml(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run this in the folder that has it") from None
    except (YAMLError, UnicodeDecodeError, ValueError) as error:
        raise UserError(f"{path}: not readable as YAML: {short_message(error)}") from None
    except (LookupError, ArithmeticError, TypeError, AttributeError) as error:
        # Those the parser lets out: of `!!bool maybe` and `!!int ''`, of a character beyond Unicode.
        raise UserError(f"{path}: not readable as YAML: {type(error).__name__} of its parser") from None
    if not isinstance(values, dict):
        raise UserError(f"{path}: needs `key: value` lines, got {type(values).__name__}")
    return values


def validate(path: Path, values: dict[str, Any], model: type[AnyParams]) -> AnyParams:
    """Build `model` from its own keys of `values`. Raises UserError for the first key that is missing or refused."""
    try:
        return model.model_validate(_own(values, model))
    except ValidationError as error:
        raise UserError(_lines(path, error)[0]) from None


def refusals(path: Path, values: dict[str, Any], model: type[Params]) -> list[str]:
    """What `validate` has to say of every key, one line each; empty when all are good."""
    try:
        model.model_validate(_own(values, model))
    except ValidationError as error:
        return _lines(path, error)
    return []


def unknown_keys(path: Path, values: dict[str, Any], known: set[str]) -> list[str]:
    """One line for each key of `values` that is not `known`, with the nearest name that is."""
    return [
        f"{path}: no stage in dvc.yaml uses the key {short_repr(key)}{_hint(key, known)}" for key in values if key not in known
    ]


def _own(values: dict[str, Any], model: type[Params]) -> dict[str, Any]:
    return {name: values[name] for name in model.model_fields if name in values}


def _hint(key: object, known: set[str]) -> str:
    nearest = difflib.get_close_matches(key if isinstance(key, str) else short_repr(key), sorted(known), n=1)
    return f"; did you mean {nearest[0]!r}?" if nearest else f"; it uses {', '.join(sorted(known))}"


def _lines(path: Path, error: ValidationError) -> list[str]:
    return [f"{path}: {_sentence(one)}" for one in error.errors(include_url=False)]


def _sentence(error: ErrorDetails) -> str:
    """Say one pydantic error as `lr must be greater than 0, got -0.1`."""
    name = ".".join(str(part) for part in error["loc"])
    if error["type"] == "missing":
        return f"the key {name!r} is missing"
    if error["type"] == "value_error":
        return str(error["ctx"]["error"])
    rule = error["msg"].replace("Input should", "must", 1).replace("String should", "must", 1)
    return f"{name} {rule}, got {short_repr(error['input'])}"


def check_has_effect(dataset: str, needed: tuple[str, ...], **values: object) -> None:
    """Raise ValueError for the first of `values` that is set although `dataset` is not one of the `needed`."""
    for name, value in values.items():
        if value is not None and dataset not in needed:
            wanted = " or ".join(f"`dataset: {one}`" for one in needed)
            raise ValueError(
                f"{name} has no effect with dataset {short_repr(dataset)}; write `{name}: null` or {wanted}, got {value}"
            )


def absolute_or_inside(path: str, info: ValidationInfo) -> str:
    """DVC takes `~` for a folder of that name, and `../…` leads elsewhere when an experiment runs in a temporary copy."""
    if path.startswith("~") or ".." in PurePath(path).parts:
        raise ValueError(
            f"{info.field_name} must be an absolute path, or one inside this repository without `~` and `..`, "
            f"got {short_repr(path)}"
        )
    return path
