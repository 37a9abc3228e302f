"""`python -m tools.data SOURCE` says what a source is taken for, and the command that uses it."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from dvc.utils.hydra import apply_overrides
from PIL import Image

from classifier.common.errors import UserError
from classifier.common.params import read_yaml
from classifier.sources.csv_layouts import Asked, find_layout
from classifier.sources.listing import command
from tests.support import warm
from tools.data import main

REPOSITORY = Path(__file__).parents[2]


def data(*words: str, folder: Path = REPOSITORY) -> subprocess.CompletedProcess[str]:
    command = [warm.python(), "-m", "tools.data", *words]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def fill(folder: Path, *paths: str) -> Path:
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).touch()
    return folder


@pytest.mark.parametrize(
    ("size", "note"),
    [
        ((90, 70), "is 90×70, and image_size in params.yaml is 28; `-S image_size=64` keeps more"),
        ((90, 32), "is 90×32, and image_size in params.yaml is 28; `-S image_size=32` keeps more"),
        ((90, 28), None),
    ],
)
def test_pictures_that_would_lose_much(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, size: tuple[int, int], note: str | None
) -> None:
    folder = fill(tmp_path / "pictures", *(f"{name}/{number}.png" for name in "ab" for number in range(3)))
    Image.new("L", size).save(folder / "a/0.png")
    monkeypatch.chdir(REPOSITORY)
    monkeypatch.setattr(sys, "argv", ["tools.data", str(folder)])
    assert main() == 0
    lines = capsys.readouterr().out.splitlines()
    about_size = [line.removesuffix(" of the pictures, and takes longer") for line in lines if "image_size" in line]
    assert about_size == ([f"'a/0.png' {note}"] if note else [])
    assert lines[-1].startswith("dvc exp run ")


def test_what_was_recognised_and_a_command_that_says_the_same(tmp_path: Path) -> None:
    """The command goes through a shell and the grammar of DVC: a path with a space and a pattern of odd characters."""
    folder = fill(
        tmp_path / "my pictures", *(f"{name}/{track}_{number}.jpg" for name in "ab" for track in "12" for number in "12")
    )
    pattern = r"([^/]+/\d)_"
    done = data(str(folder), "-S", f"group_pattern={pattern}")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[:3] == [
        f"{folder}: folders of classes",
        "8 pictures: 8 to train on, none to test on (test_fraction cuts them)",
        "2 classes: a (4), b (4)",
    ]
    assert "4 groups, none of which is divided when a split is cut" in lines
    assert any(line.startswith("mirror images are not used; ") for line in lines)
    words = shlex.split(lines[-1])
    assert words[:3] == ["dvc", "exp", "run"]
    params = tmp_path / "params.yaml"
    params.write_text("dataset: x\nsource: x\ngroup_pattern: null\n")
    apply_overrides(params, words[4::2])
    assert read_yaml(params) == {"dataset": "folder", "source": str(folder), "group_pattern": pattern}


def test_the_command_names_the_whole_path_of_what_git_does_not_track(tmp_path: Path) -> None:
    """DVC runs `--temp` and the queue in a copy of what git and DVC track, and ends there before a line of ours."""
    project = tmp_path.resolve()
    fill(project / "pictures", "a/1.png", "b/1.png")
    command, whole = "dvc exp run -S dataset=folder -S source=", project / "pictures"
    assert data("pictures", folder=project).stdout.splitlines()[-1] == f"{command}pictures"  # no repository, so no experiments
    subprocess.run(["git", "init", "--quiet"], cwd=project, check=True)
    for ignored in ("", "/pictures\n"):
        (project / ".gitignore").write_text(ignored)
        lines = data("pictures", folder=project).stdout.splitlines()
        assert lines[0] == "pictures: folders of classes"
        assert lines[-2].startswith("pictures: the command names the whole path, ")
        assert lines[-1] == f"{command}{whole}"
    (project / "pictures.dvc").touch()
    assert data("pictures", folder=project).stdout.splitlines()[-1] == f"{command}pictures"


def test_a_name_that_looks_like_a_number_or_null_is_a_text_for_dvc(tmp_path: Path) -> None:
    params = tmp_path / "params.yaml"
    for name in ("2024", "1e5", "null", "True", "-7", "plain"):
        params.write_text("dataset: x\nsource: x\nlabel_column: null\n")
        apply_overrides(params, shlex.split(command("csv", name, {"label_column": name}))[4::2])
        assert read_yaml(params) == {"dataset": "csv", "source": name, "label_column": name}


def test_dvc_understands_the_settings_that_the_pages_show(tmp_path: Path) -> None:
    pages = [REPOSITORY / "README.md", *REPOSITORY.glob("docs/[ge]*/*.md")]
    text = "".join(page.read_text(encoding="utf-8") for page in pages).replace("=…", "=x")
    words = re.findall(r"-S ('[^'\n]*'|\"[^\"\n]*\"|[a-z_]+=\"[^\"\n]*\"|[^\s`\"]+)", text)
    assert len(words) > 10
    params = tmp_path / "params.yaml"
    for word in words:
        params.write_bytes((REPOSITORY / "params.yaml").read_bytes())
        apply_overrides(params, shlex.split(word))


def test_null_has_a_param_found_out(tmp_path: Path) -> None:
    path = tmp_path / "train.csv"
    path.write_text("label,p0,p1,p2,p3\n" + "".join(f"{'ab'[number % 2]},{number},255,0,7\n" for number in range(6)))
    done = data(str(path), "-S", "label_column=null", "-S", "pixel_max=null")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, f"dvc exp run -S dataset=csv -S source={path}")


def test_what_params_yaml_has_from_an_earlier_run_is_set_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Else the run would read the files otherwise than is said here."""
    params = yaml.safe_load((REPOSITORY / "params.yaml").read_text()) | {"class_depth": "last", "label_column": "age"}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    source = fill(tmp_path / "pictures", "a/1.png", "b/1.png")
    (tmp_path / "t.csv").write_text("label,p0,p1,p2,p3\na,1,2,3,255\nb,4,5,6,7\n")
    monkeypatch.chdir(tmp_path)
    for words, end in (
        ([str(source)], "pictures -S class_depth=null -S label_column=null"),
        ([str(source), "-S", "class_depth=1"], "pictures -S class_depth=1 -S label_column=null"),
        (["t.csv"], "t.csv -S class_depth=null -S label_column=null"),
    ):
        monkeypatch.setattr(sys, "argv", ["data", *words])
        assert main() == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[-1].endswith(end)
    assert lines[-2] == "the images are 2×2, and image_size in params.yaml is 28; `-S image_size=2` keeps the pixels"


