"""ImageDataset: one sample, many samples and whole batches are the same data; PyTorch's own DataLoader agrees."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from classifier.common.errors import UserError
from classifier.images.arrays import write_split
from classifier.model.dataset import ImageDataset

NUM_IMAGES = 23
IMAGES_NCHW = np.random.default_rng(0).integers(0, 256, (NUM_IMAGES, 3, 4, 5), dtype=np.uint8)
LABELS_N = np.random.default_rng(1).integers(0, 10, NUM_IMAGES)


@pytest.fixture
def dataset(tmp_path: Path) -> ImageDataset:
    write_split(tmp_path / "train", NUM_IMAGES, (3, 4, 5), [(IMAGES_NCHW, LABELS_N)])
    return ImageDataset.from_folder(tmp_path / "train")


def test_length_and_shape(dataset: ImageDataset) -> None:
    assert len(dataset) == NUM_IMAGES
    assert dataset.shape_CHW == (3, 4, 5)


@pytest.mark.parametrize("index", [0, 7, NUM_IMAGES - 1, -1])
def test_one_sample(dataset: ImageDataset, index: int) -> None:
    image_CHW, label = dataset[index]
    assert image_CHW.dtype == torch.uint8
    assert image_CHW.tolist() == IMAGES_NCHW[index].tolist()
    assert (type(label), label) == (int, LABELS_N[index])


@pytest.mark.parametrize("index", [NUM_IMAGES, -NUM_IMAGES - 1])
def test_an_index_out_of_range(dataset: ImageDataset, index: int) -> None:
    with pytest.raises(IndexError):
        dataset[index]
    with pytest.raises(IndexError):
        dataset.__getitems__([0, index])
    with pytest.raises(IndexError):
        dataset.batch(torch.tensor([0, index]))


def test_iteration_ends(dataset: ImageDataset) -> None:
    assert [label for _, label in dataset] == LABELS_N.tolist()


@pytest.mark.parametrize("indices", [torch.tensor([3, 3, 0]), np.array([3, 3, 0])])
def test_a_batch(dataset: ImageDataset, indices: torch.Tensor) -> None:
    images_NCHW, labels_N = dataset.batch(indices)
    assert (images_NCHW.dtype, labels_N.dtype) == (torch.uint8, torch.int64)
    assert images_NCHW.tolist() == IMAGES_NCHW[[3, 3, 0]].tolist()
    assert labels_N.tolist() == LABELS_N[[3, 3, 0]].tolist()


def test_an_empty_batch_keeps_its_shape(dataset: ImageDataset) -> None:
    images_NCHW, labels_N = dataset.batch(torch.arange(0))
    assert (images_NCHW.shape, labels_N.shape) == ((0, 3, 4, 5), (0,))


@pytest.mark.parametrize("batch_size", [1, 4, NUM_IMAGES])
def test_a_data_loader_gives_the_same_batches(dataset: ImageDataset, batch_size: int) -> None:
    loader = DataLoader(dataset, batch_size=batch_size, shuffle=True, generator=torch.Generator().manual_seed(5))
    order = DataLoader(torch.arange(NUM_IMAGES), batch_size, shuffle=True, generator=torch.Generator().manual_seed(5))
    num_batches = 0
    for (images_NCHW, labels_N), indices in zip(loader, order, strict=True):
        reference_images, reference_labels = dataset.batch(indices)
        assert torch.equal(images_NCHW, reference_images)
        assert torch.equal(labels_N, reference_labels)
        assert (images_NCHW.dtype, labels_N.dtype) == (torch.uint8, torch.int64)
        num_batches += 1
    assert num_batches == -(-NUM_IMAGES // batch_size)


def test_samples_are_copies_and_warn_of_nothing(dataset: ImageDataset) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        images = [dataset[0][0], dataset.__getitems__([0])[0][0], dataset.batch(torch.tensor([0]))[0][0]]
    for image_CHW in images:
        image_CHW.zero_()
    assert dataset[0][0].tolist() == IMAGES_NCHW[0].tolist()


def test_an_empty_split(tmp_path: Path) -> None:
    write_split(tmp_path / "val", 0, (1, 8, 8), [])
    dataset = ImageDataset.from_folder(tmp_path / "val")
    assert (len(dataset), dataset.shape_CHW, list(dataset)) == (0, (1, 8, 8), [])


def test_arrays_that_do_not_fit_together() -> None:
    with pytest.raises(ValueError, match=r"got \(23, 3, 4, 5\) and \(22,\)"):
        ImageDataset(IMAGES_NCHW, LABELS_N[1:])
    with pytest.raises(ValueError, match=r"needs images_NCHW"):
        ImageDataset(IMAGES_NCHW[0], LABELS_N[:3])


def test_a_folder_that_is_no_split(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"images.npy: no such file"):
        ImageDataset.from_folder(tmp_path)
