"""The experiment `softmax-by-hand` of experiments.yaml, its first steps worked out in NumPy by hand."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file

from classifier.common.csv_file import read_csv
from classifier.common.files import write_json
from classifier.common.params import read_yaml
from classifier.compute.seeds import generator
from classifier.images.arrays import write_split
from classifier.networks.own import build_network
from classifier.training.params import TrainParams
from stages import train
from tools.experiments.named import read_experiments, with_overrides

SOURCE = Path(__file__).parents[3]
NUM_IMAGES, BATCH, CLASSES = 330, 50, 10
RNG = np.random.default_rng(0)
IMAGES_NCHW = RNG.integers(0, 256, (NUM_IMAGES, 1, 28, 28), dtype=np.uint8)
LABELS_N = np.arange(NUM_IMAGES) % CLASSES
Matrix = NDArray[np.float64]


@pytest.fixture(autouse=True)
def settings_of_torch() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.use_deterministic_algorithms(False)
    torch.set_num_threads(threads)


def shares(inputs_NP: Matrix, weight_PK: Matrix, bias_K: Matrix) -> Matrix:
    """Softmax of each row, shifted by its largest value, so that no exponential overflows."""
    logits_NK = inputs_NP @ weight_PK + bias_K
    powers_NK = np.exp(logits_NK - logits_NK.max(axis=1, keepdims=True))
    return np.asarray(powers_NK / powers_NK.sum(axis=1, keepdims=True))


def gradient_of_logits(loss: str, shares_NK: Matrix, onehot_NK: Matrix) -> Matrix:
    """Of the sum over the batch. Cross-entropy: p - y. ½ Σ (y - p)²: through the softmax's p_k (δ_kj - p_j)."""
    if loss == "cross_entropy":
        return shares_NK - onehot_NK
    errors_NK = shares_NK - onehot_NK
    return np.asarray(shares_NK * (errors_NK - (errors_NK * shares_NK).sum(axis=1, keepdims=True)))


@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
def test_two_epochs_are_those_of_the_equations(tmp_path: Path, loss: str) -> None:
    """Six full steps and a short one a pass. The squared error of raw pixels has hardly any gradient: its steps are small."""
    experiment = read_experiments(SOURCE / "experiments.yaml")["softmax-by-hand"]
    values = with_overrides(read_yaml(SOURCE / "params.yaml"), experiment)
    values |= {"epochs": 2, "loss": loss, "device": "cpu", "threads": 1, "seed": 5}
    params = TrainParams(**{name: values[name] for name in TrainParams.model_fields})
    for split, size in (("train", NUM_IMAGES), ("val", 0)):
        blocks = iter([(IMAGES_NCHW[:size], LABELS_N[:size])])
        write_split(tmp_path / "data/dataset" / split, size, (1, 28, 28), blocks)
    described = {"dataset": "mine", "classes": list("abcdefghij"), "shape_CHW": (1, 28, 28), "hflip_invariant": False}
    described |= {"mean": [0.5], "std": [0.3]}
    write_json(tmp_path / "data/dataset/dataset.json", described | {"rows": {"train": NUM_IMAGES, "val": 0, "test": 0}})
    train.main(params, tmp_path)

    first = build_network("softmax", (1, 28, 28), CLASSES, seed=5).state_dict()
    weight_PK, bias_K = (first[name].numpy().astype(np.float64).T for name in ("1.weight", "1.bias"))
    inputs_NP, onehot_NK = IMAGES_NCHW.reshape(NUM_IMAGES, -1).astype(np.float64), np.eye(CLASSES)[LABELS_N]
    losses, correct = [0.0, 0.0], [0, 0]
    for epoch in range(2):
        order = torch.randperm(NUM_IMAGES, generator=generator(5, "shuffle", epoch + 1)).numpy()
        for rows in np.split(order, range(BATCH, NUM_IMAGES, BATCH)):
            shares_NK = shares(inputs_NP[rows], weight_PK, bias_K)
            losses[epoch] -= np.log(shares_NK[onehot_NK[rows] == 1]).sum()
            correct[epoch] += int((shares_NK.argmax(axis=1) == LABELS_N[rows]).sum())
            slopes_NK = gradient_of_logits(loss, shares_NK, onehot_NK[rows])
            weight_PK = weight_PK - params.lr * (inputs_NP[rows].T @ slopes_NK) / len(rows)
            bias_K = bias_K - params.lr * slopes_NK.sum(axis=0) / len(rows)

    found = load_file(tmp_path / "models/model.safetensors")
    moved = np.abs(found["1.weight"] - first["1.weight"].numpy().astype(np.float64))
    assert moved.max() > 1e-6, "the steps must be seen"
    np.testing.assert_allclose(found["1.weight"], weight_PK.T, rtol=0, atol=1e-13)
    np.testing.assert_allclose(found["1.bias"], bias_K, rtol=0, atol=1e-13)
    history = read_csv(tmp_path / "plots/history.csv", ["epoch", "train_loss", "train_accuracy"])
    np.testing.assert_allclose(history["train_loss"], np.array(losses) / NUM_IMAGES, rtol=1e-5)
    np.testing.assert_allclose(history["train_accuracy"], np.array(correct) / NUM_IMAGES, rtol=1e-5)
    kept = json.loads((tmp_path / "metrics/train.json").read_text())
    last_NK = shares(inputs_NP, weight_PK, bias_K)
    assert kept["kept_train_loss"] == pytest.approx(-np.log(last_NK[onehot_NK == 1]).mean(), abs=1e-5)
    assert kept["kept_train_accuracy"] == pytest.approx((last_NK.argmax(axis=1) == LABELS_N).mean(), abs=1e-6)
