"""Picture files -> arrays of one size: the packed pictures of a person, decoded by all cores, in the order of their list."""

import io
import os
import warnings
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from tqdm import tqdm

from classifier.common.errors import MAX_SHOWN, UserError, short_message, short_repr
from classifier.decoding.resize import CHANNELS, Box, Colour, Fit, fitted, inner_size
from classifier.images.arrays import BLOCK_BYTES, Block, Images, Labels, row_slices
from classifier.images.picture_pack import FORMATS as READ_FORMATS
from classifier.images.picture_pack import PackedPicture, count_pictures, read_contents, read_list
from classifier.images.schema import TableSplit
from classifier.images.unreadable import Unreadable

FORMATS = tuple(READ_FORMATS)
"""All that Pillow may try, whatever a file's name says: its other readers include some that start programs."""
WIDEST = 2**24
"""Pixels of a row. Above twice as many Pillow says that memory is out, on whatever machine."""
MAX_PIXELS = 200_000_000
"""Of a picture; a few kilobytes can unpack to gigabytes. The largest sensors of phones have as many."""
GROUND = 255
"""White: what shows through where a picture is transparent."""
ORIENTATION = 0x112
"""The EXIF tag; 1 is upright."""
TURNS = {
    2: (Image.Transpose.FLIP_LEFT_RIGHT, True, False),
    3: (Image.Transpose.ROTATE_180, True, True),
    4: (Image.Transpose.FLIP_TOP_BOTTOM, False, True),
    5: (Image.Transpose.TRANSPOSE, False, False),
    6: (Image.Transpose.ROTATE_270, True, False),
    7: (Image.Transpose.TRANSVERSE, True, True),
    8: (Image.Transpose.ROTATE_90, False, True),
}
"""By orientation: what turns the picture upright, and whether its right or its lower edge, maybe of part of a pixel, comes to
the left or to the top by that."""
REDUCING_GAP = 2
"""A JPEG is decoded at 1/2, 1/4 or 1/8 of its size if that is this many times the wanted size: grey levels then differ by less
than 1 on the average, by 4 at most, from those of the whole picture brought to that size."""


class UnreadableError(Exception):
    """The bytes are no picture of a known format, or a damaged or too large one. Its text is one line: why."""


@dataclass(frozen=True)
class Upright:
    """A picture of mode L or RGB, turned upright; it lies in the `frame` of `image`, which may be reduced in size."""

    image: Image.Image
    frame: Box
    width: int
    """Of the picture itself, upright."""
    height: int

    def fitted(self, size: int, fit: Fit) -> Image.Image:
        """The picture at `size`×`size` pixels."""
        return fitted(self.image, size, fit, self.frame)


def decoded(content: bytes, size: int, fit: Fit, grey: bool) -> Images:
    """The picture as image_CHW of `size`×`size` pixels, one channel if `grey` and three otherwise."""
    return as_array(upright(content, grey, size, fit).fitted(size, fit))


def upright(content: bytes, grey: bool, size: int, fit: Fit) -> Upright:
    """The picture, large enough to be brought to `size` by `fit`: a JPEG may be decoded at a reduced size, which is faster.

    Turned upright as its EXIF data say; transparent parts on white; of 16 bits the upper eight; of several frames the first.
    Raises UnreadableError for whatever Pillow cannot read, and for more than MAX_PIXELS. Call it within `quiet_pillow`. Memory
    that runs out is none of the picture's faults.
    """
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            width, height = image.size
            if width > WIDEST:
                raise UnreadableError(f"more than {WIDEST} pixels in a row")
            scale = _reduce(image, size, fit)
            whole = _opaque(image).convert("L" if grey else "RGB")
            return _turned(whole, orientation(image), width, height, scale)
    except (MemoryError, UnreadableError):
        raise
    except Exception as error:
        # Its readers let out nearly every kind of exception on damaged bytes, SyntaxError and struct.error among them.
        raise UnreadableError(_reason(error)) from None


def _reduce(image: Image.Image, size: int, fit: Fit) -> int:
    """Have a JPEG decoded by libjpeg at a fraction of its size; return by how much less, 1 for not."""
    width, height = image.size
    wanted = (size, size) if fit != "pad" else inner_size(width, height, size)
    image.draft(image.mode, (REDUCING_GAP * wanted[0], REDUCING_GAP * wanted[1]))
    return round(width / image.width) if image.width < width else 1


def orientation(image: Image.Image) -> int:
    """Only this field is looked at: an odd one beside it, or EXIF data that end early, do not make a picture unreadable."""
    try:
        return int(image.getexif().get(ORIENTATION, 1))
    except MemoryError:
        raise
    except Exception:
        return 1


