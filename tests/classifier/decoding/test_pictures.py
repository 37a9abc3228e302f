"""Packed pictures: in their order whatever the threads do, with those that cannot be read set aside by name."""

import io
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from classifier.common.errors import UserError
from classifier.decoding.pictures import AHEAD_BYTES_PER_CORE, DecodedPictures, decode_pack, in_order
from classifier.decoding.resize import Colour
from classifier.images.picture_pack import (
    CONTENTS_FILE,
    LIST_FILE,
    count_pictures,
    read_contents,
    read_list,
    write_pack,
)
from classifier.images.schema import TableSplit
from classifier.images.unreadable import Unreadable, read_unreadable, write_unreadable

SIZE = 8


def png(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "PNG")
    return stream.getvalue()


def pack(folder: Path, contents: list[bytes], splits: list[TableSplit] | None = None, groups: list[str] | None = None) -> Path:
    """Pictures named by their number, of the classes 0, 1, 0, 1, …"""
    source = folder / "source"
    source.mkdir(parents=True)
    for number, content in enumerate(contents):
        (source / f"{number}.png").write_bytes(content)
    splits = splits or ["train"] * len(contents)
    named = groups or [None] * len(contents)
    pictures = [(f"{number}.png", split, number % 2, named[number]) for number, split in enumerate(splits)]
    write_pack(folder, source, pictures, len(pictures), lambda path: (source / path).read_bytes(), grouped=bool(groups))
    return folder


def decode(folder: Path, colour: Colour = "auto", most: float = 0.0) -> DecodedPictures:
    return decode_pack(folder, ["cat", "dog"], SIZE, "crop", colour, most, folder / "pixels")


GREY = [np.full((SIZE, SIZE), 10 * number, dtype=np.uint8) for number in range(20)]


def test_the_pack_holds_the_bytes_in_their_order(tmp_path: Path) -> None:
    folder = pack(tmp_path, [b"one", b"", b"three"], ["train", "train", "test"])
    assert (folder / CONTENTS_FILE).read_bytes() == b"onethree"
    pictures = list(read_list(folder, 2))
    assert [(one.path, one.split, one.label, one.size) for one in pictures] == [
        ("0.png", "train", 0, 3),
        ("1.png", "train", 1, 0),
        ("2.png", "test", 0, 5),
    ]
    assert list(read_contents(folder, pictures)) == list(zip(pictures, [b"one", b"", b"three"], strict=True))
    assert count_pictures(folder, 2) == 3


def test_the_groups_of_readable_pictures_come_through(tmp_path: Path) -> None:
    """The second picture is no picture; `x,"y` is a name that CSV must quote."""
    contents = [png(GREY[0]), b"junk", png(GREY[1]), png(GREY[2])]
    folder = pack(tmp_path, contents, ["train", "train", "test", "train"], ["b", "gone", "b", 'x,"y'])
    assert [one.group for one in read_list(folder, 2)] == ["b", "gone", "b", 'x,"y']
    found = decode(folder, most=0.5)
    assert [found.group_names[group] for group in found.groups_N] == ["b", "b", 'x,"y']
    assert decode(pack(tmp_path / "none", contents[:1])).group_names == []


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("path,split", "split,path", r"pictures\.csv: line 1: needs path,split,label,size"),
        ("0.png,train,0,3", "0.png,val,0,3", r"pictures\.csv: line 2: needs path,split,label,size, found '0\.png,val,0,3'"),
        ("0.png,train,0,3", "0.png,train,0,-3", r"line 2: needs path,split,label,size"),
        ("0.png,train,0,3", "0.png,train,2,3", r"line 2: needs a label below 2 and a size"),
        ("0.png,train,0,3", "0.png,train,0", r"line 2: needs path,split,label,size"),
        ("0.png,train,0,3", "0.png,train,0,4", r"pictures\.bin: needs the 9 bytes of pictures\.csv, found 8"),
        ("0.png", '"0.png', r"pictures\.csv: not readable as CSV"),
    ],
)
def test_a_damaged_list_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = pack(tmp_path, [b"one", b"", b"three"]) / LIST_FILE
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(UserError, match=message):
        count_pictures(tmp_path, 2)


def test_pictures_come_in_their_order_and_split(tmp_path: Path) -> None:
    splits: list[TableSplit] = ["test" if number % 3 == 0 else "train" for number in range(20)]
    found = decode(pack(tmp_path, [png(array) for array in GREY], splits))
    for split in ("train", "test"):
        expected = [number for number in range(20) if splits[number] == split]
        images, labels = zip(*found.blocks(split), strict=True)  # type: ignore[arg-type]
        assert np.concatenate(images)[:, 0, 0, 0].tolist() == [10 * number for number in expected]
        assert np.concatenate(labels).tolist() == [number % 2 for number in expected]


