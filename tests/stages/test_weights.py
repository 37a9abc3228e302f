"""The stage `weights`: files in the layouts that torchvision has published, from a real server on the loopback interface."""

import hashlib
import io
import os
import pickle
import re
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torchvision import models

from classifier.common.errors import UserError
from classifier.common.files import write_json
from classifier.common.params import PARAMS_FILE, validate
from classifier.images.arrays import write_split
from classifier.images.schema import DatasetInfo
from classifier.model.file import load_model
from classifier.networks import pretrained
from classifier.networks.names import TORCHVISION
from classifier.networks.own import build_network
from classifier.networks.params import PUBLISHED, WeightsParams
from classifier.networks.pretrained import published_file
from classifier.networks.torchvision_networks import head_name, plain_network
from stages.train import main as train
from stages.weights import main
from tests.support.file_server import FileServer, file_server
from tests.support.training import compute, params

__all__ = ["compute"]

NETWORK = "shufflenet_v2_x0_5"
HEAD = {"fc.weight", "fc.bias"}
EMPTY_SAFETENSORS = (8).to_bytes(8, "little") + b"{}      "
"""The format's 8 bytes of length, and a header that names nothing, padded to that length."""


def made_up(name: str) -> nn.Module:
    """The whole network as it is published, auxiliary heads included, with weights that nobody trained."""
    torch.manual_seed(1)
    return models.get_model(name, weights=None, **({"init_weights": False} if name == "googlenet" else {}))


def as_file(state: Any) -> bytes:
    file = io.BytesIO()
    torch.save(state, file)
    return file.getvalue()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.delenv("DATASET_MIRROR", raising=False)
    with file_server() as running:
        yield running


Publish = Callable[..., str]


@pytest.fixture
def publish(server: FileServer, monkeypatch: pytest.MonkeyPatch) -> Publish:
    """Put a file on the server as torchvision names them, and have it be the published one; its path there."""

    def put(content: bytes, name: str = NETWORK, digest: str | None = None) -> str:
        path = f"/models/{name}-{digest or hashlib.sha256(content).hexdigest()[:8]}.pth"
        server.files[path] = content
        weights = SimpleNamespace(url=server.address + path, meta={"min_size": (224, 224)})
        monkeypatch.setattr(pretrained, "default_weights", lambda _: weights)
        return path

    return put


@pytest.fixture(scope="module")
def state() -> "OrderedDict[str, Tensor]":
    return made_up(NETWORK).state_dict()  # type: ignore[return-value]


def written(root: Path, name: str = NETWORK, source: str = PUBLISHED) -> dict[str, Tensor]:
    main(WeightsParams(network=name, pretrained=True, pretrained_source=source), root)
    return load_file(root / "models/pretrained.safetensors")


def test_all_but_the_head_is_kept_and_fetched_once(
    tmp_path: Path, server: FileServer, publish: Publish, state: dict[str, Tensor]
) -> None:
    publish(as_file(state))
    found = written(tmp_path)
    assert found.keys() == state.keys() - HEAD
    assert all(torch.equal(found[name], state[name]) for name in found)
    content = (tmp_path / "models/pretrained.safetensors").read_bytes()
    written(tmp_path)
    assert (tmp_path / "models/pretrained.safetensors").read_bytes() == content
    assert len(server.log) == 1
    assert len(list(tmp_path.glob(".dvc/tmp/downloads/weights/????????/*.pth"))) == 1


def test_without_pretrained_the_file_has_no_tensors(tmp_path: Path, server: FileServer) -> None:
    main(WeightsParams(network="mlp", pretrained=False, pretrained_source=PUBLISHED), tmp_path)
    assert (tmp_path / "models/pretrained.safetensors").read_bytes() == EMPTY_SAFETENSORS
    assert not server.log


