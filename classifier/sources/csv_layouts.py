"""What the columns of a person's CSV table are: which is the label, which are the pixels, and in what order.

Exactly one reading is taken; where there are several or none, one line says what would make it one.
"""

import csv
import gzip
import math
import re
import zlib
from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO, cast

from classifier.common.errors import UserError, short_repr
from classifier.images.schema import MAX_PIXELS
from classifier.images.table_header import LOOKS_LIKE_A_NUMBER, MAX_LINE_BYTES
from classifier.sources.files import check_no_pointer
from classifier.sources.labels import PATH_NAMES, plain_name
from classifier.sources.listing import option, shown

LABEL_NAMES = {
    *("label", "labels", "class", "classes", "class_id", "class_name", "classname", "target", "targets", "category", "y"),
    *("emotion", "digit", "letter", "character", "species"),
}
ID_NAMES = {
    *("", "id", "index", "idx", "image_id", "img_id", "imageid", "row_id", "unnamed: 0"),
    *("filename", "file_name", "img_name", "image_name"),
}
SPLIT_NAMES = {"usage", "split", "subset"}
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
FIRST, LAST = "first", "last"
"""What `label_column` may say of a table without a header."""
MAX_CLASSES = 10_000
MIN_NUMBERS_IN_A_CELL = 4
NUMBERS_IN_A_CELL = re.compile(r"[\[(]?\s*[0-9.]+([\s,;]+[0-9.]+)+\s*[\])]?")
CHANNEL = {"r": "r", "red": "r", "g": "g", "green": "g", "b": "b", "blue": "b"}


@dataclass(frozen=True)
class Layout:
    """`label`, `split` and `pixels` are positions of columns; of the pixels, in the order that our tables have.

    With `in_cell` the one column in `pixels` holds all of them; with `channels_named` their names say which are red.
    """

    separator: str
    has_header: bool
    names: list[str]
    pixels: list[int]
    label: int | None = None
    split: int | None = None
    in_cell: bool = False
    channels_named: bool = False
    notes: list[str] = field(default_factory=list)


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """The bytes of a table, unpacked where it is packed by gzip. Raises UserError for a damaged one."""
    if path.suffix.lower() != ".gz":
        with path.open("rb") as file:
            yield file
        return
    try:
        with gzip.open(path, "rb") as file:
            yield cast("BinaryIO", file)
    except (gzip.BadGzipFile, EOFError, zlib.error):
        raise UserError(f"{path}: not a whole gzip file; download it again") from None


@dataclass(frozen=True)
class Asked:
    """What the person said of the columns."""

    label_column: str | None = None
    split_column: str | None = None
    labels_needed: bool = True
    """Without them, images are to be predicted."""


def find_layout(path: Path, asked: Asked, like: Layout | None = None) -> Layout:
    """What the columns of the table at `path` are; the label is that of `like`, a table before, or there is none.

    Raises UserError where that is not clear.
    """
    check_no_pointer(path)
    with opened(path) as file:
        lines = [_text(path, number, file.readline(MAX_LINE_BYTES)) for number in (1, 2)]
    if not lines[0].strip():
        raise UserError(f"{path}: line 1: needs a header label,pixel1,pixel2,…, found {short_repr(lines[0])}")
    separator = max(SEPARATORS, key=_without_quoted(lines[0]).count)
    first, second = (_cells(path, line, separator) for line in lines)
    if len(first) > MAX_PIXELS:
        raise UserError(f"{path}: needs at most {MAX_PIXELS} pixels an image, found {len(first)} columns")
    notes = [] if separator == "," else [f"the columns are separated by {SEPARATORS[separator]}"]
    if _is_header(first):
        layout = _of_header(path, Layout(separator, True, first, [], notes=notes), second, asked, like)
    else:
        names = [f"number {position}" for position in range(1, len(first) + 1)]
        layout = Layout(separator, False, names, list(range(len(first))), notes=[*notes, "there is no header"])
    if not _is_nameless(layout):
        return layout
    if like and _is_nameless(replace(like, label=None)) and len(first) == len(like.pixels):
        return layout  # the same without the label
    if like and like.label is not None and _is_nameless(replace(like, label=None)) and len(first) == len(like.names):
        return replace(layout, label=like.label, pixels=like.pixels)
    if not asked.labels_needed and _is_square(len(first)):
        return replace(layout, pixels=list(range(len(first))))
    return _of_no_names(path, layout, asked.label_column)


