"""Figures against a matrix worked by hand, scikit-learn's plain functions, and published values."""

import math

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, classification_report, f1_score, log_loss

from classifier.model.inference import Predictions
from classifier.scores.baseline import no_better_than_guessing
from classifier.scores.metrics import (
    classes_table,
    predictions_table,
    summary_metrics,
)


def outcomes_of(actual: list[int], predicted: list[int], loss: list[float] | None = None) -> Predictions:
    return Predictions(
        actual_N=np.array(actual),
        predicted_N=np.array(predicted),
        confidence_N=np.full(len(actual), 0.75, np.float32),
        loss_N=np.array(loss if loss else [0.5] * len(actual), np.float32),
    )


def test_a_confusion_matrix_worked_by_hand() -> None:
    """Rows actual: a 2 right, 1 called b; b 1 right, 1 called c; c both right."""
    table = classes_table(outcomes_of([0, 0, 0, 1, 1, 2, 2], [0, 0, 1, 1, 2, 2, 2]), ["a", "b", "c"])
    assert list(table["class"]) == ["a", "b", "c"]
    assert list(table["support"]) == [3, 2, 2]
    assert table["precision"].to_list() == pytest.approx([1, 1 / 2, 2 / 3])
    assert table["recall"].to_list() == pytest.approx([2 / 3, 1 / 2, 1])
    assert table["f1"].to_list() == pytest.approx([4 / 5, 1 / 2, 4 / 5])


def test_metrics_worked_by_hand() -> None:
    metrics = summary_metrics(outcomes_of([0, 0, 0, 1, 1, 2, 2], [0, 0, 1, 1, 2, 2, 2], [1, 2, 3, 4, 5, 6, 7]))
    assert metrics["test_loss"] == 4
    assert metrics["test_accuracy"] == pytest.approx(5 / 7, abs=1e-6)
    assert metrics["test_macro_f1"] == pytest.approx((4 / 5 + 1 / 2 + 4 / 5) / 3, abs=1e-6)
    assert metrics["test_balanced_accuracy"] == pytest.approx((2 / 3 + 1 / 2 + 1) / 3, abs=1e-6)
    assert metrics["test_baseline_accuracy"] == pytest.approx(3 / 7, abs=1e-6)


@pytest.mark.parametrize(
    ("right_common", "right_rare", "is_remarked"),
    [(88, 0, True), (80, 10, True), (88, 8, False)],
)
def test_a_model_that_is_no_better_than_the_largest_class(right_common: int, right_rare: int, is_remarked: bool) -> None:
    """88 of 100 images are common. Wilson's interval of 90 of 100 begins at 0.826, that of 96 of 100 at 0.902."""
    actual = [0] * 88 + [1] * 12
    predicted = [0] * right_common + [1] * (88 - right_common) + [1] * right_rare + [0] * (12 - right_rare)
    metrics = summary_metrics(outcomes_of(actual, predicted))
    assert metrics["test_baseline_accuracy"] == 0.88
    of_accuracy = (metrics[f"test_{name}"] for name in ("accuracy", "accuracy_low", "accuracy_high", "baseline_accuracy"))
    remark = no_better_than_guessing(*of_accuracy)
    assert ("always guessing the largest class, which is right for 88.0% of the test images" in (remark or "")) == is_remarked


@pytest.mark.parametrize(("right", "total"), [(0, 10), (10, 10), (81, 263), (9170, 10_000), (1, 1)])
def test_the_interval_is_wilsons(right: int, total: int) -> None:
    """Closed form of Wilson (1927): the p at which (p_hat - p)² = z² p (1 - p) / n."""
    z = 1.959963984540054
    p_hat = right / total
    centre = (p_hat + z * z / (2 * total)) / (1 + z * z / total)
    half = z / (1 + z * z / total) * math.sqrt(p_hat * (1 - p_hat) / total + z * z / (4 * total * total))
    metrics = summary_metrics(outcomes_of([0] * total, [0] * right + [1] * (total - right)))
    assert metrics["test_accuracy_low"] == pytest.approx(centre - half, abs=1e-6)
    assert metrics["test_accuracy_high"] == pytest.approx(centre + half, abs=1e-6)


def test_newcombes_published_wilson_interval() -> None:
    """Newcombe (1998), table I: 81 of 263 gives 0.2553 to 0.3662."""
    metrics = summary_metrics(outcomes_of([0] * 263, [0] * 81 + [1] * 182))
    assert (round(metrics["test_accuracy_low"], 4), round(metrics["test_accuracy_high"], 4)) == (0.2553, 0.3662)


def test_figures_agree_with_scikit_learn_on_random_predictions() -> None:
    rng = np.random.default_rng(0)
    actual, predicted = rng.integers(0, 5, 400), rng.integers(0, 5, 400)
    probabilities = rng.dirichlet(np.ones(5), 400)
    loss = -np.log(probabilities[np.arange(400), actual])
    outcomes = outcomes_of(list(actual), list(predicted), list(loss))
    metrics = summary_metrics(outcomes)
    assert metrics["test_accuracy"] == pytest.approx(accuracy_score(actual, predicted), abs=1e-6)
    assert metrics["test_macro_f1"] == pytest.approx(f1_score(actual, predicted, average="macro"), abs=1e-6)
    assert metrics["test_balanced_accuracy"] == pytest.approx(balanced_accuracy_score(actual, predicted), abs=1e-6)
    assert metrics["test_loss"] == pytest.approx(log_loss(actual, probabilities), abs=1e-5)
    report = classification_report(actual, predicted, output_dict=True)
    for row in classes_table(outcomes, list("01234")).to_dict("records"):
        expected = report[row["class"]]
        assert [row["precision"], row["recall"], row["f1"], row["support"]] == pytest.approx(
            [expected["precision"], expected["recall"], expected["f1-score"], expected["support"]]
        )


def test_a_class_without_images_or_predictions_counts_zero_and_does_not_warn(recwarn: pytest.WarningsRecorder) -> None:
    table = classes_table(outcomes_of([0, 0], [0, 0]), ["a", "b"])
    assert table.iloc[1].to_list() == ["b", 0, 0, 0, 0]
    assert not recwarn.list


def test_the_predictions_stand_in_test_order_by_name() -> None:
    table = predictions_table(outcomes_of([1, 0], [0, 0], [1.25, 0.5]), ["cat", "dog"])
    assert table.to_dict("list") == {
        "actual": ["dog", "cat"],
        "predicted": ["cat", "cat"],
        "confidence": [0.75, 0.75],
        "loss": [1.25, 0.5],
    }


def test_losses_that_only_a_lost_training_has_stay_numbers(recwarn: pytest.WarningsRecorder) -> None:
    """2e34 · 10⁵ is beyond float32; of the others the bytes are those of plain rounding."""
    loss_N = np.array([2e34, 0.123456789, 17.3333333, 2e7, 0], dtype=np.float32)
    table = predictions_table(Predictions(np.zeros(5, int), np.zeros(5, int), np.ones(5, np.float32), loss_N), ["a", "b"])
    assert table["loss"].dtype == np.float32
    assert np.isfinite(table["loss"]).all()
    assert table["loss"].to_list()[1:] == loss_N[1:].round(5).tolist()
    assert not recwarn.list
