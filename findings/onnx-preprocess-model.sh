#!/usr/bin/env bash
# ONNX Runtime's preparation for quantisation takes a file or a model in memory; a model in memory fails, and loses its weights.
#
# Versions: onnxruntime 1.31.1, onnx 1.23.2, numpy 2.4.6; a Slice and a MatMul, opset 18.
# Behaviour: quant_pre_process, given a ModelProto, writes its weights into foo.bin in a temporary folder, and leaves in the model only
#   where they lie. The optimizer then cannot read the bounds of the Slice, and the function ends in a ValidationError. The model
#   that was handed over is changed: its weights are references to a file that is gone, so it cannot be saved or used any more.
# Best guess: `input_model` is documented as path or ModelProto, so both give the same, and an argument stays as it was.
# Seen:
#   file: written; model: ValidationError, "... foo.bin, but it is not regular file"; without the optimization the model is written too
#   weights of the model afterwards: in the model 0, elsewhere 3
# Way out: save the model and hand over the path.
# Exits with 1 when the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq onnxruntime==1.31.1 onnx==1.23.2 numpy==2.4.6
venv/bin/python - <<'PY' 2>&1 | tail -n 5
import logging

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization.shape_inference import quant_pre_process

logging.disable(logging.CRITICAL)


def tensor(name, values, dtype):
    return numpy_helper.from_array(np.array(values, dtype=dtype), name)


def made():
    graph = helper.make_graph(
        [helper.make_node("Slice", ["x", "starts", "ends"], ["rows"]), helper.make_node("MatMul", ["rows", "w"], ["y"])],
        "layers",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["m", 3])],
        [tensor("w", np.ones((4, 3)), np.float32), tensor("starts", [0], np.int64), tensor("ends", [5], np.int64)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def prepare(source, **options):
    try:
        quant_pre_process(source, "prepared.onnx", skip_symbolic_shape=True, **options)
    except Exception as error:
        return f"{type(error).__name__}, ...{str(error)[-40:]}"
    return "written"


onnx.save(made(), "plain.onnx")
model = made()
seen = prepare("plain.onnx"), prepare(model), prepare(made(), skip_optimization=True)
elsewhere = sum(one.data_location == TensorProto.EXTERNAL for one in model.graph.initializer)
print("file:", seen[0], "| model:", seen[1], "| model, not optimized:", seen[2])
print("weights of the model afterwards: in the model", 3 - elsewhere, "elsewhere", elsewhere)
as_described = seen[0] == seen[2] == "written" and seen[1].startswith("ValidationError") and elsewhere == 3
raise SystemExit(0 if as_described else "changed: a model in memory is prepared, or stays as it was")
PY
