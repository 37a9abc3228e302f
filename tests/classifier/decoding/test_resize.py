"""Resizing, against Pillow's own colour mode and figures worked out by hand."""

import numpy as np
from PIL import Image

from classifier.decoding.resize import Fit, resized
from classifier.images.arrays import Block


def block_of(shape_NCHW: tuple[int, int, int, int]) -> Block:
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, shape_NCHW, dtype=np.uint8), np.arange(shape_NCHW[0])


def test_images_of_the_size_pass_untouched() -> None:
    block = block_of((3, 1, 4, 4))
    (passed,) = resized([block], 4, "crop")
    assert passed[0] is block[0]


def test_channels_are_resized_as_pillow_resizes_colour() -> None:
    images_NCHW, labels_N = block_of((5, 3, 9, 7))
    ((small, same_labels),) = resized([(images_NCHW, labels_N)], 4, "stretch")
    np.testing.assert_array_equal(same_labels, labels_N)
    for image_CHW, small_CHW in zip(images_NCHW, small, strict=True):
        colour = Image.fromarray(np.ascontiguousarray(image_CHW.transpose(1, 2, 0)))
        reference_HWC = np.asarray(colour.resize((4, 4), Image.Resampling.BILINEAR))
        np.testing.assert_array_equal(small_CHW, reference_HWC.transpose(2, 0, 1))


def test_enlarging_two_pixels_by_hand() -> None:
    image = np.array([[0, 200], [0, 200]], dtype=np.uint8).reshape(1, 1, 2, 2)
    ((large, _),) = resized([(image, np.zeros(1, dtype=np.int64))], 4, "crop")
    # centres of the new pixels lie at -¼, ¼, ¾ and 1¼ of the old ones
    assert large[0, 0].tolist() == [[0, 50, 150, 200]] * 4


def test_halving_weighs_neighbours_by_a_triangle() -> None:
    image = np.zeros((1, 1, 8, 8), dtype=np.uint8)
    image[..., 3] = 80
    ((small, _),) = resized([(image, np.zeros(1, dtype=np.int64))], 4, "crop")
    # pixel 3 lies ½ and 1½ old pixels from the centres of the new pixels 1 and 2: weights 3/8 and 1/8
    assert small[0, 0].tolist() == [[0, 30, 10, 0]] * 4


def test_enlarged_images_come_in_small_blocks() -> None:
    images_NCHW, labels_N = block_of((40, 1, 8, 8))
    blocks = list(resized([(images_NCHW, labels_N)], 256, "pad"))
    assert max(images.nbytes for images, _ in blocks) <= 2**20
    assert np.concatenate([labels for _, labels in blocks]).tolist() == list(range(40))


def test_an_oblong_image_by_its_middle_by_bars_or_out_of_proportion() -> None:
    image = np.array([[10, 20, 30, 40]] * 2, dtype=np.uint8).reshape(1, 1, 2, 4)
    cut, padded, stretched = (next(resized([(image, np.zeros(1, dtype=np.int64))], 2, fit))[0][0, 0].tolist() for fit in FITS)
    assert cut == [[20, 30]] * 2
    # the bars take half a pixel above and below: Pillow's place for one row of two is the upper
    assert padded == [stretched[0], [0, 0]]
    # weights 3/7, 3/7 and 1/7 of the triangle of width 4 about the centres of the new pixels
    assert stretched == [[17, 33]] * 2


FITS: tuple[Fit, ...] = ("crop", "pad", "stretch")
