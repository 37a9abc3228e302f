"""Pictures that belong together, such as frames of one track or copies of one picture: no split that is cut divides them."""

import re
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from classifier.common.errors import UserError, short_repr
from classifier.sources.listing import Listing

TRACK = re.compile(r"(?:.*/)?[^/]*?[0-9]+[_-][0-9]+\.[^./]+")
TRACK_PATTERN = "(.*)[_-][0-9]+[.]"
COPY_PATTERN = re.compile(r"(?:.*/)?([^/]+)[._](?:jpe?g|png|bmp|webp|tiff?)\.rf\.[0-9A-Za-z]{16,}\.[^./]+", re.IGNORECASE)
"""A copy that Roboflow made, turned or darker, of a picture."""


def set_groups(listing: Listing, by_table: "tuple[array[int], list[str]] | None", pattern: str | None) -> None:
    """Give each picture its group, where there are any; a picture without one is a group of its own.

    `by_table` has the number of each picture's group by its place among the files, -1 for none, and the names of the groups.
    """
    files = listing.files
    paths = [files.pictures[place] for place in listing.places]
    if by_table is not None:
        group_of_file, names = by_table
        keys = [names[group_of_file[place]] if group_of_file[place] >= 0 else None for place in listing.places]
    elif pattern is not None:
        keys = list(_keys(re.compile(pattern).search, paths))
        if not any(keys):
            raise UserError(
                f"{files.source}: group_pattern {short_repr(pattern)} is found in no path, such as {short_repr(paths[0])}"
            )
    else:
        copies = list(_keys(COPY_PATTERN.fullmatch, paths))
        num_copies = sum(key is not None for key in copies)
        if num_copies - len({*copies} - {None}) > 0 and 2 * num_copies >= len(paths):
            listing.notes.append("copies that Roboflow made of one picture (NAME.rf.HASH) are one group")
            keys = copies
        else:
            _say_tracks(listing, paths)
            return
    numbers: dict[str, int] = {}
    group_of = array("i")
    for path, key in zip(paths, keys, strict=True):
        group_of.append(numbers.setdefault(path if key is None else key, len(numbers)))
    listing.group_of, listing.group_names = group_of, list(numbers)
    single = sum(key is None for key in keys)
    listing.notes.append(
        f"{len(numbers)} groups, none of which is divided when a split is cut"
        + (f"; {single} pictures are each a group of their own" if single else "")
    )
    tests = {group for group, is_test in zip(group_of, listing.is_test, strict=True) if is_test}
    both = tests & {group for group, is_test in zip(group_of, listing.is_test, strict=True) if not is_test}
    if both:
        name = listing.group_names[min(both)]
        listing.notes.append(f"{len(both)} groups have pictures to train on and to test on, such as {short_repr(name)}")


def _say_tracks(listing: Listing, paths: list[str]) -> None:
    """Names like 00012_00003 may be frames of one thing, which lie on both sides of a split then."""
    counts = Counter(path[: max(path.rfind("_"), path.rfind("-"))] for path in paths if TRACK.fullmatch(path))
    if sum(counts.values()) >= 0.9 * len(paths) and sum(counts.values()) >= 3 * len(counts) > 3:
        track, count = counts.most_common(1)[0]
        listing.notes.append(
            f"the names look like {len(counts)} tracks or series, such as {short_repr(track)} with {count} pictures; if "
            f"so, `-S \"group_pattern='{TRACK_PATTERN}'\"` keeps each on one side of every split"
        )


def _keys(find: Callable[[str], re.Match[str] | None], paths: Iterable[str]) -> Iterator[str | None]:
    for path in paths:
        match = find(path)
        yield match[1] if match else None
