"""Tables as people have them: each layout gives the images that were written into it, or one line with what to say."""

import csv
import gzip
import json
import shlex
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from classifier.common.errors import UserError
from classifier.sources.csv_layouts import Asked, find_layout
from classifier.sources.npz_file import find_arrays, read_arrays
from classifier.sources.rows import PixelRange, find_white
from stages import build, convert, download
from tests.support.data_params import build_params, convert_params, download_params

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (36, 8, 8), dtype=np.uint8)
IMAGES[0, 0, 0] = 255
LABELS = [number % 3 for number in range(36)]
NAMES = [f"pixel{number}" for number in range(64)]
SMOOTH = (
    (np.linspace(0, 120, 8).astype(np.uint8)[None, None, :, None] + np.array([0, 60, 130], np.uint8)).repeat(8, 1).repeat(36, 0)
)
"""images_NHWC: the neighbours of a pixel are like it, its three channels are not."""
SMOOTH = (SMOOTH + RNG.integers(0, 4, SMOOTH.shape, dtype=np.uint8)).astype(np.uint8)


def write(path: Path, header: list[Any] | None, rows: list[list[Any]], separator: str = ",") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=separator)
        writer.writerows([header, *rows] if header else rows)
    return path


def take(root: Path, source: Path, **asked: Any) -> tuple[dict[str, list[np.ndarray]], dict[str, list[str]], dict[str, Any]]:
    """Images_NCHW and names of classes by split, and dataset.json, with nothing cut from train but a test split it lacks."""
    download.main(download_params(dataset="csv", source=str(source), **asked), root)
    convert.main(convert_params(dataset="csv", image_size=8), root)
    build.main(build_params(dataset="csv", val_fraction=0), root)
    info = json.loads((root / "data/dataset/dataset.json").read_text(encoding="utf-8"))
    images, classes = {}, {}
    for split in ("train", "test"):
        images[split] = list(np.load(root / f"data/dataset/{split}/images.npy"))
        classes[split] = [info["classes"][label] for label in np.load(root / f"data/dataset/{split}/labels.npy")]
    return images, classes, info


def pairs(images: dict[str, list[np.ndarray]], classes: dict[str, list[str]]) -> list[tuple[bytes, str]]:
    return sorted(
        (image.tobytes(), name) for split in images for image, name in zip(images[split], classes[split], strict=True)
    )


EXPECTED = sorted((image.tobytes(), str(label)) for image, label in zip(IMAGES, LABELS, strict=True))
Row = Callable[[int, list[int]], list[Any]]
LAYOUTS: dict[str, tuple[list[Any] | None, Row, str]] = {
    "label last": ([*NAMES, "label"], lambda label, pixels: [*pixels, label], "the label is the column 'label'"),
    "target": (["target", *NAMES], lambda label, pixels: [label, *pixels], "the label is the column 'target'"),
    "of a name that nobody knows": (["Kind", *NAMES], lambda label, pixels: [label, *pixels], "the label is the column 'Kind'"),
    "an id": (["id", "label", *NAMES], lambda label, pixels: [pixels[0], label, *pixels], "left out: the column 'id'"),
    "an index without a name": (["", "label", *NAMES], lambda label, pixels: [7, label, *pixels], "left out: the column ''"),
    "no header, label first": (None, lambda label, pixels: [label, *pixels], "no header"),
    "no header, label last": (None, lambda label, pixels: [*pixels, label], "the label is the last column"),
    "columns that are counted": (list(range(65)), lambda label, pixels: [label, *pixels], "the label is the first column"),
    "one by one": (
        ["class", *(f"{row}x{column}" for row in range(8) for column in range(8))],
        lambda label, pixels: [label, *pixels],
        "the label is the column 'class'",
    ),
    "in a cell": (["y", "pixels"], lambda label, pixels: [label, " ".join(map(str, pixels))], "in the cells of 'pixels'"),
    "a list in a cell": (["y", "pixels"], lambda label, pixels: [label, str(pixels)], "in the cells of 'pixels'"),
    "whole floats": (["label", *NAMES], lambda label, pixels: [float(label), *map(float, pixels)], ""),
}