def _is_square(number: int) -> bool:
    """Of pixels in grey, or of three channels of them."""
    return any(channels * math.isqrt(number // channels) ** 2 == number for channels in (1, 3))


def _text(path: Path, number: int, line: bytes) -> str:
    if len(line) == MAX_LINE_BYTES:
        raise UserError(f"{path}: needs lines of less than {MAX_LINE_BYTES} bytes, found a longer one")
    try:
        return line.removeprefix(BOM_UTF8).decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise UserError(f"{path}: line {number}: needs UTF-8, found {short_repr(line)}") from None


def _without_quoted(line: str) -> str:
    return re.sub(r'"[^"]*"', "", line)


def _cells(path: Path, line: str, separator: str) -> list[str]:
    usual = csv.field_size_limit(MAX_LINE_BYTES)  # all pixels may be in one cell
    try:
        return [cell.strip() for cell in next(csv.reader([line], delimiter=separator), [])]
    except csv.Error as error:
        raise UserError(f"{path}: not readable as CSV: {error}") from None
    finally:
        csv.field_size_limit(usual)


def _is_number(cell: str) -> bool:
    return LOOKS_LIKE_A_NUMBER.fullmatch(cell) is not None


def _is_header(cells: list[str]) -> bool:
    """A first line of numbers is one of pixels, unless they count the columns; at either end may be the name of a class."""
    numbers = [cell for cell in cells if _is_number(cell)]
    if _counts_up(numbers):
        return True
    if len(numbers) == len(cells):
        return False
    at_an_end = len(numbers) == len(cells) - 1 and not (_is_number(cells[0]) and _is_number(cells[-1]))
    return not (at_an_end and len(numbers) > 2)


def _counts_up(cells: Sequence[str]) -> bool:
    """0,1,2,… or 1,2,3,…, as pandas names columns that have no names."""
    return len(cells) > 2 and any(list(cells) == [str(start + place) for place in range(len(cells))] for start in (0, 1))


def _is_nameless(layout: Layout) -> bool:
    return not layout.has_header or (layout.label is None and _counts_up(layout.names))


def _of_header(path: Path, layout: Layout, second: list[str], asked: Asked, like: Layout | None) -> Layout:
    lower = [name.lower() for name in layout.names]
    in_cell = [place for place, cell in enumerate(second) if place < len(lower) and _is_list(cell)]
    others = [name for name in lower[1:] if name in ID_NAMES | SPLIT_NAMES | LABEL_NAMES]
    if lower[0] == "label" and asked in (Asked(), Asked(layout.names[0])) and not others and not in_cell:
        pixels = list(range(1, len(lower)))
        return replace(layout, label=0, pixels=_planar(lower, pixels), channels_named=_channels_named(lower, pixels))
    if len(set(lower)) < len(lower) and len(set(layout.names)) < len(layout.names):
        twice = next(name for name, times in Counter(layout.names).items() if times > 1)
        raise UserError(f"{path}: line 1: needs names of columns that differ, found {short_repr(twice)} twice")
    if len(in_cell) > 1:
        named = " and ".join(short_repr(layout.names[place]) for place in in_cell[:2])
        raise UserError(f"{path}: needs one column of pixels, found numbers in the cells of {named}")
    pixels = in_cell or _pixel_columns(lower)
    rest = [place for place in range(len(lower)) if place not in set(pixels)]
    split = _split_places(path, layout, rest, asked.split_column)
    label = _label_place(path, layout, [place for place in rest if place not in split], asked, like)
    if label in pixels:
        pixels = [place for place in pixels if place != label]
    notes = [*layout.notes]
    if label is not None and (label or lower[label] != "label"):
        notes.append(f"the label is the column {short_repr(layout.names[label])}")
    if in_cell:
        notes.append(f"the pixels are the numbers in the cells of {short_repr(layout.names[in_cell[0]])}")
    if split:
        notes.append(f"the split is the column {short_repr(layout.names[split[0]])}")
    if left_out := [layout.names[place] for place in rest if place not in (label, *split[:1])]:
        notes.append(f"left out: the column{'s' if len(left_out) > 1 else ''} {shown(left_out)}")
    if not pixels and (label is not None or not asked.labels_needed):
        raise UserError(
            f"{path}: needs columns of pixels that are named alike, as pixel1,pixel2,…, found {_named(layout, rest)}"
            + "; a table that names pictures needs them unpacked beside it"
            * any(plain_name(name) in PATH_NAMES for name in lower)
        )
    if not in_cell and (planar := _planar(lower, pixels)) != pixels:
        notes.append("red, green and blue follow each other pixel by pixel, as the header says")
        pixels = planar
    return replace(
        layout,
        pixels=pixels,
        label=label,
        split=split[0] if split else None,
        in_cell=bool(in_cell),
        channels_named=_channels_named(lower, pixels),
        notes=notes,
    )


def _split_places(path: Path, layout: Layout, rest: list[int], asked: str | None) -> list[int]:
    if asked is None:
        return [place for place in rest if layout.names[place].lower() in SPLIT_NAMES]
    if asked not in layout.names:
        raise UserError(f"{path}: has no column {short_repr(asked)}, as split_column says; it has {_named(layout, rest)}")
    return [layout.names.index(asked)]


def _is_list(cell: str) -> bool:
    return bool(NUMBERS_IN_A_CELL.fullmatch(cell)) and len(re.findall(r"[0-9.]+", cell)) >= MIN_NUMBERS_IN_A_CELL


def _stem(name: str) -> str:
    return re.sub(r"[0-9]+", "#", name)


def _pixel_columns(names: list[str]) -> list[int]:
    """Those named alike but for their numbers (pixel0, pixel1, …; 1x1, 1x2, …); of three channels, by three such names."""
    counts = Counter(_stem(name) for name in names if "#" in _stem(name))
    if not counts:
        return []
    most = max(counts.values())
    stems = {stem for stem, count in counts.items() if count == most}
    return [place for place, name in enumerate(names) if _stem(name) in stems]


def _planar(names: list[str], pixels: list[int]) -> list[int]:
    """`pixels` in the order all red, all green, all blue, where their names say which is which."""
    letters = [_channel(names[place]) for place in pixels]
    if not _channels_named(names, pixels):
        return pixels
    return [place for channel in "rgb" for place, letter in zip(pixels, letters, strict=True) if letter == channel]


def _channels_named(names: list[str], pixels: list[int]) -> bool:
    counts = Counter(_channel(names[place]) for place in pixels)
    return set(counts) == {"r", "g", "b"} and len(set(counts.values())) == 1


def _channel(name: str) -> str | None:
    found = {CHANNEL[word] for word in re.findall(r"[a-z]+", name) if word in CHANNEL}
    return found.pop() if len(found) == 1 else None


def _label_place(path: Path, layout: Layout, rest: list[int], asked: Asked, like: Layout | None) -> int | None:
    """The column of the label among `rest`, those that are neither pixels nor a split; None for a table without labels."""
    if like and like.label is not None:
        before = like.names[like.label].lower()
        return next((place for place, name in enumerate(layout.names) if name.lower() == before), None)
    if (name := asked.label_column) is not None:
        if name in layout.names:
            return layout.names.index(name)
        if name in (FIRST, LAST):
            return 0 if name == FIRST else len(layout.names) - 1
        raise UserError(f"{path}: has no column {short_repr(name)}, as label_column says; it has {_named(layout, rest)}")
    others = [place for place in rest if layout.names[place].lower() not in ID_NAMES]
    known = [place for place in others if layout.names[place].lower() in LABEL_NAMES]
    candidates = known or others
    if len(candidates) > 1 and asked.labels_needed:
        raise UserError(
            f"{path}: needs one column of labels, found {_named(layout, candidates)}; say which it is, such as "
            f"{option('label_column', layout.names[candidates[0]])}"
        )
    return candidates[0] if candidates else None


def _named(layout: Layout, places: list[int]) -> str:
    if not places:
        return f"{short_repr(layout.names[0])} to {short_repr(layout.names[-1])}"
    return shown([layout.names[place] for place in places], 5)


def _of_no_names(path: Path, layout: Layout, label_column: str | None) -> Layout:
    """The label of a table without names is in its first or its last column."""
    places = {FIRST: 0, LAST: len(layout.names) - 1}
    if label_column is not None and label_column not in places:
        raise UserError(
            f"{path}: has no names of columns, so label_column must be {FIRST} or {LAST}, got {short_repr(label_column)}"
        )
    ends = [label_column] if label_column else [end for end in places if _looks_like_labels(path, layout, places[end])]
    if len(ends) != 1:
        found = "either could be" if ends else "neither looks like it (whole numbers from 0 or 1 on, or names)"
        raise UserError(
            f"{path}: has no names of columns; the label may be in the {FIRST} or the {LAST} one, and {found}; say "
            f"-S label_column={FIRST} or -S label_column={LAST}, or add a header"
        )
    label = places[ends[0]]
    pixels = [place for place in range(len(layout.names)) if place != label]
    return replace(layout, label=label, pixels=pixels, notes=[*layout.notes, f"the label is the {ends[0]} column"])


def _looks_like_labels(path: Path, layout: Layout, place: int) -> bool:
    """Names, or whole numbers without a gap from 0 or 1 on; two at least, and of each two images on average.

    The numbers 0 to 255 are those of a pixel.
    """
    different: set[bytes] = set()
    num_rows = 0
    separator = layout.separator.encode()
    with opened(path) as file:
        if layout.has_header:
            file.readline(MAX_LINE_BYTES)
        while line := file.readline(MAX_LINE_BYTES).rstrip(b"\r\n"):
            num_rows += 1
            different.add(line.partition(separator)[0] if place == 0 else line.rpartition(separator)[2])
            if len(different) > MAX_CLASSES:
                return False
    texts = [text.decode(errors="replace").strip(' "').removesuffix(".0") for text in different]
    if not 2 <= len(texts) <= num_rows // 2:
        return False
    if not all(text.isdecimal() for text in texts):
        return not any(text[:1].isdecimal() for text in texts)
    numbers = sorted(map(int, texts))
    return numbers[0] in (0, 1) and numbers[-1] != 255 and numbers == list(range(numbers[0], numbers[0] + len(numbers)))
