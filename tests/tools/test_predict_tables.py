"""Tables to predict: rows are images in the range that the model was trained on, and answers go into a CSV file."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from classifier.common.errors import UserError
from tests.support.predict_case import write_model, write_params
from tools.predict.__main__ import main

BLACK, WHITE, GREY = [0] * 4, [255] * 4, [204] * 4


def project(root: Path, shape_CHW: tuple[int, int, int] = (1, 2, 2), **changes: Any) -> Path:
    """Its model has two classes; the logit of the second is the mean pixel (0 to 1) less 0.7, times 100; the first has 0."""
    write_params(root)
    num_pixels = int(np.prod(shape_CHW))
    weights_KP = torch.stack([torch.zeros(num_pixels), torch.full((num_pixels,), 100.0 / num_pixels)])
    write_model(
        root, weights_KP, shape_CHW, classes=["dim", "light"], mean=[0.7] * shape_CHW[0], std=[1.0] * shape_CHW[0], **changes
    )
    return root


def table(path: Path, header: list[Any] | None, rows: list[list[Any]]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows] if header else rows)
    return path


def answers(root: Path, capsys: pytest.CaptureFixture[str], *arguments: object) -> list[str]:
    capsys.readouterr()
    assert main([*map(str, arguments), "--json"], root) == 0
    return [one["class"] for one in json.loads(capsys.readouterr().out)["pictures"]]


HEADER = ["a1", "a2", "a3", "a4"]


def test_each_row_is_an_image(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = project(tmp_path / "p")
    path = table(tmp_path / "t.csv", HEADER, [BLACK, WHITE, GREY, [255, 255, 255, 0]])
    assert main([str(path)], root) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.removeprefix(f"{path}, ").split()[:3] for line in lines[1::2]] == [
        ["row", f"{number}:", name] for number, name in enumerate(["dim", "light", "light", "light"], start=1)
    ]


@pytest.mark.parametrize(
    ("header", "rows"),
    [
        (["label", *HEADER], [[7, *BLACK], [7, *WHITE]]),
        (["id", *HEADER, "age", "sex"], [["x", *BLACK, 3, 4], ["y", *WHITE, 3, 4]]),
        (None, [BLACK, WHITE]),
        (["id", "pixels"], [["x", " ".join(map(str, BLACK))], ["y", " ".join(map(str, WHITE))]]),
    ],
)
def test_labels_and_whatever_else_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], header: list[Any] | None, rows: list[list[Any]]
) -> None:
    assert answers(project(tmp_path / "p"), capsys, table(tmp_path / "t.csv", header, rows)) == ["dim", "light"]


@pytest.mark.parametrize(
    ("pixel_max", "rows", "expected"),
    [
        (16, [[16] * 4, [10] * 4, [12] * 4], ["light", "dim", "light"]),  # 10/16 is below 0.7, 12/16 above
        (16, [[255] * 4, [100] * 4], ["light", "dim"]),  # plainly of 255
        (16, [[0.5] * 4, [0.9] * 4], ["dim", "light"]),  # plainly of 1
        (1, [[1] * 4, [0] * 4], ["light", "dim"]),
        (None, [[16] * 4, [12] * 4], ["dim", "dim"]),
        (None, [[0.5] * 4, [0.9] * 4], ["dim", "light"]),
        (4095, [[4095] * 4, [2000] * 4], ["light", "dim"]),
    ],
)
def test_the_range_is_that_of_the_tables_that_the_model_was_trained_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], pixel_max: int | None, rows: list[list[Any]], expected: list[str]
) -> None:
    root = project(tmp_path / "p", **({"pixel_max": pixel_max} if pixel_max else {}))
    assert answers(root, capsys, table(tmp_path / "t.csv", HEADER, rows)) == expected


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([[-1] * 4], r"needs pixels from 0 to 16, as the model was trained on, or 0 to 255, found -1 to -1"),
        ([[300] * 4], r"found 300 to 300"),
        ([], "needs a row at least, found none"),
        ([["x"] * 4], "line 2, column a1: needs a number, found 'x'"),
        ([[1] * 5], "line 2: needs 4 cells, found more"),
    ],
)
def test_what_cannot_be_asked_is_one_line_and_writes_nothing(tmp_path: Path, rows: list[list[Any]], message: str) -> None:
    root = project(tmp_path / "p", pixel_max=16)
    path = table(tmp_path / "t.csv", HEADER, rows)
    with pytest.raises(UserError, match=message) as refused:
        main([str(path), "--csv", str(tmp_path / "out.csv")], root)
    assert "\n" not in str(refused.value)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["p", "t.csv"]


def test_a_row_of_another_length_in_a_later_part_of_the_file_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = [["x", "255 255 255 255"], ["y", "0 0 0 0 0 0 0 0"]]
    monkeypatch.setattr("classifier.sources.csv_rows.PIECE_BYTES", 20)
    with pytest.raises(UserError, match=r"t\.csv: needs 4 pixels an image, as in its first row, found 8 in row 2"):
        main([str(table(tmp_path / "t.csv", ["id", "pixels"], cells))], project(tmp_path / "p"))


def test_rows_are_brought_to_the_models_size_and_colours(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = project(tmp_path / "p", (3, 2, 2))
    names = [f"pixel{number}" for number in range(16)]
    path = table(tmp_path / "t.csv", names, [[255] * 16, [0] * 16])
    capsys.readouterr()
    assert main([str(path), "--json"], root) == 0
    found = json.loads(capsys.readouterr().out)["pictures"]
    assert [one["class"] for one in found] == ["light", "dim"]
    assert [one["row"] for one in found] == [1, 2]
    assert found[0]["steps"] == ["grey in three channels", "4×4 pixels to 2×2"]


def test_an_npz_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = project(tmp_path / "p")
    images = np.array([BLACK, WHITE], np.uint8).reshape(2, 2, 2)
    np.savez(tmp_path / "a.npz", train_images=images, test_images=images[::-1])
    assert answers(root, capsys, tmp_path / "a.npz") == ["light", "dim"]
    np.savez(tmp_path / "b.npz", whatever=images)
    assert answers(root, capsys, tmp_path / "b.npz") == ["dim", "light"]
    np.savez(tmp_path / "c.npz", one=images, two=images)
    with pytest.raises(UserError, match=r"c\.npz: needs an array test_images, x_test or images, found one, two"):
        main([str(tmp_path / "c.npz")], root)


def test_answers_in_a_csv_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from PIL import Image

    root = project(tmp_path / "p")
    (tmp_path / "in").mkdir()
    Image.new("L", (2, 2), 255).save(tmp_path / "in/w,hite.png")
    (tmp_path / "in/broken.png").write_bytes(b"no picture")
    path = table(tmp_path / "t.csv", HEADER, [BLACK, WHITE])
    out = tmp_path / "out.csv"
    assert main([str(tmp_path / "in"), str(path), "--csv", str(out), "--invert", "no"], root) == 3
    with out.open(newline="") as file:
        assert list(csv.reader(file)) == [
            ["path", "row", "class", "confidence"],
            [str(tmp_path / "in/broken.png"), "", "", ""],
            [str(tmp_path / "in/w,hite.png"), "", "light", "1.000000"],
            [str(path), "1", "dim", "1.000000"],
            [str(path), "2", "light", "1.000000"],
        ]
    assert "row 1" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "message"),
    [("out.txt", "needs a name that ends in .csv"), ("t.csv", "would be written over"), ("none/out.csv", "folder that exists")],
)
def test_a_file_for_the_answers_that_cannot_be(tmp_path: Path, name: str, message: str) -> None:
    root = project(tmp_path / "p")
    path = table(tmp_path / "t.csv", HEADER, [BLACK])
    with pytest.raises(UserError, match=message):
        main([str(path), "--csv", str(tmp_path / name)], root)
    assert path.read_text().splitlines()[1] == "0,0,0,0"
