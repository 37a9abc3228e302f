"""Near copies that were made are found, and other images are not; of Fashion-MNIST what is known of its splits."""

import io
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.spatial import KDTree

from classifier.decoding.idx import read_idx
from classifier.splits.data_check import data_report, near_copies_table, remarks
from classifier.splits.near_copies import (
    MAX_DULL_DIFFERENCE,
    MAX_IMAGES,
    NEIGHBOURS,
    NearCopy,
    find_near_copies,
)

Picture = np.ndarray


def smooth(num_images: int, side: int, channels: int = 1) -> np.ndarray:
    """Different images of soft spots, dark at their edge."""
    random = np.random.default_rng(side)
    points = np.arange(side) / side
    images = np.zeros((num_images, channels, side, side))
    for image_CHW in images:
        for _ in range(6):
            y, x, width = random.uniform(0.3, 0.7), random.uniform(0.3, 0.7), random.uniform(0.05, 0.12)
            spot = np.exp(-((points[:, None] - y) ** 2 + (points - x) ** 2) / (2 * width**2))
            image_CHW += random.uniform(20, 60, (channels, 1, 1)) * spot
    return images.clip(0, 200).astype(np.uint8)


def compressed(picture: Picture) -> Picture:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=75)
    return np.asarray(Image.open(file))


