"""A frozen backbone that is computed once: the same model as computed in every epoch, and no file that lies."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from classifier.common.files import write_json
from classifier.images.arrays import write_split
from classifier.images.schema import DatasetInfo
from classifier.model.image_classifier import ImageClassifier
from classifier.networks.own import build_network
from classifier.networks.torchvision_networks import head_name, plain_network
from classifier.training.distributed import SINGLE_PROCESS
from classifier.training.features import FeatureStore, needs_pixels
from stages import train as stage
from tests.support.training import BrokenOffError, compute, params, random_set, recipe_for

__all__ = ["compute"]
NETWORK = "shufflenet_v2_x0_5"
SIDE = 20
FROZEN: dict[str, Any] = {
    "network": NETWORK,
    "pretrained": True,
    "freeze": True,
    "optimizer": "adamw",
    "momentum": None,
    "lr": 0.01,
    "epochs": 3,
    "augment": ["flip"],
    "label_smoothing": 0.1,
    "ema_decay": 0.5,
    "eval_every": 2,
    "evaluate_train": True,
}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the stage reads: 20 images of three classes to train on, 7 to validate, and weights that nobody trained."""
    root = tmp_path_factory.mktemp("inputs")
    rows = {"train": 20, "val": 7, "test": 0}
    for number, (split, num_images) in enumerate(rows.items()):
        images = random_set(num_images, side=SIDE, seed=number)
        write_split(root / "data/dataset" / split, num_images, (1, SIDE, SIDE), [(images.images_NCHW, images.labels_N)])
    info = DatasetInfo(
        dataset="noise",
        classes=["a", "b", "c"],
        shape_CHW=(1, SIDE, SIDE),
        hflip_invariant=True,
        rows=rows,  # type: ignore[arg-type]
        mean=[0.5],
        std=[0.3],
    )
    write_json(root / "data/dataset/dataset.json", info.model_dump())
    torch.manual_seed(1)
    network = plain_network(NETWORK, 224, 1000)
    head = head_name(network)
    (root / "models").mkdir()
    weights = {name: tensor for name, tensor in network.state_dict().items() if name.rpartition(".")[0] != head}
    save_file(weights, root / "models/pretrained.safetensors")
    return root


Train = Callable[..., dict[str, bytes]]
OUTPUTS = ("models/model.json", "models/model.safetensors", "metrics/train.json", "plots/history.csv", "plots/steps.csv")