@pytest.mark.parametrize(("header", "row", "said"), LAYOUTS.values(), ids=LAYOUTS)
def test_a_layout(tmp_path: Path, capsys: pytest.CaptureFixture[str], header: list[Any] | None, row: Row, said: str) -> None:
    rows = [row(label, image.ravel().tolist()) for image, label in zip(IMAGES, LABELS, strict=True)]
    images, classes, info = take(tmp_path, write(tmp_path / "in/some.csv", header, rows))
    assert pairs(images, classes) == EXPECTED
    assert said in capsys.readouterr().err
    assert "pixel_max" not in info


@pytest.mark.parametrize(("separator", "said"), [(";", "semicolons"), ("\t", "tabs"), ("|", "bars")])
def test_a_separator(tmp_path: Path, capsys: pytest.CaptureFixture[str], separator: str, said: str) -> None:
    rows = [[label, *image.ravel().tolist()] for image, label in zip(IMAGES, LABELS, strict=True)]
    images, classes, _ = take(tmp_path, write(tmp_path / "in/train.csv", ["label", *NAMES], rows, separator))
    assert pairs(images, classes) == EXPECTED
    assert f"the columns are separated by {said}" in capsys.readouterr().err


def our_table(path: Path, images: np.ndarray = IMAGES, labels: list[int] = LABELS) -> Path:
    rows = [[label, *image.ravel().tolist()] for image, label in zip(images, labels, strict=True)]
    return write(path, ["label", *(f"pixel{number}" for number in range(images[0].size))], rows)


def test_a_table_of_our_layout_is_copied_byte_for_byte(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = our_table(tmp_path / "in/train.csv")
    take(tmp_path, path.parent)
    assert (tmp_path / "data/raw/train.csv").read_bytes() == path.read_bytes()
    assert "in/train.csv" not in capsys.readouterr().err


def test_gzip_and_empty_lines_at_the_end(tmp_path: Path) -> None:
    path = our_table(tmp_path / "in/train.csv")
    content = path.read_bytes()
    path.write_bytes(content + b"\r\n\n\n")
    assert pairs(*take(tmp_path, path)[:2]) == EXPECTED
    packed = tmp_path / "packed/train.csv.gz"
    packed.parent.mkdir()
    packed.write_bytes(gzip.compress(content))
    assert pairs(*take(tmp_path, packed.parent)[:2]) == EXPECTED
    packed.write_bytes(gzip.compress(content)[:-20])
    with pytest.raises(UserError, match=r"train\.csv\.gz: not a whole gzip file"):
        take(tmp_path, packed)


@pytest.mark.parametrize("white", [1, 15, 16])
@pytest.mark.parametrize("asked", [False, True])
def test_a_range_is_scaled_and_told(tmp_path: Path, capsys: pytest.CaptureFixture[str], white: int, asked: bool) -> None:
    small = np.arange(36 * 64).reshape(36, 8, 8) % (white + 1)
    rows = [[label, *image.ravel().tolist()] for image, label in zip(small, LABELS, strict=True)]
    path = write(tmp_path / "in/train.csv", ["label", *NAMES], rows)
    images, classes, info = take(tmp_path, path, **({"pixel_max": white} if asked else {}))
    expected = (small * 510 + white) // (2 * white)  # 255 / white times as much, halves up
    assert pairs(images, classes) == sorted(
        (image.astype(np.uint8).tobytes(), str(label)) for image, label in zip(expected, LABELS, strict=True)
    )
    assert info["pixel_max"] == white
    assert f"data check: the pixels of the tables lie within 0 to {white}; they were scaled" in capsys.readouterr().err
    (report,) = json.loads((tmp_path / "metrics/data.json").read_text())["details"]
    assert report["pixel_max"] == white


def test_floats_up_to_one_come_out_as_the_bytes_they_were_made_of(tmp_path: Path) -> None:
    rows = [[label, *(f"{value / 255:.6f}" for value in image.ravel())] for image, label in zip(IMAGES, LABELS, strict=True)]
    images, classes, info = take(tmp_path, write(tmp_path / "in/train.csv", ["label", *NAMES], rows))
    assert pairs(images, classes) == EXPECTED
    assert info["pixel_max"] == 1


@pytest.mark.parametrize(
    ("largest", "whole", "advised"),
    [
        (255.5, False, 256),
        (256, False, 256),
        (256, True, 256),
        (1.5, False, 2),
        (9, True, 9),
        (300, True, 511),
        (1023, True, 1023),
    ],
)
def test_the_advice_for_a_range_is_taken(largest: float, whole: bool, advised: int) -> None:
    found = PixelRange(0, largest, whole)
    with pytest.raises(UserError, match=rf"-S pixel_max={advised}$"):
        find_white("t.csv", found, None)
    assert find_white("t.csv", found, advised)[0] == advised


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda pixels: pixels // 28, r"pixels from 0 to 9 could be of several ranges; say .* -S pixel_max=9"),
        (lambda pixels: pixels * 16, r"found '[0-9]+'; where white is a larger number, say it, such as -S pixel_max=65535"),
        (lambda pixels: pixels / 127.5 - 1, r"needs pixels from 0 on, found -1 to 1"),
        (lambda pixels: pixels / 100, r"pixels from 0 to 2\.55 could be of several ranges"),
    ],
)
def test_a_range_that_could_be_several(tmp_path: Path, change: Callable[[np.ndarray], np.ndarray], message: str) -> None:
    values = change(IMAGES.astype(np.int64))
    rows = [[label, *image.ravel().tolist()] for image, label in zip(values, LABELS, strict=True)]
    with pytest.raises(UserError, match=rf"train\.csv.*{message}"):
        take(tmp_path, write(tmp_path / "in/train.csv", ["label", *NAMES], rows))
    assert not (tmp_path / "data/raw").exists()


