"""The exported file once more, with weights and activations of eight bits; checked on the test images."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from classifier.common.errors import UserError
from classifier.model.dataset import ImageDataset
from classifier.model.inference import batch_size
from record.statistics import Interval
from record.verdicts import WORSE, compare_answers
from tools.export.onnx_file import INPUT, answers

NUM_IMAGES = 500
"""Training images, evenly spaced, by which the ranges of the activations are measured."""
_WEIGHTED = ["Conv", "Gemm", "MatMul"]
_QUANTISED = [*_WEIGHTED, "MaxPool", "Relu"]
"""Kinds of layers. The softmax stays float32, and the last scores where there is another layer: in eight bits most small
probabilities become 0."""


@dataclass(frozen=True)
class Quantised:
    """The file and what it gives, beside the float32 file."""

    content: bytes
    agreement: float
    """Share of the test images that get the same class from both."""
    accuracy: float
    interval: Interval
    """Of the difference in accuracy, of the float32 file to this one."""
    verdict: str


def write_int8(path: Path, source: Path, train_set: ImageDataset) -> None:
    """Quantise the file at `source` statically; the same bytes for the same file and images."""
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    rows_N = torch.linspace(0, len(train_set) - 1, min(NUM_IMAGES, len(train_set))).round().long()
    batches = ({INPUT: train_set.batch(rows)[0].numpy()} for rows in rows_N.split(min(100, batch_size(train_set))))
    with tempfile.TemporaryDirectory(prefix="int8-") as folder:
        prepared, written = Path(folder) / "prepared.onnx", Path(folder) / "int8.onnx"
        swapped = onnx.load(source)
        pool_last(swapped)
        onnx.save(swapped, prepared)
        quant_pre_process(prepared, prepared, skip_symbolic_shape=True)
        weighted = [node.name for node in onnx.load(prepared).graph.node if node.op_type in _WEIGHTED]
        quantize_static(
            prepared,
            written,
            _Images(batches),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=_QUANTISED,
            nodes_to_exclude=weighted[-1:] if len(weighted) > 1 else [],
            per_channel=True,
            reduce_range=True,  # seven bits a weight: with eight, processors without VNNI overflow
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        model = onnx.load(written)
    model.producer_name, model.producer_version = "onnxruntime.quantization", ""
    used = {"", *(node.domain for node in model.graph.node)}
    kept = [one for one in model.opset_import if one.domain in used]  # older programs refuse a version that they do not know
    del model.opset_import[:]
    model.opset_import.extend(kept)
    metadata = {one.key: one.value for one in onnx.load(source, load_external_data=False).metadata_props}
    onnx.helper.set_model_props(model, metadata | {"quantisation": "int8"})
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString(deterministic=True))


def pool_last(model: Any) -> None:
    """Swap each max-pooling with the batch normalisation and ReLU behind it: the same values, where no scale is negative.

    Both then melt into the convolution before it, and the pooling takes eight bits as they are.
    """
    import onnx

    nodes = model.graph.node
    scales = {one.name: onnx.numpy_helper.to_array(one) for one in model.graph.initializer}
    for number in range(1, len(nodes)):
        pool, after = nodes[number - 1], nodes[number]
        if pool.op_type != "MaxPool" or sum(pool.output[0] in node.input for node in nodes) != 1:
            continue
        is_norm = after.op_type == "BatchNormalization" and after.input[1] in scales and scales[after.input[1]].min() >= 0
        if after.input[0] == pool.output[0] and (is_norm or after.op_type == "Relu"):
            after.input[0], pool.input[0] = pool.input[0], after.input[0]
            after.output[0], pool.output[0] = pool.output[0], after.output[0]
            moved = onnx.NodeProto()
            moved.CopyFrom(pool)
            pool.CopyFrom(after)
            after.CopyFrom(moved)


class _Images:
    """What onnxruntime's calibration asks for its batches."""

    def __init__(self, batches: Any) -> None:
        self.batches = batches

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        """The next batch; None after the last."""
        return next(self.batches, None)


def check_int8(path: Path, float_predicted_N: NDArray[np.int64], test_set: ImageDataset, threads: int) -> Quantised:
    """Run the file over the test images. Raises UserError where it is significantly worse than the float32 file."""
    batches = [(found_NK.argmax(axis=1), labels_N) for _, labels_N, found_NK in answers(path, test_set, threads)]
    predicted_N, actual_N = (np.concatenate(column) for column in zip(*batches, strict=True))
    before_N, after_N = float_predicted_N == actual_N, predicted_N == actual_N
    interval, _, verdict = compare_answers(before_N, after_N)
    if verdict == WORSE:
        raise UserError(
            f"models/export: nothing written, for the int8 file is significantly worse: test accuracy {before_N.mean():.2%} "
            f"in float32, {after_N.mean():.2%} in int8; export without --int8"
        )
    agreement = float((predicted_N == float_predicted_N).mean())
    return Quantised(path.read_bytes(), agreement, float(after_N.mean()), interval, verdict)
