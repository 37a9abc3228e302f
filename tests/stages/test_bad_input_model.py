"""Bad input of train, evaluate and plot: arrays, dataset.json, model files and the tables of plots/."""

import csv
import io
import json
import math
import pickle
import re
import struct
import warnings
from collections.abc import Iterator
from typing import Any

import matplotlib.font_manager
import numpy as np
import pandas as pd
import pytest
import torch
import torch._inductor.config
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from classifier.figures.params import PlotParams
from classifier.scores.params import EvaluateParams
from classifier.training.checkpoint import CheckpointStore
from classifier.training.params import TrainParams
from stages import evaluate, plot, train
from tests.support.bad_input import (
    Sandbox,
    Touch,
    are_classes,
    cases,
    damaged,
    is_number,
    is_text,
    is_whole,
    misshapen,
    sandbox,
)
from tests.support.training import params

CLASSES = ["cat", "dog", "fish"]
RNG = np.random.default_rng(0)
IMAGES_NCHW = RNG.integers(0, 256, (6, 1, 2, 2), dtype=np.uint8)
LABELS_N = np.array([0, 1, 2, 2, 1, 0])
WEIGHTS = {"1.weight": RNG.normal(size=(3, 4)).astype(np.float32), "1.bias": RNG.normal(size=3).astype(np.float32)}
MODEL: dict[str, Any] = {
    "dataset": "mine",
    "classes": CLASSES,
    "shape_CHW": [1, 2, 2],
    "hflip_invariant": True,
    "mean": [0.5],
    "std": [0.25],
    "format_version": 1,
    "network": "softmax",
    "optimizer": "adam",
    "precision": "float32",
    "num_parameters": 15,
    "kept_epoch": 1,
    "computed_with": {"torch": "2", "device": "cpu", "threads": 2},
}
INFO: dict[str, Any] = {key: MODEL[key] for key in ("dataset", "classes", "shape_CHW", "hflip_invariant", "mean", "std")} | {
    "rows": {"train": 6, "val": 3, "test": 6}
}


assert matplotlib.font_manager and torch._inductor.config, "imported early: the first makes its cache, the second a folder"