@pytest.mark.parametrize(("colour", "channels"), [("auto", 1), ("rgb", 3), ("grey", 1)])
def test_grey_pictures(tmp_path: Path, colour: Any, channels: int) -> None:
    """Also those that are stored in three equal channels."""
    found = decode(pack(tmp_path, [png(GREY[1]), png(np.dstack([GREY[2]] * 3))]), colour)
    ((images, _),) = found.blocks("train")
    assert (found.channels, images.shape) == (channels, (2, channels, SIZE, SIZE))
    assert np.unique(images).tolist() == [10, 20]


@pytest.mark.parametrize(("colour", "channels"), [("auto", 3), ("rgb", 3), ("grey", 1)])
def test_one_picture_with_a_colour(tmp_path: Path, colour: Any, channels: int) -> None:
    coloured = np.dstack([GREY[2]] * 3)
    coloured[3, 4] = (20, 21, 20)
    found = decode(pack(tmp_path, [*(png(array) for array in GREY), png(coloured)]), colour)
    assert found.channels == channels


def test_what_cannot_be_read_is_set_aside_by_name(tmp_path: Path) -> None:
    contents = [png(array) for array in GREY]
    contents[7], contents[12] = b"junk", contents[12][:40]
    found = decode(pack(tmp_path, contents), most=0.1)
    assert [one.path for one in found.unreadable] == ["7.png", "12.png"]
    assert "no picture of the formats" in found.unreadable[0].reason
    ((images, labels),) = found.blocks("train")
    assert images[:, 0, 0, 0].tolist() == [10 * number for number in range(20) if number not in (7, 12)]
    assert len(labels) == 18


def test_too_many_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    contents = [png(array) for array in GREY]
    contents[3:7] = [b"junk"] * 4
    message = r"4 of 20 pictures cannot be read \('3\.png': no .*; '5\.png': no .*; and 1 more\); .*max_unreadable, now 0\.1"
    with pytest.raises(UserError, match=message) as caught:
        decode(pack(tmp_path, contents), most=0.1)
    assert "\n" not in str(caught.value)


def test_a_split_of_which_none_can_be_read_is_refused(tmp_path: Path) -> None:
    contents = [*(png(array) for array in GREY[:19]), b"junk"]
    with pytest.raises(UserError, match=r"1 of 20 pictures cannot be read .* mend or remove them, as they are all of test$"):
        decode(pack(tmp_path, contents, [*["train"] * 19, "test"]), most=0.5)  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("num_bytes", "most_ahead_per_core"),
    [
        (1, 64),
        (AHEAD_BYTES_PER_CORE // 50, 50),
        (AHEAD_BYTES_PER_CORE // 4, 4),
        (AHEAD_BYTES_PER_CORE + 1, 2),
        (100 * AHEAD_BYTES_PER_CORE, 2),
    ],
)
def test_results_keep_the_order_of_the_items_and_do_not_pile_up(num_bytes: int, most_ahead_per_core: int) -> None:
    num_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    submitted = 0

    def items() -> Iterator[int]:
        nonlocal submitted
        for item in range(150 * num_cores):
            submitted += 1
            yield item

    def slow_at_first(item: int) -> int:
        time.sleep(0.05 if item == 0 else 0)
        return item

    found, ahead = [], []
    for result in in_order(slow_at_first, items(), lambda item: num_bytes):
        found.append(result)
        ahead.append(submitted - len(found))
    assert found == list(range(150 * num_cores))
    assert max(ahead) == most_ahead_per_core * num_cores


def test_an_error_of_ours_is_not_swallowed() -> None:
    def fail(item: int) -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(in_order(fail, range(3), lambda item: 1))


def test_the_list_of_unreadable_pictures(tmp_path: Path) -> None:
    assert read_unreadable(tmp_path) == []
    listed = [Unreadable('a "b",\nc.jpg', "broken"), Unreadable("é", "x, y")]
    write_unreadable(tmp_path, listed)
    assert read_unreadable(tmp_path) == listed
    for text in ("", "path\n", "path,reason\na\n", 'path,reason\n"a,b\n'):
        (tmp_path / "unreadable.csv").write_text(text)
        with pytest.raises(UserError, match=r"unreadable\.csv: (not readable as CSV|needs lines of path,reason)"):
            read_unreadable(tmp_path)


def test_a_class_without_a_readable_picture_is_refused_by_name(tmp_path: Path) -> None:
    """Whatever share may be unreadable: the class would be missing, or pass for one that was never there."""
    folder = pack(tmp_path, [png(GREY[0]), b"junk", png(GREY[1]), b"", png(GREY[2])])
    with pytest.raises(UserError, match=r"2 of 5 pictures cannot be read .*, as they are all of the class 'dog'$"):
        decode(folder, most=0.9)
