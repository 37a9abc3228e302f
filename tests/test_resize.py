"""Resizing, against Pillow's own colour mode and figures worked out by hand."""

import numpy as np
from PIL import Image

from classifier.blocks import Block
from classifier.resize import resized


def block_of(shape_NCHW: tuple[int, int, int, int]) -> Block:
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, shape_NCHW, dtype=np.uint8), np.arange(shape_NCHW[0])


def test_images_of_the_size_pass_untouched() -> None:
    block = block_of((3, 1, 4, 4))
    (passed,) = resized([block], 4)
    assert passed[0] is block[0]


def test_channels_are_resized_as_pillow_resizes_colour() -> None:
    images_NCHW, labels_N = block_of((5, 3, 9, 7))
    ((small, same_labels),) = resized([(images_NCHW, labels_N)], 4)
    np.testing.assert_array_equal(same_labels, labels_N)
    for image_CHW, small_CHW in zip(images_NCHW, small, strict=True):
        colour = Image.fromarray(np.ascontiguousarray(image_CHW.transpose(1, 2, 0)))
        reference_HWC = np.asarray(colour.resize((4, 4), Image.Resampling.BILINEAR))
        np.testing.assert_array_equal(small_CHW, reference_HWC.transpose(2, 0, 1))


def test_enlarging_two_pixels_by_hand() -> None:
    image = np.array([[0, 200], [0, 200]], dtype=np.uint8).reshape(1, 1, 2, 2)
    ((large, _),) = resized([(image, np.zeros(1, dtype=np.int64))], 4)
    # centres of the new pixels lie at -¼, ¼, ¾ and 1¼ of the old ones
    assert large[0, 0].tolist() == [[0, 50, 150, 200]] * 4


def test_halving_weighs_neighbours_by_a_triangle() -> None:
    image = np.zeros((1, 1, 8, 8), dtype=np.uint8)
    image[..., 3] = 80
    ((small, _),) = resized([(image, np.zeros(1, dtype=np.int64))], 4)
    # pixel 3 lies ½ and 1½ old pixels from the centres of the new pixels 1 and 2: weights 3/8 and 1/8
    assert small[0, 0].tolist() == [[0, 30, 10, 0]] * 4


def test_enlarged_images_come_in_small_blocks() -> None:
    images_NCHW, labels_N = block_of((40, 1, 8, 8))
    blocks = list(resized([(images_NCHW, labels_N)], 256))
    assert max(images.nbytes for images, _ in blocks) <= 2**20
    assert np.concatenate([labels for _, labels in blocks]).tolist() == list(range(40))
