"""The pictures that were found in a source, held in few bytes each, and what is said of them before anything runs."""

import re
import shlex
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Literal

from classifier.common.errors import short_repr
from classifier.images.schema import TableSplit
from classifier.sources.files import SourceFiles

LAST: Literal["last"] = "last"
ClassDepth = int | Literal["last"] | None
"""How many folders deep the classes are; of `last` each picture's own folder is its class; None is found out."""


@dataclass(frozen=True, order=True, slots=True)
class Picture:
    """`path` is relative to the source, with slashes; `group` is None where there are no groups."""

    path: str
    split: TableSplit
    class_name: str
    group: str | None = None


@dataclass
class Listing:
    """The pictures by path; held as numbers, a few bytes for each beside its path.

    `notes` are lines for the person: what was taken for what, and what was left out. `layout` is what was recognised, in words.
    """

    files: SourceFiles
    layout: str = ""
    notes: list[str] = field(default_factory=list)
    places: "array[int]" = field(default_factory=lambda: array("q"))
    """Of the pictures among those of `files`, in rising order."""
    class_of: "array[int]" = field(default_factory=lambda: array("i"))
    is_test: bytearray = field(default_factory=bytearray)
    class_names: list[str] = field(default_factory=list)
    """As they came; `classes` has them in their order."""
    group_of: "array[int] | None" = None
    group_names: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.places)

    def __iter__(self) -> Iterator[Picture]:
        return (self.picture(number) for number in range(len(self)))

    def picture(self, number: int) -> Picture:
        group = None if self.group_of is None else self.group_names[self.group_of[number]]
        split: TableSplit = "test" if self.is_test[number] else "train"
        return Picture(self.files.pictures[self.places[number]], split, self.class_names[self.class_of[number]], group)

    @property
    def classes(self) -> list[str]:
        """The names that occur, sorted by their characters."""
        return sorted({self.class_names[number] for number in set(self.class_of)})

    def counts(self) -> dict[str, dict[TableSplit, int]]:
        """Pictures of each class and split."""
        found: Counter[tuple[int, int]] = Counter(zip(self.class_of, self.is_test, strict=True))
        by_name: dict[str, dict[TableSplit, int]] = {name: {"train": 0, "test": 0} for name in self.classes}
        for (number, is_test), count in found.items():
            by_name[self.class_names[number]]["test" if is_test else "train"] += count
        return by_name


def shown(names: list[str], most: int = 3) -> str:
    """The first few, and how many there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(map(short_repr, islice(names, most)))}{more}"


MOST_CLASSES = 8
"""Named one by one; of more the first and the last few."""
MAX_NAME = 30
FEW = 3
"""Pictures of a class that can be in all splits."""
NO_TEXT = re.compile(r"[+-]?[0-9][0-9_.eE+-]*|[+-]?(inf|nan)|true|false|null", re.IGNORECASE)
"""What Hydra does not take for a text, and a little more."""


def listing_lines(listing: Listing, source: str) -> Iterator[str]:
    """Layout, splits and classes with their counts, and all notes."""
    counts = listing.counts()
    num_train, num_test = (sum(count[split] for count in counts.values()) for split in ("train", "test"))
    yield f"{source}: {listing.layout}"
    test = f"{num_test} to test on" if num_test else "none to test on (test_fraction cuts them)"
    yield f"{len(listing)} pictures: {num_train} to train on, {test}"
    names = list(counts)
    named = names if len(names) <= MOST_CLASSES else [*names[: MOST_CLASSES // 2], "…", *names[-MOST_CLASSES // 2 :]]
    yield f"{len(names)} classes: {', '.join(_counted(name, counts) for name in named)}"
    single = [name for name in names if counts[name]["train"] == 1 and not num_test]
    if single:
        yield (
            f"only one picture, which cannot be both trained on and tested on, in {shown(single, 5)}; the stage build will "
            "refuse this: add pictures, or remove the class"
        )
    few = [f"{name} ({counts[name]['train']})" for name in names if 1 <= counts[name]["train"] < FEW and name not in single]
    if few:
        yield (
            f"fewer than {FEW} pictures to train on, maybe too few to cut a split from: {shown(few, 5)}; add some, or set "
            "val_fraction to 0"
        )
    yield from listing.notes


def _counted(name: str, counts: Mapping[str, Mapping[TableSplit, int]]) -> str:
    if name not in counts:
        return name
    test = f" + {counts[name]['test']}" if counts[name]["test"] else ""
    shown = name if len(name) <= MAX_NAME else f"{name[: MAX_NAME // 2 - 1]}…{name[-MAX_NAME // 2 :]}"
    return f"{shown if shown.isprintable() else short_repr(shown)} ({counts[name]['train']}{test})"


MIRROR_NOTE = (
    "mirror images are not used; where one shows the same class: `-S 'augment=[flip]' -S flip_tta=true` (see params.yaml)"
)


def command(dataset: str, source: str | Path, settings: Mapping[str, object], unset: Iterable[str] = ()) -> str:
    """The `dvc exp run` that uses `source`, with the `settings` that are not null and `unset` made so, fit for a shell."""
    given = {"dataset": dataset, "source": str(source), **settings}
    options = [option(key, value) for key, value in given.items() if value is not None]
    return " ".join(["dvc exp run", *options, *(f"-S {key}=null" for key in unset if given.get(key) is None)])


def option(key: str, value: object) -> str:
    """`-S key=value`, fit for a shell."""
    return f"-S {shlex.quote(f'{key}={_quoted(value)}')}"


def _quoted(value: object) -> str:
    """As the grammar of Hydra's overrides has it, which DVC reads: in quotes a text of other than plain characters, or that
    would be a number, a truth value or null."""
    if isinstance(value, list):
        return str(value).replace(" ", "")
    text = str(value)
    is_plain = not isinstance(value, str) or not NO_TEXT.fullmatch(text)
    if is_plain and all(letter.isalnum() or letter in "_-./+@%" for letter in text) and text.isascii():
        return text
    return "'" + re.sub(r"(\\+)(?='|$)", r"\1\1", text).replace("'", "\\'") + "'"
