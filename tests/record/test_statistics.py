"""Each figure against scipy, statsmodels, scikit-learn, a closed form, or the published value."""

import json
import math
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import binomtest, bootstrap
from sklearn.metrics import f1_score
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from benchmarks.calibration import Scenario, exact_rate, simulated_pair
from record.statistics import (
    LEVEL,
    accuracy_interval,
    holm,
    macro_f1,
    macro_f1_change,
    macro_f1_interval,
    macro_f1_level,
    mcnemar_mid_p,
    mean_interval,
    share_interval,
)
from record.verdicts import NO_EVIDENCE, compare_classes, compare_metrics

Z = 1.959963984540054


@pytest.mark.parametrize(("count", "num_images"), [(0, 1), (5, 5), (290, 300), (9375, 10_000)])
def test_a_share_has_wilsons_interval(count: int, num_images: int) -> None:
    interval = share_interval(count, num_images)
    assert interval.estimate == count / num_images
    assert (interval.low, interval.high) == pytest.approx(proportion_confint(count, num_images, method="wilson"))


class TestMcNemar:
    @given(st.integers(0, 400), st.integers(0, 400))
    @settings(max_examples=100)
    def test_it_is_the_exact_test_less_half_of_what_was_seen_at_either_end(self, gained: int, lost: int) -> None:
        """Lancaster's mid-p from the p-values and probabilities of the exact test of statsmodels and of scipy."""
        exact = mcnemar([[7, gained], [lost, 9]], exact=True).pvalue
        num_changed = gained + lost
        seen = math.comb(num_changed, gained) * 0.5**num_changed
        if gained == lost:
            assert mcnemar_mid_p(gained, lost) == pytest.approx(1)
        else:
            assert mcnemar_mid_p(gained, lost) == pytest.approx(exact - seen)
            assert binomtest(gained, num_changed).pvalue == pytest.approx(exact)

    def test_a_case_worked_by_hand(self) -> None:
        """1 gained, 3 lost: 2 · (1/16) for none, and 4/16 for one, which counts half at each of the two ends."""
        assert mcnemar_mid_p(1, 3) == pytest.approx(2 / 16 + 4 / 16)

    def test_nothing_that_changed_sides_is_no_evidence(self) -> None:
        assert mcnemar_mid_p(0, 0) == 1

    def test_many_come_close_to_the_normal_approximation(self) -> None:
        approximate = mcnemar([[0, 5200], [5000, 0]], exact=False, correction=False).pvalue
        assert mcnemar_mid_p(5200, 5000) == pytest.approx(approximate, rel=1e-3)


