"""What a sweep or a search tries: `lr=0.1,0.2` or `lr=log:1e-4:1e-1` as values for params.yaml, and a name for each setting."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, product
from typing import Any

from ruamel.yaml.error import YAMLError

from classifier.common.errors import UserError, short_repr
from classifier.common.yaml import parse_yaml
from tools.check import STAGE_PARAMS

LONGEST_NAME = 120
_PART = re.compile(r"""\[[^\]]*\]|"(?:\\.|[^"\\])*"|'(?:''|[^'])*'|[^,]""")
"""What is not cut: a list, a text in quotes, or a character that is no comma."""
_FIT = re.compile(r"[A-Za-z0-9_+-]+(\.[A-Za-z0-9_+-]+)*")
"""For a name in git, and without the characters that a shell would take for its own."""


def assignments(texts: Sequence[str]) -> dict[str, list[str]]:
    """The texts of the values of each param. Raises UserError for what is not NAME=VALUE,VALUE and for a name given twice."""
    found: dict[str, list[str]] = {}
    for text in texts:
        name, equals, values = text.partition("=")
        if not name or not equals:
            raise UserError(f"{short_repr(text)}: needs NAME=VALUE,VALUE as in lr=0.001,0.01")
        if name in found:
            raise UserError(f"{name}: given twice; write all its values after one `{name}=`")
        found[name] = split_values(values)
    return found


def split_values(text: str) -> list[str]:
    """Cut at the commas outside brackets and quotes."""
    pieces = [""]
    position = 0
    while position < len(text):
        part = _PART.match(text, position)
        if part is None:
            pieces.append("")
            position += 1
        else:
            pieces[-1] += part[0]
            position = part.end()
    return [piece.strip() for piece in pieces]


def parse_value(name: str, text: str) -> Any:
    """By the rules of params.yaml. Raises UserError for an empty text, and for one that is no YAML."""
    if not text:
        raise UserError(f"{name}: needs a value before and after each comma; an empty text is '' in quotes, an empty list []")
    try:
        return parse_yaml(text)
    except (YAMLError, ValueError, LookupError, ArithmeticError, TypeError, AttributeError):
        raise UserError(
            f"{name}: {short_repr(text)} is not readable as YAML; see params.yaml for how it is written there"
        ) from None


def grid(texts: Sequence[str]) -> list[dict[str, Any]]:
    """Every combination of the values, each value once; the first param changes last."""
    values = {
        name: list({word(value): value for value in (parse_value(name, one) for one in several)}.values())
        for name, several in assignments(texts).items()
    }
    return [dict(zip(values, combination, strict=True)) for combination in product(*values.values())]


def name_of(overrides: Mapping[str, Any]) -> str:
    """`lr=0.001,weight_decay=0`: the same for the same values, in whatever order and manner they were written."""
    name = ",".join(f"{key}={word(overrides[key])}" for key in sorted(overrides))
    return name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}-{_digest(name)}"


def word(value: Any) -> str:
    """`value` for a name; where that takes another spelling, with a digest."""
    text = _spelt(value)
    if _FIT.fullmatch(text) and not text.endswith(".lock"):
        return text
    return f"{'-'.join(re.findall(r'[A-Za-z0-9_+-]+', text))}-{_digest(value)}".lstrip("-")


def _spelt(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))  # 0.0 is 0
    if isinstance(value, list):
        return _joined(map(_spelt, value))
    return str(value)


def _joined(words: Iterable[str]) -> str:
    return "+".join(words) or "none"


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:6]


KINDS = ("log", "range")
DIGITS = 4
"""Significant ones of a drawn number: enough for a setting, and short in a name."""
MAX_CORNERS = 10_000


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, uniform or uniform in their logarithm."""

    low: float
    high: float
    log: bool
    whole: bool

    def draw(self, name: str, trial: Any) -> Any:
        """By the sampler of Optuna's `trial`; the same again for a trial that has drawn it before."""
        if self.whole:
            return trial.suggest_int(name, int(self.low), int(self.high), log=self.log)
        number = float(f"{trial.suggest_float(name, self.low, self.high, log=self.log):.{DIGITS}g}")
        return min(max(number, self.low), self.high)

    @property
    def corners(self) -> list[Any]:
        """The ends."""
        return [int(self.low), int(self.high)] if self.whole else [self.low, self.high]

    def description(self) -> str:
        """As it is written."""
        return f"{'log' if self.log else 'range'}:{self.low!r}:{self.high!r}"


@dataclass(frozen=True)
class Choice:
    """One of several values, by their words, which Optuna can store."""

    values: dict[str, Any]

    def draw(self, name: str, trial: Any) -> Any:
        """By the sampler of Optuna's `trial`; the same again for a trial that has drawn it before."""
        return self.values[trial.suggest_categorical(name, [*self.values])]

    @property
    def corners(self) -> list[Any]:
        """All of them."""
        return [*self.values.values()]

    def description(self) -> str:
        """As it is written, nearly."""
        return ",".join(self.values)


Space = Mapping[str, Range | Choice]


def space(texts: Sequence[str]) -> Space:
    """Raises UserError for what cannot be read, and for intervals without a number between their ends."""
    return {name: _dimension(name, values) for name, values in sorted(assignments(texts).items())}


def draw(dimensions: Space, trial: Any) -> dict[str, Any]:
    """A value for each param."""
    return {name: dimension.draw(name, trial) for name, dimension in dimensions.items()}


def corners(dimensions: Space) -> list[dict[str, Any]]:
    """All combinations of ends and choices, the first ten thousand of them."""
    combinations = product(*(dimension.corners for dimension in dimensions.values()))
    return [dict(zip(dimensions, values, strict=True)) for values in islice(combinations, MAX_CORNERS)]


def _dimension(name: str, values: Sequence[str]) -> Range | Choice:
    kind, colon, ends = values[0].partition(":")
    if len(values) == 1 and colon and kind in KINDS:
        return _interval(name, kind, ends)
    return Choice({word(value): value for value in (parse_value(name, text) for text in values)})


def _interval(name: str, kind: str, ends: str) -> Range:
    low, _, high = ends.partition(":")
    numbers = [parse_value(name, end) for end in (low, high)]
    if not all(type(number) in (int, float) for number in numbers):
        raise UserError(f"{name}: needs two numbers as in {name}={kind}:1:10, got {short_repr(ends)}")
    if not numbers[0] < numbers[1] or (kind == "log" and numbers[0] <= 0):
        above = " above 0" if kind == "log" else ""
        raise UserError(f"{name}: {kind} needs a number{above} and a larger one, got {short_repr(ends)}")
    return Range(numbers[0], numbers[1], log=kind == "log", whole=_takes_whole_numbers(name))


def _takes_whole_numbers(name: str) -> bool:
    return any(
        model.model_fields[name].annotation in (int, int | None)
        for model in STAGE_PARAMS.values()
        if name in model.model_fields
    )