def test_a_broken_download_goes_on_where_it_stopped(
    tmp_path: Path, server: FileServer, publish: Publish, state: dict[str, Tensor]
) -> None:
    """Only the host knows the size of the file."""
    path = publish(as_file(state))
    server.script[path] = ["truncate", "ok"]
    written(tmp_path)
    assert [request.range is None for request in server.log] == [True, False]
    assert sum(request.sent for request in server.log) == len(server.files[path])


def test_a_mirror_is_asked_first(
    tmp_path: Path, server: FileServer, publish: Publish, state: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    content = as_file(state)
    name = publish(content).rpartition("/")[2]
    (tmp_path / "mirror/weights").mkdir(parents=True)
    (tmp_path / "mirror/weights" / name).write_bytes(content)
    monkeypatch.setenv("DATASET_MIRROR", str(tmp_path / "mirror"))
    assert written(tmp_path)
    assert not server.log


@pytest.mark.parametrize(
    ("behaviour", "message"),
    [
        (
            "404",
            r"weights/shufflenet_v2_x0_5-\w{8}\.pth: no source gave the right file: http.* \(HTTP 404\); check the network,",
        ),
        ("html", r"\(an HTML page came in place of the file"),
        ("short", r"\(has SHA-256 [0-9a-f]{64}, [0-9a-f]{8} needed\)"),
        ("corrupt", r"\(has SHA-256 [0-9a-f]{64}, [0-9a-f]{8} needed\)"),
        ("long", r"\(does not say how many bytes the file has\)"),
    ],
)
def test_a_file_that_cannot_be_had_is_one_line_and_leaves_nothing(
    tmp_path: Path, server: FileServer, publish: Publish, behaviour: str, message: str
) -> None:
    server.script[publish(b"\x80" * 1000)] = [behaviour]
    with pytest.raises(UserError, match=message) as caught:
        written(tmp_path)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "models").exists()


class Harmful:
    """A pickle that runs a command when it is read."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("harmed",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (pickle.dumps({"fc.weight": Harmful()}, protocol=2), r"\.pth: not a file of weights \(Weights only load failed"),
        (as_file({"fc.weight": Harmful()}), r"\.pth: not a file of weights \(Weights only load failed"),
        (b"PK\x03\x04 nothing", r"\.pth: not a file of weights \("),
        (as_file([torch.zeros(2)]), r"\.pth: not a file of weights \(needs tensors by name\)"),
        (as_file({"epoch": 3}), r"\.pth: not a file of weights \(needs tensors by name\)"),
        (as_file({"conv1.0.weight": torch.zeros(2)}), r"\.pth: not the weights of 'shufflenet_v2_x0_5'"),
        (as_file({"other": torch.zeros(2)}), r"\.pth: not the weights of 'shufflenet_v2_x0_5', as its tensor 'conv1\.0"),
    ],
    ids=["pickle", "archive", "no archive", "a list", "no tensors", "another shape", "another name"],
)
def test_what_is_no_state_of_the_network_is_refused_and_never_run(
    tmp_path: Path, publish: Publish, monkeypatch: pytest.MonkeyPatch, content: bytes, message: str
) -> None:
    """Even where the checksum is that of the name."""
    monkeypatch.chdir(tmp_path)
    publish(content)
    with pytest.raises(UserError, match=message) as caught:
        written(tmp_path)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "harmed").exists()
    assert not (tmp_path / "models").exists()


def test_the_names_of_old_files_and_their_lack_of_counts(tmp_path: Path, publish: Publish) -> None:
    """DenseNet's are from 2017: `norm.1` for `norm1`, and batch normalisation did not count its batches yet."""
    state = made_up("densenet121").state_dict()
    old = OrderedDict(
        (re.sub(r"(denselayer\d+\.(?:norm|conv))([12])\.", r"\1.\2.", name), tensor)
        for name, tensor in state.items()
        if not name.endswith("num_batches_tracked")
    )
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    publish(as_file(old), "densenet121")
    found = written(tmp_path, "densenet121")
    assert found.keys() == {name for name in state if not name.startswith("classifier.")}
    assert all(torch.equal(found[name], state[name]) for name in found)


