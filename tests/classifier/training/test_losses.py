"""What is minimised: closed forms, scikit-learn's weights, torch's own loss on a plain loop."""

import numpy as np
import pytest
import torch
from torch import nn

from classifier.compute.seeds import generator
from classifier.training.losses import build_loss, half_squared_error
from tests.support.training import model_for, params, random_set, recipe_for, train

LOGITS_NK = torch.tensor([[0.0, 0.0], [np.log(3), 0.0], [50.0, -50.0]], dtype=torch.float64)
LABELS_N = torch.tensor([1, 0, 1])


def test_half_the_squared_error_by_hand() -> None:
    """Shares ½ ½, ¾ ¼ and 1 0: ½(¼ + ¼), ½(1/16 + 1/16) and ½(1 + 1); their mean is 7/16."""
    assert half_squared_error(LOGITS_NK, LABELS_N).item() == pytest.approx((1 / 4 + 1 / 16 + 1) / 3, rel=1e-12)


def test_its_gradient_is_that_of_finite_differences() -> None:
    logits_NK = torch.randn(4, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda values: half_squared_error(values, torch.tensor([0, 2, 1, 1])), [logits_NK])


def test_the_losses_by_name() -> None:
    assert build_loss(recipe_for(params(loss="mse")), None)(LOGITS_NK, LABELS_N) == half_squared_error(LOGITS_NK, LABELS_N)
    smoothed = nn.CrossEntropyLoss(label_smoothing=0.2)(LOGITS_NK, LABELS_N)
    assert build_loss(recipe_for(params(label_smoothing=0.2)), None)(LOGITS_NK, LABELS_N) == smoothed
    plain = (np.log(2) + np.log(4 / 3) + 100) / 3
    assert build_loss(recipe_for(params()), None)(LOGITS_NK, LABELS_N).item() == pytest.approx(plain, rel=1e-12)
    weighted = (3 * np.log(2) + np.log(4 / 3) + 3 * 100) / (3 + 1 + 3)
    weights_K = torch.tensor([1.0, 3.0], dtype=torch.float64)
    assert build_loss(recipe_for(params()), weights_K)(LOGITS_NK, LABELS_N).item() == pytest.approx(weighted, rel=1e-12)


def test_training_with_weights_is_torchs_own_on_a_plain_loop() -> None:
    train_set, values = random_set(24), {"network": "mlp", "precision": "float64"}
    model, plain = model_for("mlp").double(), model_for("mlp").double()
    model.set_precision("float64")
    plain.set_precision("float64")
    loss = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 5.0, 0.5], dtype=torch.float64))
    optimizer = torch.optim.SGD(plain.parameters(), lr=0.1)
    for rows in torch.randperm(24, generator=generator(3, "shuffle", 1)).split(8):
        images, labels = train_set.batch(rows)
        optimizer.zero_grad()
        loss(plain(images), labels).backward()
        optimizer.step()
    result = train(model, train_set, random_set(0), params(**values, class_weights=[1.0, 5.0, 0.5]))
    for ours, theirs in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)
    unweighted = train(model_for("mlp"), train_set, random_set(0), params(**values))
    assert not torch.equal(result.weights["1.weight"], unweighted.weights["1.weight"].double())
