"""The packed pictures of a person, decoded by all cores, in the order of their list."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from tqdm import tqdm

from classifier.blocks import Block, Images, row_slices
from classifier.colour import CHANNELS, Colour
from classifier.decode import UnreadableError, decoded, quiet_pillow
from classifier.errors import MOST_SHOWN, UserError, shown
from classifier.picture_pack import PackedPicture, read_contents, read_list
from classifier.resize import Fit
from classifier.schema import TableSplit
from classifier.unreadable import Unreadable

AHEAD_PER_CORE = 64
"""Pictures that may wait to be taken, so that a large one does not hold up the other cores."""
MOST_NAMED = 3

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class DecodedPictures:
    """The readable pictures of the list: `pixels_path` holds all their images_NCHW of uint8, one after the other."""

    pixels_path: Path
    readable: list[PackedPicture]
    unreadable: list[Unreadable]
    size: int
    stored_channels: int
    channels: int
    """1 where grey was asked for, or `auto` was and no picture has a colour; a grey picture of three equal channels is grey."""

    def blocks(self, split: TableSplit) -> Iterator[Block]:
        """The pictures of `split`, in the order of the list."""
        if not self.readable:
            return
        shape_NCHW = (len(self.readable), self.stored_channels, self.size, self.size)
        images_NCHW = np.memmap(self.pixels_path, dtype=np.uint8, mode="r", shape=shape_NCHW)
        rows_N = np.flatnonzero([picture.split == split for picture in self.readable])
        labels_N = np.array([picture.label for picture in self.readable], dtype=np.int64)
        for part in row_slices(len(rows_N), images_NCHW[0].size):
            yield images_NCHW[rows_N[part], : self.channels], labels_N[rows_N[part]]


def decode_pack(
    pack: Path, num_classes: int, size: int, fit: Fit, colour: Colour, most_unreadable: float, pixels_path: Path
) -> DecodedPictures:
    """Decode the pictures of the folder `pack` to `size`×`size` pixels, into the new file `pixels_path`.

    Raises UserError, naming the first few, when a larger share than `most_unreadable` cannot be read, or all of a split.
    """
    pictures = read_list(pack, num_classes)
    stored_channels = CHANNELS.get(colour, 3)
    has_colour = False
    readable, unreadable = [], []

    def decode(content: bytes) -> Images | UnreadableError:
        try:
            return decoded(content, size, fit, grey=colour == "grey")
        except UnreadableError as error:
            return error

    bar = tqdm(total=len(pictures), desc="decoding", unit=" pictures", disable=None, leave=False)
    with quiet_pillow(), bar, pixels_path.open("wb") as file:
        for picture, result in zip(pictures, in_order(decode, read_contents(pack, pictures)), strict=True):
            bar.update()
            if isinstance(result, UnreadableError):
                unreadable.append(Unreadable(picture.path, str(result)))
            else:
                readable.append(picture)
                file.write(result.data)
                has_colour = has_colour or (colour == "auto" and bool((result != result[:1]).any()))
    _refuse_too_many(pack, pictures, readable, unreadable, most_unreadable)
    channels = 1 if colour == "auto" and not has_colour else stored_channels
    return DecodedPictures(pixels_path, readable, unreadable, size, stored_channels, channels)


def in_order(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Yield `function(item)` of all items in their order, computed by as many threads as there are cores.

    Pillow works without Python's lock, so threads do: they need no copies, and none outlives a process that is killed.
    """
    num_cores = _num_cores()
    with ThreadPoolExecutor(num_cores) as pool:
        waiting: deque[Future[Result]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) >= AHEAD_PER_CORE * num_cores:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def _num_cores() -> int:
    """Cores that this process may use, where the system says."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _refuse_too_many(
    pack: Path,
    pictures: Sequence[PackedPicture],
    readable: Sequence[PackedPicture],
    unreadable: Sequence[Unreadable],
    most: float,
) -> None:
    """Also when a split is left without any, which would otherwise pass for one that never was."""
    lost = {picture.split for picture in pictures} - {picture.split for picture in readable}
    if lost or len(unreadable) > most * len(pictures):
        named = "; ".join(f"{shown(one.path)}: {one.reason[:MOST_SHOWN]}" for one in unreadable[:MOST_NAMED])
        more = f"; and {len(unreadable) - MOST_NAMED} more" if len(unreadable) > MOST_NAMED else ""
        raise UserError(
            f"{pack}: {len(unreadable)} of {len(pictures)} pictures cannot be read ({named}{more}); mend or remove them"
            + (f", as they are all of {' and '.join(sorted(lost))}" if lost else f", or raise max_unreadable, now {most}")
        )
