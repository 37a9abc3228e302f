"""The exported file in onnxruntime, against PyTorch in float64, closed forms, and the stage that prepares pictures."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from classifier.common.errors import UserError
from classifier.compute.device import parameter_dtype
from classifier.compute.params import Precision
from classifier.decoding.pictures import decoded, quiet_pillow
from classifier.decoding.resize import Fit
from classifier.images.schema import Described
from classifier.model.dataset import ImageDataset
from classifier.model.image_classifier import ImageClassifier
from classifier.networks.own import build_network
from tools.export.card import program
from tools.export.onnx_file import OLDEST_RUNTIME, OPSET, Probabilities, check_agreement, compare, write_onnx
from tools.export.quantised import pool_last

Shape = tuple[int, int, int]
CLASSES = ["a", "b", "c"]
MEAN, STD = [0.3, 0.4, 0.5], [0.2, 0.3, 0.4]
CASES: list[tuple[str, Shape, Precision, bool]] = [
    ("pyramid", (3, 16, 20), "bfloat16", True),
    ("cnn", (1, 16, 16), "bfloat16", False),
    ("mlp", (1, 8, 8), "float64", True),
    ("softmax", (3, 8, 8), "float32", False),
]


def described(shape_CHW: Shape) -> Described:
    return Described(dataset="toy", classes=CLASSES, shape_CHW=shape_CHW, hflip_invariant=True)


def made_up(name: str, shape_CHW: Shape, precision: Precision) -> nn.Module:
    """A network whose every weight and every buffer counts."""
    network = build_network(name, shape_CHW, len(CLASSES), seed=0).to(parameter_dtype(precision))
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for key, tensor in network.state_dict().items():
            if tensor.is_floating_point() and ("running" in key or "filters" in key or "bias" in key):
                least = 1 if "running_var" in key else 0.1  # else values grow from layer to layer, and one class takes all
                tensor.copy_(torch.rand(tensor.shape, generator=generator) + least)
    return network


def classifier(network: nn.Module, channels: int, precision: Precision = "float32") -> ImageClassifier:
    return ImageClassifier(network, MEAN[:channels], STD[:channels], precision)


def some_images(num_images: int, shape_CHW: Shape) -> NDArray[np.uint8]:
    return np.random.default_rng(2).integers(0, 256, (num_images, *shape_CHW)).astype(np.uint8)


def run(path: Path, images_NCHW: NDArray[np.uint8]) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (probabilities_NK,) = session.run(None, {"images": images_NCHW})
    return np.asarray(probabilities_NK)


ENDS = (min(OLDEST_RUNTIME), OPSET, max(OLDEST_RUNTIME))


@pytest.mark.parametrize("opset", [pytest.param(one, marks=() if one in ENDS else pytest.mark.slow) for one in OLDEST_RUNTIME])
def test_every_opset_gives_the_same(opset: int, tmp_path: Path) -> None:
    images_NCHW = some_images(3, (1, 16, 16))
    path = tmp_path / "model.onnx"
    network = Probabilities(classifier(made_up("cnn", (1, 16, 16), "float32"), 1), flip_tta=True)
    write_onnx(path, network, described((1, 16, 16)), {"commit": "abc"}, opset)
    assert [(one.domain, one.version) for one in onnx.load(path).opset_import] == [("", opset)]
    with torch.no_grad():
        np.testing.assert_allclose(run(path, images_NCHW), network(torch.from_numpy(images_NCHW)).numpy(), atol=2e-6)


@pytest.mark.parametrize(("name", "shape_CHW", "precision", "flip_tta"), CASES)
def test_batches_of_any_size_get_the_probabilities_of_pytorch(
    name: str, shape_CHW: Shape, precision: Precision, flip_tta: bool, tmp_path: Path
) -> None:
    """Worked out anew in float64, so that neither our normalisation nor our average vouches for itself."""
    network = made_up(name, shape_CHW, precision)
    path = tmp_path / "model.onnx"
    write_onnx(path, Probabilities(classifier(network, shape_CHW[0], precision), flip_tta=flip_tta), described(shape_CHW))
    images_NCHW = some_images(7, shape_CHW)
    mean_C11, std_C11 = (torch.tensor(each[: shape_CHW[0]], dtype=torch.float64).reshape(-1, 1, 1) for each in (MEAN, STD))
    normal_NCHW = (torch.from_numpy(images_NCHW).double() / 255 - mean_C11) / std_C11
    with torch.no_grad():
        network.double().eval()
        logits_NK = network(normal_NCHW)
        if flip_tta:
            logits_NK = (logits_NK + network(torch.from_numpy(normal_NCHW.numpy()[..., ::-1].copy()))) / 2
    wanted_NK = torch.softmax(logits_NK, dim=1).numpy()
    assert wanted_NK.std(axis=0).min() > 0.001, "the images do not differ, so that this shows nothing"
    for num_images in (1, 2, 7):
        found_NK = run(path, images_NCHW[:num_images])
        assert (found_NK.dtype, found_NK.shape) == (np.float32, (num_images, 3))
        np.testing.assert_allclose(found_NK, wanted_NK[:num_images], atol=2e-5)


@pytest.mark.parametrize(
    ("scale", "order"),
    [(1.0, ["Relu", "MaxPool", "Conv"] * 2), (-1.0, ["Relu", "MaxPool", "Conv", "Conv", "MaxPool", "BatchNormalization"])],
)
def test_for_eight_bits_pooling_moves_behind_what_melts_into_the_convolution(
    scale: float, order: list[str], tmp_path: Path
) -> None:
    """Of two poolings in the network; with one negative scale, of which the maximum is the minimum, its pooling stays."""
    shape_CHW = (1, 16, 20)
    network = made_up("pyramid", shape_CHW, "float32")
    norms = [layer for layer in network if isinstance(layer, nn.BatchNorm2d)]  # type: ignore[attr-defined]
    with torch.no_grad():
        for norm in norms:
            norm.weight.copy_(torch.rand(norm.weight.shape, generator=torch.Generator().manual_seed(3)) + 0.5)
        norms[3].weight[5] *= scale
    path, moved = tmp_path / "model.onnx", tmp_path / "moved.onnx"
    write_onnx(path, Probabilities(classifier(network, 1), flip_tta=False), described(shape_CHW))
    model = onnx.load(path)
    pool_last(model)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, moved)
    kinds = [node.op_type for node in model.graph.node]
    pools = [number for number, kind in enumerate(kinds) if kind == "MaxPool"]
    found = [kind for number in pools[:2] for kind in kinds[number - 1 : number + 2]]
    assert found == order
    images_NCHW = some_images(7, shape_CHW)
    np.testing.assert_allclose(run(moved, images_NCHW), run(path, images_NCHW), atol=1e-6)


def constant(bias: list[float]) -> Probabilities:
    """A network that gives each image the same."""
    network = build_network("softmax", (1, 8, 8), 3, seed=0)
    with torch.no_grad():
        network[1].weight.zero_()  # type: ignore[index,union-attr,operator]
        network[1].bias.copy_(torch.tensor(bias))  # type: ignore[index,arg-type,union-attr,operator]
    return Probabilities(classifier(network, 1), flip_tta=True)


@pytest.fixture(scope="module")
def eighths(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a network whose probabilities are 1/8, 2/8 and 5/8 whatever it sees."""
    path = tmp_path_factory.mktemp("eighths") / "model.onnx"
    write_onnx(path, constant(np.log([1, 2, 5]).tolist()), described((1, 8, 8)))
    return path


