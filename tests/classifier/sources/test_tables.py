"""A person's CSV tables: which they are, what their labels and their shape mean, and what is refused."""

from pathlib import Path

import pytest

from classifier.common.errors import UserError
from classifier.images.table import image_shape
from classifier.images.table_header import read_header
from classifier.sources.csv_layouts import Asked, find_layout
from classifier.sources.rows import PixelRange, joined
from classifier.sources.tables import Survey, classes_of, find_tables, labels_of, open_tables, survey


def write(path: Path, text: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text)
    return path


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["train.csv"], {"train": "train.csv"}),
        (["train.csv", "test.csv", "sample_submission.csv"], {"train": "train.csv", "test": "test.csv"}),
        (
            ["fashion-mnist_train.csv", "fashion-mnist_test.csv"],
            {"train": "fashion-mnist_train.csv", "test": "fashion-mnist_test.csv"},
        ),
        (["MnistTraining.csv", "MnistTest.csv"], {"train": "MnistTraining.csv", "test": "MnistTest.csv"}),
        (["a_train.csv", "test.csv", "valid.csv"], {"train": "a_train.csv", "val": "valid.csv", "test": "test.csv"}),
        (["train.csv", "latest.csv", "interval.csv"], {"train": "train.csv"}),
        (["latest.csv"], {"train": "latest.csv"}),
    ],
)
def test_tables_of_a_folder(tmp_path: Path, names: list[str], found: dict[str, str]) -> None:
    for name in names:
        write(tmp_path / name, b"")
    assert {split: path.name for split, path in find_tables(tmp_path).items()} == found


def test_a_file_is_the_table_to_train_on(tmp_path: Path) -> None:
    assert find_tables(write(tmp_path / "some.csv", b"")) == {"train": tmp_path / "some.csv"}


@pytest.mark.parametrize(
    ("names", "message"), [(["test.csv"], "needs a table train.csv"), (["a_train.csv", "train.csv"], "one table")]
)
def test_no_table_or_two_are_refused(tmp_path: Path, names: list[str], message: str) -> None:
    for name in names:
        write(tmp_path / name, b"")
    with pytest.raises(UserError, match=message):
        find_tables(tmp_path)


def test_header_and_labels(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", b"\xef\xbb\xbflabel,1x1,1x2\r\n10,0,0\r\n9,1,1\r\n10,2,2")
    with path.open("rb") as file:
        assert read_header(file) == ["label", "1x1", "1x2"]
    assert find_layout(path, Asked()).label == 0
    assert labels_of(path) == {"9", "10"}
    assert find_layout(write(tmp_path / "u.csv", b"pixel0,pixel1\n1,2\n"), Asked()).label is None


@pytest.mark.parametrize(
    ("labels", "classes"),
    [({"10", "9", "0"}, ["0", "9", "10"]), ({"cat", "ant"}, ["ant", "cat"]), ({"10", "9", "x"}, ["10", "9", "x"])],
)
def test_classes_are_in_the_order_of_numbers_or_of_names(labels: set[str], classes: list[str]) -> None:
    assert classes_of(labels) == classes


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", r"line 1: needs a header label,pixel1,pixel2,…, found ''"),
        (b"1,2,3\n4,5,6\n", r"line 1: needs a header .*, found '1,2,3'"),
        (b"label\n1\n", r"line 1: needs a header"),
        (b"pixel1,label\n1,2\n", r"line 1, column 1: needs 'label', found 'pixel1'; put the labels first"),
        (b"label,pixel1\n", r"needs a row below the header, found none"),
        (b"label,p\n1,2\n,3\n", r"line 3, column label: needs a number or a name .*, found ''"),
        (b'label,p\n"cat",2\n', r"""line 2, column label: needs a number or a name .*, found '"cat"'"""),
        (b"label,p\n1.0,2\n", r"line 2, column label: needs a plain whole number or a name, found '1\.0'"),
        (b"label,p\n01,2\n", r"line 2, column label: needs a plain whole number or a name, found '01'"),
        (b"label,p\n-1,2\n", r"line 2, column label: needs a plain whole number or a name, found '-1'"),
        (b"label,p\n\xff,2\n", r"line 2, column label: needs UTF-8"),
        (b"label,p\n" + b"x" * 129 + b",2\n", r"line 2, column label: needs a number or a name of at most 128 characters"),
    ],
)
def test_bad_tables_are_refused(tmp_path: Path, text: bytes, message: str) -> None:
    with pytest.raises(UserError, match=rf"t\.csv: {message}"):
        labels_of(write(tmp_path / "t.csv", text))