@pytest.fixture(scope="module", autouse=True)
def settings_of_torch() -> Iterator[None]:
    """Put back what the stages set for the whole process."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)


def npy(array: NDArray[Any]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def safetensors(tensors: dict[str, NDArray[Any]], names: dict[str, str] | None = None) -> bytes:
    """By hand: the length of the header, the header, the bytes (github.com/huggingface/safetensors, "Format")."""
    codes = {
        "float32": "F32",
        "float64": "F64",
        "float16": "F16",
        "int64": "I64",
        "int32": "I32",
        "uint8": "U8",
        "bool": "BOOL",
    }
    header: dict[str, Any] = {}
    place = 0
    for name, array in tensors.items():
        header[name] = {"dtype": codes[array.dtype.name], "shape": array.shape, "data_offsets": [place, place + array.nbytes]}
        place += array.nbytes
    text = json.dumps(header | ({"__metadata__": names} if names else {})).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + b"".join(array.tobytes() for array in tensors.values())


def figures(
    weights: dict[str, NDArray[Any]], images_NCHW: NDArray[Any], labels_N: NDArray[Any], mean: float, std: float
) -> Any:
    """Mean cross-entropy and accuracy of softmax regression, in 64 bits."""
    inputs_NP = (images_NCHW.reshape(len(images_NCHW), -1) / 255 - mean) / std
    logits_NK = inputs_NP @ weights["1.weight"].astype(float).T + weights["1.bias"].astype(float)
    highest_N1 = logits_NK.max(axis=1, keepdims=True)
    log_sums_N = np.log(np.exp(logits_NK - highest_N1).sum(axis=1)) + highest_N1[:, 0]
    losses_N = log_sums_N - logits_NK[np.arange(len(labels_N)), labels_N]
    return float(losses_N.mean()), float((logits_NK.argmax(axis=1) == labels_N).mean())


OUTPUTS = ("metrics", "plots")
INPUTS = ("images.npy", "labels.npy", "model.json", "model.safetensors", "data/dataset/test")


def evaluated(
    box: Sandbox,
    images: bytes | None = None,
    labels: bytes | None = None,
    model: bytes | None = None,
    weights: bytes | None = None,
) -> dict[str, float] | None:
    """The figures that `evaluate` writes, of the good files but for those given; None when it refuses."""
    box.write("data/dataset/test/images.npy", npy(IMAGES_NCHW) if images is None else images)
    box.write("data/dataset/test/labels.npy", npy(LABELS_N) if labels is None else labels)
    box.write("models/model.json", json.dumps(MODEL).encode() if model is None else model)
    box.write("models/model.safetensors", safetensors(WEIGHTS) if weights is None else weights)
    box.write("metrics/test.json", b"earlier")
    params = EvaluateParams(device="cpu", threads=1, precision="auto", flip_tta=False)
    if box.refusal(lambda: evaluate.main(params, box.root), outputs=OUTPUTS, names=INPUTS) is not None:
        return None
    found: dict[str, float] = json.loads((box.root / "metrics/test.json").read_bytes())
    return found


def expect_figures(found: dict[str, float] | None, expected: tuple[float, float]) -> None:
    assert found is not None
    assert found["test_loss"] == pytest.approx(expected[0], rel=1e-3, abs=1e-5)
    assert found["test_accuracy"] == pytest.approx(expected[1], abs=1e-6)


def test_the_reference_is_right() -> None:
    with sandbox() as box:
        expect_figures(evaluated(box), figures(WEIGHTS, IMAGES_NCHW, LABELS_N, 0.5, 0.25))


# --- arrays ---


def read_by_numpy(content: bytes) -> NDArray[Any] | None:
    """The array of a .npy file, without pickles; None also where NumPy has its doubts."""
    with warnings.catch_warnings(action="error"):
        try:
            array: NDArray[Any] = np.load(io.BytesIO(content), allow_pickle=False)
        except Exception:
            return None
    return array


def is_split(images: NDArray[Any] | None, labels: NDArray[Any] | None, shape_CHW: list[int], num_classes: int) -> bool:
    return (
        images is not None
        and labels is not None
        and images.dtype == np.uint8
        and labels.dtype == np.dtype("<i8")
        and images.shape == (*labels.shape, *shape_CHW)
        and labels.ndim == 1
        and len(labels) > 0
        and labels.min() >= 0
        and labels.max() < num_classes
    )


def expect_evaluated(box: Sandbox, images: bytes, labels: bytes) -> None:
    found = evaluated(box, images, labels)
    images_NCHW, labels_N = read_by_numpy(images), read_by_numpy(labels)
    if is_split(images_NCHW, labels_N, [1, 2, 2], 3):
        assert images_NCHW is not None and labels_N is not None
        expect_figures(found, figures(WEIGHTS, images_NCHW, labels_N, 0.5, 0.25))
    else:
        assert found is None


HEADER = (
    b"{",
    b"}",
    b"(",
    b")",
    b"[",
    b"'",
    b",",
    b"1L",
    b"-1",
    b"9" * 30,
    b"True",
    b"'|O'",
    b"<i8",
    b"|V0",
    b"|b1",
    b"\n",
    b"{[]: 1}",
)


@cases(300)
@given(st.booleans(), st.data())
def test_damaged_arrays(of_labels: bool, data: st.DataObject) -> None:
    images, labels = npy(IMAGES_NCHW), npy(LABELS_N)
    if of_labels:
        labels = data.draw(damaged(labels, HEADER))
    else:
        images = data.draw(damaged(images, HEADER))
    with sandbox() as box:
        expect_evaluated(box, images, labels)


def with_header(text: bytes, version: bytes = b"\1\0") -> bytes:
    text = text.ljust(118 - 1) + b"\n"
    return b"\x93NUMPY" + version + struct.pack("<H" if version[0] == 1 else "<I", len(text)) + text + bytes(100)


@cases(60)
@given(
    st.sampled_from([b"\1\0", b"\2\0", b"\3\0", b"\4\0"]),
    st.lists(st.sampled_from([b"'descr'", b"'shape'", b"'fortran_order'", b": ", b", ", *HEADER]), max_size=9).map(b"".join),
)
@example(b"\1\0", b"{'descr': '|u1', 'fortran_order': False, 'shape': (6, 1, 2, 2), }")
@example(b"\1\0", b"{'descr': '|u1', 'fortran_order': False, 'shape': (6L, 1L, 2L, 2L), }")
@example(b"\1\0", b"{'descr': '|u1', 'fortran_order': False, 'shape': (-6, 1, 2, 2), }")
@example(b"\1\0", b"{'descr': '|u1', 'fortran_order': False, 'shape': (" + b"9" * 60 + b", 1, 2, 2), }")
@example(b"\1\0", b"{'descr': '|u1', 'fortran_order': False, 'shape': (9223372036854775807, 1, 2, 2), }")
@example(b"\1\0", b"{'descr': '|u1', 'fortran_order': False, 'shape': (6, 0, 2, 2), }")
@example(b"\1\0", b"{'descr': '|u1', 'fortran_order': False, 'shape': (True, 1, 2, 2), }")
@example(b"\1\0", b"{'descr': '|V0', 'fortran_order': False, 'shape': (6, 1, 2, 2), }")
@example(b"\1\0", b"{'descr': '|O', 'fortran_order': False, 'shape': (6, 1, 2, 2), }")
@example(b"\1\0", b"{'descr': [('a', 3)], 'fortran_order': False, 'shape': (6, 1, 2, 2), }")
@example(b"\1\0", b"{'descr': ((((((((((1,),),),),),),),),), 'fortran_order': False, 'shape': (6,), }")
@example(b"\1\0", b"{[]: 1}")
@example(b"\1\0", b"(" * 100)
@example(b"\2\0", b"'''")
@example(b"\1\0", b"  {\n 'a")
def test_odd_headers_of_arrays(version: bytes, text: bytes) -> None:
    with sandbox() as box:
        content = with_header(text, version)
        expect_evaluated(box, content, npy(LABELS_N))


DTYPES = ["|u1", "<i8", ">i8", "|i1", "<u8", "<i4", "<f4", "<c8", "|b1", "<M8[s]", "|S3", "<U2", "|V4", "|O"]


@cases(150)
@given(
    st.sampled_from(["|u1"] * 9 + DTYPES),
    st.lists(st.integers(0, 3), max_size=5) | st.just([6, 1, 2, 2]),
    st.sampled_from(["<i8"] * 9 + DTYPES),
    st.lists(st.sampled_from([0, 1, 2, 2, 3, -1, -100, 255]), max_size=6) | st.just([0, 1, 2, 0, 1, 2]),
    st.booleans(),
)
@example("|u1", [6, 1, 2, 2], "<i8", [0, 1, 2, 0, 1, 2], True)
@example("|u1", [6, 1, 2, 2], "<i8", [0, 1, 2, 0, 1, 3], False)
@example("|u1", [6, 1, 2, 2], "<i8", [0, 1, 2, 0, 1, -100], False)
@example("|u1", [0, 1, 2, 2], "<i8", [], False)
@example("|u1", [6, 1, 2, 2], "<i8", [0, 1, 2], False)
@example("|i1", [6, 1, 2, 2], "<i8", [0, 1, 2, 0, 1, 2], False)
@example("|u1", [6, 1, 2, 2], ">i8", [0, 1, 2, 0, 1, 2], False)
@example("|O", [6, 1, 2, 2], "<i8", [0, 1, 2, 0, 1, 2], False)
@example("|u1", [6, 1, 2, 2], "|O", [0, 1, 2, 0, 1, 2], False)
@example("|u1", [6, 2, 2, 1], "<i8", [0, 1, 2, 0, 1, 2], False)
def test_arrays_of_other_types_and_shapes(
    kind: str, shape: list[int], label_kind: str, labels: list[int], turned: bool
) -> None:
    with sandbox() as box:

        def made(array: NDArray[Any], dtype: str) -> bytes:
            if dtype == "|O":
                filled = np.empty(array.shape, object)
                filled.fill(Touch(box.marker))
                return npy(filled)
            return npy(np.asarray(array.astype(dtype), order="F" if turned else "C"))

        images = np.resize(IMAGES_NCHW, shape)
        expect_evaluated(box, made(images, kind), made(np.array(labels, dtype=np.int64), label_kind))


# --- model files ---


def weights_by_hand(content: bytes) -> dict[str, NDArray[np.float32]] | None:
    """The two tensors of a safetensors file, or None where it is not one of just these."""
    try:
        length = struct.unpack("<Q", content[:8])[0]
        header = json.loads(content[8 : 8 + length].decode("utf-8"))
        buffer = content[8 + length :]
        header.pop("__metadata__", None)
        found = {}
        for name, entry in header.items():
            start, end = entry["data_offsets"]
            assert entry["dtype"] == "F32" and 0 <= start <= end <= len(buffer)
            found[name] = np.frombuffer(buffer[start:end], "<f4").reshape(entry["shape"])
    except Exception:
        return None
    whole = sum(array.nbytes for array in found.values()) == len(buffer)
    fits = {name: array.shape for name, array in found.items()} == {name: array.shape for name, array in WEIGHTS.items()}
    return found if whole and fits else None


def expect_by_weights(box: Sandbox, content: bytes) -> None:
    found = evaluated(box, weights=content)
    weights = weights_by_hand(content)
    if weights is None or not all(np.isfinite(array).all() for array in weights.values()):
        assert found is None
    elif all(np.abs(array).max() < 1e6 for array in weights.values()):
        expect_figures(found, figures(weights, IMAGES_NCHW, LABELS_N, 0.5, 0.25))


@cases(300)
@given(
    damaged(safetensors(WEIGHTS), (b"F16", b"F64", b"BF16", b"XX", b"0", b"99", b"-1", b"[", b"{", b'"', b",", b" ", b"1e9"))
)
@example(safetensors(WEIGHTS, {"format": "pt"}))
@example(b"\xff" * 8 + b"{}")
@example(struct.pack("<Q", 2**40) + b"{}")
@example(struct.pack("<Q", 10**6) + b"[" * 10**6)
@example(safetensors(WEIGHTS) + b"\0")
def test_damaged_weights(content: bytes) -> None:
    with sandbox() as box:
        expect_by_weights(box, content)


@st.composite
def odd_tensors(draw: st.DrawFn) -> dict[str, NDArray[Any]]:
    made: dict[str, NDArray[Any]] = {}
    for name, array in WEIGHTS.items():
        dtype = draw(st.sampled_from(["float32"] * 9 + ["float64", "float16", "int64", "int32", "uint8", "bool"]))
        shape = draw(st.sampled_from([array.shape] * 9 + [(), (0,), (4, 3), (12,), (3, 4, 1), (3, 1)]))
        values = np.resize(array, shape).astype(dtype)
        if values.size and draw(st.integers(0, 3)) == 0:
            with np.errstate(all="ignore"):
                values.reshape(-1)[draw(st.integers(0, values.size - 1))] = draw(
                    st.sampled_from([0, 1, 3e38, 1e30, -1e38] + ([math.nan, math.inf] if dtype.startswith("float") else []))
                    if dtype.startswith("float3") or dtype == "float64"
                    else st.integers(0, 1)
                )
        made[draw(st.sampled_from([name] * 9 + ["", "x" * 2000, "a\nb", "é", "__metadata__x"]))] = values
    return made


@cases(200)
@given(odd_tensors())
@example(WEIGHTS)
@example(WEIGHTS | {"2.bias": np.zeros(3, np.float32)})
@example({"1.bias": WEIGHTS["1.bias"]})
@example({})
@example(WEIGHTS | {"1.bias": np.full(3, math.nan, np.float32)})
@example(WEIGHTS | {"1.bias": np.full(3, math.inf, np.float32)})
@example(WEIGHTS | {"1.weight": np.full((3, 4), 3e38, np.float32)})
@example(WEIGHTS | {"1.bias": np.zeros(3, np.float64)})
def test_odd_tensors(tensors: dict[str, NDArray[Any]]) -> None:
    with sandbox() as box:
        expect_by_weights(box, safetensors(tensors))


@cases(30)
@given(st.sampled_from(["pickle", "torch", "zip"]), st.integers(0, 5), st.sampled_from(["model.safetensors", "model.json"]))
def test_a_pickle_in_place_of_a_model_file(kind: str, protocol: int, name: str) -> None:
    with sandbox() as box:
        stream = io.BytesIO()
        if kind == "pickle":
            pickle.dump(Touch(box.marker), stream, protocol)
        else:
            torch.save({"1.bias": Touch(box.marker)}, stream, _use_new_zipfile_serialization=kind == "zip")
        content = stream.getvalue()
        assert evaluated(box, **{"weights" if name.endswith("tensors") else "model": content}) is None


def is_described(value: Any, keys: set[str]) -> bool:
    """Whether `value` has what model.json and dataset.json have in common."""
    return (
        isinstance(value, dict)
        and value.keys() == keys
        and is_text(value["dataset"])
        and are_classes(value["classes"])
        and isinstance(value["shape_CHW"], list)
        and len(value["shape_CHW"]) == 3
        and all(is_whole(side, 1) for side in value["shape_CHW"])
        and math.prod(value["shape_CHW"]) <= 2**22
        and isinstance(value["hflip_invariant"], bool)
        and all(isinstance(value[key], list) and len(value[key]) == value["shape_CHW"][0] for key in ("mean", "std"))
        and all(is_number(figure) for figure in value["mean"] + value["std"])
        and min(value["std"]) > 0
    )


def is_tame(value: dict[str, Any]) -> bool:
    """Whether the normalisation stays far from the ends of 32 bits."""
    return all(abs(figure) < 1e6 for figure in value["mean"] + value["std"]) and min(value["std"]) > 1e-6


def is_model(value: Any) -> bool:
    return (
        is_described({"format_version": 1} | value if isinstance(value, dict) else value, set(MODEL))
        and value.get("format_version", 1) == 1  # for which true passes too
        and value["network"] == "softmax"
        and is_text(value["optimizer"])
        and value["precision"] in ("float32", "bfloat16", "float64")
        and is_whole(value["num_parameters"], 0)
        and is_whole(value["kept_epoch"], 1)
        and isinstance(value["computed_with"], dict)
        and all(is_text(key) and (is_text(fact) or type(fact) is int) for key, fact in value["computed_with"].items())
    )


@cases(250)
@given(misshapen(MODEL))
@example(MODEL)
@example(MODEL | {"network": "cnn"})
@example(MODEL | {"network": "mlp", "shape_CHW": [1, 2048, 2048]})
@example(MODEL | {"network": "cnn", "shape_CHW": [1, 2048, 2048]})
@example(MODEL | {"shape_CHW": [10**9, 10**9, 10**9]})
@example(MODEL | {"mean": [1e300]})
@example(MODEL | {"std": [1e-320]})
@example(MODEL | {"std": [0.0]})
@example(MODEL | {"std": [-0.25]})
@example(MODEL | {"classes": [f"class {number}" for number in range(100_000)]})
def test_misshapen_model_json(model: Any) -> None:
    with sandbox() as box:
        found = evaluated(box, model=json.dumps(model).encode())
        if not is_model(model) or model["shape_CHW"] != [1, 2, 2] or len(model["classes"]) != 3:
            assert found is None
        elif is_tame(model):
            expect_figures(found, figures(WEIGHTS, IMAGES_NCHW, LABELS_N, model["mean"][0], model["std"][0]))


JSON_PIECES = (
    b"{",
    b"}",
    b"[",
    b"]",
    b'"',
    b",",
    b"\\u0000",
    b"\\ud800",
    b"NaN",
    b"1e999",
    b"\xff",
    b"9" * 5000,
    b"null",
    b"-0",
)


@cases(100)
@given(damaged(json.dumps(MODEL).encode(), JSON_PIECES))
@example(b"[" * 100_000)
def test_damaged_model_json(content: bytes) -> None:
    with sandbox() as box:
        if evaluated(box, model=content) is not None:
            assert is_model(json.loads(content.decode()))


# --- train ---


def write_splits(box: Sandbox, info: bytes, train_labels: NDArray[Any], val_labels: NDArray[Any]) -> None:
    box.write("data/dataset/dataset.json", info)
    for split, labels_N in (("train", train_labels), ("val", val_labels)):
        box.write(f"data/dataset/{split}/images.npy", npy(np.resize(IMAGES_NCHW, (len(labels_N), 1, 2, 2))))
        box.write(f"data/dataset/{split}/labels.npy", npy(labels_N))


def train_params(epochs: int) -> TrainParams:
    return params(network="softmax", optimizer="adam", lr=0.1, momentum=None, batch_size=4, epochs=epochs, seed=0)


GROWING = {
    "metrics/train.json": b'{\n  "train_epoch": 0\n}\n',
    "plots/history.csv": b"epoch,train_loss,train_accuracy,val_loss,val_accuracy\n",
    "plots/steps.csv": b"step,train_loss,train_accuracy,val_loss,val_accuracy\n",
}
"""As `train` writes them before its first epoch; where that diverges, they stay so."""
MADE = ("models/model.json", "models/model.safetensors", *GROWING)


def trained(box: Sandbox, info: bytes, train_labels: NDArray[Any] = LABELS_N, val_labels: NDArray[Any] = LABELS_N[:3]) -> Any:
    """model.json as `train` writes it; None when it refuses."""
    write_splits(box, info, train_labels, val_labels)
    for name in MADE:
        box.write(name, b"earlier")
    names = ("dataset.json", "data/dataset/train", "data/dataset/val", "training diverged")
    line = box.refusal(lambda: train.main(train_params(1), box.root), MADE, names, keeps=tuple(GROWING))
    if line is not None:
        started = "training diverged in epoch 1" in line
        for name, content in GROWING.items():
            assert (box.root / name).read_bytes() == (content if started else b"earlier")
        return None
    header, row = csv.reader((box.root / "plots/history.csv").open(newline=""))
    assert all(math.isfinite(float(cell)) for cell in row)
    assert len(header) == (5 if len(val_labels) else 3)
    assert weights_by_hand((box.root / "models/model.safetensors").read_bytes()) is not None
    return json.loads((box.root / "models/model.json").read_bytes())


@cases(250)
@given(misshapen(INFO))
@example(INFO)
@example(INFO | {"shape_CHW": [1, 4, 4]})
@example(INFO | {"shape_CHW": [1, 4, 1]})
@example(INFO | {"shape_CHW": [1, 2**15, 2**15]})
@example(INFO | {"classes": ["a", "b"]})
@example(INFO | {"mean": [1e300]})
@example(INFO | {"std": [1e-320]})
def test_misshapen_dataset_json(info: Any) -> None:
    with sandbox() as box:
        found = trained(box, json.dumps(info).encode())
        fits = (
            is_described(info, set(INFO))
            and info["shape_CHW"] == [1, 2, 2]
            and len(info["classes"]) >= 3
            and isinstance(info["rows"], dict)
            and info["rows"].keys() == {"train", "val", "test"}
            and all(is_whole(number, 0) for number in info["rows"].values())
        )
        if not fits:
            assert found is None
        elif is_tame(info):
            assert {key: found[key] for key in INFO if key != "rows"} == {key: info[key] for key in INFO if key != "rows"}


@cases(100)
@given(
    st.lists(st.sampled_from([0, 1, 2, 2, 3, -1, -100]), max_size=6), st.lists(st.sampled_from([0, 1, 2, 2, 3, -1]), max_size=3)
)
@example([], [])
@example([0, 1, 2], [])
@example([0, 1, 2], [-100])
def test_labels_to_train_on(train_labels: list[int], val_labels: list[int]) -> None:
    with sandbox() as box:
        found = trained(box, json.dumps(INFO).encode(), np.array(train_labels, np.int64), np.array(val_labels, np.int64))
        fits = len(train_labels) > 0 and {*train_labels, *val_labels} <= {0, 1, 2}
        assert (found is not None) == fits


@pytest.fixture(scope="module")
def broken_off() -> tuple[str, bytes, dict[str, bytes]]:
    """Name and content of the state of a run that was broken off after its first epoch, and what all of it makes."""
    with sandbox() as box, pytest.MonkeyPatch.context() as patch:
        write_splits(box, json.dumps(INFO).encode(), LABELS_N, LABELS_N[:3])
        train.main(train_params(2), box.root)
        made = {name: (box.root / name).read_bytes() for name in MADE}
        patch.setattr(CheckpointStore, "discard", lambda point: None)
        train.main(train_params(1), box.root, resume=box.root / ".dvc/tmp/resume/train-0")
        (state,) = (box.root / ".dvc/tmp/resume").iterdir()
        return state.name, state.read_bytes(), made


@cases(150)
@given(st.data())
def test_damaged_training_states(broken_off: tuple[str, bytes, dict[str, bytes]], data: st.DataObject) -> None:
    """Whatever is found of an earlier run, the outputs are those of a run that was never broken off."""
    name, state, made = broken_off
    content = data.draw(damaged(state, (b"F16", b"1", b"99", b"{", b"}", b"kept", b"null")) | st.binary(max_size=99))
    with sandbox() as box:
        write_splits(box, json.dumps(INFO).encode(), LABELS_N, LABELS_N[:3])
        box.write(f".dvc/tmp/resume/{name}", content)
        start = box.root / ".dvc/tmp/resume/train-0"
        assert box.refusal(lambda: train.main(train_params(2), box.root, resume=start), MADE, keeps=(".dvc",)) is None
        assert {name: (box.root / name).read_bytes() for name in MADE} == made


# --- the tables of plots/ ---

HISTORY = b"epoch,train_loss,train_accuracy,val_loss,val_accuracy\n1,2.5,0.25,2,0.5\n2,1e-05,0.75,0.125,1\n"
PREDICTIONS = b"actual,predicted,confidence,loss\ncat,cat,0.9,0.1\ndog,cat,0.5,0.7\nfish,dog,0.4,2\nfish,fish,1,0\n"
BY_CLASS = b"class,precision,recall,f1,support\ncat,0.5,1,0.666667,1\ndog,0,0,0,1\nfish,1,0.5,0.666667,2\n"
KEPT = {"train_loss": 0.1, "best_epoch": 2}
PNGS = ("curves.png", "confusion.png", "classes.png", "samples.png", "mistakes.png")
NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?(e[-+]?[0-9]+)?")


def plotted(
    box: Sandbox,
    history: bytes = HISTORY,
    predictions: bytes = PREDICTIONS,
    by_class: bytes = BY_CLASS,
    kept: bytes = json.dumps(KEPT).encode(),
    images_NCHW: NDArray[Any] = IMAGES_NCHW[:4],
) -> bool:
    """Whether `plot` draws its pictures, which must then be whole."""
    for name, content in (("history", history), ("predictions", predictions), ("classes", by_class)):
        box.write(f"plots/{name}.csv", content)
    box.write("metrics/train.json", kept)
    box.write("data/dataset/test/images.npy", npy(images_NCHW))
    box.write("data/dataset/test/labels.npy", npy(np.zeros(len(images_NCHW), np.int64)))
    for name in PNGS:
        box.write(f"plots/{name}", b"earlier")
    names = ("history.csv", "predictions.csv", "classes.csv", "train.json", "data/dataset/test")
    line = box.refusal(lambda: plot.main(PlotParams(), box.root), tuple(f"plots/{name}" for name in PNGS), names)
    if line is not None:
        return False
    for name in PNGS:
        with Image.open(box.root / "plots" / name) as picture:
            assert picture.format == "PNG"
            picture.load()
    return True


def columns_of(content: bytes, needed: set[str]) -> dict[str, list[str]] | None:
    """The cells of a table by column; None where it is not one, lacks a needed column, or holds a number that is none."""
    try:
        header, *rows = csv.reader(io.StringIO(content.decode("utf-8"), newline=""), strict=True)
    except (ValueError, csv.Error):
        return None
    if not rows or len(set(header)) < len(header) or not needed <= set(header) or any(len(row) != len(header) for row in rows):
        return None
    columns = dict(zip(header, map(list, zip(*rows, strict=True)), strict=True))
    cells = [cell for name, column in columns.items() if name not in ("class", "actual", "predicted") for cell in column]
    return columns if all(NUMBER.fullmatch(cell) and abs(float(cell)) < 1e100 for cell in cells) else None


def can_be_drawn(history: bytes, predictions: bytes, by_class: bytes, best_epoch: int) -> bool:
    epochs = columns_of(history, {"epoch", "train_loss", "train_accuracy"})
    outcomes = columns_of(predictions, {"actual", "predicted", "confidence"})
    classes = columns_of(by_class, {"class", "precision", "recall", "f1", "support"})
    return (
        epochs is not None
        and outcomes is not None
        and classes is not None
        and [float(cell) for cell in epochs["epoch"]] == list(range(1, len(epochs["epoch"]) + 1))
        and best_epoch <= len(epochs["epoch"])
        and len(outcomes["actual"]) == 4
        and len(set(classes["class"])) == len(classes["class"])
        and {*outcomes["actual"], *outcomes["predicted"]} <= set(classes["class"])
    )


CELLS = (
    b",",
    b"\n",
    b"\r\n",
    b'"',
    b"nan",
    b"inf",
    b"1e999",
    b"1e99",
    b"-1",
    b"x",
    b"\0",
    b"\xff",
    b"cat",
    b"$x^$",
    b"",
    b"9" * 400,
    b"'",
)


@cases(150)
@given(st.sampled_from(["history", "predictions", "by_class"]), st.data())
def test_damaged_tables_of_plots(which: str, data: st.DataObject) -> None:
    tables = {"history": HISTORY, "predictions": PREDICTIONS, "by_class": BY_CLASS}
    tables[which] = data.draw(damaged(tables[which], CELLS))
    with sandbox() as box:
        history, predictions, by_class = tables.values()
        assert plotted(box, history, predictions, by_class) == can_be_drawn(history, predictions, by_class, best_epoch=2)


NAMES = ["cat", "$", "$x^$", "\\frac", "a,b", 'say "x"', " ", "お", "\u202e", "x" * 100, "_^{", "nan", "1"]


@cases(15)
@given(
    st.lists(st.sampled_from(NAMES), min_size=2, max_size=4, unique=True), st.lists(st.integers(0, 3), min_size=8, max_size=8)
)
@example(["$x^$", "$\\frac$"], [0] * 8)
def test_class_names_in_pictures(names: list[str], chosen: list[int]) -> None:
    actual, predicted = [[names[one % len(names)] for one in part] for part in (chosen[:4], chosen[4:])]
    by_class = pd.DataFrame({"class": names, "precision": 0.5, "recall": 1.0, "f1": 0.0, "support": 2})
    predictions = pd.DataFrame({"actual": actual, "predicted": predicted, "confidence": 0.5})
    with sandbox() as box, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the font lacks some letters
        assert plotted(
            box, predictions=predictions.to_csv(index=False).encode(), by_class=by_class.to_csv(index=False).encode()
        )


@cases(15)
@given(st.lists(st.sampled_from([0, 1, 2, 3, 8, 500, 4000]), min_size=3, max_size=3), st.integers(3, 5))
@example([1, 4000, 1], 4)
@example([1, 1, 4000], 4)
@example([2, 8, 8], 4)
def test_images_of_other_shapes_in_pictures(shape_CHW: list[int], num_images: int) -> None:
    if math.prod(shape_CHW) > 10**5:
        shape_CHW = [1, 4, 4]
    with sandbox() as box:
        images_NCHW = np.zeros((num_images, *shape_CHW), np.uint8)
        assert plotted(box, images_NCHW=images_NCHW) == (num_images == 4 and 0 not in shape_CHW)


@cases(25)
@given(misshapen(KEPT))
@example({"best_epoch": 10**400})
@example({"best_epoch": 3})
@example({"best_epoch": 1, "x" * 10_000: 1})
def test_misshapen_metrics(kept: Any) -> None:
    with sandbox() as box:
        text = json.dumps(kept)
        fits = isinstance(kept, dict) and is_whole(kept.get("best_epoch"), 1, 2) and "\\ud800" not in text
        assert plotted(box, kept=text.encode()) == fits
