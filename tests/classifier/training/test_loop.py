"""The training loop does not regress in kind: no Python a sample, no copy of the data set, no waiting at each step."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils.data import DataLoader

from classifier.images.arrays import write_split
from classifier.model.dataset import ImageDataset
from classifier.model.image_classifier import ImageClassifier
from classifier.networks.own import build_network
from classifier.training.history import STEPS_BETWEEN_READINGS, Result
from classifier.training.loader import Batches
from classifier.training.loop import TrainState, fit
from classifier.training.params import TrainParams
from tests.support.training import CPU, adam_params, compute, recipe_for

__all__ = ["compute"]

REPOSITORY = Path(__file__).parents[3]
AUGMENTATIONS = [[], ["flip"], ["crop", "flip", "cutout"], ["shift", "cutmix"]]
WAITING = ("aten::item", "aten::_local_scalar_dense", "aten::nonzero", "aten::is_nonzero")
"""Operations that hand a value from the device to Python, or need one to know a shape."""


def random_set(num_images: int, side: int = 16) -> ImageDataset:
    rng = np.random.default_rng(0)
    images_NCHW = rng.integers(0, 256, (num_images, 1, side, side), dtype=np.uint8)
    return ImageDataset(images_NCHW, np.arange(num_images) % 10)


def epoch(settings: TrainParams, num_steps: int) -> Callable[[], Result]:
    """An epoch of `num_steps` steps without validation, ready to run."""
    train_set = random_set(num_steps * settings.batch_size)
    no_validation = ImageDataset(train_set.images_NCHW[:0], train_set.labels_N[:0])
    network = build_network(settings.network, train_set.shape_CHW, 10, settings.seed)
    train_state = TrainState(ImageClassifier(network, [0.5], [0.25]), recipe_for(settings, train_set))

    def train() -> Result:
        train_state.result = None  # else a second call would find nothing left to train
        return fit(train_state, train_set, no_validation, lambda result: None)

    return train


def python_calls(job: Callable[[], object]) -> int:
    """Calls of Python and of C functions while `job` runs, after a first run that fills caches."""
    job()
    count = 0

    def note(_frame: object, event: str, _argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(note)
    try:
        job()
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("augment", AUGMENTATIONS, ids=str)
def test_the_calls_of_an_epoch_depend_on_the_steps_not_on_the_images(augment: list[str]) -> None:
    few = python_calls(epoch(adam_params(augment=augment, batch_size=2), num_steps=12))
    many = python_calls(epoch(adam_params(augment=augment, batch_size=64), num_steps=12))
    assert abs(many - few) <= 12, "744 images more must not be 744 calls more"


def test_the_calls_of_a_step_are_few() -> None:
    """475 in a step of Adam on the cnn when this was written."""
    settings = adam_params()
    more = python_calls(epoch(settings, num_steps=60)) - python_calls(epoch(settings, num_steps=20))
    assert more / 40 < 600


def waits(settings: TrainParams, num_steps: int) -> int:
    """Operations of an epoch that wait for the device. Adam's kernel is left out: here its counter of steps is on the CPU."""
    job = epoch(settings, num_steps)
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        job()
    return sum(event.name in WAITING and not _within_adam(event) for event in profiled.events() or [])


def _within_adam(event: Any) -> bool:
    while event is not None:
        if event.name == "aten::_fused_adam_":
            return True
        event = event.cpu_parent
    return False


@pytest.mark.parametrize(
    ("network", "augment", "precision"), [("cnn", ["flip"], "bfloat16"), ("mlp", ["crop", "flip", "cutout"], "float32")]
)
def test_no_step_waits_for_the_device(network: str, augment: list[str], precision: str) -> None:
    """Losses are added up on the device; the epoch reads them once, however many steps it has."""
    settings = adam_params(network=network, augment=augment, precision=precision, clip_norm=1.0, ema_decay=0.9)
    few, many = waits(settings, num_steps=4), waits(settings, num_steps=STEPS_BETWEEN_READINGS + 4)
    assert many == few


def test_the_order_is_the_one_of_a_data_loader_with_the_same_indices() -> None:
    dataset = random_set(50)
    order = torch.randperm(50, generator=torch.Generator().manual_seed(1))
    loader = DataLoader(dataset, batch_size=8, sampler=order.tolist())
    batches = Batches(dataset, CPU)
    for rows_N, (images_NCHW, labels_N) in zip(order.split(8), loader, strict=True):
        ours_NCHW, our_labels_N = batches.cut(rows_N)
        assert torch.equal(ours_NCHW, images_NCHW)
        assert torch.equal(our_labels_N, labels_N)


LIMITED_EPOCH = """
import sys
from pathlib import Path
from classifier.compute.device import set_up_compute
from classifier.model.dataset import ImageDataset
from classifier.model.image_classifier import ImageClassifier
from classifier.networks.own import build_network
from classifier.training.loop import TrainState, fit
from tests.support.limited_memory import limited_to, refuse_to_hold
from tests.support.training import adam_params, recipe_for

def train(num_images):
    part = ImageDataset(dataset.images_NCHW[:num_images], dataset.labels_N[:num_images])
    model = ImageClassifier(build_network("softmax", dataset.shape_CHW, 10, 0), [0.5], [0.25])
    no_validation = ImageDataset(part.images_NCHW[:0], part.labels_N[:0])
    fit(TrainState(model, recipe_for(settings, part)), part, no_validation, lambda result: None)

set_up_compute("cpu", 1)
settings = adam_params(network="softmax", optimizer="sgd", batch_size=512)
dataset = ImageDataset.from_folder(Path(sys.argv[1]))
train(2048)
limited_to(64 * 2**20)
refuse_to_hold(Path(sys.argv[1]) / "images.npy")
train(len(dataset))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits the private writable memory")
def test_an_epoch_holds_no_copy_of_the_data_set(tmp_path: Path) -> None:
    """128 MiB of images, mapped from their file. It may take 64 MiB more than a short one: the draws of the augmentation and a
    few batches took 16 to 24 when this was written. A copy would take 128 MiB, as float32 512.
    """
    num_images, shape_CHW = 32_768, (1, 64, 64)
    block = np.zeros((8192, *shape_CHW), dtype=np.uint8)
    write_split(tmp_path / "split", num_images, shape_CHW, ((block, np.arange(8192) % 10) for _ in range(4)))
    command = [sys.executable, "-c", LIMITED_EPOCH, str(tmp_path / "split")]
    # Freed arrays go back to the system at once, so that only what is used counts: mallopt(3).
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
    subprocess.run(command, cwd=REPOSITORY, env=environment, check=True)