class TestAccuracyInterval:
    def test_a_case_worked_by_hand(self) -> None:
        """With one image more of each kind: 11 and 5 of 102, so 0.0588 ± 1.96 · √((16/102 − 0.0588²) / 102)."""
        interval = accuracy_interval(10, 4, 100)
        half = Z * math.sqrt((16 / 102 - (6 / 102) ** 2) / 102)
        assert interval.estimate == pytest.approx(0.06)
        assert (interval.low, interval.high) == pytest.approx((6 / 102 - half, 6 / 102 + half))

    @pytest.mark.parametrize("num_images", [1, 2, 5, 12])
    def test_it_holds_its_estimate_and_stays_among_the_possible(self, num_images: int) -> None:
        for gained in range(num_images + 1):
            for lost in range(num_images + 1 - gained):
                interval = accuracy_interval(gained, lost, num_images)
                assert -1 <= interval.low <= interval.estimate <= interval.high <= 1, (gained, lost)

    @pytest.mark.parametrize("num_images", [100, 355, 10_000])
    def test_where_it_leaves_out_zero_the_test_agrees(self, num_images: int) -> None:
        """As long as fewer than half of the images change sides. So the verdict hangs on the interval, in practice."""
        for gained in range(0, min(num_images // 4, 120)):
            lost = next(lost for lost in range(gained, num_images) if accuracy_interval(gained, lost, num_images).high < 0)
            assert mcnemar_mid_p(gained, lost) < LEVEL

    def test_it_covers_as_often_as_it_says(self) -> None:
        rng = np.random.default_rng(0)
        counts = rng.multinomial(1000, [0.03, 0.02, 0.95], size=4000)
        covered = [abs_low <= 0.01 <= high for abs_low, high in (_bounds(gained, lost) for gained, lost, _ in counts)]
        assert 0.94 < np.mean(covered) < 0.965


def _bounds(gained: int, lost: int) -> tuple[float, float]:
    interval = accuracy_interval(gained, lost, 1000)
    return interval.low, interval.high


class TestMeanInterval:
    def test_scipys_bootstrap_gives_nearly_the_same(self) -> None:
        differences = np.random.default_rng(0).standard_t(5, 2000) * 0.4 + 0.02
        ours = mean_interval(differences)
        theirs = bootstrap((differences,), np.mean, method="BCa", n_resamples=5000, rng=1).confidence_interval
        width = theirs.high - theirs.low
        assert ours.estimate == pytest.approx(differences.mean())
        assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.04 * width)

    def test_normal_differences_give_students_interval(self) -> None:
        """Of 12 normal values, Student's t has the quantile 2.201 where the normal distribution has 1.96."""
        rng = np.random.default_rng(3)
        halves = []
        for _ in range(40):
            values = rng.normal(0, 1, 12)
            interval = mean_interval(values)
            halves.append((interval.high - interval.estimate) / (values.std(ddof=1) / math.sqrt(12)))
        assert np.mean(halves) == pytest.approx(2.201, abs=0.12)

    def test_the_unit_does_not_matter_however_large(self) -> None:
        values = np.random.default_rng(0).normal(0.1, 1, 50)
        small, large = mean_interval(values), mean_interval(values * 1e99)
        assert (large.low, large.high) == pytest.approx((small.low * 1e99, small.high * 1e99))

    def test_it_is_the_same_every_time_and_symmetric(self) -> None:
        values = np.random.default_rng(0).normal(0.1, 1, 50)
        interval = mean_interval(values)
        assert interval == mean_interval(values)
        assert interval.high - interval.estimate == pytest.approx(interval.estimate - interval.low)

    @pytest.mark.parametrize("values", [[0.0, 0.0], [0.5], [0.5, 0.5], [0.0, 0.0, 0.0, 1.0]])
    def test_little_to_go_by_gives_a_finite_interval(self, values: list[float]) -> None:
        interval = mean_interval(np.array(values))
        assert interval.estimate == pytest.approx(np.mean(values))
        assert math.isfinite(interval.low) and math.isfinite(interval.high)
        assert interval.leaves_out_zero == (values[0] == 0.5)


def labels(rng: np.random.Generator, num_images: int, num_classes: int) -> tuple[NDArray[np.int64], ...]:
    actual = rng.integers(0, num_classes, num_images)
    guesses = [np.where(rng.random(num_images) < 0.3, rng.integers(0, num_classes, num_images), actual) for _ in range(2)]
    return actual, *guesses


class TestMacroF1:
    @pytest.mark.parametrize("seed", range(5))
    def test_it_is_scikit_learns(self, seed: int) -> None:
        actual, predicted, _ = labels(np.random.default_rng(seed), 12, 9)
        assert macro_f1(actual, predicted, 9) == pytest.approx(f1_score(actual, predicted, average="macro", zero_division=0))

    def test_drawing_counts_of_cells_is_drawing_images(self) -> None:
        """Beside the bootstrap of scipy, which draws images and asks scikit-learn."""
        actual, before, after = labels(np.random.default_rng(1), 400, 4)

        def change(*columns: NDArray[np.int64]) -> float:
            rows, old, new = columns
            return float(f1_score(rows, new, average="macro") - f1_score(rows, old, average="macro"))

        theirs = bootstrap(
            (actual, before, after), change, paired=True, vectorized=False, method="percentile", n_resamples=600, rng=1
        )
        ours = macro_f1_interval(actual, before, after, 4)
        assert ours.estimate == pytest.approx(change(actual, before, after))
        width = theirs.confidence_interval.high - theirs.confidence_interval.low
        assert ours.high - ours.low == pytest.approx(width, rel=0.12)
        assert ours.low == pytest.approx(theirs.confidence_interval.low, abs=0.1 * width)

    def test_that_of_one_model_is_near_scipys_bootstrap(self) -> None:
        actual, predicted, _ = labels(np.random.default_rng(3), 400, 4)

        def level(*columns: NDArray[np.int64]) -> float:
            return float(f1_score(*columns, average="macro"))

        theirs = bootstrap(
            (actual, predicted), level, paired=True, vectorized=False, method="percentile", n_resamples=600, rng=1
        )
        ours = macro_f1_level(actual, predicted, 4)
        assert ours.estimate == pytest.approx(level(actual, predicted))
        width = theirs.confidence_interval.high - theirs.confidence_interval.low
        assert ours.high - ours.low == pytest.approx(width, rel=0.12)
        assert ours.low == pytest.approx(theirs.confidence_interval.low, abs=0.1 * width)

    def test_the_standard_error_is_that_of_numeric_slopes(self) -> None:
        """Slopes of scikit-learn's weighted F1: by how much it changes when an image weighs a little more or less."""
        actual, before, after = labels(np.random.default_rng(2), 60, 4)

        def change(weights: NDArray[np.float64]) -> float:
            old, new = (f1_score(actual, guess, average="macro", sample_weight=weights) for guess in (before, after))
            return float(new - old)

        steps = 1e-4 * np.eye(60)
        slopes = np.array([change(1 + step) - change(1 - step) for step in steps]) / 2e-4
        cells, counts = np.unique(np.stack([actual, before, after]), axis=1, return_counts=True)
        (difference,), (error,) = macro_f1_change(counts[None].astype(np.float64), cells, 4)
        assert difference == pytest.approx(change(np.ones(60)))
        assert error == pytest.approx(math.sqrt((slopes**2).sum()), rel=1e-5)

    def test_many_resamples_at_a_time_are_as_many_one_by_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        actual, before, after = labels(np.random.default_rng(1), 200, 4)
        whole = macro_f1_interval(actual, before, after, 4, num_resamples=500)
        monkeypatch.setattr("record.statistics._VALUES_AT_ONCE", 150)
        assert macro_f1_interval(actual, before, after, 4, num_resamples=500) == whole

    def test_classes_that_vanish_from_a_resample_are_no_trouble(self) -> None:
        interval = macro_f1_interval(np.array([0, 1, 2, 3]), np.array([0, 1, 2, 3]), np.array([0, 1, 2, 2]), 5)
        assert interval.estimate == pytest.approx((1 + 1 + 2 / 3 + 0) / 4 - 1)
        assert interval.low <= interval.estimate <= interval.high
        assert not interval.leaves_out_zero

    @pytest.mark.parametrize("num_changed", [0, 1, 2])
    def test_a_change_of_few_images_has_nearly_the_interval_of_the_accuracy(self, num_changed: int) -> None:
        """In ten classes of one size an image weighs as much in both. Resamples without any of these images tell nothing."""
        actual = np.arange(400) % 10
        before, after = actual.copy(), actual.copy()
        after[:num_changed] = (actual[:num_changed] + 1) % 10
        ours, shares = macro_f1_interval(actual, before, after, 10), accuracy_interval(0, num_changed, 400)
        assert ours.estimate == pytest.approx(-num_changed / 400, rel=0.01)
        assert ours.high - ours.low == pytest.approx(shares.high - shares.low, rel=0.15)
        assert not ours.leaves_out_zero

    def test_a_change_in_a_small_class_weighs_more(self) -> None:
        """Two images of the class with ten of them, or two of that with 190: a tenth and a hundred-and-ninetieth of a class."""
        actual = np.repeat([0, 1, 2], [10, 200, 190])
        lengths = []
        for first in (0, 210):
            after = actual.copy()
            after[first : first + 2] = 1
            interval = macro_f1_interval(actual, actual, after, 3)
            lengths.append(interval.high - interval.low)
        assert lengths[0] > 4 * lengths[1]
        assert max(lengths) < 0.5

    def test_a_change_of_few_images_is_covered(self) -> None:
        """Of 355 images as in the digits, of classes of other sizes, two change on average, one way or the other."""
        rng = np.random.default_rng(5)
        sizes_K = np.array([90, 80, 60, 45, 30, 20, 15, 15])
        covered = 0
        for _ in range(100):
            actual = rng.choice(8, 355, p=sizes_K / 355)
            before, after = actual.copy(), actual.copy()
            for guess in (before, after):
                wrong = rng.random(355) < 1 / 355
                guess[wrong] = (actual[wrong] + 1) % 8
            interval = macro_f1_interval(actual, before, after, 8, num_resamples=500)
            covered += interval.low <= 0 <= interval.high
            assert interval.high - interval.low < 0.3
        assert covered >= 95


class TestMacroF1OfOneModel:
    @pytest.mark.parametrize(("num_wrong", "num_images"), [(1, 355), (3, 355), (12, 355), (40, 355), (700, 10_000)])
    def test_in_classes_of_one_size_it_is_nearly_wilsons_of_the_accuracy(self, num_wrong: int, num_images: int) -> None:
        """Each class has the same share of wrong images, taken for the next class: then macro-F1 is the accuracy."""
        actual = np.arange(num_images) % 5
        predicted = np.where(np.arange(num_images) < num_wrong, (actual + 1) % 5, actual)
        ours, wilson = macro_f1_level(actual, predicted, 5), share_interval(num_images - num_wrong, num_images)
        length = wilson.high - wilson.low
        assert ours.estimate == pytest.approx(wilson.estimate, abs=1e-3)
        assert (ours.low, ours.high) == pytest.approx((wilson.low, wilson.high), abs=0.12 * length)

    def test_without_a_mistake_it_is_wilsons(self) -> None:
        """n / (n + z²) to 1, of as many images as there are; of classes of 10 and 90, of 2² / (1/10 + 1/90) = 36."""
        even = np.arange(100) % 4
        interval = macro_f1_level(even, even, 4)
        assert (interval.estimate, interval.low, interval.high) == pytest.approx((1, 100 / (100 + Z**2), 1))
        uneven = np.repeat([0, 1], [10, 90])
        assert macro_f1_level(uneven, uneven, 2).low == pytest.approx(36 / (36 + Z**2))

    @pytest.mark.parametrize(
        ("actual", "predicted"),
        [([0], [0]), ([0], [1]), ([0, 1, 2], [1, 2, 0]), ([0, 1, 2], [0, 1, 1]), ([0, 1], [0, 2]), ([0, 0, 0], [0, 0, 3])],
    )
    def test_little_to_go_by_gives_a_wide_interval_of_possible_values(self, actual: list[int], predicted: list[int]) -> None:
        interval = macro_f1_level(np.array(actual), np.array(predicted), 4)
        assert 0 <= interval.low <= interval.estimate <= interval.high <= 1
        assert interval.high - interval.low > 0.3

    @pytest.mark.parametrize("mean_mistakes", [1, 4, 40])
    def test_it_covers_as_often_as_it_says(self, mean_mistakes: int) -> None:
        """Where the truth is known: classes of other sizes, each image of each wrong with the same probability."""
        rng = np.random.default_rng(7)
        share_K, wrong = np.array([0.3, 0.2, 0.2, 0.15, 0.1, 0.05]), mean_mistakes / 500
        right_K = share_K * (1 - wrong)
        truth = float(np.mean(2 * right_K / (share_K + right_K + np.roll(share_K * wrong, 1))))
        covered, rounds = 0, 400
        for _ in range(rounds):
            actual = rng.choice(6, 500, p=share_K)
            predicted = np.where(rng.random(500) < wrong, (actual + 1) % 6, actual)
            interval = macro_f1_level(actual, predicted, 6)
            covered += interval.low <= truth <= interval.high
        assert covered / rounds > 0.95 - 3 * math.sqrt(0.95 * 0.05 / rounds)


@pytest.mark.parametrize("number", [1, 2, 5, 40])
def test_holm_is_that_of_statsmodels(number: int) -> None:
    p_values = (np.random.default_rng(number).random(number) ** 4).round(2).tolist()
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1].tolist())


