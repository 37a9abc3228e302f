#!/usr/bin/env bash
# ONNX Runtime's static quantisation also cuts the probabilities at the end of a network to steps of 1/255: most become zero.
#
# Versions: onnxruntime 1.31.1, onnx 1.23.2, scikit-learn 1.9.1; a linear classifier of the digits that ship inside scikit-learn.
# Behaviour: quantize_static, called without options, puts a pair of QuantizeLinear and DequantizeLinear behind the Softmax too, although
#   that is the output of the model and still declared as float. What is below 1/510 becomes 0, and 1 cannot be reached.
# Best guess: weights and inner activations become 8 bits, and probabilities keep the resolution of float; the accuracy alone suffers.
# Seen: the accuracy is the same, but four fifths of the probabilities are exactly 0.
#   float32: accuracy 0.967, 3599 different probabilities of 3600, 0.0 % are 0, highest 0.99999666
#   quantised: accuracy 0.967, 116 different probabilities of 3600, 79.4 % are 0, highest 0.99607849
#   quantised but for Softmax: accuracy 0.967, 3474 different probabilities of 3600, 0.0 % are 0, highest 0.99999666
#   images whose second choice is a tie of zeros: float32 0 of 360, quantised 173 of 360
# Top-5 accuracy, cross-entropy, calibration and a threshold of 0.999 all break, while a look at the accuracy says that all is well.
# Way out: op_types_to_quantize without Softmax, or nodes_to_exclude, or softmax outside of the file.
# Exits with 1 when the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export OMP_NUM_THREADS=1
python3 -m venv venv
venv/bin/pip install -qq onnxruntime==1.31.1 onnx==1.23.2 scikit-learn==1.9.1 numpy==2.4.6
venv/bin/python - <<'PY'
import logging

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, quantize_static
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

logging.disable(logging.WARNING)
images, labels = load_digits(return_X_y=True)
images = (images / 16).astype(np.float32)
test = np.arange(len(labels)) % 5 == 0
fitted = LogisticRegression(C=10, max_iter=300).fit(images[~test], labels[~test])
graph = helper.make_graph(
    [helper.make_node("Gemm", ["x", "w", "b"], ["scores"]), helper.make_node("Softmax", ["scores"], ["p"], axis=1)],
    "linear",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 64])],
    [helper.make_tensor_value_info("p", TensorProto.FLOAT, ["n", 10])],
    [numpy_helper.from_array(np.float32(fitted.coef_.T), "w"), numpy_helper.from_array(np.float32(fitted.intercept_), "b")],
)
onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), "float32.onnx")


class Batches(CalibrationDataReader):
    def __init__(self):
        self.batches = iter(np.array_split(images[~test], 10))

    def get_next(self):
        batch = next(self.batches, None)
        return None if batch is None else {"x": batch}


quantize_static("float32.onnx", "quantised.onnx", Batches())
quantize_static("float32.onnx", "quantised but for Softmax.onnx", Batches(), op_types_to_quantize=["Gemm"])
print(f"onnxruntime {onnxruntime.__version__}, onnx {onnx.__version__}")
zeros, ties = {}, {}
for name in ("float32", "quantised", "quantised but for Softmax"):
    session = onnxruntime.InferenceSession(f"{name}.onnx", providers=["CPUExecutionProvider"])
    (shares,) = session.run(None, {"x": images[test]})
    accuracy = (shares.argmax(1) == labels[test]).mean()
    zeros[name] = (shares == 0).mean()
    ties[name] = int((np.sort(shares, axis=1)[:, -2] == 0).sum())
    print(
        f"{name}: accuracy {accuracy:.3f}, {len(np.unique(shares))} different probabilities of {shares.size}, "
        f"{100 * zeros[name]:.1f} % are 0, highest {shares.max():.8f}"
    )
total = test.sum()
print(f"images whose second choice is a tie of zeros: float32 {ties['float32']} of {total}, quantised {ties['quantised']} of {total}")
print("guess: no probability is 0")
if zeros["float32"] or zeros["quantised"] < 0.5 or zeros["quantised but for Softmax"]:
    raise SystemExit("changed: the output is quantised otherwise")
PY
