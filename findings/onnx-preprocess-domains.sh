#!/usr/bin/env bash
# A plain opset-18 file that ONNX Runtime prepares for quantisation asks for eight more sets of operators, and old versions refuse it.
#
# Versions: onnxruntime 1.31.1 prepares, 1.17.3 runs; onnx 1.23.2; two layers of random weights.
# Behaviour: quant_pre_process writes every set of operators that this onnxruntime knows into the file's opset_import, with its version,
#   although no node uses them. onnxruntime 1.17.3 knows ai.onnx.ml only up to version 4, and refuses the whole file for it.
# Best guess: the prepared file needs what its nodes need, so a runtime that takes the one takes the other.
# Seen: the file names 1 set of operators before and 9 after, its nodes use 1; of three files 1.17.3 loads the first and the third.
#   as it was: domains [''], onnxruntime 1.17.3: loads
#   prepared: domains ['', 'ai.onnx.ml', 'ai.onnx.preview', 'ai.onnx.preview.training', 'ai.onnx.training', 'com.microsoft',
#     'com.microsoft.experimental', 'com.microsoft.nchwc', 'org.pytorch.aten'], onnxruntime 1.17.3: FAIL, "Opset 5 is under development"
#   prepared, unused domains deleted: domains [''], onnxruntime 1.17.3: loads
# The same holds for what quantize_static makes of the prepared file, which is the order that its documentation recommends.
# Way out: delete the entries of opset_import whose domain no node has.
# Exits with 1 when the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv new
new/bin/pip install -qq onnxruntime==1.31.1 onnx==1.23.2 numpy==2.4.6
python3 -m venv old
old/bin/pip install -qq onnxruntime==1.17.3 numpy==1.26.4
new/bin/python - <<'PY'
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization.shape_inference import quant_pre_process

random = np.random.default_rng(0)
graph = helper.make_graph(
    [helper.make_node("MatMul", ["x", "w"], ["h"]), helper.make_node("Relu", ["h"], ["y"])],
    "layers",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])],
    [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3])],
    [numpy_helper.from_array(random.normal(size=(4, 3)).astype(np.float32), "w")],
)
onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), "plain.onnx")
quant_pre_process("plain.onnx", "prepared.onnx", skip_symbolic_shape=True)
model = onnx.load("prepared.onnx")
used = {node.domain for node in model.graph.node}
kept = [one for one in model.opset_import if one.domain in used]
del model.opset_import[:]
model.opset_import.extend(kept)
onnx.save(model, "mended.onnx")
for name in ("plain", "prepared", "mended"):
    print(name, sorted(one.domain for one in onnx.load(f"{name}.onnx").opset_import))
PY
old/bin/python - <<'PY'
import onnxruntime

loads = {}
for name in ("plain", "prepared", "mended"):
    try:
        onnxruntime.InferenceSession(f"{name}.onnx", providers=["CPUExecutionProvider"])
        loads[name] = True
    except Exception as error:
        loads[name] = False
        print(name, str(error).partition("models stamped")[0][-60:], "...", str(error).partition("versions. ")[2][:80])
print(f"onnxruntime {onnxruntime.__version__} loads: {loads}")
if loads != {"plain": True, "prepared": False, "mended": True}:
    raise SystemExit("changed: the prepared file is taken, or the others are not")
PY
