import copy
import hashlib
import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from torchvision import datasets

from classifier.common.errors import UserError
from classifier.sources.catalogue import load_catalogue, load_dataset

CATALOGUE = Path(__file__).parents[3] / "catalogue.yaml"
IDX = ["train_images", "train_labels", "test_images", "test_labels"]
ENTRY: dict[str, Any] = {
    "title": "Two classes",
    "reference": "nobody 2000",
    "format": "digits",
    "classes": ["no", "yes"],
    "hflip_invariant": False,
    "files": {"images": {"name": "a.gz", "size": 3, "md5": "0" * 32, "urls": ["https://example.org/a.gz"]}},
}


@pytest.mark.parametrize(
    ("name", "known"), [("fashion_mnist", datasets.FashionMNIST), ("mnist", datasets.MNIST), ("kmnist", datasets.KMNIST)]
)
def test_files_are_those_that_torchvision_publishes(name: str, known: type[datasets.MNIST]) -> None:
    dataset = load_dataset(CATALOGUE, name)
    assert list(dataset.files) == IDX
    assert [(file.name, file.md5) for file in dataset.files.values()] == known.resources
    hosts = {url.removesuffix(file.name) for file in dataset.files.values() for url in file.urls}
    assert hosts & set(known.mirrors)


def test_class_names_are_those_of_the_publishers() -> None:
    catalogue = load_catalogue(CATALOGUE)
    assert catalogue["fashion_mnist"].classes == datasets.FashionMNIST.classes
    assert catalogue["kmnist"].classes == datasets.KMNIST.classes
    assert catalogue["mnist"].classes == catalogue["digits"].classes == [name[0] for name in datasets.MNIST.classes]


def test_an_https_address_comes_before_every_http_one() -> None:
    for dataset in load_catalogue(CATALOGUE).values():
        for file in dataset.files.values():
            assert file.packaged or file.urls[0].startswith("https://")


@pytest.mark.skipif(not os.environ.get("DATASET_MIRROR"), reason="needs DATASET_MIRROR")
@pytest.mark.parametrize("name", ["fashion_mnist", "mnist"])
def test_sizes_and_checksums_are_those_of_the_real_files(name: str) -> None:
    for file in load_dataset(CATALOGUE, name).files.values():
        content = (Path(os.environ["DATASET_MIRROR"]) / name / file.name).read_bytes()
        assert (len(content), hashlib.md5(content).hexdigest()) == (file.size, file.md5)


def test_unknown_data_set_lists_the_known_ones_and_the_nearest() -> None:
    known = "cifar10, digits, fashion_mnist, kmnist, mnist"
    expected = f"no data set named 'fashon_mnist'; it has {known}; did you mean 'fashion_mnist'?"
    with pytest.raises(UserError, match=re.escape(expected)):
        load_dataset(CATALOGUE, "fashon_mnist")


def write(folder: Path, entry: dict[str, Any], name: str = "mine") -> Path:
    path = folder / "catalogue.yaml"
    path.write_text(yaml.safe_dump({name: entry}), encoding="utf-8")
    return path


def test_a_small_entry_is_read(tmp_path: Path) -> None:
    dataset = load_dataset(write(tmp_path, ENTRY), "mine")
    assert (dataset.classes, dataset.files["images"].size) == (["no", "yes"], 3)


@pytest.mark.parametrize("name", ["../a.gz", "/etc/passwd", "a/b.gz", "a\\b.gz", "..", ".a.gz", "", "a.gz\n", "a" * 101])
def test_a_file_name_that_could_leave_its_folder_is_refused(tmp_path: Path, name: str) -> None:
    entry = copy.deepcopy(ENTRY)
    entry["files"]["images"]["name"] = name
    with pytest.raises(UserError, match=r"catalogue\.yaml: mine\.files\.images\.name: String should .*, got "):
        load_catalogue(write(tmp_path, entry))


