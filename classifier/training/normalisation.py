"""By what the pixels are normalised, by name: the mean and standard deviation of each channel, in units of 1/255."""

from classifier.common.errors import UserError
from classifier.images.schema import Standardised
from classifier.training.params import Normalisation

IMAGENET_MEAN = [0.485, 0.456, 0.406]
IMAGENET_STD = [0.229, 0.224, 0.225]
"""Of red, green and blue over ImageNet's training images, as torchvision publishes them with its weights."""


def normalisation(name: Normalisation, info: Standardised) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel, by which the images of `info` are normalised.

    "standard" is those of the training split itself: then the network sees mean 0 and standard deviation 1. "half" brings the
    pixels to -1 to 1, "unit" to 0 to 1, and "none" leaves them at 0 to 255. "imagenet" is ImageNet's; a grey image gets the
    means of the three channels' figures, so that copies of it in three channels have about the statistics of a grey photograph
    there. Raises UserError for images of other channels, of which ImageNet has none.
    """
    channels = info.shape_CHW[0]
    if name == "standard":
        return info.mean, info.std
    if name == "imagenet":
        return _imagenet(channels)
    mean, std = {"half": (0.5, 0.5), "unit": (0.0, 1.0), "none": (0.0, 1 / 255)}[name]
    return [mean] * channels, [std] * channels


def _imagenet(channels: int) -> tuple[list[float], list[float]]:
    if channels == 3:
        return IMAGENET_MEAN, IMAGENET_STD
    if channels == 1:
        return [round(sum(IMAGENET_MEAN) / 3, 6)], [round(sum(IMAGENET_STD) / 3, 6)]
    raise UserError(
        f"normalize 'imagenet' is for images of 1 or 3 channels, and these have {channels}; write `normalize: standard`"
    )
