"""The number formats: what `auto` is, and what each computes."""

from typing import Any, Literal

import pytest
import torch

from classifier.common.errors import UserError
from classifier.compute import device as precision
from classifier.compute.device import compute_facts
from classifier.compute.params import Precision
from classifier.model.image_classifier import ImageClassifier, resolve_precision
from classifier.networks.own import build_network

CPU = torch.device("cpu")
IMAGES_NCHW = torch.randint(0, 256, (8, 1, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("instructions", "network", "expected"),
    [
        ({"avx512_bf16": True}, "cnn", "bfloat16"),
        ({"amx_bf16": True, "avx512_bf16": True}, "pyramid", "bfloat16"),
        ({"bf16": True}, "pyramid", "bfloat16"),
        ({"avx2": True}, "pyramid", "float32"),
        ({"avx512_bf16": True}, "mlp", "float32"),
        ({"avx512_bf16": True}, "softmax", "float32"),
    ],
)
def test_auto_comes_from_a_table(
    instructions: dict[str, Any], network: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: instructions)
    assert resolve_precision("auto", network, CPU) == expected


@pytest.mark.parametrize("asked", ["float32", "bfloat16", "float64"])
def test_what_is_asked_for_is_taken(asked: Literal["float32", "bfloat16", "float64"]) -> None:
    assert resolve_precision(asked, "mlp", CPU) == asked


def test_float64_on_a_device_without_it_is_refused() -> None:
    with pytest.raises(UserError, match="precision 'float64' is not on device 'mps'; write `precision: auto` or `device: cpu`"):
        resolve_precision("float64", "mlp", torch.device("mps"))


def test_the_bfloat16_instructions_are_among_the_facts_for_they_change_the_last_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True, "amx_bf16": True})
    assert compute_facts(CPU, 2, "bfloat16")["bfloat16"] == "amx_bf16"
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    assert compute_facts(CPU, 2, "bfloat16")["bfloat16"] == "emulated"
    assert compute_facts(CPU, 2, "float32")["bfloat16"] == "emulated", "Muon multiplies in it in any case"


def logits(kind: Precision) -> torch.Tensor:
    network = build_network("cnn", (1, 16, 16), 5, seed=0)
    return ImageClassifier(network, [0.5], [0.25], kind).eval()(IMAGES_NCHW)


def test_float64_is_float32_with_more_digits_and_bfloat16_with_fewer() -> None:
    exact = logits("float64")
    assert exact.dtype == torch.float64
    for kind, error in (("float32", 1e-5), ("bfloat16", 3e-2)):
        rounded = logits(kind)  # type: ignore[arg-type]
        assert rounded.dtype == torch.float32
        difference = (rounded - exact).abs().max().item()
        assert error / 1000 < difference < error, kind


def test_only_the_heavy_operations_are_in_bfloat16() -> None:
    network = build_network("cnn", (1, 16, 16), 5, seed=0)
    model = ImageClassifier(network, [0.5], [0.25], "bfloat16").eval()
    model(IMAGES_NCHW).sum().backward()
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert {parameter.grad.dtype for parameter in model.parameters() if parameter.grad is not None} == {torch.float32}
    assert precision.parameter_dtype("bfloat16") == torch.float32