def test_a_known_answer(eighths: Path) -> None:
    np.testing.assert_allclose(run(eighths, some_images(2, (1, 8, 8))), [[1 / 8, 2 / 8, 5 / 8]] * 2, rtol=1e-6)


def test_the_file_says_what_it_takes_and_nothing_of_this_machine(eighths: Path) -> None:
    session = onnxruntime.InferenceSession(eighths, providers=["CPUExecutionProvider"])
    (entry,), (exit_) = session.get_inputs(), session.get_outputs()
    assert (entry.name, entry.type, entry.shape) == ("images", "tensor(uint8)", ["batch", 1, 8, 8])
    assert [(one.name, one.type, one.shape) for one in exit_] == [("probabilities", "tensor(float)", ["batch", 3])]
    assert json.loads(session.get_modelmeta().custom_metadata_map["classes"]) == CLASSES
    content = eighths.read_bytes()
    for word in (b"classifier.", b"stack_trace", b".py", b"tools", str(Path.cwd()).encode(), b"+c"):
        assert word not in content


def test_the_same_network_gives_the_same_bytes(eighths: Path, tmp_path: Path) -> None:
    """The exporter's counters go on from one file to the next."""
    write_onnx(tmp_path / "model.onnx", constant(np.log([1, 2, 5]).tolist()), described((1, 8, 8)))
    assert (tmp_path / "model.onnx").read_bytes() == eighths.read_bytes()


def test_the_file_is_whole_by_the_format_s_own_checker(eighths: Path) -> None:
    onnx.checker.check_model(onnx.load(eighths), full_check=True)


