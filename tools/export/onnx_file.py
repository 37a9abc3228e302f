"""A network as an ONNX file, the same bytes for the same network.

Only torch's exporter and the packages of requirements-export.txt are asked; they take seconds to import.
"""

import json
from pathlib import Path
from typing import Any

import torch

from classifier.common.errors import UserError
from classifier.schema import Described
from tools.export.probabilities import Probabilities

INPUT, OUTPUT = "images", "probabilities"
CLASSES = "classes"
"""Key of the file's metadata under which the class names stand, a JSON list."""
OPSET = 20
MOST_BYTES = 2**31 - 2**20
"""An ONNX file of one piece is a message of protobuf, which ends at 2 GiB; some is left for all that is not weights."""


def write_onnx(path: Path, network: Probabilities, described: Described) -> None:
    """Write `network` for images of `described.shape_CHW`, in batches of any size.

    Raises UserError for a network that is larger than such a file can be.
    """
    num_bytes = sum(tensor.nbytes for tensor in network.state_dict().values())
    if num_bytes > MOST_BYTES:
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
        opset_version=OPSET,
        input_names=[INPUT],
        output_names=[OUTPUT],
        dynamic_shapes=({0: torch.export.Dim("batch")},),
    )
    path.write_bytes(_plain_bytes(program.model_proto, described.classes))


def _plain_bytes(model: Any, classes: list[str]) -> bytes:
    """The model with our metadata in place of the exporter's: that names files of this machine, and counters of the process."""
    import onnx

    model.producer_version = model.producer_version.partition("+")[0]
    graph = model.graph
    graph.name = "image_classifier"
    del graph.value_info[:]
    for part in (model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        del part.metadata_props[:]
        part.ClearField("doc_string")
    for number, node in enumerate(graph.node):
        node.name = f"{node.op_type}_{number}"
    onnx.helper.set_model_props(model, {CLASSES: json.dumps(classes)})
    onnx.checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString(deterministic=True)
    return content
