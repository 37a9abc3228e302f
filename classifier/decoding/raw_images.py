"""What `download` left in data/raw, as blocks of images whatever its format."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from classifier.common.errors import UserError
from classifier.decoding.cifar import SHAPE_CHW as CIFAR_SHAPE_CHW
from classifier.decoding.cifar import read_cifar
from classifier.decoding.digits import is_test_row, read_digits
from classifier.decoding.idx import read_idx
from classifier.decoding.params import ConvertParams
from classifier.decoding.pictures import decode_pack
from classifier.images.arrays import Block
from classifier.images.schema import RawDescription, TableSplit
from classifier.images.table import image_shape, read_rows
from classifier.images.table_header import read_header
from classifier.images.unreadable import Unreadable

MAX_UNREADABLE = 0.01
"""What `max_unreadable: null` means."""


@dataclass(frozen=True)
class RawImages:
    """Blocks of images_NCHW by split, each image with `channels` channels; a split without images has none."""

    channels: int
    splits: dict[TableSplit, Iterable[Block]]
    unreadable: list[Unreadable] = field(default_factory=list)
    """Pictures that are left out of the splits."""
    group_names: list[str] = field(default_factory=list)
    train_groups: list[int] = field(default_factory=list)
    """For each image to train on a place in `group_names`; both are empty where the images have no groups."""
    brightest: int | None = None
    """The largest pixel of all pictures; None for images that are not a person's pictures."""


def read_raw(raw: Path, description: RawDescription, params: ConvertParams, scratch: Path) -> RawImages:
    """The images of the folder `raw`: a person's pictures at their final size, all others as they were published.

    `scratch` is the path of a file for the pixels of pictures, which must stay until the blocks are read. Raises UserError for
    data that are not what `description` says.
    """
    files, classes = description.files, description.classes
    match description.format:
        case "idx":
            return RawImages(
                1,
                {
                    "train": read_idx(raw / files["train_images"], raw / files["train_labels"], len(classes)),
                    "test": read_idx(raw / files["test_images"], raw / files["test_labels"], len(classes)),
                },
            )
        case "digits":
            return _digits(raw / files["images"], len(classes))
        case "cifar":
            return RawImages(CIFAR_SHAPE_CHW[0], {**read_cifar(raw / files["archive"], classes)})
        case "csv":
            return _tables(raw, description, params.image_shape)
        case "pictures":
            most = MAX_UNREADABLE if params.max_unreadable is None else params.max_unreadable
            pictures = decode_pack(raw, classes, params.image_size, params.resize, params.color, most, scratch)
            splits = {split: pictures.blocks(split) for split in _SPLITS}
            train_groups = pictures.groups_N[~pictures.is_test_N].tolist() if pictures.group_names else []
            return RawImages(
                pictures.channels, {**splits}, pictures.unreadable, pictures.group_names, train_groups, pictures.brightest
            )


_SPLITS: tuple[TableSplit, ...] = ("train", "test")


def _digits(path: Path, num_classes: int) -> RawImages:
    images_NCHW, labels_N = read_digits(path, num_classes)
    test_N = is_test_row(labels_N)
    splits: dict[TableSplit, Iterable[Block]] = {
        "train": [(images_NCHW[~test_N], labels_N[~test_N])],
        "test": [(images_NCHW[test_N], labels_N[test_N])],
    }
    return RawImages(1, splits)


def _tables(raw: Path, description: RawDescription, asked_shape: list[int] | None) -> RawImages:
    labels = {name.encode(): label for label, name in enumerate(description.classes)}
    paths: dict[TableSplit, Path] = {split: raw / description.files[split] for split in _SPLITS if split in description.files}
    headers = {}
    for split, path in paths.items():
        with path.open("rb") as file:
            headers[split] = read_header(file)
    num_pixels = len(headers["train"]) - 1
    shape_CHW = image_shape(paths["train"], num_pixels, asked_shape)
    splits: dict[TableSplit, Iterable[Block]] = {"train": [], "test": []}
    for split, path in paths.items():
        if len(headers[split]) != num_pixels + 1:
            raise UserError(
                f"{path}: needs {num_pixels} pixels an image, as {paths['train'].name}, found {len(headers[split]) - 1}"
            )
        rows = read_rows(path, headers[split], labels)
        splits[split] = ((pixels_NP.reshape(-1, *shape_CHW), labels_N) for pixels_NP, labels_N in rows)
    return RawImages(shape_CHW[0], splits)
