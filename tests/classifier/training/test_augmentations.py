"""Each augmentation against a plain loop over the images; the draws belong to the image, not to the batch."""

import numpy as np
import pytest
import torch

from classifier.training.augment import NUM_DRAWS, Augmentations, crop, cutout, flip, shift

CPU = torch.device("cpu")
IMAGES_NCHW = torch.randint(1, 256, (40, 3, 12, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
DRAWS_N2 = torch.rand(40, 2, generator=torch.Generator().manual_seed(1))


def test_flip_mirrors_those_whose_draw_is_below_one_half() -> None:
    flipped = flip(IMAGES_NCHW, DRAWS_N2[:, :1]).numpy()
    for image, draw, ours in zip(IMAGES_NCHW.numpy(), DRAWS_N2[:, 0], flipped, strict=True):
        np.testing.assert_array_equal(ours, image[:, :, ::-1] if draw < 0.5 else image)


@pytest.mark.parametrize(("augment", "most"), [(shift, 1), (crop, 2)])
def test_shift_and_crop_are_a_cut_out_of_the_padded_image(augment: object, most: int) -> None:
    """Of 12x16 pixels an eighth of the shorter side is 1.5, rounded to 2."""
    assert callable(augment)
    moved = augment(IMAGES_NCHW, DRAWS_N2).numpy()
    seen = set()
    for image, draws, ours in zip(IMAGES_NCHW.numpy(), DRAWS_N2.numpy(), moved, strict=True):
        top, left = (int(draw * (2 * most + 1)) for draw in draws)
        padded = np.pad(image, ((0, 0), (most, most), (most, most)))
        np.testing.assert_array_equal(ours, padded[:, top : top + 12, left : left + 16])
        seen.add((top, left))
    assert {top for top, _ in seen} == {left for _, left in seen} == set(range(2 * most + 1))


def test_cutout_sets_a_square_around_the_drawn_pixel_to_zero() -> None:
    cut = cutout(IMAGES_NCHW, DRAWS_N2).numpy()
    for image, draws, ours in zip(IMAGES_NCHW.numpy(), DRAWS_N2.numpy(), cut, strict=True):
        row, column = int(draws[0] * 12), int(draws[1] * 16)
        expected = image.copy()
        expected[:, max(0, row - 2) : row + 2, max(0, column - 2) : column + 2] = 0  # a third of 12
        np.testing.assert_array_equal(ours, expected)


@pytest.mark.parametrize("name", NUM_DRAWS)
def test_an_image_is_changed_alike_in_whatever_batch_it_is(name: str) -> None:
    augmented = Augmentations([name], 40, seed=3, epoch=2, device=CPU)
    whole = augmented(IMAGES_NCHW, torch.arange(40))
    rows = torch.randperm(40, generator=torch.Generator().manual_seed(2))
    for part in rows.split(7):
        assert torch.equal(augmented(IMAGES_NCHW[part], part), whole[part])
    assert not torch.equal(whole, IMAGES_NCHW)
    for seed, epoch in ((3, 1), (4, 2)):
        assert not torch.equal(Augmentations([name], 40, seed, epoch, CPU)(IMAGES_NCHW, torch.arange(40)), whole)


def test_an_image_is_flipped_in_every_other_epoch() -> None:
    seen = [Augmentations(["flip"], 40, 0, epoch, CPU)(IMAGES_NCHW, torch.arange(40)) for epoch in (1, 2, 3)]
    flipped = [(images != IMAGES_NCHW).flatten(1).any(dim=1) for images in seen]
    assert torch.equal(flipped[0], ~flipped[1])
    assert torch.equal(flipped[0], flipped[2])
    assert 10 < flipped[0].sum() < 30


def test_they_are_applied_one_after_the_other_whatever_the_order_of_their_names() -> None:
    first = Augmentations(["flip", "cutout", "crop"], 40, 0, 1, CPU)(IMAGES_NCHW, torch.arange(40))
    other = Augmentations(["crop", "flip", "cutout"], 40, 0, 1, CPU)(IMAGES_NCHW, torch.arange(40))
    assert torch.equal(first, other)
    plain = Augmentations([], 40, 0, 1, CPU)(IMAGES_NCHW, torch.arange(40))
    assert torch.equal(plain, IMAGES_NCHW)
