"""The settings of a sweep: `lr=0.1,0.2 augment=[],[flip,shift]` as values for params.yaml, and a name for each."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from classifier.common.errors import UserError, short_repr

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
        return YAML(typ="safe", pure=True).load(text)
    except (YAMLError, ValueError, LookupError, ArithmeticError, TypeError, AttributeError, RecursionError):
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