def test_auxiliary_heads_are_left_out(tmp_path: Path, publish: Publish) -> None:
    publish(as_file(made_up("googlenet").state_dict()), "googlenet")
    assert written(tmp_path, "googlenet").keys() == plain_network("googlenet", 224, 9).state_dict().keys() - HEAD


def test_each_network_has_one_published_file_with_a_digest_in_its_name() -> None:
    files = {name: published_file(name) for name in TORCHVISION}
    assert len({file.name for file in files.values()}) == len(TORCHVISION)
    assert all(file.urls == [f"https://download.pytorch.org/models/{file.name}"] for file in files.values())
    assert files["resnet18"].digest == "f37072fd"
    assert files["mnasnet0_5"].digest == "3ffadce67e"
    assert files["vgg16"].name == "vgg16-397923af.pth"


def test_the_head_is_the_layer_that_the_weights_leave_out() -> None:
    assert head_name(plain_network(NETWORK, 224, 5)) == "fc"


def write_dataset(folder: Path, side: int) -> None:
    """Eight noisy images of two classes to train on, two to validate."""
    rng = np.random.default_rng(0)
    rows = {"train": 8, "val": 2, "test": 0}
    for split, num_images in rows.items():
        images = rng.integers(0, 256, (num_images, 1, side, side), dtype=np.uint8)
        write_split(folder / split, num_images, (1, side, side), [(images, np.arange(num_images) % 2)])
    info = DatasetInfo(
        dataset="noise",
        classes=["a", "b"],
        shape_CHW=(1, side, side),
        hflip_invariant=True,
        rows=rows,  # type: ignore[arg-type]
        mean=[0.5],
        std=[0.3],
    )
    write_json(folder / "dataset.json", info.model_dump())


def test_the_precision_and_the_optimizer_that_auto_means_are_told_and_recorded(
    tmp_path: Path, compute: None, capsys: pytest.CaptureFixture[str]
) -> None:
    write_dataset(tmp_path / "data/dataset", side=8)
    train(params(network="mlp", precision="auto", optimizer="auto", momentum=None, device="cpu"), tmp_path)
    assert capsys.readouterr().out.startswith("training mlp in float32 on cpu, optimizer: adamw, augment: []\nepoch 1/1 ")
    _, description = load_model(tmp_path / "models")
    assert (description.precision, description.optimizer) == ("float32", "adamw")


def test_what_the_stage_wrote_is_what_train_begins_with_and_the_model_holds(
    tmp_path: Path, publish: Publish, state: dict[str, Tensor], compute: None
) -> None:
    publish(as_file(state))
    published = written(tmp_path)
    write_dataset(tmp_path / "data/dataset", side=8)
    settings = params(network=NETWORK, pretrained=True, freeze=True, normalize="imagenet", lr=0.01)
    train(settings, tmp_path)
    trained = load_file(tmp_path / "models/model.safetensors")
    assert all(torch.equal(trained[f"network.{name}"], tensor) for name, tensor in published.items())
    assert trained.keys() == {f"network.{name}" for name in state}
    model, description = load_model(tmp_path / "models")
    assert (description.network, description.num_parameters) == (NETWORK, 1024 * 2 + 2)
    assert model(torch.zeros(1, 1, 8, 8, dtype=torch.uint8)).shape == (1, 2)


def test_an_earlier_model_of_any_number_of_classes_is_what_a_network_begins_with(tmp_path: Path, compute: None) -> None:
    """Of torchvision's networks and of ours, and the state dict of one of torchvision's."""
    write_dataset(tmp_path / "data/dataset", side=16)
    for name, prefix, head in ((NETWORK, "network.", "network.fc."), ("pyramid", "", "18.")):
        network = build_network(name, (1, 16, 16), 7, seed=1)
        state = {key: tensor.contiguous() for key, tensor in network.state_dict().items()}
        for number, other in enumerate([state, {key.removeprefix(prefix): tensor for key, tensor in state.items()}]):
            save_file(other, tmp_path / f"{number}.safetensors")
            found = written(tmp_path, name, f"{number}.safetensors")
            assert {prefix + key for key in found} == {key for key in state if not key.startswith(head)}
            assert all(torch.equal(tensor, state[prefix + key]) for key, tensor in found.items())
        settings = params(network=name, pretrained=True, freeze=True, lr=0.01)
        train(settings, tmp_path)
        trained = load_file(tmp_path / "models/model.safetensors")
        assert trained.keys() == state.keys()
        assert all(torch.equal(trained[key], tensor) for key, tensor in state.items() if not key.startswith(head))
        assert load_model(tmp_path / "models")[0](torch.zeros(1, 1, 16, 16, dtype=torch.uint8)).shape == (1, 2)