def test_a_data_set_name_that_could_leave_its_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"catalogue\.yaml: \.\./mine.*: String should match pattern .*got '\.\./mine'"):
        load_catalogue(write(tmp_path, ENTRY, name="../mine"))


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("size", 0, "greater than or equal to 1, got 0"),
        ("size", "3", "valid integer, got '3'"),
        ("md5", "0" * 31, "match pattern"),
        ("md5", "A" * 32, "match pattern"),
        ("urls", [], "at least 1 item"),
        ("urls", ["file:///etc/passwd"], "match pattern"),
        ("urls", ["package:sklearn/../../secret"], "match pattern"),
        ("sha", "0", "Extra inputs are not permitted"),
    ],
)
def test_a_wrong_field_of_a_file_is_named(tmp_path: Path, field: str, value: object, rule: str) -> None:
    entry = copy.deepcopy(ENTRY)
    entry["files"]["images"][field] = value
    with pytest.raises(UserError, match=rf"catalogue\.yaml: mine\.files\.images\.{field}.*: .*{rule}"):
        load_catalogue(write(tmp_path, entry))


@pytest.mark.parametrize("field", ["classes", "hflip_invariant"])
def test_a_missing_field_is_named(tmp_path: Path, field: str) -> None:
    entry = {key: value for key, value in ENTRY.items() if key != field}
    with pytest.raises(UserError, match=rf"^\S+catalogue\.yaml: mine\.{field}: Field required, got "):
        load_catalogue(write(tmp_path, entry))


def test_clothes_and_photographs_may_be_mirrored_and_writing_may_not() -> None:
    hflip_invariant = {name: dataset.hflip_invariant for name, dataset in load_catalogue(CATALOGUE).items()}
    assert hflip_invariant == {"fashion_mnist": True, "mnist": False, "kmnist": False, "digits": False, "cifar10": True}


@pytest.mark.parametrize(("value", "shown"), [("yes", "'yes'"), (1, "1"), (None, "None")])
def test_mirrored_is_true_or_false_and_nothing_else(tmp_path: Path, value: object, shown: str) -> None:
    """By YAML 1.2, `yes` is a word."""
    with pytest.raises(UserError, match=rf"mine\.hflip_invariant: Input should be a valid boolean, got {shown}$"):
        load_catalogue(write(tmp_path, ENTRY | {"hflip_invariant": value}))


def test_each_format_has_its_own_roles(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"mine: files of format 'idx' must be train_images, .*, test_labels, got images"):
        load_catalogue(write(tmp_path, ENTRY | {"format": "idx"}))


@pytest.mark.parametrize("names", [["a", "b", "C", "c"], ["a", "b", "c", "C"], ["a", "b", "c", "raw.json"]])
def test_two_files_of_one_name_are_refused(tmp_path: Path, names: list[str]) -> None:
    files = {role: ENTRY["files"]["images"] | {"name": name} for role, name in zip(IDX, names, strict=True)}
    with pytest.raises(UserError, match=rf"mine: files\.test_labels\.name '{names[-1]}' is taken"):
        load_catalogue(write(tmp_path, ENTRY | {"format": "idx", "files": files}))


def test_an_entry_that_stands_there_twice_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, ENTRY)
    path.write_text(path.read_text(encoding="utf-8") * 2, encoding="utf-8")
    with pytest.raises(UserError, match=r"catalogue\.yaml: not readable as YAML: .*duplicate key"):
        load_catalogue(path)


def test_a_missing_catalogue_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        load_catalogue(tmp_path / "catalogue.yaml")


@pytest.mark.parametrize("name", ["folder", "csv"])
def test_the_names_of_own_images_are_taken(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match=rf"catalogue\.yaml: {name}: needs another name: `dataset: {name}` means"):
        load_catalogue(write(tmp_path, ENTRY, name=name))


@pytest.mark.parametrize("format", ["csv", "pictures"])
def test_the_formats_of_own_images_are_not_published(tmp_path: Path, format: str) -> None:
    with pytest.raises(UserError, match=r"mine\.format: Input should be 'idx', 'digits' or 'cifar', got "):
        load_catalogue(write(tmp_path, ENTRY | {"format": format}))