def test_the_usage_column_of_fer2013(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    usage = ["Training"] * 18 + ["PublicTest"] * 9 + ["PrivateTest"] * 9
    rows = [[label, " ".join(map(str, image.ravel())), use] for image, label, use in zip(IMAGES, LABELS, usage, strict=True)]
    images, _, _ = take(tmp_path, write(tmp_path / "in/faces.csv", ["emotion", "pixels", "Usage"], rows))
    np.testing.assert_array_equal(np.array(images["train"])[:, 0], IMAGES[:27])
    np.testing.assert_array_equal(np.array(images["test"])[:, 0], IMAGES[27:])
    assert "the 9 images to validate on are joined to those to train on" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "with_test"), [("val", True), ("valid", True), ("validation", False)])
def test_a_table_to_validate_on(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, with_test: bool) -> None:
    our_table(tmp_path / "in/train.csv", IMAGES[:18], LABELS[:18])
    our_table(tmp_path / f"in/{name}.csv", IMAGES[18:27], LABELS[18:27])
    if with_test:
        our_table(tmp_path / "in/test.csv", IMAGES[27:], LABELS[27:])
    images, _, _ = take(tmp_path, tmp_path / "in")
    np.testing.assert_array_equal(np.array(images["train"])[:, 0], IMAGES[: 27 if with_test else 18])
    np.testing.assert_array_equal(np.array(images["test"])[:, 0], IMAGES[27:] if with_test else IMAGES[18:27])
    assert ("joined to those to train on" if with_test else "taken to test on") in capsys.readouterr().err


@pytest.mark.parametrize("named", [True, False])
def test_colours_pixel_by_pixel(tmp_path: Path, capsys: pytest.CaptureFixture[str], named: bool) -> None:
    header = [
        f"{channel}{place}" if named else f"pixel{3 * place + 'RGB'.index(channel)}" for place in range(64) for channel in "RGB"
    ]
    rows = [[*image.ravel().tolist(), label] for image, label in zip(SMOOTH, LABELS, strict=True)]
    images, classes, info = take(tmp_path, write(tmp_path / "in/t.csv", [*header, "label"], rows))
    assert info["shape_CHW"] == [3, 8, 8]
    assert pairs(images, classes) == sorted(
        (image.transpose(2, 0, 1).tobytes(), str(label)) for image, label in zip(SMOOTH, LABELS, strict=True)
    )
    assert "red, green and blue follow each other pixel by pixel" in capsys.readouterr().err