def test_two_readings_end_with_status_1_and_both_commands(tmp_path: Path) -> None:
    folder = fill(tmp_path, "animals/cat/1.png", "animals/dog/1.png", "plants/oak/1.png")
    done = data(str(folder))
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert "-S class_depth=1` or `" in line
    assert "3 classes: cat (1), dog (1), oak (1)" in data(str(folder), "-S", "class_depth=2").stdout


def test_a_table_of_pixels(tmp_path: Path) -> None:
    path = tmp_path / "train.csv"
    path.write_text("label,p0,p1,p2,p3\n" + "".join(f"{'ab'[number % 2]},{number},255,0,7\n" for number in range(6)))
    for source in (path, tmp_path):
        done = data(str(source))
        assert (done.returncode, done.stderr) == (0, "")
        lines = done.stdout.splitlines()
        assert lines[:3] == [f"{source}: tables of pixels, 4 an image", "6 images: 6 train", "2 classes: 'a', 'b'"]
        assert lines[-1] == f"dvc exp run -S dataset=csv -S source={source}"


def test_the_shape_of_images_that_are_no_squares_stands_in_the_command(tmp_path: Path) -> None:
    """A .npz file has it; of a CSV only the person knows it. The image of a table is 4 pixels high and 5 wide."""
    arrays, table = tmp_path / "set.npz", tmp_path / "train.csv"
    np.savez(arrays, train_images=np.zeros((4, 4, 5, 3), np.uint8), train_labels=np.arange(4) % 2)
    header = ",".join(["label", *(f"p{number}" for number in range(20))])
    table.write_text(header + "\n" + "".join(f"{number % 2}{',255' * 20}\n" for number in range(6)))
    done = data(str(arrays))
    assert shlex.split(done.stdout.splitlines()[-1])[-1] == "image_shape=[3,4,5]"
    assert "20 pixels are neither a square nor three; say their shape" in data(str(table)).stderr
    assert "needs channels, height, width, such as" in data(str(table), "-S", "image_shape=[4,5]").stderr
    words = shlex.split(data(str(table), "-S", "image_shape=[1,4,5]").stdout.splitlines()[-1])
    params = tmp_path / "params.yaml"
    params.write_text("dataset: x\nsource: x\nimage_shape: null\n")
    apply_overrides(params, words[4::2])
    assert read_yaml(params) == {"dataset": "csv", "source": str(table), "image_shape": [1, 4, 5]}


def test_a_table_of_pictures_that_are_not_there_is_no_table_of_pixels(tmp_path: Path) -> None:
    """As where they lie in an archive beside it."""
    (tmp_path / "labels.csv").write_text("image,label\nimg/1.png,a\nimg/2.png,b\n")
    (tmp_path / "img.zip").touch()
    with pytest.raises(UserError, match=r"found 'image', 'label'; a table that names pictures needs them unpacked beside it$"):
        find_layout(tmp_path / "labels.csv", Asked())


def test_a_table_that_is_of_no_split_is_said_to_be_left_out(tmp_path: Path) -> None:
    for name in ("train", "notes"):
        (tmp_path / f"{name}.csv").write_text("label,p0,p1,p2,p3\n" + "0,0,255,1,2\n1,0,255,1,2\n" * 3)
    assert f"{tmp_path}: left out, because their names are of no split: 'notes.csv'" in data(str(tmp_path)).stdout


def test_what_is_no_source_is_refused_on_one_line(tmp_path: Path) -> None:
    one_row, empty = tmp_path / "one_row.csv", tmp_path / "empty"
    empty.mkdir()
    one_row.write_text("label,p0,p1,p2,p3\n0,0,255,1,2\n")
    for words, message in (
        ([str(tmp_path / "gone")], "gone: no such file or folder"),
        ([str(tmp_path), "-S", "lr=1"], "-S lr=1: needs one of class_depth, label_column"),
        ([str(tmp_path), "-S", "group_pattern=("], "group_pattern must be a regular expression, got '('"),
        ([str(empty)], "needs pictures of two classes or more, found none"),
        (
            [str(fill(tmp_path / "one", "a.png") / "a.png")],
            "a.png: needs a folder of pictures, .parquet files, tables of pixels",
        ),
        ([os.devnull], "or a .zip or .tar of pictures or tables, found neither a file nor a folder"),
        ([str(one_row)], "one_row.csv: needs two classes or more, found 1"),
    ):
        done = data(*words)
        assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1)
        assert message in done.stderr


def test_a_folder_of_pictures_that_is_called_like_a_table(tmp_path: Path) -> None:
    done = data(str(fill(tmp_path / "set.csv", "a/1.png", "b/1.png")))
    assert "2 classes: a (1), b (1)" in done.stdout.splitlines()