def _turned(image: Image.Image, orientation: int, width: int, height: int, scale: int) -> Upright:
    """`width` and `height` are the picture's as it is stored; `image` is of 1/`scale` of that, rounded up."""
    frame_width, frame_height = width / scale, height / scale
    if orientation not in TURNS:
        return Upright(image, (0, 0, frame_width, frame_height), width, height)
    method, from_left, from_top = TURNS[orientation]
    if method in (Image.Transpose.TRANSPOSE, Image.Transpose.TRANSVERSE, Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_270):
        frame_width, frame_height, width, height = frame_height, frame_width, height, width
    image = image.transpose(method)
    left = image.width - frame_width if from_left else 0
    top = image.height - frame_height if from_top else 0
    return Upright(image, (left, top, left + frame_width, top + frame_height), width, height)


def as_array(image: Image.Image) -> Images:
    """`image` (mode L or RGB) as image_CHW."""
    array = np.asarray(image)
    return array[np.newaxis] if array.ndim == 2 else np.ascontiguousarray(array.transpose(2, 0, 1))


@contextmanager
def quiet_pillow() -> Iterator[None]:
    """Keep Pillow's warnings of odd files off the screen, and make that of a too large one an error. Not for nested use.

    Its readers are imported here, so that no two threads do it at the same time.
    """
    Image.init()
    before = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = MAX_PIXELS
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="PIL")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def _opaque(image: Image.Image) -> Image.Image:
    """`image` with 8 bits a channel and nothing transparent."""
    if image.mode.startswith("I"):  # 16 bits of grey, which Pillow would cut off at 255 instead of scaling
        return Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).clip(0, 255).astype(np.uint8))
    if image.mode == "F":
        raise UnreadableError("its pixels are floating-point numbers, whose range is not known; save it with 8 bits a channel")
    if not image.has_transparency_data:
        return image
    ground = Image.new("RGBA", image.size, (GROUND, GROUND, GROUND, 255))
    return Image.alpha_composite(ground, image.convert("RGBA")).convert("RGB")


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return f"no picture of the formats {', '.join(FORMATS)}"
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return f"more than {MAX_PIXELS} pixels"
    return short_message(error) or type(error).__name__


AHEAD_BYTES_PER_CORE = 4 * BLOCK_BYTES
"""What may wait to be taken, so that a large picture does not hold up the other cores."""
LEAST_AHEAD_PER_CORE, MAX_AHEAD_PER_CORE = 2, 64
"""Pictures: of large ones one in work and one to go on with; of small ones no more than help."""
MAX_NAMED = 3

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class DecodedPictures:
    """The readable pictures of the list: `pixels_path` holds all their images_NCHW of uint8, one after the other."""

    pixels_path: Path
    labels_N: Labels
    is_test_N: NDArray[np.bool_]
    unreadable: list[Unreadable]
    group_names: list[str]
    groups_N: NDArray[np.int64]
    """Places in `group_names`; both are empty where the pictures have no groups."""
    size: int
    stored_channels: int
    channels: int
    """1 where grey was asked for, or `auto` was and no picture has a colour; a grey picture of three equal channels is grey."""
    brightest: int
    """The largest value of all pixels, 0 to 255."""

    def blocks(self, split: TableSplit) -> Iterator[Block]:
        """The pictures of `split`, in the order of the list."""
        if not len(self.labels_N):
            return
        shape_NCHW = (len(self.labels_N), self.stored_channels, self.size, self.size)
        images_NCHW = np.memmap(self.pixels_path, dtype=np.uint8, mode="r", shape=shape_NCHW)
        rows_N = np.flatnonzero(self.is_test_N == (split == "test"))
        for part in row_slices(len(rows_N), images_NCHW[0].size):
            yield images_NCHW[rows_N[part], : self.channels], self.labels_N[rows_N[part]]