def test_ten_thousand_resamples_of_ten_thousand_images_take_less_than_two_seconds() -> None:
    before, after = simulated_pair(np.random.default_rng(0), Scenario("alike", 10_000, 1))
    seconds = []
    for _ in range(2):  # the machine may have other work
        start = time.process_time()
        mean_interval(after.loss_N - before.loss_N)
        macro_f1_interval(before.actual_N, before.predicted_N, after.predicted_N, 10)
        seconds.append(time.process_time() - start)
    assert min(seconds) < 2


class TestFalseAlarms:
    """A small part of benchmarks/calibration.py: of 40 pairs, 5 % is 2 ± 1.4, and more than 8 come once in 7,000 times."""

    def test_models_that_are_equally_good_are_seldom_called_different(self) -> None:
        scenario = Scenario("alike", 300, 40)
        alarms: dict[str, int] = {}
        for number in range(scenario.num_pairs):
            before, after = simulated_pair(np.random.default_rng([9, number]), scenario)
            for metric in compare_metrics(before, after, comparable=True):
                alarms[metric.name] = alarms.get(metric.name, 0) + (metric.verdict != NO_EVIDENCE)
            differing = any(one.verdict != NO_EVIDENCE for one in compare_classes(before, after))
            alarms["classes"] = alarms.get("classes", 0) + differing
        assert len(alarms) == 4
        assert max(alarms.values()) <= 8, alarms

    def test_the_exact_rate_of_mcnemars_test_is_at_most_the_level(self) -> None:
        """Summed over all outcomes, for the accuracy and for a class among ten."""
        for num_images, level in ((355, 0.05), (1000, 0.05), (1000, 0.005)):
            assert 0.5 * level < exact_rate(num_images, level) <= level

    def test_no_rate_on_record_lies_above_the_level_by_more_than_chance(self) -> None:
        """As docs/explain/statistics.md says of benchmarks/calibration.md."""
        record = json.loads((Path(__file__).parents[2] / "benchmarks/calibration.json").read_text(encoding="utf-8"))
        rates = [rate for scenario in record["scenarios"] for rate in scenario["false_alarms"].values()]
        assert len(rates) == 4 * 5
        assert max(rate["low"] for rate in rates) <= LEVEL
        assert max(max(exact.values()) for exact in record["exact"].values()) <= LEVEL

    def test_a_model_that_is_better_is_called_so(self) -> None:
        before, after = simulated_pair(np.random.default_rng(0), Scenario("alike", 3000, 1))
        improved = np.where(np.arange(3000) % 20 == 0, before.actual_N, before.predicted_N)
        better = type(after)(**{**vars(before), "predicted_N": improved, "right_N": improved == before.actual_N})
        assert [metric.verdict for metric in compare_metrics(before, better, comparable=True)] == [
            "better",
            NO_EVIDENCE,
            "better",
        ]
        assert [metric.verdict for metric in compare_metrics(better, before, comparable=True)] == [
            "worse",
            NO_EVIDENCE,
            "worse",
        ]
