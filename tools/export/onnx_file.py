"""A network as an ONNX file, the same bytes for the same network, and whether it computes what PyTorch does."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from classifier.common.errors import UserError
from classifier.images.schema import Described
from classifier.model.dataset import ImageDataset
from classifier.model.image_classifier import ImageClassifier
from classifier.model.inference import batch_size


class Probabilities(nn.Module):
    """uint8 images (N, C, H, W) to the float32 probabilities (N, K) that `evaluate` measured, its mirror images included.

    It computes in float32, whatever the model was trained in, and takes the model over: its precision changes.
    """

    def __init__(self, model: ImageClassifier, *, flip_tta: bool) -> None:
        super().__init__()
        model.set_precision("float32")
        self.model = model
        self.flip_tta = flip_tta
        self.eval()

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """Normalise, classify, and bring the scores of each image to a sum of 1."""
        if self.flip_tta:
            logits_2NK: Tensor = self.model(torch.cat((images_NCHW, images_NCHW.flip(3)))).unflatten(0, (2, -1))
            return ((logits_2NK[0] + logits_2NK[1]) / 2).softmax(dim=1)
        logits_NK: Tensor = self.model(images_NCHW)
        return logits_NK.softmax(dim=1)


INPUT, OUTPUT = "images", "probabilities"
CLASSES = "classes"
"""Key of the file's metadata under which the class names stand, a JSON list."""
OPSET = 18
"""That of torch's exporter, which converts to the others."""
OLDEST_RUNTIME = {17: "1.15.1", 18: "1.15.1", 19: "1.16.3", 20: "1.17.3", 21: "1.18.1"}
"""By the opset, the oldest onnxruntime that was seen to take such a file; 1.15 was the oldest tried."""
MAX_BYTES = 2**31 - 2**20
"""An ONNX file of one piece is a message of protobuf, which ends at 2 GiB; some is left for all that is not weights."""


def write_onnx(
    path: Path, network: Probabilities, described: Described, metadata: Mapping[str, str] | None = None, opset: int = OPSET
) -> None:
    """Write `network` for images of `described.shape_CHW`, in batches of any size, with the class names in its metadata.

    Raises UserError for a network that is larger than such a file can be.
    """
    num_bytes = sum(tensor.nbytes for tensor in network.state_dict().values())
    if num_bytes > MAX_BYTES:
        raise UserError(
            f"models: an ONNX file holds less than 2 GiB, the weights are {num_bytes / 2**30:.1f} GiB; "
            "take a smaller `image_size` or another network"
        )
    example_NCHW = torch.zeros(2, *described.shape_CHW, dtype=torch.uint8)
    program: Any = torch.onnx.export(
        network,
        (example_NCHW,),
        dynamo=True,
        verbose=False,
        opset_version=opset,
        input_names=[INPUT],
        output_names=[OUTPUT],
        dynamic_shapes=({0: torch.export.Dim("batch")},),
    )
    metadata = {CLASSES: json.dumps(described.classes)} | dict(metadata or {})
    path.write_bytes(_plain_bytes(program.model_proto, metadata))


def _plain_bytes(model: Any, metadata: Mapping[str, str]) -> bytes:
    """The model with our metadata in place of the exporter's: that names files of this machine, and counters of the process."""
    import onnx

    model.ir_version = onnx.helper.find_min_ir_version_for(model.opset_import)  # so that older programs read it
    model.producer_version = model.producer_version.partition("+")[0]
    graph = model.graph
    graph.name = "image_classifier"
    del graph.value_info[:]
    for part in (model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        del part.metadata_props[:]
        part.ClearField("doc_string")
    shapes = {one.name: onnx.numpy_helper.to_array(one) for one in graph.initializer if one.data_type == onnx.TensorProto.INT64}
    for number, node in enumerate(graph.node):
        node.name = f"{node.op_type}_{number}"
        if node.op_type == "Reshape" and 0 not in shapes.get(node.input[1], (0,)):
            del node.attribute[:]  # `allowzero`, of which OpenCV knows nothing, has no meaning where no size is 0
    onnx.helper.set_model_props(model, dict(metadata))
    onnx.checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


MAX_DIFFERENCE = 1e-4
"""Of a probability. Another order of float32 sums makes a hundredth of it; a wrong layer makes far more."""
TIE = 1e-5
"""Two classes whose probabilities differ by less are as good as equal: the order of the sums may decide between them."""

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Agreement:
    """Of the exported file and PyTorch, both in float32."""

    predicted_N: NDArray[np.int64]
    """Labels that the exported file gives."""
    num_ties: int
    """Images to which the two give different classes, all of them within TIE."""
    largest_difference: float
    """Of any probability of any image."""


def compare(path: Path, network: Probabilities, test_set: ImageDataset, classes: list[str], threads: int) -> Agreement:
    """Run the file at `path` in onnxruntime, on the CPU, beside `network`.

    Raises UserError at the first image of which the two say something else.
    """
    predicted, num_ties, largest, first_row = [], 0, 0.0, 0
    for images_NCHW, _, found_NK in answers(path, test_set, threads):
        with torch.inference_mode():
            wanted_NK: Floats = network(images_NCHW).numpy()
        largest = max(largest, float(np.abs(found_NK - wanted_NK).max()))
        num_ties += check_agreement(wanted_NK, found_NK, first_row, classes)
        predicted.append(found_NK.argmax(axis=1))
        first_row += len(found_NK)
    return Agreement(np.concatenate(predicted), num_ties, largest)


def answers(path: Path, test_set: ImageDataset, threads: int) -> Iterator[tuple[Tensor, Tensor, Floats]]:
    """Batch by batch, the images, their labels, and the probabilities by the file at `path` in onnxruntime on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    batches = torch.arange(len(test_set)).split(batch_size(test_set))
    for rows in tqdm(batches, desc=f"checking {path.name}", unit="batch", disable=None, leave=False):
        images_NCHW, labels_N = test_set.batch(rows)
        (found_NK,) = session.run([OUTPUT], {INPUT: images_NCHW.numpy()})
        yield images_NCHW, labels_N, found_NK


def check_agreement(wanted_NK: Floats, found_NK: Floats, first_row: int, classes: list[str]) -> int:
    """Raise UserError if an image has another class, or a probability that is off; return how many are ties."""
    wanted_N, found_N = wanted_NK.argmax(axis=1), found_NK.argmax(axis=1)
    differs_N = wanted_N != found_N
    each = np.arange(len(wanted_N))
    is_tie_N = differs_N & (wanted_NK[each, wanted_N] - wanted_NK[each, found_N] < TIE)
    difference_N = np.abs(found_NK - wanted_NK).max(axis=1)
    wrong_N = (differs_N & ~is_tie_N) | ~(difference_N <= MAX_DIFFERENCE)  # so that NaN is wrong
    if wrong_N.any():
        row = int(wrong_N.argmax())
        wanted, found = wanted_N[row], found_N[row]
        raise UserError(
            f"models/export: nothing written, for the exported file differs: test image {first_row + row} is by PyTorch "
            f"{classes[wanted]!r} ({wanted_NK[row, wanted]:.4f}) and by onnxruntime {classes[found]!r} "
            f"({found_NK[row, found]:.4f}), and the probabilities lie up to {difference_N[row]:.1e} apart; "
            "run `make export` for the pinned versions, or report this with what `make doctor` prints"
        )
    return int(is_tie_N.sum())
