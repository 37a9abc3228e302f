"""Small batches are cut several at once, and each step sees what it would have seen alone."""

import numpy as np
import pytest
import torch

from classifier.model.dataset import ImageDataset
from classifier.training import loader as epoch_input
from classifier.training.loader import Batches, EpochInput, StepInput
from tests.support.training import CPU, params, recipe_for

NUM_IMAGES, IMAGE_BYTES = 60, 3 * 8 * 8
STEPS = torch.randperm(NUM_IMAGES, generator=torch.Generator().manual_seed(0)).split(7)
RECIPE = recipe_for(params(augment=["shift", "flip", "cutout", "cutmix"], epochs=5))


class CountedBatches(Batches):
    """Notes how many images each cut had."""

    def __init__(self) -> None:
        images_NCHW = np.random.default_rng(0).integers(0, 256, (NUM_IMAGES, 3, 8, 8), dtype=np.uint8)
        super().__init__(ImageDataset(images_NCHW, np.arange(NUM_IMAGES) % 4), CPU)
        self.sizes: list[int] = []

    def cut(self, rows_N: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        self.sizes.append(len(rows_N))
        return super().cut(rows_N)


def halved(images_NCHW: torch.Tensor) -> torch.Tensor:
    """In the place of the normalisation: what comes is uint8, augmented and mixed."""
    assert images_NCHW.dtype == torch.uint8
    return images_NCHW / 2


def inputs(batches: Batches, epoch: int, bytes_at_once: int, monkeypatch: pytest.MonkeyPatch) -> list[StepInput]:
    monkeypatch.setattr(epoch_input, "BYTES_AT_ONCE", bytes_at_once)
    return list(EpochInput(batches, RECIPE, epoch, halved).of_steps(STEPS))


@pytest.mark.parametrize("epoch", [1, 5], ids=["mixed", "plain"])
def test_a_step_sees_the_same_whatever_is_cut_with_it(epoch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = inputs(CountedBatches(), epoch, 1, monkeypatch)
    together = inputs(CountedBatches(), epoch, 3 * 7 * IMAGE_BYTES, monkeypatch)
    assert len(alone) == len(together) == len(STEPS)
    for one, other, rows_N in zip(alone, together, STEPS, strict=True):
        assert torch.equal(one.rows_N, rows_N)
        assert all(torch.equal(*pair) for pair in zip(one[:3], other[:3], strict=True))
        assert (one.mixture is None) == (other.mixture is None) == (epoch == 5)
        if one.mixture and other.mixture:
            assert torch.equal(one.mixture.others_N, other.mixture.others_N)
            assert torch.equal(one.mixture.share_N, other.mixture.share_N)


@pytest.mark.parametrize(
    ("bytes_at_once", "expected"),
    [(1, [7] * 8 + [4]), (2 * 7 * IMAGE_BYTES - 1, [7] * 8 + [4]), (4 * 7 * IMAGE_BYTES, [28, 28, 4]), (2**19, [60])],
)
def test_no_more_bytes_are_made_ready_at_once_than_allowed_but_for_one_batch(
    bytes_at_once: int, expected: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    batches, normalised = CountedBatches(), []

    def counted(images_NCHW: torch.Tensor) -> torch.Tensor:
        normalised.append(len(images_NCHW))
        return halved(images_NCHW)

    monkeypatch.setattr(epoch_input, "BYTES_AT_ONCE", bytes_at_once)
    assert len(list(EpochInput(batches, RECIPE, 5, counted).of_steps(STEPS))) == len(STEPS)
    assert batches.sizes == normalised == expected


def test_the_share_of_a_process_may_be_empty() -> None:
    """As where a data set of one image is trained on by two processes."""
    nothing = torch.empty(0, dtype=torch.int64)
    (seen,) = EpochInput(CountedBatches(), RECIPE, 1, halved).of_steps([nothing])
    assert seen.images_NCHW.shape == (0, 3, 8, 8)