def test_colours_channel_by_channel_stay_so(tmp_path: Path) -> None:
    planes = np.ascontiguousarray(SMOOTH.transpose(0, 3, 1, 2))
    images, classes, _ = take(tmp_path, our_table(tmp_path / "in/train.csv", planes))
    assert pairs(images, classes) == sorted((image.tobytes(), str(label)) for image, label in zip(planes, LABELS, strict=True))


def faulty(header: list[Any] | None, row: list[Any], **more: Any) -> tuple[list[Any] | None, list[Any], dict[str, Any]]:
    return header, row, more


P = IMAGES[0].ravel().tolist()
FAULTS = {
    "several that may be the label": (
        faulty(["age", "gender", *NAMES], [1, 2, *P]),
        "needs one column of labels, found 'age', 'gender'; say which it is, such as -S label_column=age",
    ),
    "several with names for which a shell has other uses": (
        faulty(["my age", "gender", *NAMES], [1, 2, *P]),
        "say which it is, such as -S " + shlex.quote("label_column='my age'"),
    ),
    "no such column": (
        faulty(["age", *NAMES], [1, *P], label_column="sex"),
        "has no column 'sex', as label_column says; it has 'age'",
    ),
    "no label": (faulty(NAMES, P), "found no column of labels; name one `label`, or say -S label_column=NAME"),
    "neither end": (faulty(None, [300, *P]), "-S label_column=first or -S label_column=last, or add a header"),
    "a name that is none": (
        faulty(["target", *NAMES], ["x", *P[:-1], "y"]),
        "column pixel63: needs a number, found 'y'",
    ),
    "too few cells": (
        faulty(["target", *NAMES], ["x", *P[:-1]]),
        "line 2, column pixel63: needs a number, found an empty",
    ),
    "too many cells": (faulty(["target", *NAMES], ["x", *P, 1]), "line 2: needs 65 cells, found more"),
    "infinity": (
        faulty(["target", *NAMES], ["x", *P[:-1], "inf"]),
        "pixel63: needs a number, found no finite one",
    ),
    "an empty label": (faulty(["target", *NAMES], ["", *P]), "column of the labels: needs a number or a name"),
    "an unknown split": (faulty(["y", "split", *NAMES], ["x", "tset", *P]), "column split: needs a split .* found 'tset'"),
    "one class": (faulty(["y", *NAMES], ["x", *P]), "needs two classes or more, found 1"),
    "a comma in a label": (
        faulty(["y", *NAMES], ["a, b", *P]),
        "needs a number or a name without commas and quotes, found 'a, b'",
    ),
    "a pointer of Git LFS": (
        faulty(["version https://git-lfs.github.com/spec/v1"], ["oid sha256:0"]),
        "is a pointer of Git LFS, not the file",
    ),
    "too few in a cell": (
        faulty(["y", "pixels"], ["x", "1 2 3"]),
        "needs columns of pixels that are named alike",
    ),
}


