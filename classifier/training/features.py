"""A frozen backbone is computed once: its features stand in for the images. Legend: N images, F features, W views of an image.

The first view is the image as it is, the second its mirror image. They lie side by side, as the pixels of an image of one row:
to flip that is to exchange the two. So the loader and the augmentation take features as they take pixels.
"""

import hashlib
import json
import os
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from classifier.common.errors import UserError
from classifier.common.files import one_process
from classifier.images.arrays import load_array, write_header
from classifier.model.dataset import ImageDataset
from classifier.model.image_classifier import ImageClassifier
from classifier.model.inference import batch_size
from classifier.networks.torchvision_networks import TINY, TorchvisionNetwork, head_name
from classifier.training.distributed import DistributedContext
from classifier.training.recipe import Recipe
from classifier.training.state_files import make_room, replacing_alone

DIGEST_BYTES = hashlib.sha256().digest_size


def needs_pixels(recipe: Recipe, model: ImageClassifier) -> str | None:
    """Why the features of a frozen `model` cannot stand in for the images; None where they can."""
    changing = [name for name in recipe.augment if name != "flip"]
    if changing:
        return f"augment {changing[0]!r} makes new pictures of them; with [] or [flip] it is computed once"
    if not isinstance(model.head, nn.Linear):
        return f"the last pooling of {recipe.network!r} comes after its head"
    return None


class FeatureHead(nn.Module):
    """A head alone: the logits_NK of features_NF1W, of which it looks at the first view."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head

    def forward(self, features_NF1W: Tensor) -> Tensor:
        """Apply it."""
        logits_NK: Tensor = self.head(features_NF1W[:, :, 0, 0])
        return logits_NK


def head_model(model: ImageClassifier, shape_CHW: tuple[int, int, int]) -> ImageClassifier:
    """The head of `model` itself, no copy of it, as a model of the features of images of `shape_CHW`."""
    exact = isinstance(model.network, TorchvisionNetwork) and min(shape_CHW[1:]) <= TINY
    precision = "float32" if exact and model.precision == "bfloat16" else model.precision
    return ImageClassifier(FeatureHead(model.head), mean=[0], std=[1 / 255], precision=precision).to(model.device)


def with_head(model: ImageClassifier, head_weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights of the network of `model`, with those of a `head_model` in place of its head's."""
    name = head_name(model.network)
    return model.network.state_dict() | {name + key.removeprefix("head"): tensor for key, tensor in head_weights.items()}


class FeatureStore:
    """The features that `model` makes, in files in `folder` that are named by a digest of all that they depend on.

    So no others are found. `facts` are what the bits depend on but for the split: code, data, weights, network, normalisation,
    machine. At most two GiB are kept beside the files of the present run.
    """

    def __init__(self, folder: Path, model: ImageClassifier, context: DistributedContext, *facts: Any) -> None:
        self.folder, self.model, self.context = folder, model, context
        self.facts = [*facts, version("torchvision")]
        self.used: list[Path] = []

    def of(self, dataset: ImageDataset, split: str, num_views: int) -> ImageDataset:
        """`dataset` with its features in place of its images, mapped from the file of an earlier run or from one made now."""
        if not len(dataset):
            return dataset
        digest = hashlib.sha256(json.dumps([self.facts, split, num_views], sort_keys=True).encode()).hexdigest()
        path = self.folder / f"{digest[:32]}.npy"
        self.used.append(path)
        make_room(self.used)
        busy = "another run is computing the same features; waiting for them"
        with one_process(path.with_suffix(".lock"), busy, wait=print) if self.context.size == 1 else nullcontext():
            features_NF1W = self._read(path)
            missing = torch.tensor(float(features_NF1W is None))
            self.context.all_reduce(missing)  # each machine has files of its own
            if missing:
                print(f"computing the features of {len(dataset)} images, once for all runs of this network", flush=True)
                write_features(path, len(dataset), compute_features(self.model, dataset, num_views, self.context))
                features_NF1W = self._read(path)
        if features_NF1W is None:
            raise UserError(f"{path}: is not what was written just now; look at the disk, and run the same command again")
        os.utime(path)  # the oldest go first
        return ImageDataset(features_NF1W, dataset.labels_N)

    def _read(self, path: Path) -> NDArray[Any] | None:
        return read_features(path, np.dtype(str(self.model.mean_C11.dtype).removeprefix("torch.")))


def compute_features(
    model: ImageClassifier, dataset: ImageDataset, num_views: int, context: DistributedContext
) -> Iterator[Tensor]:
    """Blocks of features_NF1W in the data set's order. The processes take turns, and each gets all.

    The batches depend on the data set alone. So do the bits, however many processes compute them.
    """
    model.eval()
    batches = torch.arange(len(dataset)).split(batch_size(dataset))
    starts = range(0, len(batches), context.size)
    for start in tqdm(starts, "features", unit="batch", leave=False, disable=None if context.is_main_process else True):
        turn = batches[start : start + context.size]
        own = _of_batch(model, dataset, turn[min(context.rank, len(turn) - 1)], num_views)
        full = own.new_zeros((len(batches[0]), *own.shape[1:]))  # all processes must pass the same shape
        full[: len(own)] = own
        for rows_N, features_NF1W in zip(turn, context.all_gather(full), strict=False):
            yield features_NF1W[: len(rows_N)]


@torch.inference_mode()
def _of_batch(model: ImageClassifier, dataset: ImageDataset, rows_N: Tensor, num_views: int) -> Tensor:
    images_NCHW = dataset.batch(rows_N)[0].to(model.device)
    views = [images_NCHW, images_NCHW.flip(3)][:num_views]
    return torch.stack([model.features(view_NCHW) for view_NCHW in views], dim=2)[:, :, None].cpu()


def write_features(path: Path, num_images: int, blocks: Iterator[Tensor]) -> None:
    """A .npy file, and behind its end the SHA-256 of all before; whole or not at all."""
    with replacing_alone(path) as partial:
        with partial.open("wb") as file:
            for number, block in enumerate(blocks):
                values = block.numpy()
                if number == 0:
                    write_header(file, values.dtype, (num_images, *values.shape[1:]))
                file.write(values.data)
        with partial.open("r+b") as file:
            file.write(hashlib.file_digest(file, "sha256").digest())


def read_features(path: Path, dtype: np.dtype[Any]) -> NDArray[Any] | None:
    """The features in a file, mapped; None where it is not there, or not what was written, which is said on standard error."""
    try:
        content = np.memmap(path, mode="r")
        if hashlib.sha256(content[:-DIGEST_BYTES].data).digest() == content[-DIGEST_BYTES:].tobytes():
            return load_array(path, dtype, num_dims=4)
    except FileNotFoundError:
        return None
    except (ValueError, UserError):
        pass  # no bytes at all, or not such an array
    print(f"{path}: is not what was written; the features are computed anew", file=sys.stderr)
    return None
