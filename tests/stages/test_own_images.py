"""A person's own images from their folder or their table to the arrays, on real stages and real DVC."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from classifier.common.errors import UserError
from classifier.common.params import validate
from classifier.decoding.params import ConvertParams
from classifier.sources.params import DownloadParams
from classifier.splits.params import BuildParams
from stages import build, convert, download
from tests.support.cifar_archives import CLASSES, batch, members, write_archive
from tests.support.data_params import build_params, convert_params, download_params
from tests.support.pipeline import SOURCE, Repository, stages_run

RNG = np.random.default_rng(0)
SPLITS = ("train", "val", "test")


def add_pictures(folder: Path, classes: list[str], per_class: int, shape: tuple[int, ...] = (8, 8)) -> dict[str, np.ndarray]:
    """Random PNGs in class folders; returns their pixels by path."""
    paths = [f"{name}/{number}.png" for name in classes for number in range(per_class)]
    arrays = {path: RNG.integers(0, 256, shape, dtype=np.uint8) for path in paths}
    for path, array in arrays.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(array).save(folder / path)
    return arrays


def run(root: Path, dataset: str, source: Path | str, build_changes: dict[str, Any] | None = None, **changes: Any) -> None:
    """All three data stages; `changes` are those of convert's params."""
    download.main(download_params(dataset=dataset, source=str(source)), root)
    convert.main(convert_params(dataset=dataset, image_size=8, **changes), root)
    build.main(build_params(dataset=dataset, **(build_changes or {})), root)


