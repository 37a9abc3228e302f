"""`augment: auto` and `flip_tta: auto` go by whether a mirror image shows the same class, all the way from the catalogue."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from classifier.common.errors import UserError
from classifier.common.params import Params, read_yaml, validate
from classifier.decoding.params import ConvertParams
from classifier.scores.params import EvaluateParams, resolve_flip_tta
from classifier.sources.params import DownloadParams
from classifier.splits.params import BuildParams
from classifier.training.augment import Augmentations
from classifier.training.params import TrainParams
from classifier.training.recipe import resolve_augment
from stages import build, convert, download, evaluate, train
from tests.support.idx_files import idx, toy_arrays
from tests.support.pipeline import LIGHT, SOURCE

DIGITS_LIKE: dict[str, Any] = {"augment": [], "flip_tta": False}
CLOTHES_LIKE: dict[str, Any] = {"augment": ["flip"], "flip_tta": True}
AUTO: dict[str, Any] = {"augment": "auto", "flip_tta": "auto"}


def test_auto_goes_by_the_images_and_all_else_is_taken_literally() -> None:
    assert (resolve_augment("auto", True), resolve_augment("auto", False)) == (["flip"], [])
    assert (resolve_flip_tta("auto", True), resolve_flip_tta("auto", False)) == (True, False)
    for hflip_invariant in (True, False):
        assert resolve_augment([], hflip_invariant) == []
        assert resolve_augment(["crop", "flip"], hflip_invariant) == ["crop", "flip"]
        assert resolve_flip_tta(True, hflip_invariant) is True
        assert resolve_flip_tta(False, hflip_invariant) is False


def test_auto_is_the_default() -> None:
    values = read_yaml(SOURCE / "params.yaml")
    assert {name: values[name] for name in AUTO} == AUTO


def test_the_loop_does_not_take_auto_for_no_augmentation() -> None:
    with pytest.raises(ValueError, match=r"^augmentations must be of crop, shift, flip, cutout, got \['a', 'o', 't', 'u'\]$"):
        Augmentations("auto", 4, seed=0, epoch=1, device=torch.device("cpu"))


@pytest.mark.parametrize("value", ["yes", None, 1, "true", ["auto"], float("nan")])
def test_what_flip_tta_cannot_be_is_refused_in_one_sentence(value: object) -> None:
    values = {"device": "cpu", "threads": 1, "precision": "auto", "flip_tta": value}
    with pytest.raises(UserError, match=r"^params\.yaml: flip_tta must be 'auto', true or false, got \S+$"):
        validate(Path("params.yaml"), values, EvaluateParams)


@pytest.fixture
def threads() -> Iterator[None]:
    """Put back what the stages set for the whole process."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    """Those in scikit-learn, up to data/dataset/."""
    shutil.copy(SOURCE / "catalogue.yaml", tmp_path)
    return made(tmp_path, dataset="digits")


@pytest.fixture
def clothes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small data set under the name and with the entry of Fashion-MNIST but for sizes and checksums."""
    catalogue = yaml.safe_load((SOURCE / "catalogue.yaml").read_text(encoding="utf-8"))
    entry = catalogue["fashion_mnist"]
    (tmp_path / "mirror/fashion_mnist").mkdir(parents=True)
    for role, array in toy_arrays().items():
        content = idx(array)
        (tmp_path / "mirror/fashion_mnist" / entry["files"][role]["name"]).write_bytes(content)
        entry["files"][role] |= {"size": len(content), "md5": hashlib.md5(content).hexdigest()}
    (tmp_path / "catalogue.yaml").write_text(yaml.safe_dump(catalogue), encoding="utf-8")
    monkeypatch.setenv("DATASET_MIRROR", str(tmp_path / "mirror"))
    monkeypatch.delenv("DVC_ROOT", raising=False)
    return made(tmp_path, dataset="fashion_mnist")


def of(model: type[Params], **changes: Any) -> Any:
    return validate(Path("params.yaml"), read_yaml(SOURCE / "params.yaml") | LIGHT | changes, model)


def made(root: Path, **changes: Any) -> Path:
    download.main(of(DownloadParams, **changes), root)
    convert.main(of(ConvertParams, **changes), root)
    build.main(of(BuildParams, **changes), root)
    return root


def results(root: Path, **changes: Any) -> dict[str, bytes]:
    """The bytes of all that `train` and `evaluate` write."""
    for name in ("models", "metrics", "plots"):
        shutil.rmtree(root / name, ignore_errors=True)
    train.main(of(TrainParams, **changes), root)
    evaluate.main(of(EvaluateParams, **changes), root)
    files = [file for name in ("models", "metrics", "plots") for file in sorted((root / name).iterdir())]
    return {str(file.relative_to(root)): file.read_bytes() for file in files}


def described(root: Path) -> list[bool]:
    files = ["data/raw/raw.json", "data/csv/schema.json", "data/dataset/dataset.json", "models/model.json"]
    return [json.loads((root / name).read_text(encoding="utf-8"))["hflip_invariant"] for name in files]


@pytest.mark.usefixtures("threads")
def test_digits_are_not_flipped(digits: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = results(digits, **AUTO)
    assert capsys.readouterr().out.startswith("training mlp in float32 on cpu, optimizer: adam, augment: []\n")
    assert described(digits) == [False] * 4
    assert found == results(digits, **DIGITS_LIKE)
    differing = {name for name, content in results(digits, **CLOTHES_LIKE).items() if content != found[name]}
    assert {"models/model.safetensors", "metrics/train.json", "metrics/test.json", "plots/predictions.csv"} <= differing


@pytest.mark.usefixtures("threads")
def test_clothes_are_flipped(clothes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = results(clothes, **AUTO)
    assert capsys.readouterr().out.startswith("training mlp in float32 on cpu, optimizer: adam, augment: [flip]\n")
    assert described(clothes) == [True] * 4
    assert found == results(clothes, **CLOTHES_LIKE)
    without_tta = results(clothes, augment="auto", flip_tta=False)
    assert without_tta["models/model.safetensors"] == found["models/model.safetensors"]
    assert without_tta["plots/predictions.csv"] != found["plots/predictions.csv"]
    assert results(clothes, **DIGITS_LIKE)["models/model.safetensors"] != found["models/model.safetensors"]


@pytest.mark.usefixtures("threads")
def test_a_data_set_from_before_it_said_so_is_refused(digits: Path) -> None:
    path = digits / "data/dataset/dataset.json"
    info = json.loads(path.read_text(encoding="utf-8"))
    del info["hflip_invariant"]
    path.write_text(json.dumps(info), encoding="utf-8")
    with pytest.raises(UserError, match=r"dataset\.json: hflip_invariant: Field required, got "):
        train.main(of(TrainParams), digits)
    assert not (digits / "models").exists()