def decode_pack(
    pack: Path, classes: Sequence[str], size: int, fit: Fit, colour: Colour, most_unreadable: float, pixels_path: Path
) -> DecodedPictures:
    """Decode the pictures of the folder `pack` to `size`×`size` pixels, into the new file `pixels_path`.

    Raises UserError, naming the first few, when a larger share than `most_unreadable` cannot be read, or all of a split or of
    a class.
    """
    num_classes = len(classes)
    num_pictures = count_pictures(pack, num_classes)
    stored_channels = CHANNELS.get(colour, 3)
    has_colour, brightest = False, 0
    labels, is_test, groups = array("q"), bytearray(), array("q")  # a few bytes a picture, where objects would take hundreds
    group_numbers: dict[str, int] = {}
    unreadable: list[Unreadable] = []
    splits_of_unreadable: set[TableSplit] = set()
    labels_of_unreadable: set[int] = set()

    def decode(item: tuple[PackedPicture, bytes]) -> tuple[PackedPicture, Images | UnreadableError]:
        picture, content = item
        try:
            return picture, decoded(content, size, fit, grey=colour == "grey")
        except UnreadableError as error:
            return picture, UnreadableError(str(error))  # without the frames of the first, which hold the picture

    def num_bytes(item: tuple[PackedPicture, bytes]) -> int:
        return item[0].size + stored_channels * size**2

    bar = tqdm(total=num_pictures, desc="decoding", unit=" pictures", disable=None, leave=False)
    with quiet_pillow(), bar, pixels_path.open("wb") as file:
        for picture, result in in_order(decode, read_contents(pack, read_list(pack, num_classes)), num_bytes):
            bar.update()
            if isinstance(result, UnreadableError):
                unreadable.append(Unreadable(picture.path, str(result)))
                splits_of_unreadable.add(picture.split)
                labels_of_unreadable.add(picture.label)
            else:
                labels.append(picture.label)
                is_test.append(picture.split == "test")
                if picture.group is not None:
                    groups.append(group_numbers.setdefault(picture.group, len(group_numbers)))
                file.write(result.data)
                brightest = max(brightest, int(result.max()))
                has_colour = has_colour or (colour == "auto" and bool((result != result[:1]).any()))
    labels_N, is_test_N = np.frombuffer(labels, dtype=np.int64), np.frombuffer(is_test, dtype=np.bool_)
    lost: list[str] = sorted(split for split in splits_of_unreadable if not np.any(is_test_N == (split == "test")))
    lost += [f"the class {short_repr(classes[label])}" for label in sorted(labels_of_unreadable - set(labels))]
    _check_too_many(pack, num_pictures, unreadable, lost, most_unreadable)
    channels = 1 if colour == "auto" and not has_colour else stored_channels
    groups_N = np.frombuffer(groups, dtype=np.int64)
    return DecodedPictures(
        pixels_path, labels_N, is_test_N, unreadable, list(group_numbers), groups_N, size, stored_channels, channels, brightest
    )


def in_order(function: Callable[[Item], Result], items: Iterable[Item], num_bytes: Callable[[Item], int]) -> Iterator[Result]:
    """Yield `function(item)` of all items in their order, computed by as many threads as there are cores.

    `num_bytes(item)` is what an item and its result take: those that wait are AHEAD_BYTES_PER_CORE, within the two numbers.
    Pillow works without Python's lock, so threads do: they need no copies, and none outlives a process that is killed.
    """
    num_cores = _num_cores()
    with ThreadPoolExecutor(num_cores) as pool:
        waiting: deque[tuple[Future[Result], int]] = deque()
        held = 0
        try:
            for item in items:
                waiting.append((pool.submit(function, item), num_bytes(item)))
                held += waiting[-1][1]
                while len(waiting) > num_cores * _most_ahead(held / num_cores):
                    future, taken = waiting.popleft()
                    held -= taken
                    yield future.result()
            while waiting:
                yield waiting.popleft()[0].result()
        finally:
            pool.shutdown(cancel_futures=True)


def _most_ahead(bytes_per_core: float) -> int:
    return LEAST_AHEAD_PER_CORE if bytes_per_core > AHEAD_BYTES_PER_CORE else MAX_AHEAD_PER_CORE


def _num_cores() -> int:
    """Cores that this process may use, where the system says."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _check_too_many(pack: Path, num_pictures: int, unreadable: Sequence[Unreadable], lost: Sequence[str], most: float) -> None:
    """Also when the splits and classes `lost` are left without any, or they would pass for ones that never were."""
    if lost or len(unreadable) > most * num_pictures:
        named = "; ".join(f"{short_repr(one.path)}: {one.reason[:MAX_SHOWN]}" for one in unreadable[:MAX_NAMED])
        more = f"; and {len(unreadable) - MAX_NAMED} more" if len(unreadable) > MAX_NAMED else ""
        raise UserError(
            f"{pack}: {len(unreadable)} of {num_pictures} pictures cannot be read ({named}{more}); mend or remove them"
            + (f", as they are all of {', '.join(lost[:MAX_NAMED])}" if lost else f", or raise max_unreadable, now {most}")
        )