@pytest.mark.slow
def test_a_vision_transformer_begins_with_one_of_another_image_size(tmp_path: Path) -> None:
    state = {key: tensor.contiguous() for key, tensor in plain_network("vit_b_32", 96, 3).state_dict().items()}
    save_file(state, tmp_path / "own.safetensors")
    assert written(tmp_path, "vit_b_32", "own.safetensors").keys() == {key for key in state if not key.startswith("heads.")}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"conv1.0.weight": None},
            r"own\.safetensors: not the weights of 'shufflenet_v2_x0_5', which has a tensor 'conv1\.0\.weight'$",
        ),
        (
            {"other": torch.zeros(2)},
            r"own\.safetensors: not the weights of 'shufflenet_v2_x0_5', which lacks a tensor 'other'$",
        ),
        (
            {"conv1.0.weight": torch.zeros(24, 1, 3, 3)},
            r"whose tensor 'conv1\.0\.weight' has the shape \(24, 3, 3, 3\), found \(24, 1, 3, 3\)$",
        ),
    ],
)
def test_another_file_of_ones_own_is_one_line_and_leaves_nothing(
    tmp_path: Path, state: dict[str, Tensor], change: dict[str, Tensor | None], message: str
) -> None:
    changed = {key: tensor for key, tensor in ({**state} | change).items() if tensor is not None}
    save_file(changed, tmp_path / "own.safetensors")
    with pytest.raises(UserError, match=message):
        written(tmp_path, source="own.safetensors")
    assert not (tmp_path / "models").exists()


def test_a_pickle_of_ones_own_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.pth").write_bytes(as_file({"fc.weight": Harmful()}))
    with pytest.raises(UserError, match=r"own\.pth: not a whole safetensors file \(.*\); needs a state dict as safetensors"):
        written(tmp_path, source="own.pth")
    with pytest.raises(UserError, match=r"nothing\.safetensors: no such file"):
        written(tmp_path, source="nothing.safetensors")
    assert not (tmp_path / "harmed").exists()


def test_weights_for_other_images_are_refused_with_both_shapes(tmp_path: Path, compute: None) -> None:
    """Which only `train` can know: the first layer of our networks is as wide as the images."""
    write_dataset(tmp_path / "data/dataset", side=16)
    state = build_network("pyramid", (3, 16, 16), 2, seed=1).state_dict()
    save_file({key: tensor.contiguous() for key, tensor in state.items()}, tmp_path / "own.safetensors")
    written(tmp_path, "pyramid", "own.safetensors")
    with pytest.raises(
        UserError, match=r"weights for other images: tensor '0\.filters_OChw' has the shape \(96, 3, 4, 4\), and"
    ):
        train(params(network="pyramid", pretrained=True), tmp_path)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"network": "cnn", "pretrained": True},
            "pretrained has no effect with network 'cnn', .*; write `pretrained: false` or",
        ),
        (
            {"network": "cnn", "pretrained": False, "pretrained_source": "own.safetensors"},
            "pretrained_source has no effect without pretrained; write `pretrained: true` or `pretrained_source: cat",
        ),
    ],
)
def test_params_without_effect_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=rf"^params\.yaml: {message}"):
        validate(PARAMS_FILE, {"pretrained_source": PUBLISHED, **values}, WeightsParams)
