"""What a search tries: `lr=log:1e-4:1e-1`, `dropout=range:0:0.5` or a list of values for each param, drawn by Optuna."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, product
from typing import Any

from classifier.common.errors import UserError, short_repr
from tools.check import STAGE_PARAMS
from tools.experiments.grid import assignments, parse_value, word

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

    def drawn(self, name: str, trial: Any) -> Any:
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

    def drawn(self, name: str, trial: Any) -> Any:
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


def drawn(dimensions: Space, trial: Any) -> dict[str, Any]:
    """A value for each param."""
    return {name: dimension.drawn(name, trial) for name, dimension in dimensions.items()}


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