def test_a_network_that_no_file_can_hold_is_refused(tmp_path: Path) -> None:
    with torch.device("meta"):
        network = build_network("mlp", (3, 1024, 1024), 3, seed=0)
        model = classifier(network, 3)
    with pytest.raises(UserError, match=r"an ONNX file holds less than 2 GiB, the weights are 3\.5 GiB; take a smaller"):
        write_onnx(tmp_path / "model.onnx", Probabilities(model, flip_tta=False), described((3, 1024, 1024)))
    assert not (tmp_path / "model.onnx").exists()


class TestAgreement:
    test_set = ImageDataset(some_images(5, (1, 8, 8)), np.zeros(5, dtype=np.int64))

    def test_of_the_same_network(self, eighths: Path) -> None:
        agreement = compare(eighths, constant(np.log([1, 2, 5]).tolist()), self.test_set, CLASSES, threads=1)
        assert agreement.predicted_N.tolist() == [2] * 5
        assert agreement.num_ties == 0
        assert agreement.largest_difference < 1e-6

    def test_another_network_is_told_by_its_first_image(self, eighths: Path) -> None:
        told = r"nothing written.*test image 0 is by PyTorch 'a' \(0\.6250\) and by onnxruntime 'c' \(0\.6250\)"
        with pytest.raises(UserError, match=told + r", and the probabilities lie up to 5\.0e-01 apart"):
            compare(eighths, constant(np.log([5, 2, 1]).tolist()), self.test_set, CLASSES, threads=1)

    def test_a_tie_is_counted(self) -> None:
        wanted = np.array([[0.4999999, 0.5000001], [0.9, 0.1]], dtype=np.float32)
        found = np.array([[0.5000001, 0.4999999], [0.9, 0.1]], dtype=np.float32)
        assert check_agreement(wanted, found, 0, CLASSES) == 1
        assert check_agreement(wanted, wanted, 0, CLASSES) == 0

    @pytest.mark.parametrize(
        "found", [[0.49998, 0.50002], [0.51, 0.49], [np.nan, np.nan], [0.50002, np.inf]], ids=["class", "off", "nan", "inf"]
    )
    def test_what_is_no_tie_is_refused(self, found: list[float]) -> None:
        wanted_NK = np.array([[0.9, 0.1], [0.50002, 0.49998]], dtype=np.float32)
        found_NK = np.array([[0.9, 0.1], found], dtype=np.float32)
        with pytest.raises(UserError, match="test image 71 is by PyTorch 'a'"):
            check_agreement(wanted_NK, found_NK, 70, CLASSES)


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(30, 17), (9, 40), (12, 12)])
def test_the_program_on_the_card_prepares_pictures_as_the_pipeline_does(
    fit: Fit, channels: int, size: tuple[int, int], tmp_path: Path
) -> None:
    source, _, _ = program((channels, 12, 12), fit).partition("session = ")
    scope: dict[str, Any] = {}
    exec(source, scope)
    pixels = np.random.default_rng(3).integers(0, 256, (*size, 3)).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "JPEG", exif=exif)
    (tmp_path / "picture.jpg").write_bytes(content.getvalue())
    with quiet_pillow():
        wanted_CHW = decoded(content.getvalue(), 12, fit, grey=channels == 1)
    np.testing.assert_array_equal(scope["prepared"](tmp_path / "picture.jpg"), wanted_CHW)


def odd_pictures() -> dict[str, Image.Image]:
    """Of the kinds that a plain `convert` of Pillow would bring to other pixels."""
    rng = np.random.default_rng(4)
    rgba = Image.fromarray(rng.integers(0, 256, (12, 12, 4), dtype=np.uint8))
    palette = Image.fromarray(rng.integers(0, 4, (12, 12), dtype=np.uint8)).convert("P")
    palette.info["transparency"] = 1
    return {
        "16 bits": Image.fromarray(rng.integers(0, 2**16, (12, 12), dtype=np.uint16)),
        "transparent": rgba,
        "grey and transparent": rgba.convert("LA"),
        "palette": palette,
    }


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", odd_pictures())
def test_the_program_on_the_card_brings_odd_kinds_to_the_pixels_of_the_pipeline(
    channels: int, kind: str, tmp_path: Path
) -> None:
    source, _, _ = program((channels, 12, 12), "crop").partition("session = ")
    scope: dict[str, Any] = {}
    exec(source, scope)
    odd_pictures()[kind].save(tmp_path / "picture.png")
    with quiet_pillow():
        wanted_CHW = decoded((tmp_path / "picture.png").read_bytes(), 12, "crop", grey=channels == 1)
    assert wanted_CHW.std() > 1
    np.testing.assert_array_equal(scope["prepared"](tmp_path / "picture.png"), wanted_CHW)