def split(root: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    folder = root / "data/dataset" / name
    return np.load(folder / "images.npy"), np.load(folder / "labels.npy")


def report(root: Path) -> dict[str, Any]:
    found: dict[str, Any]
    (found,) = json.loads((root / "metrics/data.json").read_text(encoding="utf-8"))["details"]
    return found


def contents(root: Path) -> dict[str, str]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_a_folder_with_a_test_split(tmp_path: Path) -> None:
    train = add_pictures(tmp_path / "in/train", ["ant", "bee"], 20)
    test = add_pictures(tmp_path / "in/test", ["ant", "bee"], 5)
    run(tmp_path, "folder", tmp_path / "in")
    images, labels = split(tmp_path, "test")
    np.testing.assert_array_equal(images[:, 0], list(test.values()))
    assert labels.tolist() == [0] * 5 + [1] * 5
    kept = [tuple(image.ravel()) for name in ("train", "val") for image in split(tmp_path, name)[0]]
    assert sorted(kept) == sorted(tuple(array.ravel()) for array in train.values())
    assert report(tmp_path)["images"] == {"train": 36, "val": 4, "test": 10}
    info = json.loads((tmp_path / "data/dataset/dataset.json").read_text())
    assert (info["dataset"], info["classes"], info["shape_CHW"]) == ("folder", ["ant", "bee"], [1, 8, 8])
    assert info["hflip_invariant"] is False


def test_class_folders_alone_give_a_stratified_test_split_by_the_seed(tmp_path: Path) -> None:
    arrays = add_pictures(tmp_path / "in", ["ant", "bee"], 40)
    found = []
    for seed in (0, 0, 1):
        run(tmp_path, "folder", tmp_path / "in", {"seed": seed, "test_fraction": 0.25})
        found.append(split(tmp_path, "test")[0].tolist())
    assert found[0] == found[1] != found[2]
    assert {name: np.bincount(split(tmp_path, name)[1]).tolist() for name in SPLITS} == {
        "train": [27, 27],
        "val": [3, 3],
        "test": [10, 10],
    }
    kept = [tuple(image.ravel()) for name in SPLITS for image in split(tmp_path, name)[0]]
    assert sorted(kept) == sorted(tuple(array.ravel()) for array in arrays.values())


def test_a_fifth_is_for_testing_unless_said_otherwise(tmp_path: Path) -> None:
    add_pictures(tmp_path / "in", ["ant", "bee"], 40)
    run(tmp_path, "folder", tmp_path / "in")
    assert report(tmp_path)["images"] == {"train": 57, "val": 7, "test": 16}


def test_the_same_bytes_whatever_the_order_of_listing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_pictures(tmp_path / "in", ["ant", "bee", "猫"], 12, (9, 11, 3))
    run(tmp_path / "one", "folder", tmp_path / "in")
    shutil.copytree(tmp_path / "in", tmp_path / "copy")
    scandir = os.scandir

    class Reversed:
        def __init__(self, path: Any) -> None:
            with scandir(path) as entries:
                self.entries = sorted(entries, key=lambda entry: entry.name, reverse=True)

        def __enter__(self) -> Any:
            return iter(self.entries)

        def __exit__(self, *arguments: object) -> None:
            pass

    monkeypatch.setattr("classifier.sources.files.os.scandir", Reversed)
    monkeypatch.setattr("classifier.decoding.pictures._num_cores", lambda: 7)
    run(tmp_path / "two", "folder", tmp_path / "copy")
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert len(list((tmp_path / "one/data/raw").iterdir())) == 3


def test_unreadable_pictures_are_listed_and_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add_pictures(tmp_path / "in", ["ant", "bee"], 20)
    (tmp_path / "in/bee/3.png").write_bytes(b"junk")
    with pytest.raises(UserError, match=r"1 of 40 pictures cannot be read \('bee/3\.png': .*raise max_unreadable, now 0\.01"):
        run(tmp_path, "folder", tmp_path / "in")
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["raw"]
    run(tmp_path, "folder", tmp_path / "in", max_unreadable=0.05)
    assert "unreadable, left out: 'bee/3.png': no picture" in capsys.readouterr().err
    assert (tmp_path / "data/csv/unreadable.csv").read_text().startswith("path,reason\nbee/3.png,")
    assert (report(tmp_path)["unreadable"], report(tmp_path)["unreadable_files"]) == (1, ["bee/3.png"])
    assert sum(report(tmp_path)["images"].values()) == 39


def test_leaks_and_missing_classes_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add_pictures(tmp_path / "in/train", ["ant", "bee", "cow"], 20)
    add_pictures(tmp_path / "in/val", ["ant", "bee"], 5)
    shutil.copy(tmp_path / "in/train/bee/7.png", tmp_path / "in/val/ant/copy.png")
    run(tmp_path, "folder", tmp_path / "in", {"val_fraction": 0})
    found = report(tmp_path)
    assert found["leaked"] == {"test_in_train": 1}
    assert (found["label_conflicts"], found["classes_missing"]) == (1, {"train": 0, "test": 1})
    told = capsys.readouterr().err
    assert "the folder val is the test split, as there is no folder test" in told
    assert "data check: 1 of 11 test images are also in train, pixel for pixel" in told
    assert (tmp_path / "plots/data.csv").read_text().splitlines()[-1] == "cow,20,0,0"


def test_large_pictures_are_packed(tmp_path: Path) -> None:
    add_pictures(tmp_path / "in", ["ant", "bee"], 12, (80, 90, 3))
    download.main(download_params(dataset="folder", source=str(tmp_path / "in")), tmp_path)
    for size, packed in ((64, False), (65, True)):  # 64·64·3 is the most that a table has columns for
        convert.main(convert_params(dataset="folder", image_size=size), tmp_path)
        schema = json.loads((tmp_path / "data/csv/schema.json").read_text())
        assert (schema.get("packed_pixels", False), schema["shape_CHW"]) == (packed, [3, size, size])
    assert sorted(path.name for path in (tmp_path / "data/csv").iterdir()) == [
        "schema.json",
        "test.csv",
        "test.npy",
        "train.csv",
        "train.npy",
    ]
    build.main(build_params(dataset="folder"), tmp_path)
    kept = sorted(tuple(image.ravel()) for name in SPLITS for image in split(tmp_path, name)[0])
    assert kept == sorted(tuple(image.ravel()) for image in np.load(tmp_path / "data/csv/train.npy"))
    assert kept[0] != kept[1]


def test_groups_stay_whole_from_an_archive_to_the_arrays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Twelve tracks of four frames; the pixels of a frame are the number of its track."""
    for track in range(12):
        for frame in range(4):
            path = tmp_path / f"in/{'ab'[track % 2]}/{track:03}_{frame}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((8, 8), track, dtype=np.uint8)).save(path)
    shutil.make_archive(str(tmp_path / "pictures"), "zip", tmp_path / "in")
    params = download_params(dataset="folder", source=str(tmp_path / "pictures.zip"), group_pattern="([0-9]+)_")
    download.main(params, tmp_path)
    assert "12 groups, none of which is divided when a split is cut" in capsys.readouterr().err
    convert.main(convert_params(dataset="folder", image_size=8), tmp_path)
    build.main(build_params(dataset="folder", test_fraction=1 / 3, val_fraction=0.25), tmp_path)
    tracks = {name: Counter(image[0, 0, 0].item() for image in split(tmp_path, name)[0]) for name in SPLITS}
    assert [len(tracks[name]) for name in SPLITS] == [6, 2, 4]
    assert sum(tracks.values(), Counter()) == dict.fromkeys(range(12), 4)
    assert {name: np.bincount(split(tmp_path, name)[1]).tolist() for name in SPLITS} == {
        "train": [12, 12],
        "val": [4, 4],
        "test": [8, 8],
    }


def test_the_notes_of_a_layout_and_of_mirror_images_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add_pictures(tmp_path / "in", ["left", "right"], 20)
    download.main(download_params(dataset="folder", source=str(tmp_path / "in")), tmp_path)
    assert capsys.readouterr().err.splitlines() == [
        f"{tmp_path / 'in'}: folders of classes",
        "40 pictures: 40 to train on, none to test on (test_fraction cuts them)",
        "2 classes: left (20), right (20)",
        "mirror images are not used; where one shows the same class: `-S 'augment=[flip]' -S flip_tta=true` (see params.yaml)",
    ]


def test_a_pointer_of_git_lfs_among_pictures_leaves_nothing(tmp_path: Path) -> None:
    add_pictures(tmp_path / "in", ["ant", "bee"], 20)
    (tmp_path / "in/bee/9.png").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with pytest.raises(UserError, match=r"'bee/9\.png' is a pointer of Git LFS, not the file; run `git lfs pull`"):
        download.main(download_params(dataset="folder", source=str(tmp_path / "in")), tmp_path)
    assert not (tmp_path / "data").exists() or not list((tmp_path / "data").iterdir())


def write_table(path: Path, images: np.ndarray, labels: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [",".join([label, *map(str, image.ravel().tolist())]) for label, image in zip(labels, images, strict=True)]
    header = ",".join(["label", *(f"pixel{number}" for number in range(images[0].size))])
    path.write_text("\n".join([header, *rows]) + "\n")


def test_tables_with_gaps_in_their_labels(tmp_path: Path) -> None:
    images = RNG.integers(0, 256, (60, 1, 8, 8), dtype=np.uint8)
    labels = [["10", "2", "7"][number % 3] for number in range(60)]
    write_table(tmp_path / "in/some_train.csv", images[:40], labels[:40])
    write_table(tmp_path / "in/some_test.csv", images[40:], labels[40:])
    run(tmp_path, "csv", tmp_path / "in", {"val_fraction": 0})
    for name, rows in (("train", slice(0, 40)), ("test", slice(40, 60))):
        found, numbers = split(tmp_path, name)
        np.testing.assert_array_equal(found, images[rows])
        assert [["2", "7", "10"][number] for number in numbers] == labels[rows]
    info = json.loads((tmp_path / "data/dataset/dataset.json").read_text())
    assert (info["classes"], info["hflip_invariant"]) == (["2", "7", "10"], False)


def test_a_table_in_colour_with_names(tmp_path: Path) -> None:
    images = RNG.integers(0, 256, (40, 3, 8, 8), dtype=np.uint8)
    write_table(tmp_path / "own.csv", images, ["猫", "dog"] * 20)
    run(tmp_path, "csv", tmp_path / "own.csv", {"val_fraction": 0})
    assert json.loads((tmp_path / "data/csv/schema.json").read_text())["shape_CHW"] == [3, 8, 8]
    assert report(tmp_path)["images"] == {"train": 32, "test": 8}
    kept = sorted(tuple(image.ravel()) for name in SPLITS for image in split(tmp_path, name)[0])
    assert kept == sorted(tuple(image.ravel()) for image in images)


def test_a_table_without_labels_is_left_out_and_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_table(tmp_path / "in/train.csv", RNG.integers(0, 256, (40, 1, 8, 8)), ["0", "1"] * 20)
    (tmp_path / "in/test.csv").write_text("pixel0,pixel1\n1,2\n")
    run(tmp_path, "csv", tmp_path / "in")
    assert "test.csv: left out, because it has no column `label`" in capsys.readouterr().err
    assert report(tmp_path)["images"]["test"] == 8


def test_a_table_of_oblong_images_needs_their_shape(tmp_path: Path) -> None:
    images = RNG.integers(0, 256, (40, 1, 6, 9), dtype=np.uint8)
    write_table(tmp_path / "t.csv", images, ["0", "1"] * 20)
    with pytest.raises(UserError, match=r"data/raw/train\.csv: 54 pixels are neither a square nor three; say their shape"):
        run(tmp_path, "csv", tmp_path / "t.csv")
    run(tmp_path, "csv", tmp_path / "t.csv", {"val_fraction": 0}, image_shape=[1, 6, 9], resize="stretch")
    reference = [np.asarray(Image.fromarray(image[0]).resize((8, 8), Image.Resampling.BILINEAR)) for image in images]
    kept = sorted(tuple(image.ravel()) for name in SPLITS for image in split(tmp_path, name)[0])
    assert kept == sorted(tuple(image.ravel()) for image in reference)


def test_tables_of_different_widths_are_refused(tmp_path: Path) -> None:
    write_table(tmp_path / "in/train.csv", RNG.integers(0, 256, (4, 1, 8, 8)), ["0", "1"] * 2)
    write_table(tmp_path / "in/test.csv", RNG.integers(0, 256, (4, 1, 7, 7)), ["0", "1"] * 2)
    with pytest.raises(UserError, match=r"test\.csv: needs 64 pixels an image, as train\.csv, found 49"):
        run(tmp_path, "csv", tmp_path / "in")


def test_cifar_from_a_mirror_through_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = write_archive(tmp_path / "a.tar.gz", members())
    entry = yaml.safe_load((SOURCE / "catalogue.yaml").read_text(encoding="utf-8"))["cifar10"]
    entry["files"]["archive"] |= {"size": archive.stat().st_size, "md5": hashlib.md5(archive.read_bytes()).hexdigest()}
    (tmp_path / "catalogue.yaml").write_text(yaml.safe_dump({"cifar10": entry}))
    (tmp_path / "mirror/cifar10").mkdir(parents=True)
    archive.rename(tmp_path / "mirror/cifar10/cifar-10-binary.tar.gz")
    monkeypatch.setenv("DATASET_MIRROR", str(tmp_path / "mirror"))
    monkeypatch.delenv("DVC_ROOT", raising=False)
    download.main(download_params(dataset="cifar10", source="catalogue.yaml"), tmp_path)
    convert.main(convert_params(dataset="cifar10", image_size=32), tmp_path)
    build.main(build_params(dataset="cifar10", val_fraction=0), tmp_path)
    record = np.frombuffer(batch("data_batch_2"), np.uint8)[:3073]  # the fifth of train, as each batch has four
    images, labels = split(tmp_path, "train")
    assert labels[4] == record[0]
    np.testing.assert_array_equal(images[4].ravel(), record[1:])
    header = (tmp_path / "data/csv/train.csv").read_bytes().partition(b"\n")[0]
    assert header.startswith(b"label,pixel1,")
    assert header.endswith(b",pixel3072")
    schema = json.loads((tmp_path / "data/csv/schema.json").read_text())
    assert (schema["shape_CHW"], schema["pixel_order"], schema["classes"]) == ([3, 32, 32], "CHW", CLASSES)
    convert.main(convert_params(dataset="cifar10", image_size=16, color="grey"), tmp_path)
    assert json.loads((tmp_path / "data/csv/schema.json").read_text())["shape_CHW"] == [1, 16, 16]


MISMATCH = {
    "folder with the catalogue": (
        "folder",
        "catalogue.yaml",
        r"found a file; dataset 'folder' needs as source a folder of",
    ),
    "folder that is not there": ("folder", "nowhere", r"found nothing there; dataset 'folder' needs as source a folder"),
    "csv with the catalogue": ("csv", "catalogue.yaml", r"found a file; dataset 'csv' needs as source a CSV file, or a folder"),
    "csv that is not there": ("csv", "none.csv", r"found nothing there; dataset 'csv' needs"),
    "catalogue with a folder": (
        "digits",
        "pictures",
        r"found a folder; dataset 'digits' needs as source the catalogue, such",
    ),
    "catalogue with a table": ("digits", "t.csv", r"found a file; dataset 'digits' needs as source the catalogue"),
    "the repository itself": ("folder", ".", r"needs a folder of pictures, found the one that holds this repository"),
}


@pytest.mark.parametrize(("dataset", "source", "message"), MISMATCH.values(), ids=MISMATCH)
def test_a_source_of_another_kind_is_refused(tmp_path: Path, dataset: str, source: str, message: str) -> None:
    (tmp_path / "pictures").mkdir()
    for name in ("t.csv", "catalogue.yaml"):
        (tmp_path / name).touch()
    with pytest.raises(UserError, match=message):
        download.main(download_params(dataset=dataset, source=source), tmp_path)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("source", ["~/pictures", "~", "../pictures", "a/../../b", "/a/../b"])
def test_a_source_that_dvc_would_misread_is_refused(source: str) -> None:
    with pytest.raises(UserError, match="source must be an absolute path, or one inside this repository without"):
        validate(Path("params.yaml"), {"dataset": "folder", "source": source}, DownloadParams)


@pytest.mark.parametrize(
    ("model", "values", "message"),
    [
        (
            ConvertParams,
            {"dataset": "mnist", "image_shape": [1, 2, 3]},
            "image_shape has no effect with .*`dataset: csv`",
        ),
        (
            ConvertParams,
            {"dataset": "csv", "max_unreadable": 0},
            "write `max_unreadable: null` or `dat",
        ),
        (
            BuildParams,
            {"dataset": "mnist", "test_fraction": 0.1},
            "`dataset: folder` or `dataset: csv`",
        ),
    ],
)
def test_a_param_in_vain_is_refused(model: Any, values: dict[str, Any], message: str) -> None:
    shipped = {**convert_params().model_dump(), **build_params().model_dump()}
    with pytest.raises(UserError, match=message):
        validate(Path("params.yaml"), shipped | values, model)


@pytest.mark.parametrize(("bits", "brightest"), [(10, 3), (12, 15), (13, None)])
def test_pictures_of_ten_or_twelve_bits_are_said_to_be_almost_black(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], bits: int, brightest: int | None
) -> None:
    """Of 16 bits the upper eight are used: of white in 10 bits, 1023, that is 3."""
    for name in ("ant", "bee"):
        (tmp_path / "in" / name).mkdir(parents=True)
        for number in range(4):
            Image.fromarray(np.full((8, 8), 2**bits - 1, np.uint16)).save(tmp_path / f"in/{name}/{number}.png")
    run(tmp_path, "folder", tmp_path / "in")
    lines = [line.partition(",")[0] for line in capsys.readouterr().err.splitlines()]
    said = [line for line in lines if line.startswith("almost black")]
    assert said == ([f"almost black: no pixel is above {brightest} of 255"] if brightest else [])


def test_a_test_fraction_beside_a_test_split_is_refused(tmp_path: Path) -> None:
    for name in ("train", "test"):
        add_pictures(tmp_path / "in" / name, ["ant", "bee"], 20)
    with pytest.raises(UserError, match="test_fraction has no effect, as there are 40 images to test on already; write"):
        run(tmp_path, "folder", tmp_path / "in", {"test_fraction": 0.1})


def test_a_class_too_small_for_a_test_split_is_refused(tmp_path: Path) -> None:
    add_pictures(tmp_path / "in", ["ant"], 20)
    add_pictures(tmp_path / "in", ["bee"], 1)
    needed = r"test_fraction 0\.2 leaves the class 'bee' without .* or to test on, as it has only one; add images or remove the"
    with pytest.raises(UserError, match=needed):
        run(tmp_path, "folder", tmp_path / "in")


def test_convert_and_build_import_no_framework_and_build_no_pillow() -> None:
    code = "import sys, stages.{}; print({} & {{*sys.modules}})"
    forbidden = {"download": {"numpy", "PIL"}, "convert": {"torch", "pandas"}, "build": {"torch", "pandas", "PIL"}}
    for stage, names in forbidden.items():
        command = [sys.executable, "-c", code.format(stage, names)]
        done = subprocess.run(command, cwd=SOURCE, capture_output=True, text=True, check=False)
        assert done.stdout == "set()\n", done.stderr


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    folder = tmp_path_factory.mktemp("own images")
    add_pictures(folder / "pictures", ["ant", "bee"], 20)
    return Repository(folder / "project", dataset="folder", source=str(folder / "pictures"))


class TestOnDvc:
    """In order, on one repository, up to `build`."""

    def repro(self, repository: Repository) -> list[str]:
        return stages_run(repository.dvc("repro", "build"))

    def test_it_runs_and_touching_nothing_reruns_nothing(self, repository: Repository) -> None:
        assert self.repro(repository) == ["download", "convert", "build"]
        (repository.root.parent / "pictures/bee/3.png").touch()
        assert self.repro(repository) == []

    def test_editing_adding_or_removing_one_picture_reruns(self, repository: Repository) -> None:
        picture = repository.root.parent / "pictures/bee/3.png"
        before = picture.read_bytes()
        Image.fromarray(RNG.integers(0, 256, (8, 8), dtype=np.uint8)).save(picture)
        assert self.repro(repository) == ["download", "convert", "build"]
        shutil.copy(picture, picture.with_name("new.png"))
        assert self.repro(repository) == ["download", "convert", "build"]
        found = report(repository.root)
        assert sum(found["repeated"].values()) + sum(found["leaked"].values()) == 1
        picture.with_name("new.png").unlink()
        picture.write_bytes(before)
        assert self.repro(repository) == []  # as it was at first: everything comes from the cache

    def test_a_note_beside_the_pictures_reruns_download_alone(self, repository: Repository) -> None:
        (repository.root.parent / "pictures/README.txt").write_text("mine")
        assert self.repro(repository) == ["download"]

    @pytest.mark.slow
    def test_pictures_kept_with_dvc_add_in_a_temporary_copy(self, repository: Repository) -> None:
        shutil.copytree(repository.root.parent / "pictures", repository.root / "pictures")
        repository.dvc("add", "--quiet", "pictures")
        repository.set_params(source="pictures", test_fraction=0.5)
        repository.git("add", "--all")
        repository.git("commit", "--quiet", "--message", "pictures of our own")
        output = repository.dvc("exp", "run", "--temp", "--name", "half", "build")
        assert "Ran experiment(s): half" in output
        (ref,) = repository.git("for-each-ref", "--format=%(refname)", "refs/exps/*/*/half").splitlines()
        assert json.loads(repository.git("show", f"{ref}:metrics/data.json"))["test_images"] == 20
