"""By what the pixels are normalised: ranges and published figures worked out elsewhere."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import Identity
from torchvision.models import VGG16_Weights

from classifier.common.errors import UserError
from classifier.common.files import write_json
from classifier.images.arrays import write_split
from classifier.images.schema import DatasetInfo
from classifier.model.file import load_model
from classifier.model.image_classifier import ImageClassifier
from classifier.splits.split import channel_statistics
from classifier.training.normalisation import normalisation
from classifier.training.params import Normalisation
from stages import train
from tests.support.training import params

IMAGES_NCHW = np.random.default_rng(0).integers(0, 256, (20, 3, 4, 4), dtype=np.uint8)
IMAGES_NCHW[0, :, 0, 0], IMAGES_NCHW[0, :, 0, 1] = 0, 255


def described(channels: int) -> DatasetInfo:
    mean, std = channel_statistics(IMAGES_NCHW[:, np.arange(channels) % 3])
    return DatasetInfo(
        dataset="mine",
        classes=["a", "b"],
        shape_CHW=(channels, 4, 4),
        hflip_invariant=True,
        mean=mean,
        std=std,
        rows={"train": 20, "val": 0, "test": 0},
    )


def seen(name: Normalisation) -> torch.Tensor:
    model = ImageClassifier(Identity(), *normalisation(name, described(3)), precision="float64")
    return model.normalised(torch.from_numpy(IMAGES_NCHW))


def test_the_ranges_are_those_of_the_names() -> None:
    pixels = torch.from_numpy(IMAGES_NCHW).double()
    torch.testing.assert_close(seen("none"), pixels, rtol=0, atol=0)
    torch.testing.assert_close(seen("unit"), pixels / 255)
    torch.testing.assert_close(seen("half"), (pixels / 255 - 0.5) / 0.5)
    assert [extreme.item() for extreme in seen("half").aminmax()] == [-1, 1]
    standardised = seen("standard")
    torch.testing.assert_close(standardised.mean(dim=(0, 2, 3)), torch.zeros(3, dtype=torch.float64))
    torch.testing.assert_close(standardised.std(dim=(0, 2, 3), correction=0), torch.ones(3, dtype=torch.float64))


def test_imagenet_is_what_the_published_weights_come_with() -> None:
    published = VGG16_Weights.IMAGENET1K_V1.transforms()
    assert normalisation("imagenet", described(3)) == (published.mean, published.std)


def test_a_grey_image_gets_the_means_of_the_colours() -> None:
    assert normalisation("imagenet", described(1)) == ([0.449], [0.226])


def test_other_channels_have_no_figures_there() -> None:
    with pytest.raises(UserError, match=r"^normalize 'imagenet' is for images of 1 or 3 channels, and these have 2; write"):
        normalisation("imagenet", described(2))


def test_the_model_keeps_what_it_was_normalised_by(tmp_path: Path) -> None:
    for split, rows in (("train", 20), ("val", 0)):
        blocks = [(IMAGES_NCHW[:rows], np.arange(rows) % 2)]
        write_split(tmp_path / "data/dataset" / split, rows, (3, 4, 4), iter(blocks))
    write_json(tmp_path / "data/dataset/dataset.json", described(3).model_dump())
    train.main(params(normalize="half"), tmp_path)
    model, description = load_model(tmp_path / "models")
    assert (description.mean, description.std) == ([0.5] * 3, [0.5] * 3)
    assert model.normalised(torch.full((1, 3, 4, 4), 255, dtype=torch.uint8)).eq(1).all()
