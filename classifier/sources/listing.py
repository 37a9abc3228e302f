"""The pictures of a person's source, whatever its layout: path, split, class and group of each, and notes on them."""

from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from classifier.common.errors import short_repr
from classifier.images.schema import TableSplit
from classifier.sources.files import SourceFiles


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
