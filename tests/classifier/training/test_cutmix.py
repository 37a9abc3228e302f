"""CutMix against a plain loop over the images; its draws belong to the image, not to the batch."""

import numpy as np
import pytest
import torch

from classifier.compute.seeds import generator
from classifier.model.dataset import ImageDataset
from classifier.training.augment import MIXED_SHARE, CutMix, Mixture
from classifier.training.loader import Batches, EpochInput
from classifier.training.losses import half_squared_error
from tests.support.training import CPU, model_for, params, random_set, recipe_for, train

IMAGES = np.random.default_rng(0).integers(1, 256, (60, 3, 12, 16), dtype=np.uint8)
BATCHES = Batches(ImageDataset(IMAGES, np.arange(60) % 4), CPU)
ALL = torch.arange(60)


def mixing(batches: Batches, seed: int, epoch: int) -> CutMix:
    return CutMix(len(batches.dataset), seed, epoch, batches.device, batches.rows_device)


def mixed(seed: int = 3, epoch: int = 2) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Images, shares and partners of all rows."""
    mix = mixing(BATCHES, seed, epoch)
    partners = mix.partners_of(ALL)
    return *mix(torch.from_numpy(IMAGES), torch.from_numpy(IMAGES)[partners], ALL), partners


def test_half_of_the_images_get_a_rectangle_of_their_partner_and_the_share_is_what_is_left() -> None:
    images, shares, partners = mixed()
    draws = torch.rand(60, 4, generator=generator(3, "cutmix", 2)).numpy()
    assert sorted(partners.tolist()) == list(range(60))
    num_mixed = 0
    for row, (draw, image, share) in enumerate(zip(draws, images.numpy(), shares.tolist(), strict=True)):
        expected = IMAGES[row].copy()
        if draw[0] < MIXED_SHARE:
            height, width = round(12 * float(np.sqrt(1 - draw[1]))), round(16 * float(np.sqrt(1 - draw[1])))
            top, left = int(draw[2] * 12) - height // 2, int(draw[3] * 16) - width // 2
            rows, columns = slice(max(0, top), max(0, top + height)), slice(max(0, left), max(0, left + width))
            expected[:, rows, columns] = IMAGES[partners[row], :, rows, columns]
            num_mixed += 1
        np.testing.assert_array_equal(image, expected)
        own = (image == IMAGES[row]).all(axis=0) & ~(IMAGES[row] == IMAGES[partners[row]]).all(axis=0)
        assert share == pytest.approx(own.mean(), abs=0.02 if partners[row] != row else 1)
    assert 20 < num_mixed < 40


def test_an_image_is_mixed_alike_in_whatever_batch_it_is() -> None:
    whole, shares, partners = mixed()
    mix = mixing(BATCHES, seed=3, epoch=2)
    for part in torch.randperm(60, generator=torch.Generator().manual_seed(2)).split(7):
        images, part_shares = mix(torch.from_numpy(IMAGES)[part], torch.from_numpy(IMAGES)[partners[part]], part)
        assert torch.equal(images, whole[part])
        assert torch.equal(part_shares, shares[part])
    for seed, epoch in ((3, 1), (4, 2)):
        assert not torch.equal(mixed(seed, epoch)[0], whole)


def test_the_last_fifth_of_the_epochs_is_plain() -> None:
    recipe = recipe_for(params(augment=["cutmix"], epochs=10), BATCHES.dataset)
    inputs = [EpochInput(BATCHES, recipe, epoch, torch.Tensor.float) for epoch in range(1, 11)]
    assert [one.cutmix is not None for one in inputs] == [True] * 8 + [False] * 2
    assert recipe_for(params(augment=["cutmix"], epochs=4)).last_mixed_epoch == 4
    assert recipe_for(params(augment=["flip"], epochs=10)).last_mixed_epoch == 0


def test_the_targets_by_hand() -> None:
    targets = Mixture(torch.tensor([1, 2]), torch.tensor([0.75, 0.5])).targets(torch.tensor([0, 2]), torch.zeros(2, 3))
    assert targets.tolist() == [[0.75, 0.25, 0], [0, 0, 1]]


def test_the_squared_error_of_soft_targets_by_hand() -> None:
    """Both classes have probability ½: ½((¾ - ½)² + (¼ - ½)²)."""
    error = half_squared_error(torch.zeros(1, 2), torch.tensor([[0.75, 0.25]]))
    assert error.item() == pytest.approx(1 / 16, rel=1e-6)


def test_training_with_it_is_a_plain_loop_over_two_losses() -> None:
    """The share of one cross-entropy and the rest of the other, image by image, in float64, smoothed alike."""
    train_set = random_set(24)
    settings = params(network="mlp", precision="float64", augment=["cutmix"], epochs=5, batch_size=8, label_smoothing=0.2)
    model, plain = model_for("mlp").double(), model_for("mlp").double()
    model.set_precision("float64")
    plain.set_precision("float64")
    loss = torch.nn.CrossEntropyLoss(label_smoothing=0.2, reduction="none")
    optimizer = torch.optim.SGD(plain.parameters(), lr=0.1)
    for epoch in range(1, 6):
        mix = mixing(Batches(train_set, CPU), settings.seed, epoch)
        for rows in torch.randperm(24, generator=generator(3, "shuffle", epoch)).split(8):
            images, labels = train_set.batch(rows)
            others, other_labels = train_set.batch(mix.partners_of(rows))
            shares = torch.ones(8)
            if epoch < 5:
                images, shares = mix(images, others, rows)
            logits = plain(images)
            optimizer.zero_grad()
            (shares * loss(logits, labels) + (1 - shares) * loss(logits, other_labels)).mean().backward()
            optimizer.step()
    result = train(model, train_set, random_set(0), settings)
    for name, weights in plain.network.state_dict().items():
        torch.testing.assert_close(result.weights[name], weights)