@pytest.fixture
def train(inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Train:
    """The stage in a folder of its own; what it wrote. With `digest` of its inputs features are kept."""
    monkeypatch.delenv("DVC_ROOT", raising=False)
    for name in ("data", "models"):
        for file in (inputs / name).rglob("*"):
            if file.is_file():
                copy = tmp_path / file.relative_to(inputs)
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(file.read_bytes())

    def run(digest: str, resume: Path | None = None, **changes: Any) -> dict[str, bytes]:
        stage.main(params(**(FROZEN | changes)), tmp_path, resume=resume, inputs=digest)
        return {name: (tmp_path / name).read_bytes() for name in OUTPUTS}

    return run


def numbers(table: bytes) -> Any:
    return np.genfromtxt(table.decode().splitlines(), delimiter=",", skip_header=1)


def test_the_model_is_the_one_that_computing_in_every_epoch_gives(train: Train, tmp_path: Path) -> None:
    """To 0.00001 of weights and metrics: the sums of other batches differ in their last digits."""
    train("")
    plain = load_file(tmp_path / "models/model.safetensors"), numbers((tmp_path / "plots/history.csv").read_bytes())
    description, steps = (tmp_path / "models/model.json").read_bytes(), numbers((tmp_path / "plots/steps.csv").read_bytes())
    kept = (tmp_path / "metrics/train.json").read_text()
    assert not (tmp_path / ".dvc").exists()

    again = train("digest")
    weights = load_file(tmp_path / "models/model.safetensors")
    assert [file.suffix for file in sorted((tmp_path / ".dvc/tmp/features").iterdir())].count(".npy") == 2
    assert weights.keys() == plain[0].keys()
    for name, tensor in plain[0].items():
        if name.startswith("network.fc."):
            torch.testing.assert_close(weights[name], tensor, rtol=0, atol=1e-5)
        else:
            assert torch.equal(weights[name], tensor), "the backbone is the one that was given"
    np.testing.assert_allclose(numbers(again["plots/history.csv"]), plain[1], rtol=0, atol=1e-5)
    np.testing.assert_allclose(numbers(again["plots/steps.csv"]), steps, rtol=0, atol=1e-5)
    assert again["models/model.json"] == description
    assert again["metrics/train.json"].decode().count("kept_train_loss") == kept.count("kept_train_loss") == 1


def test_no_picture_goes_through_the_backbone_again_whatever_else_changes(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first = train("digest")
    assert capsys.readouterr().out.count("computing the features of") == 2
    with monkeypatch.context() as patch:
        patch.setattr(ImageClassifier, "features", None)
        assert train("digest") == first
        train("digest", lr=0.1, epochs=1, optimizer="sgd", label_smoothing=0, class_weights=[1, 2, 3], batch_size=5, seed=9)
    train("other inputs")
    train("other inputs", augment=[])
    train("other inputs", normalize="imagenet")
    out = capsys.readouterr().out
    assert out.count("computing the features of 20 images") == 3
    assert out.count("computing the features of 7 images") == 2, "those of validation have no mirror images"


@pytest.mark.parametrize("damage", ["a byte", "the end", "all", "the header"])
def test_a_damaged_file_is_computed_anew(train: Train, tmp_path: Path, damage: str, capsys: pytest.CaptureFixture[str]) -> None:
    first = train("digest")
    files = {file: file.read_bytes() for file in (tmp_path / ".dvc/tmp/features").glob("*.npy")}
    for file, content in files.items():
        wrong = content[:300] + bytes([content[300] ^ 1]) + content[301:]
        file.write_bytes({"a byte": wrong, "the end": content[:-1], "all": b"", "the header": b"\x93" + content}[damage])
    capsys.readouterr()
    assert train("digest") == first
    assert capsys.readouterr().err.count("is not what was written; the features are computed anew\n") == 2
    assert {file: file.read_bytes() for file in files} == files


def test_broken_off_and_resumed_it_ends_with_the_same_bytes(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where the features were lost meanwhile."""
    straight = train("digest")
    state = tmp_path / ".dvc/tmp/resume/train-0"
    write = stage.write_csv

    def break_off(path: Path, table: Any) -> None:
        write(path, table)
        if len(table) == 2:
            raise BrokenOffError

    for lost in (False, True):
        with monkeypatch.context() as patch:
            patch.setattr(stage, "write_csv", break_off)
            with pytest.raises(BrokenOffError):
                train("digest", state)
        if lost:
            for file in (tmp_path / ".dvc/tmp/features").glob("*.npy"):
                file.unlink()
        capsys.readouterr()
        assert train("digest", state) == straight
        assert "going on after epoch 2 of 3" in capsys.readouterr().out


def test_what_needs_pixels_is_told(train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train("digest", augment=["crop", "flip"], epochs=1)
    told = "the frozen backbone is computed anew in every epoch: augment 'crop' makes new pictures of them; with [] or [flip]"
    assert told in capsys.readouterr().out
    assert not (tmp_path / ".dvc/tmp/features").exists()
    squeezed = ImageClassifier(build_network("squeezenet1_1", (1, 24, 24), 3, seed=0), [0.5], [0.25])
    why = needs_pixels(recipe_for(params(network="squeezenet1_1")), squeezed)
    assert why == "the last pooling of 'squeezenet1_1' comes after its head"


def test_the_views_are_the_image_and_its_mirror_image(tmp_path: Path) -> None:
    """In the order of the data set, also where a batch has fewer."""
    model = ImageClassifier(build_network("cnn", (1, 16, 16), 3, seed=0), [0.5], [0.25])
    model.freeze()
    dataset = random_set(11, side=16)
    store = FeatureStore(tmp_path, model, SINGLE_PROCESS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("classifier.training.features.batch_size", lambda _: 4)
        found = store.of(dataset, "train", num_views=2)
    images_NCHW = torch.from_numpy(dataset.images_NCHW)
    seen: list[torch.Tensor] = []
    model.head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        model(images_NCHW), model(images_NCHW.flip(3))
    assert found.shape_CHW == (512, 1, 2)
    np.testing.assert_allclose(found.images_NCHW[:, :, 0], torch.stack(seen, dim=2).numpy(), rtol=0, atol=1e-6)
    assert np.array_equal(found.labels_N, dataset.labels_N)


def test_the_files_used_longest_ago_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = ImageClassifier(build_network("cnn", (1, 16, 16), 3, seed=0), [0.5], [0.25])
    sets = {"train": random_set(9, side=16), "val": random_set(2, side=16)}

    def files_of(run: str) -> list[Path]:
        store = FeatureStore(tmp_path, model, SINGLE_PROCESS, run)
        for split, dataset in sets.items():
            store.of(dataset, split, num_views=1)
        return store.used

    used = {run: files_of(run) for run in ("first", "second")}
    for files, hours in zip(used.values(), (2, 1), strict=True):
        for file in files:
            os.utime(file, (time.time() - 3600 * hours,) * 2)
    files_of("first")
    size = sum(file.stat().st_size for file in used["first"])
    monkeypatch.setattr("classifier.training.state_files.MAX_BYTES", size)
    assert all(file.exists() for file in [*files_of("third"), *used["first"]])
    assert not any(file.exists() for file in used["second"])
    monkeypatch.setattr("classifier.training.state_files.MAX_BYTES", 0)
    last = files_of("last")
    assert sorted(tmp_path.glob("*.npy")) == sorted(last), "those of the present run stay, however large they are"