def test_a_column_that_is_no_label_and_a_line_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("classifier.sources.tables.MAX_CLASSES", 5)
    monkeypatch.setattr("classifier.sources.tables.MAX_LINE_BYTES", 50)
    rows = b"".join(b"%d,0\n" % number for number in range(6))
    with pytest.raises(UserError, match="at most 5 classes, found more different labels"):
        labels_of(write(tmp_path / "t.csv", b"label,p\n" + rows))
    with pytest.raises(UserError, match="needs lines of less than 50 bytes, found a longer one"):
        labels_of(write(tmp_path / "t.csv", b"label,p\n" + b"1," * 100))


@pytest.mark.parametrize(
    ("num_pixels", "asked", "shape"),
    [
        (784, None, (1, 28, 28)),
        (3072, None, (3, 32, 32)),
        (1, None, (1, 1, 1)),
        (560, [1, 28, 20], (1, 28, 20)),
        (3072, [1, 48, 64], (1, 48, 64)),
    ],
)
def test_the_shape_of_an_image(num_pixels: int, asked: list[int] | None, shape: tuple[int, int, int]) -> None:
    assert image_shape(Path("t.csv"), num_pixels, asked) == shape


@pytest.mark.parametrize(
    ("num_pixels", "asked", "message"),
    [
        (560, None, r"560 pixels are neither a square nor three; say their shape, such as -S 'image_shape=\["),
        (784, [1, 28, 27], r"image_shape \[1, 28, 27\] needs 1 or 3 channels and their product to be the 784 pixels here"),
        (784, [4, 14, 14], r"needs 1 or 3 channels"),
    ],
)
def test_a_shape_that_is_asked_for(num_pixels: int, asked: list[int] | None, message: str) -> None:
    with pytest.raises(UserError, match=message):
        image_shape(Path("t.csv"), num_pixels, asked)


def surveyed(folder: Path, pixel_max: int | None = None, **tables: str) -> Survey:
    """Of tables with the pixels a, b, c, d; `x:0.5` is a row of the class x with that number in all of them."""
    for name, rows in tables.items():
        cells = (row.split(":") for row in rows.split())
        lines = "".join(f"{label},{pixel},{pixel},0,{pixel}\n" for label, pixel in cells)
        write(folder / f"{name}.csv", f"label,a,b,c,d\n{lines}".encode())
    return survey(open_tables(find_tables(folder), Asked()), pixel_max)


@pytest.mark.parametrize(
    ("train", "test", "wrong"),
    [("x:255 y:30", "x:0.5 y:1", "test"), ("x:0.25 y:1", "x:200 y:3", "train"), ("x:255 y:30", "x:16 y:3", "test")],
)
def test_tables_of_two_ranges_are_refused(tmp_path: Path, train: str, test: str, wrong: str) -> None:
    """Scaled alike, all of the darker table would be black."""
    with pytest.raises(UserError, match=rf"{wrong}\.csv: needs pixels of one range in all tables, found 0 to "):
        surveyed(tmp_path, train=train, test=test)
    assert surveyed(tmp_path, 255).white == 255


def test_tables_of_one_range_that_do_not_reach_the_same_end(tmp_path: Path) -> None:
    assert surveyed(tmp_path / "a", train="x:16 y:3", test="x:15 y:3").white == 16
    assert surveyed(tmp_path / "b", train="x:0.5 y:1", test="x:0.25 y:0").white == 1
    assert surveyed(tmp_path / "c", train="x:255 y:3", test="x:140 y:0").white == 255


def test_classes_of_the_splits_of_tables(tmp_path: Path) -> None:
    assert surveyed(tmp_path / "a", train="x:255 y:3", test="x:9 z:200").notes == [
        "classes to test on that there are none of to train on: 'z'"
    ]
    with pytest.raises(UserError, match="have no class of those to train on: theirs are 'u', 'v', to train on 'x', 'y'; call"):
        surveyed(tmp_path / "b", train="x:255 y:3", test="u:9 v:200")
    with pytest.raises(UserError, match="needs two classes or more to train on, found only 'x' there"):
        surveyed(tmp_path / "c", train="x:255 x:3", test="x:9 y:200")
    val_joins = surveyed(tmp_path / "d", train="x:255 y:1", val="z:200 x:3", test="x:9 z:200")
    assert [note for note in val_joins.notes if "classes" in note] == []


def test_the_range_of_several_tables() -> None:
    whole, fractions = PixelRange(0, 255, True), PixelRange(-1, 16, False)
    assert joined([whole]) == whole
    assert joined([whole, fractions]) == joined([fractions, whole]) == PixelRange(-1, 255, False)