def resized(picture: Picture) -> Picture:
    """Bilinear, which blurs."""
    side = len(picture)
    smaller = Image.fromarray(picture).resize((side * 3 // 4,) * 2, Image.Resampling.BILINEAR)
    return np.asarray(smaller.resize((side, side), Image.Resampling.BILINEAR))


CHANGES: dict[str, Callable[[Picture], Picture]] = {
    "compressed": compressed,
    "resized": resized,
    "shifted": lambda picture: np.roll(picture, (1, -2), (0, 1)),
    "brightened": lambda picture: (picture * 1.2 + 5).astype(np.uint8),
}


@pytest.mark.parametrize(("side", "channels"), [(28, 1), (64, 3)])
def test_changed_copies_are_found_and_nothing_else(side: int, channels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    train = smooth(300, side, channels)
    made = [
        change(picture.transpose(1, 2, 0).squeeze())
        for place, change in enumerate(CHANGES.values())
        for picture in train[25 * place : 25 * place + 25]
    ]
    test = np.stack([picture.reshape(side, side, channels).transpose(2, 0, 1) for picture in made])
    found = find_near_copies({"train": train, "test": test})
    assert found is not None
    assert found == sorted(found)
    assert all(0 <= one.difference <= MAX_DULL_DIFFERENCE for one in found)
    right = {one.row for one in found if one.is_across and one.earlier_row == one.row}
    for place, name in enumerate(CHANGES):
        assert len(right & set(range(25 * place, 25 * place + 25))) >= 24, name
    assert len(found) - len(right) <= 3
    monkeypatch.setattr("classifier.images.arrays.BLOCK_BYTES", 50_000)
    monkeypatch.setattr("classifier.splits.near_copies.KDTree", OneThread)
    assert find_near_copies({"train": train, "test": test}) == found


class OneThread(KDTree):
    """And a tree of another shape."""

    def __init__(self, points: np.ndarray) -> None:
        super().__init__(points, leafsize=3)

    def query(self, *given: object, workers: int, **more: object) -> tuple[np.ndarray, np.ndarray]:
        found: tuple[np.ndarray, np.ndarray] = super().query(*given, workers=1, **more)  # type: ignore[arg-type]
        return found


@pytest.mark.parametrize(
    ("deviation", "change", "is_found"),
    [(60, 2, True), (25, 2.2, True), (25, 6, False), (100, 5, True), (100, 11, True), (100, 13, False), (120, 14, False)],
)
def test_low_contrast_allows_a_larger_share_of_it_but_few_grey_levels(deviation: float, change: float, is_found: bool) -> None:
    """The last differs by 0.118 of its deviation as the fifth by 0.112, but by 11.0 grey levels, not 8.7."""
    waves = np.random.default_rng(3).normal(size=(2, 8, 8))
    base, other = (np.array(Image.fromarray(wave).resize((32, 32), Image.Resampling.BICUBIC)) for wave in waves)
    base, other = (np.tanh(2 * (wave - wave.mean()) / wave.std()) for wave in (base, other))
    pair = np.rint([127 + deviation * base, 127 + deviation * base + change * other]).clip(0, 255).astype(np.uint8)
    found = find_near_copies({"train": pair[:, None]})
    assert bool(found) == is_found


def test_of_equal_images_the_first_takes_part() -> None:
    images = smooth(3, 28)
    changed = np.roll(images[0], 1, axis=1)
    train = np.concatenate([images[:1], np.repeat(images, 50, axis=0), changed[None]])
    assert find_near_copies({"train": train, "test": np.stack([changed, images[2]])}) == [
        NearCopy(0.0, "train", 151, "train", 0)
    ]


def test_where_all_are_alike_few_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five shades of one picture, each with one pixel changed, so that they are different images."""
    num_images = 300
    images = np.stack([smooth(1, 28)[0] + number % 5 for number in range(num_images)])
    images.reshape(num_images, -1)[np.arange(num_images), np.arange(num_images)] += 1
    points: list[np.ndarray] = []

    def tree(rows: np.ndarray) -> KDTree:
        points.append(rows)
        return KDTree(rows)

    monkeypatch.setattr("classifier.splits.near_copies.KDTree", tree)
    found = find_near_copies({"train": images})
    assert found is not None
    assert num_images / 2 < len(found) <= 2 * NEIGHBOURS * num_images
    assert len(np.unique(points[0], axis=0)) == len(points[0])  # a tree of equal points compares each with each
    report = data_report({"train": (images, np.zeros(num_images, dtype=int))}, 1, [], near_copies=found)
    assert report["near_copies"] == 0 < report["near_copies_full"]
    said = f"{report['near_copies_full']} images have {NEIGHBOURS} near copies or more; further ones were not looked for"
    assert said in remarks(report)


def test_memory_does_not_follow_the_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("classifier.images.arrays.BLOCK_BYTES", 2**16)
    images = np.random.default_rng(0).integers(0, 256, (1000, 1, 64, 64), dtype=np.uint8)
    find_near_copies({"train": images[:10]})
    tracemalloc.start()
    try:
        assert find_near_copies({"train": images}) == []
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 300 * len(images) + 8 * 2**16 < images.nbytes / 4


def test_small_images_and_too_many_are_not_compared() -> None:
    assert find_near_copies({"train": smooth(5, 15)}) is None
    assert find_near_copies({"train": smooth(1, 28)}) == []
    many = np.broadcast_to(np.uint8(0), (MAX_IMAGES + 1, 1, 28, 28))
    assert find_near_copies({"train": many}) is None
    report = data_report({"train": (many[:5], np.zeros(5, dtype=int))}, 1, [])
    assert "near_copies" not in report
    assert not any("near copies" in line for line in remarks(report))
    report["images"]["train"] = MAX_IMAGES + 1
    assert f"near copies were not looked for: there are more than {MAX_IMAGES} images" in remarks(report)


def test_what_is_said_and_listed() -> None:
    images, labels = smooth(3, 28), np.array([0, 1, 0])
    splits = {"train": (images, labels), "test": (images[:2], labels[:2])}
    pairs = [
        NearCopy(0.01, "train", 2, "train", 1),
        NearCopy(0.02, "test", 1, "train", 0),
        NearCopy(0.03, "test", 1, "train", 2),
    ]
    report = data_report(splits, 2, [], near_copies=pairs)  # type: ignore[arg-type]
    assert report["near_copies"] == 1
    assert any(line.startswith("1 images are near copies of one in another split") for line in remarks(report))
    assert near_copies_table(pairs, splits, ["cat", "dog"]).splitlines() == [  # type: ignore[arg-type]
        "split,row,class,earlier_split,earlier_row,earlier_class,difference",
        "test,1,dog,train,0,cat,0.02",
        "test,1,dog,train,2,cat,0.03",
        "train,2,cat,train,1,dog,0.01",
    ]


NEAREST = {
    **{4998: 13360, 9867: 58762, 2605: 11932, 6210: 19456, 2115: 18494, 4926: 18494, 2770: 29438, 7799: 14928, 7465: 29645},
    **{2436: 48447, 4222: 20255, 436: 51970, 8869: 970, 6650: 23773, 2230: 8657, 7357: 18802, 5181: 25069, 7391: 37669},
    868: 26802,
}
"""The 19 test images of Fashion-MNIST with an image of train at a Euclidean distance below 300, the nearest (20.8) first.

Found by comparing each with each; all are of equal label."""


@pytest.mark.slow
@pytest.mark.skipif("DATASET_MIRROR" not in os.environ, reason="needs the files of Fashion-MNIST")
def test_fashion_mnist() -> None:
    folder = Path(os.environ["DATASET_MIRROR"]) / "fashion_mnist"
    images, labels = {}, {}
    for split, name in (("train", "train"), ("test", "t10k")):
        blocks = list(read_idx(folder / f"{name}-images-idx3-ubyte.gz", folder / f"{name}-labels-idx1-ubyte.gz", 10))
        images[split], labels[split] = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    across = [one for one in find_near_copies(images) or [] if one.is_across]
    found = {(one.row, one.earlier_row) for one in across}
    assert (across[0].row, across[0].earlier_row) == (4998, 13360)
    assert NEAREST.items() - found == {(7357, 18802), (7391, 37669)}  # whose signatures are not near
    assert all(labels["test"][row] == labels["train"][near] for row, near in NEAREST.items())
    assert not {row for row, near in NEAREST.items() if np.array_equal(images["test"][row], images["train"][near])}
    assert len({row for row, _ in found}) < 100  # of 10,000
