"""The training loop against a plain one, closed forms, and itself."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from classifier.common.errors import UserError
from classifier.compute.seeds import generator
from classifier.model.dataset import ImageDataset
from classifier.model.inference import predict
from classifier.training.history import Epoch, Result, epoch_line, history_table, train_metrics
from classifier.training.loop import TrainState, fit
from tests.support.training import compute, model_for, params, random_set, recipe_for, train

__all__ = ["compute"]


def test_one_epoch_is_softmax_regression_worked_out_in_numpy() -> None:
    """Gradient of the mean cross-entropy of softmax(Wx + b): (p - onehot) xᵀ / batch. The last batch is short."""
    train_set = random_set(20)
    model = model_for("softmax")
    weight, bias = (tensor.detach().numpy().astype(np.float64) for tensor in model.network.parameters())
    images, labels = (np.asarray(array) for array in train_set.batch(torch.arange(20)))
    inputs = (images.reshape(20, -1) / 255 - 0.5) / 0.25
    order = torch.randperm(20, generator=generator(3, "shuffle", 1)).numpy()
    total_loss = total_correct = 0.0
    for start in range(0, 20, 8):
        rows = order[start : start + 8]
        logits = inputs[rows] @ weight.T + bias
        shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        total_loss -= np.log(shares[np.arange(len(rows)), labels[rows]]).sum()
        total_correct += (logits.argmax(axis=1) == labels[rows]).sum()
        error = (shares - np.eye(3)[labels[rows]]) / len(rows)
        weight, bias = weight - 0.1 * error.T @ inputs[rows], bias - 0.1 * error.sum(axis=0)

    result = train(model, train_set, random_set(0), params())

    assert result.history[0].train_loss == pytest.approx(total_loss / 20, rel=1e-5)
    assert result.history[0].train_accuracy == total_correct / 20
    trained_weight, trained_bias = (tensor.detach().numpy() for tensor in model.network.parameters())
    np.testing.assert_allclose(trained_weight, weight, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(trained_bias, bias, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_the_optimizers_are_torchs_own_on_a_plain_loop(optimizer: str) -> None:
    train_set = random_set(32)
    settings = params(optimizer=optimizer, momentum=None, lr=0.01, weight_decay=0.1, network="mlp")
    model, plain = model_for("mlp"), model_for("mlp")
    weights = [parameter for name, parameter in plain.named_parameters() if name.endswith("weight")]
    biases = [parameter for name, parameter in plain.named_parameters() if name.endswith("bias")]
    groups: list[dict[str, Any]] = [{"params": weights, "weight_decay": 0.1}, {"params": biases, "weight_decay": 0.0}]
    plain_optimizer: torch.optim.Optimizer
    if optimizer == "sgd":
        plain_optimizer = torch.optim.SGD(groups, lr=0.01, momentum=0.9, nesterov=True)
    else:
        kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[optimizer]
        plain_optimizer = kind(groups, lr=0.01)
    for rows in torch.randperm(32, generator=generator(3, "shuffle", 1)).split(8):
        images, labels = train_set.batch(rows)
        plain_optimizer.zero_grad()
        nn.functional.cross_entropy(plain(images), labels).backward()
        plain_optimizer.step()
    train(model, train_set, random_set(0), settings)
    for ours, theirs in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_eight_images_can_be_learnt_by_heart() -> None:
    train_set = random_set(8, side=16, num_classes=8)
    train_set = ImageDataset(train_set.images_NCHW, np.arange(8))
    model = model_for("cnn", side=16, num_classes=8)
    train(model, train_set, train_set, params(network="cnn", optimizer="adam", momentum=None, lr=0.001, epochs=60))
    assert predict(model, train_set).accuracy == 1


@pytest.mark.parametrize("network", ["softmax", "mlp", "cnn"])
def test_the_same_seed_gives_the_same_bits_whatever_was_drawn_before(network: str) -> None:
    def run(noise: int, seed: int) -> Result:
        torch.rand(noise)
        settings = params(network=network, epochs=2, seed=seed)
        return train(model_for(network, side=16, seed=seed), random_set(30, side=16), random_set(9, side=16, seed=1), settings)

    first, again, other = run(0, 3), run(100, 3), run(0, 4)
    assert first.history == again.history
    assert all(torch.equal(first.weights[name], again.weights[name]) for name in first.weights)
    assert first.history != other.history


def test_validation_neither_trains_nor_disturbs_the_training() -> None:
    def weights(val_set: ImageDataset) -> list[torch.Tensor]:
        model = model_for("cnn", side=16)
        train(model, random_set(30, side=16), val_set, params(network="cnn", epochs=3))
        return list(model.parameters())

    pairs = zip(weights(random_set(0, side=16)), weights(random_set(9, side=16, seed=1)), strict=True)
    assert all(torch.equal(without, with_it) for without, with_it in pairs)


def test_the_kept_weights_are_those_of_the_best_validation_epoch() -> None:
    seen: list[tuple[float, float, dict[str, torch.Tensor]]] = []
    model = model_for("mlp")
    val_set = random_set(12, seed=5)

    def note(result: Result) -> None:
        predictions = predict(model, val_set)
        weights = {name: tensor.clone() for name, tensor in model.network.state_dict().items()}
        seen.append((predictions.accuracy, -predictions.loss, weights))

    settings = params(network="mlp", epochs=12, lr=0.5)
    result = fit(TrainState(model, recipe_for(settings)), random_set(24), val_set, note)
    best = max(range(12), key=lambda epoch: seen[epoch][:2])
    assert result.kept.epoch == best + 1
    assert result.kept.epoch != 12, "the data must make a test of this: the last epoch must not be the best"
    assert all(torch.equal(result.weights[name], seen[best][2][name]) for name in result.weights)
    assert (result.kept.val_accuracy, result.kept.val_loss) == (seen[best][0], -seen[best][1])


def test_without_validation_the_last_epoch_is_kept() -> None:
    result = train(model_for("mlp"), random_set(24), random_set(0), params(network="mlp", epochs=3))
    assert result.kept.epoch == 3
    assert list(train_metrics(result)) == ["train_accuracy", "train_loss", "train_epoch", "train_best_epoch"]
    assert list(history_table(result).columns) == ["epoch", "train_loss", "train_accuracy"]


def test_a_diverging_run_is_refused_with_the_epoch() -> None:
    with pytest.raises(UserError, match=r"training diverged in epoch \d+: train_loss is (nan|inf); try a lower `lr`"):
        train(model_for("mlp"), random_set(64), random_set(0), params(network="mlp", lr=1000, epochs=20))


def test_what_is_told_of_a_run() -> None:
    epochs = (
        Epoch(1.0, 0.25, 2.0, 0.125, epoch=1),
        Epoch(0.5, 0.5, 1.23456789, 0.75, epoch=2),
        Epoch(0.25, 0.75, 1.5, 0.5, epoch=3),
    )
    result = Result(epochs, epochs[1], {})
    assert list(train_metrics(result).items()) == [  # in the order of the columns of `dvc exp show`
        ("val_accuracy", 0.75),
        ("val_loss", 1.234568),
        ("train_accuracy", 0.5),
        ("train_loss", 0.5),
        ("train_epoch", 3),
        ("train_best_epoch", 2),
    ]
    assert history_table(result).to_dict("list")["val_loss"] == [2.0, 1.23456789, 1.5]
    assert epoch_line(result, 3) == "epoch 3/3  train_loss 0.2500  train_accuracy 0.7500  val_loss 1.5000  val_accuracy 0.5000"
    assert epoch_line(Result(epochs[:2], epochs[1], {}), 3).endswith("val_accuracy 0.7500  *")


def test_predictions_are_in_order_and_agree_with_a_plain_pass() -> None:
    dataset = random_set(2345, num_classes=3)
    model = model_for("mlp").eval()
    predictions = predict(model, dataset)
    images, labels = dataset.batch(torch.arange(2345))
    with torch.no_grad():
        shares = model.network((images / 255 - 0.5) / 0.25).softmax(dim=1)
    np.testing.assert_array_equal(predictions.predicted_N, shares.argmax(dim=1).numpy())
    np.testing.assert_allclose(predictions.confidence_N, shares.max(dim=1).values.numpy(), rtol=1e-5)
    np.testing.assert_allclose(predictions.loss_N, -shares[torch.arange(2345), labels].log().numpy(), rtol=1e-4, atol=1e-6)
    assert predictions.accuracy == pytest.approx((predictions.predicted_N == labels.numpy()).sum() / 2345)


@pytest.mark.parametrize(("num_images", "batch_size"), [(9, 8), (1, 8), (6, 1)])
def test_a_batch_of_one_image_is_refused_where_it_would_be_normalised_over_itself(num_images: int, batch_size: int) -> None:
    settings = params(network="pyramid", batch_size=batch_size)
    train_set = random_set(num_images, side=8)
    alone = "^network 'pyramid' needs two training images or more, found 1; add some$"
    left = rf"^batch_size: network 'pyramid' needs batches of two .* {num_images} training images"
    with pytest.raises(UserError, match=alone if num_images == 1 else left):
        train(model_for("pyramid", side=8), train_set, random_set(0, side=8), settings)
    train(model_for("mlp", side=8), train_set, random_set(0, side=8), params(network="mlp", batch_size=batch_size))


def test_the_average_is_the_running_mean_worked_out_by_hand_and_is_what_is_kept() -> None:
    """Its decay is min(0.9, (1 + step) / (10 + step)), so that the first weights fade soon."""
    settings = params(network="mlp", ema_decay=0.9, epochs=2, lr=0.05)
    train_state = TrainState(model_for("mlp"), recipe_for(settings))
    expected = train_state.model.network[1].weight.detach().clone()
    step = 0

    class Watched(TrainState):
        def step(self, number: int) -> None:
            nonlocal expected, step
            super().step(number)
            decay = min(0.9, (1 + step) / (10 + step))
            expected = decay * expected + (1 - decay) * self.model.network[1].weight.detach()
            step += 1

    train_state.__class__ = Watched
    result = fit(train_state, random_set(24), random_set(0), lambda result: None)
    assert step == 6
    torch.testing.assert_close(result.weights["1.weight"], expected)
    assert not torch.equal(result.weights["1.weight"], train_state.model.network[1].weight)


def test_a_clipped_step_is_as_long_as_the_limit_says() -> None:
    """Plain SGD at lr 1: the joint length of a step is that of the gradient, at most clip_norm."""
    before = [parameter.detach().clone() for parameter in model_for("softmax").parameters()]
    model = model_for("softmax")
    train(model, random_set(8), random_set(0), params(lr=1.0, clip_norm=0.01))
    moves = [(new - old).flatten() for new, old in zip(model.parameters(), before, strict=True)]
    assert torch.cat(moves).norm().item() == pytest.approx(0.01, rel=1e-3)


def test_smoothing_changes_what_is_minimised_and_not_what_is_told() -> None:
    plain = train(model_for("mlp"), random_set(8), random_set(0), params(network="mlp"))
    smoothed = train(model_for("mlp"), random_set(8), random_set(0), params(network="mlp", label_smoothing=0.5))
    assert plain.history == smoothed.history, "the figures of the first step are those before it"
    assert not torch.equal(plain.weights["1.weight"], smoothed.weights["1.weight"])
