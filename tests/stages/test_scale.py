"""Memory does not follow the number of images: stages run with less of it than the images take, and a batch is let go."""

import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch

from classifier.images.arrays import write_split
from classifier.model.dataset import ImageDataset
from classifier.model.image_classifier import ImageClassifier
from classifier.networks.own import build_network
from classifier.training.loader import Batches, move_to
from classifier.training.loop import TrainState, fit
from tests.support.training import CPU, compute, params, recipe_for

__all__ = ["compute"]

REPOSITORY = Path(__file__).parents[2]
SHAPE_CHW = (1, 64, 64)
NUM_IMAGES, BATCH_SIZE = 4096, 256
BATCH_BYTES = BATCH_SIZE * 64 * 64
HELD_BATCHES = 2
"""What classifier/training/loader.py promises."""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="RLIMIT_DATA counts private memory on Linux only")
@pytest.mark.parametrize(
    "what", ["idx", *(pytest.param(one, marks=pytest.mark.slow) for one in ("wide", "damaged", "state")), "pictures", "train"]
)
def test_a_stage_needs_less_memory_than_its_images_take(what: str, tmp_path: Path) -> None:
    """One thread, so that what libraries set up for each does not depend on the machine."""
    command = [sys.executable, "-m", "tests.support.limited_memory", what, str(tmp_path)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def train_set(tmp_path: Path) -> ImageDataset:
    """16 MiB of images, mapped from their file."""
    images_NCHW = np.random.default_rng(0).integers(0, 256, (NUM_IMAGES, *SHAPE_CHW), dtype=np.uint8)
    write_split(tmp_path / "split", NUM_IMAGES, SHAPE_CHW, [(images_NCHW, np.arange(NUM_IMAGES) % 10)])
    return ImageDataset.from_folder(tmp_path / "split")


def test_an_epoch_holds_two_batches_of_images(train_set: ImageDataset) -> None:
    """Batches are cut by NumPy, whose memory tracemalloc counts; what the network makes of them is torch's, and is not."""
    settings = params(batch_size=BATCH_SIZE, augment=["crop", "flip", "cutout"])
    recipe = recipe_for(settings, train_set)
    train_state = TrainState(ImageClassifier(build_network("softmax", SHAPE_CHW, 10, 0), [0.5], [0.25]), recipe)
    no_validation = ImageDataset(train_set.images_NCHW[:0], train_set.labels_N[:0])
    tracemalloc.start()
    try:
        fit(train_state, train_set, no_validation, lambda result: None)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert BATCH_BYTES < peak < (HELD_BATCHES + 0.5) * BATCH_BYTES


def test_what_is_moved_to_a_device_is_the_whole_data_set_and_passes_in_blocks(train_set: ImageDataset) -> None:
    tracemalloc.start()
    try:
        images_NCHW, labels_N = move_to(CPU, train_set)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * 2**20
    np.testing.assert_array_equal(images_NCHW.numpy(), train_set.images_NCHW)
    np.testing.assert_array_equal(labels_N.numpy(), train_set.labels_N)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_batches_are_the_same_from_the_gpu_as_from_the_file(train_set: ImageDataset) -> None:
    rows_N = torch.randperm(NUM_IMAGES)[:100]
    on_gpu, from_file = Batches(train_set, torch.device("cuda")), Batches(train_set, CPU)
    assert on_gpu.resident
    for ours, needed in zip(on_gpu.cut(rows_N.to(on_gpu.rows_device)), from_file.cut(rows_N), strict=True):
        assert torch.equal(ours.cpu(), needed)