@pytest.mark.parametrize(("fault", "message"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_one_line_and_nothing_is_written(
    tmp_path: Path, fault: tuple[list[Any] | None, list[Any], dict[str, Any]], message: str
) -> None:
    header, row, asked = fault
    path = write(tmp_path / "in/t.csv", header, [row])
    with pytest.raises(UserError, match=message) as refused:
        take(tmp_path, path, **asked)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "data").exists()


def test_a_chosen_label_of_several(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [[5, label, *image.ravel().tolist()] for image, label in zip(IMAGES, LABELS, strict=True)]
    path = write(tmp_path / "in/t.csv", ["age", "gender", *NAMES], rows)
    assert pairs(*take(tmp_path, path, label_column="gender")[:2]) == EXPECTED
    assert "left out: the column 'age'" in capsys.readouterr().err


def test_blocks_and_lines_of_any_length(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pieces of a file end anywhere: within a line, within its end, within empty lines."""
    rows = [[label, *image.ravel().tolist()] for image, label in zip(IMAGES, LABELS, strict=True)]
    path = write(tmp_path / "in/train.csv", ["target", *NAMES], rows)
    for piece_bytes in (300, 301, 337, 1000):
        monkeypatch.setattr("classifier.sources.csv_rows.PIECE_BYTES", piece_bytes)
        assert pairs(*take(tmp_path, path)[:2]) == EXPECTED
    path.write_bytes(path.read_bytes() + b"\r\n" + b"1," * 400)
    monkeypatch.setattr("classifier.sources.csv_rows.MAX_LINE_BYTES", 600)
    with pytest.raises(UserError, match="needs lines of less than 600 bytes, found a longer one"):
        take(tmp_path, path)


def test_numbers_in_a_cell_of_several_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `str` of an array writes them; a piece of the file may end within one."""
    cells = [" " + np.array2string(image.ravel()).replace("[", "[ ") for image in IMAGES]
    assert all("\n" in cell for cell in cells)
    path = write(
        tmp_path / "train.csv", ["label", "pixels"], [[label, cell] for label, cell in zip(LABELS, cells, strict=True)]
    )
    monkeypatch.setattr("classifier.sources.csv_rows.PIECE_BYTES", 700)
    images, classes, _ = take(tmp_path, path)
    assert pairs(images, classes) == EXPECTED


def test_a_quote_within_a_cell_is_no_line_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "train.csv"
    rows = (f'{label},7" disc,{",".join(map(str, image.ravel()))}' for label, image in zip(LABELS, IMAGES, strict=True))
    path.write_text("\n".join([",".join(["label", "id", *NAMES]), *rows]), encoding="utf-8")
    monkeypatch.setattr("classifier.sources.csv_rows.PIECE_BYTES", 700)
    images, classes, _ = take(tmp_path, path)
    assert pairs(images, classes) == EXPECTED


def test_a_cell_of_more_characters_than_csv_takes_by_itself(tmp_path: Path) -> None:
    pixels = RNG.integers(100, 256, (2, 200 * 200))
    path = write(
        tmp_path / "train.csv", ["label", "pixels"], [[number, " ".join(map(str, pixels[number]))] for number in (0, 1)]
    )
    layout = find_layout(path, Asked())
    assert (layout.in_cell, layout.pixels, csv.field_size_limit()) == (True, [1], 131072)


def test_an_empty_line_within_is_a_fault(tmp_path: Path) -> None:
    rows = [[label, *image.ravel().tolist()] for image, label in zip(IMAGES, LABELS, strict=True)]
    path = write(tmp_path / "in/train.csv", ["target", *NAMES], [*rows[:3], [], *rows[3:]])
    with pytest.raises(UserError, match="line 5, column pixel0: needs a number, found an empty cell"):
        take(tmp_path, path)


def test_the_arrays_of_medmnist(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, labels = tmp_path / "toy.npz", np.array(LABELS, np.uint8)[:, None]
    cuts = {"train": slice(0, 18), "val": slice(18, 27), "test": slice(27, 36)}
    arrays = {f"{split}_images": SMOOTH[rows] for split, rows in cuts.items()}
    np.savez_compressed(path, **arrays, **{f"{split}_labels": labels[rows] for split, rows in cuts.items()})
    images, classes, _ = take(tmp_path, path)
    np.testing.assert_array_equal(np.array(images["train"]), SMOOTH[:27].transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(np.array(images["test"]), SMOOTH[27:].transpose(0, 3, 1, 2))
    assert classes["test"] == [str(label) for label in LABELS[27:]]
    assert "the 9 images to validate on are joined" in capsys.readouterr().err


def test_the_arrays_of_keras(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("classifier.sources.npz_file.PIECE_BYTES", 100)
    np.savez(tmp_path / "mnist.npz", x_train=IMAGES[:27], y_train=LABELS[:27], x_test=IMAGES[27:], y_test=LABELS[27:])
    images, classes, _ = take(tmp_path, tmp_path / "mnist.npz")
    np.testing.assert_array_equal(np.array(images["train"])[:, 0], IMAGES[:27])
    assert pairs(images, classes) == EXPECTED


class Marker:
    """Unpickling it leaves a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"train_images": IMAGES, "train_labels": np.zeros((36, 14), int)},
            "needs one label an image, found 14",
        ),
        ({"train_images": IMAGES}, "needs the arrays train_images and train_labels .*, found train_images"),
        ({"train_images": IMAGES.ravel(), "train_labels": np.array(LABELS)}, "needs images of N×height×width"),
        ({"train_images": IMAGES[..., None].repeat(4, 3), "train_labels": np.array(LABELS)}, "needs 1 or 3 channels"),
        ({"train_images": IMAGES, "train_labels": np.array(LABELS[:9])}, "needs a label for each of 36 images, found 9"),
        ({"train_images": IMAGES, "train_labels": np.array(LABELS, float)}, "needs one whole number or name an image"),
        ({"train_images": IMAGES * np.nan, "train_labels": np.array(LABELS)}, "found NaN or infinity"),
    ],
)
def test_arrays_that_are_refused(tmp_path: Path, arrays: dict[str, np.ndarray], message: str) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(UserError, match=rf"a\.npz.*{message}"):
        take(tmp_path, tmp_path / "a.npz")
    assert not (tmp_path / "data").exists()


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    harmful = np.array([Marker(tmp_path / "EXECUTED")] * 36, dtype=object)
    np.savez(tmp_path / "a.npz", train_images=harmful, train_labels=np.array(LABELS))
    with pytest.raises(UserError, match="found Python objects, which are never unpickled"):
        take(tmp_path, tmp_path / "a.npz")
    assert not (tmp_path / "EXECUTED").exists()


def test_a_damaged_archive(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez_compressed(path, train_images=IMAGES, train_labels=np.array(LABELS))
    content = path.read_bytes()
    for end in (0, 10, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:end])
        with pytest.raises(UserError, match=r"a\.npz: not a whole \.npz file"):
            take(tmp_path, path)
    path.write_bytes(content[:200] + bytes(50) + content[250:])
    with pytest.raises(UserError, match=r"a\.npz: train_images: (not a whole array|ends too early)"):
        take(tmp_path, path)


def test_an_archive_of_a_later_version_of_zip_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, train_images=IMAGES, train_labels=np.array(LABELS))
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\1\2") + 6] = 99
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"a\.npz: not a whole \.npz file: zip file version 9\.9"):
        find_arrays(path)


def test_who_reads_arrays_may_warn(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", train_images=IMAGES, train_labels=np.array(LABELS))
    arrays = find_arrays(tmp_path / "a.npz")["train"]
    with pytest.warns(UserWarning, match="odd"):
        for _ in read_arrays(tmp_path / "a.npz", arrays):
            warnings.warn("odd", stacklevel=1)


@pytest.mark.parametrize("label", ['"{}"', " {} ", '" {}"'])
@pytest.mark.parametrize("end", ["", ","])
def test_labels_in_quotes_or_between_spaces_and_a_comma_at_the_end(tmp_path: Path, label: str, end: str) -> None:
    lines = [
        f"{label.format(number)},{','.join(map(str, image.ravel()))}{end}\n"
        for number, image in zip(LABELS, IMAGES, strict=True)
    ]
    (tmp_path / "t.csv").write_text(f"label,{','.join(NAMES)}\n" + "".join(lines))
    assert pairs(*take(tmp_path, tmp_path / "t.csv")[:2]) == EXPECTED


@pytest.mark.parametrize("place", [0, 64])
def test_a_missing_label_among_numbers_is_no_class(tmp_path: Path, place: int) -> None:
    rows = [image.ravel().tolist() for image in IMAGES]
    for number, row in enumerate(rows):
        row.insert(place, "NaN" if number == 5 else LABELS[number])
    header = [*NAMES]
    header.insert(place, "label")
    with pytest.raises(UserError, match=r"t\.csv: needs a label in each row, found 'NaN' among numbers; remove those rows"):
        take(tmp_path, write(tmp_path / "t.csv", header, rows))


def test_a_table_of_a_header_alone_beside_another_layout(tmp_path: Path) -> None:
    rows = [[*image.ravel().tolist(), label] for image, label in zip(IMAGES, LABELS, strict=True)]
    write(tmp_path / "in/train.csv", [*NAMES, "label"], rows)
    write(tmp_path / "in/test.csv", [*NAMES, "label"], [])
    with pytest.raises(UserError, match=r"test\.csv: needs a row below the header, found none"):
        take(tmp_path, tmp_path / "in")
