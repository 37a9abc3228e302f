"""The model's two files: what is saved comes back; what is damaged is refused; nothing is unpickled."""

import json
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from classifier.common.errors import UserError
from classifier.compute.params import Precision
from classifier.model.description import ModelDescription
from classifier.model.file import load_model, save_model
from classifier.model.image_classifier import ImageClassifier
from classifier.networks.own import build_network

DESCRIPTION = ModelDescription(
    dataset="toy",
    classes=["a", "b", "c"],
    shape_CHW=(1, 16, 16),
    hflip_invariant=True,
    mean=[0.25],
    std=[0.5],
    network="cnn",
    optimizer="adam",
    precision="float32",
    num_parameters=0,
    kept_epoch=1,
    computed_with={"torch": "2", "device": "cpu", "threads": 2},
)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    network = build_network("cnn", (1, 16, 16), 3, seed=5).to(memory_format=torch.channels_last)
    save_model(tmp_path, network.state_dict(), DESCRIPTION)
    return tmp_path


def test_what_is_saved_comes_back(saved: Path) -> None:
    network = build_network("cnn", (1, 16, 16), 3, seed=5)
    model, description = load_model(saved)
    images = torch.randint(0, 256, (4, 1, 16, 16), dtype=torch.uint8)
    assert description == DESCRIPTION
    assert not model.training
    torch.testing.assert_close(model(images), network.eval()((images / 255 - 0.25) / 0.5))


def test_the_bytes_depend_on_the_weights_alone(saved: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    save_model(elsewhere, build_network("cnn", (1, 16, 16), 3, seed=5).state_dict(), DESCRIPTION)
    for name in ("model.safetensors", "model.json"):
        assert (elsewhere / name).read_bytes() == (saved / name).read_bytes()


def test_the_weights_hold_the_network_alone(saved: Path) -> None:
    assert load_file(saved / "model.safetensors").keys() == build_network("cnn", (1, 16, 16), 3, seed=0).state_dict().keys()


def test_the_weights_do_not_appear_without_their_description(tmp_path: Path) -> None:
    """A folder in its place stands in for a disk that is full by then."""
    (tmp_path / "model.json").mkdir()
    with pytest.raises(IsADirectoryError):
        save_model(tmp_path, build_network("cnn", (1, 16, 16), 3, seed=5).state_dict(), DESCRIPTION)
    assert [path.name for path in tmp_path.iterdir()] == ["model.json"]


@pytest.mark.parametrize("length", [0, 7, 8, 100, 5000])
def test_a_truncated_file_is_refused(saved: Path, length: int) -> None:
    path = saved / "model.safetensors"
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(UserError, match=r"model\.safetensors: not a whole safetensors file"):
        load_model(saved)


def test_a_pickle_is_refused_and_not_run(saved: Path, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[object, ...]]:
            return Path.touch, (tmp_path / "pwned",)

    (saved / "model.safetensors").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(UserError, match="not a whole safetensors file"):
        load_model(saved)
    assert not (tmp_path / "pwned").exists()


def test_weights_of_another_network_are_refused_with_the_first_odd_tensor(saved: Path) -> None:
    weights = load_file(saved / "model.safetensors")
    save_file(weights | {"0.bias": torch.zeros(31)}, saved / "model.safetensors")
    with pytest.raises(
        UserError, match=r"'0\.bias' must be float32 of shape \(32,\) by model\.json, found float32 of shape \(31,\)"
    ):
        load_model(saved)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format_version": 2}, r"format_version: Input should be 1, got 2"),
        ({"network": "resnet"}, "network must be one of softmax, .* got 'resnet'; did you mean"),
        ({"std": [0.0]}, "mean and std need 1 figures each"),
        ({"mean": [0.1, 0.2]}, "mean and std need 1 figures each"),
        ({"shape_CHW": [1, 16]}, "shape_CHW"),
        ({"classes": "abc"}, "classes"),
        ({"hflip_invariant": "no"}, "hflip_invariant: Input should be a valid boolean, got 'no'"),
        ({"extra": 1}, "extra: Extra inputs are not permitted"),
    ],
)
def test_a_damaged_description_is_refused(saved: Path, change: dict[str, object], message: str) -> None:
    path = saved / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(UserError, match=message) as caught:
        load_model(saved)
    assert "\n" not in str(caught.value)


def test_a_description_from_before_it_had_a_field_is_refused(saved: Path) -> None:
    path = saved / "model.json"
    older = {name: value for name, value in json.loads(path.read_text()).items() if name != "hflip_invariant"}
    path.write_text(json.dumps(older))
    again = "damaged, or made by another version: `dvc repro` makes it anew"
    with pytest.raises(UserError, match=rf"model\.json: hflip_invariant: Field required, got .*; {again}$"):
        load_model(saved)


def test_a_description_from_before_the_optimizer_was_recorded_is_read(saved: Path) -> None:
    """No use of the model asks for it."""
    path = saved / "model.json"
    path.write_text(json.dumps({name: value for name, value in json.loads(path.read_text()).items() if name != "optimizer"}))
    assert load_model(saved)[1] == DESCRIPTION.model_copy(update={"optimizer": None})


@pytest.mark.parametrize("name", ["model.safetensors", "model.json"])
def test_a_missing_file_is_named_with_the_command_that_makes_it(saved: Path, name: str) -> None:
    (saved / name).unlink()
    with pytest.raises(UserError, match=rf"{name}: no such file; run `dvc repro`"):
        load_model(saved)


def test_normalisation_by_hand() -> None:
    model = ImageClassifier(torch.nn.Identity(), mean=[0.2, 0.4], std=[0.1, 0.5])
    images = torch.tensor([[[[51]], [[255]]]], dtype=torch.uint8)
    torch.testing.assert_close(model(images).flatten(), torch.tensor([0.0, 1.2]))


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float64"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("augmented", [False, True])
def test_normalisation_in_one_array_is_that_of_three_steps(augmented: bool, channels: int, precision: Precision) -> None:
    """Bit for bit and in the same layout, by which torch chooses how to convolve. Shifted images have their channels last."""
    generator = torch.Generator().manual_seed(0)
    images_NCHW = torch.randint(0, 256, (5, channels, 7, 6), dtype=torch.uint8, generator=generator)
    if augmented:
        images_NCHW = images_NCHW.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
    before_NCHW = images_NCHW.clone()
    model = ImageClassifier(torch.nn.Identity(), [0.2, 0.4, 0.3][:channels], [0.1, 0.5, 0.7][:channels], precision)
    plain_NCHW = (images_NCHW.to(model.mean_C11.dtype) - model.mean_C11) * model.inverse_std_C11
    plain_NCHW = plain_NCHW.contiguous(memory_format=torch.channels_last)
    normalised_NCHW = model.normalise(images_NCHW)
    assert torch.equal(normalised_NCHW, plain_NCHW)
    assert normalised_NCHW.stride() == plain_NCHW.stride()
    assert torch.equal(images_NCHW, before_NCHW)
