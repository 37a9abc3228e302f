"""Paired comparisons of two models on the same images, and the figures of one.

docs/explain/statistics.md says why these, and how often they raise a false alarm.

Legend: N images, K classes, R resamples, C cells: the distinct triples of actual class, class predicted before and after.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.stats import binom, binomtest, norm

LEVEL = 0.05
"""Of every test here; the intervals are of confidence 1 - LEVEL."""
RESAMPLES = 10_000
SEED = 0
_VALUES_AT_ONCE = 2**20
"""Drawn together: enough to be quick, few enough to stay in the processor's cache."""

_ROUNDING = 1e-12
"""A standard error of macro-F1 below it is none: that of one image is larger."""

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Interval:
    """An estimate with the bounds of its confidence interval."""

    estimate: float
    low: float
    high: float

    @property
    def leaves_out_zero(self) -> bool:
        """Whether zero lies outside."""
        return self.low > 0 or self.high < 0


def mcnemar_mid_p(gained: int, lost: int) -> float:
    """Two-sided mid-p value of McNemar's test (Fagerland, Lydersen & Laake 2013), from the images that changed sides.

    Under the null hypothesis each of them is as likely to be gained as lost. Without any, 1.
    """
    fewer, num_changed = min(gained, lost), gained + lost
    return float(2 * binom.cdf(fewer, num_changed, 0.5) - binom.pmf(fewer, num_changed, 0.5))


def accuracy_interval(gained: int, lost: int, num_images: int) -> Interval:
    """Change of the share that is right, with the interval of Bonett & Price (2012): Wald's with an image more of each kind."""
    estimate = (gained - lost) / num_images
    share_gained, share_lost = (gained + 1) / (num_images + 2), (lost + 1) / (num_images + 2)
    shift = share_gained - share_lost
    half = _z() * math.sqrt((share_gained + share_lost - shift**2) / (num_images + 2))
    return Interval(estimate, max(shift - half, -1.0), min(shift + half, 1.0))


def mean_interval(values_N: Floats, num_resamples: int = RESAMPLES) -> Interval:
    """Mean of paired differences, with the symmetric bootstrap-t interval (Hall 1988) over images."""
    num_images = len(values_N)
    rng = np.random.default_rng(SEED)
    scale = float(np.abs(values_N).max())
    if scale == 0:
        return Interval(0.0, 0.0, 0.0)
    scaled_N = values_N / scale  # at most 1, as a change of macro-F1 is
    means, errors = [], []
    for num_rows in _rows(num_resamples, num_images):
        drawn_RN = scaled_N[rng.integers(0, num_images, (num_rows, num_images))]
        mean_R = drawn_RN.mean(axis=1)
        means.append(mean_R)
        errors.append(np.sqrt(np.maximum(np.einsum("rn,rn->r", drawn_RN, drawn_RN) / num_images - mean_R**2, 0) / num_images))
    estimate, error = float(scaled_N.mean()), float(scaled_N.std() / math.sqrt(num_images))
    interval = _bootstrap_t(estimate, error, np.concatenate(means), np.concatenate(errors))
    return Interval(interval.estimate * scale, interval.low * scale, interval.high * scale)


def macro_f1_interval(
    actual_N: Labels, before_N: Labels, after_N: Labels, num_classes: int, num_resamples: int = RESAMPLES
) -> Interval:
    """Change of macro-F1, with the symmetric bootstrap-t interval over images.

    Drawing N images with replacement is drawing how often each cell occurs, so only the counts of cells are drawn.

    Where three images or fewer change their predicted class, many resamples hold none of them and the bootstrap has no bound.
    Then the interval is Wald's with two images more that change, as Bonett & Price (2012) have it for shares.
    """
    cells, count_C = np.unique(np.stack([actual_N, before_N, after_N]), axis=1, return_counts=True)
    num_images, rng = len(actual_N), np.random.default_rng(SEED)
    draws = [
        macro_f1_change(rng.multinomial(num_images, count_C / num_images, size=num_rows).astype(np.float64), cells, num_classes)
        for num_rows in _rows(num_resamples, len(count_C))
    ]
    (estimate,), (error,) = macro_f1_change(count_C[None].astype(np.float64), cells, num_classes)
    quantile = _quantile_of_t(float(estimate), *(np.concatenate(part) for part in zip(*draws, strict=True)))
    if error > _ROUNDING and math.isfinite(quantile):
        half = quantile * float(error)
    else:
        half = _half_of_few(float(error), int((before_N != after_N).sum()), 1 / (num_images * _worth(actual_N)))
    return Interval(float(estimate), max(float(estimate) - half, -1.0), min(float(estimate) + half, 1.0))


def macro_f1_level(actual_N: Labels, predicted_N: Labels, num_classes: int) -> Interval:
    """Macro-F1 of one model, with Wilson's interval of as many images as would give a share its standard error.

    (The effective sample size of Korn & Graubard 1998.) At most those of `_worth`, as mistakes that did not occur may be in the
    small classes.
    """
    cells, count_C = np.unique(np.stack([actual_N, predicted_N]), axis=1, return_counts=True)
    (estimate,), (error,) = _macro_f1_and_error(count_C[None].astype(np.float64), cells, num_classes)
    num_images = _worth(actual_N)
    if error > _ROUNDING:
        num_images = min(num_images, estimate * (1 - estimate) / error**2)
    return _wilson(float(estimate), float(num_images))


def share_interval(count: int, num_images: int) -> Interval:
    """A share of one model's images, with Wilson's interval (1927)."""
    bounds = binomtest(count, num_images).proportion_ci(confidence_level=1 - LEVEL, method="wilson")
    return Interval(count / num_images, float(bounds.low), float(bounds.high))


def macro_f1(actual_N: Labels, predicted_N: Labels, num_classes: int) -> float:
    """Mean F1 of the classes that occur as actual or predicted class, as scikit-learn's `f1_score(average="macro")`."""
    right_K = np.bincount(actual_N[actual_N == predicted_N], minlength=num_classes)
    total_K = np.bincount(actual_N, minlength=num_classes) + np.bincount(predicted_N, minlength=num_classes)
    return float((2 * right_K[total_K > 0] / total_K[total_K > 0]).mean())


def macro_f1_change(count_RC: Floats, cells: Labels, num_classes: int) -> tuple[Floats, Floats]:
    """Macro-F1 after less that before, and its standard error, with `count_RC[r, c]` images of the triple `cells[:, c]`.

    The error is that of the infinitesimal jackknife: to first order, an image adds the slope of its cell.
    """
    actual_C, before_C, after_C = cells
    before_R, slope_before_RC = _macro_f1_and_slope(count_RC, actual_C, before_C, num_classes)
    after_R, slope_after_RC = _macro_f1_and_slope(count_RC, actual_C, after_C, num_classes)
    error_R = np.sqrt(np.einsum("rc,rc->r", count_RC, (slope_after_RC - slope_before_RC) ** 2))
    return after_R - before_R, error_R


def holm(p_values: list[float]) -> list[float]:
    """p-values corrected for their number (Holm 1979), in the same order: all below LEVEL are findings together."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    corrected, least = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        least = max(least, min(1.0, p_values[index] * (len(p_values) - rank)))
        corrected[index] = least
    return corrected


def _z() -> float:
    return float(norm.ppf(1 - LEVEL / 2))


def _rows(num_resamples: int, num_values: int) -> Iterator[int]:
    """How many resamples of `num_values` values to draw at a time."""
    at_once = max(1, _VALUES_AT_ONCE // num_values)
    for start in range(0, num_resamples, at_once):
        yield min(at_once, num_resamples - start)


def _bootstrap_t(estimate: float, error: float, estimate_R: Floats, error_R: Floats) -> Interval:
    """`estimate` plus and minus `error` times the quantile; by 1 where there is none."""
    half = min(_quantile_of_t(estimate, estimate_R, error_R) * error, 1.0) if error else 0.0
    return Interval(estimate, estimate - half, estimate + half)


def _quantile_of_t(estimate: float, estimate_R: Floats, error_R: Floats) -> float:
    """Of the resamples' distances from `estimate` in units of their own errors; infinite where many have no error."""
    distance_R = np.abs(estimate_R - estimate)
    distances_R = np.divide(distance_R, error_R, out=np.full_like(distance_R, np.inf), where=error_R > 0)
    distances_R[distance_R == 0] = 0
    return float(np.quantile(distances_R, 1 - LEVEL, method="higher"))


def _half_of_few(error: float, num_changed: int, least_square: float) -> float:
    """Half of Wald's interval with two changed images more, which move the figure in the mean square as those that changed."""
    square = max(error**2 / num_changed, least_square) if num_changed else least_square
    return _z() * math.sqrt(error**2 + 2 * square)


def _worth(actual_N: Labels) -> float:
    """How many images of classes of one size would tell macro-F1 as well, if mistakes are as frequent in each class.

    N for classes of one size, and less for others: the macro average gives an image of a small class more weight.
    """
    count_K = np.unique(actual_N, return_counts=True)[1]
    return float(len(count_K) ** 2 / np.sum(1 / count_K))


def _wilson(share: float, num_images: float) -> Interval:
    """Wilson's interval (1927), also for a number of images that is not whole."""
    z_squared = _z() ** 2
    centre = (share + z_squared / (2 * num_images)) / (1 + z_squared / num_images)
    half = math.sqrt(z_squared * (share * (1 - share) / num_images + z_squared / (4 * num_images**2)))
    half /= 1 + z_squared / num_images
    return Interval(share, max(min(centre - half, share), 0.0), min(max(centre + half, share), 1.0))


def _is_of_class(label_C: Labels, num_classes: int) -> csr_array:
    """1 where a cell is of a class, else 0: sparse, as a thousand classes have many thousand cells of one class each."""
    num_cells = len(label_C)
    return csr_array((np.ones(num_cells), (np.arange(num_cells), label_C)), shape=(num_cells, num_classes))


def _macro_f1_and_error(count_RC: Floats, cells: Labels, num_classes: int) -> tuple[Floats, Floats]:
    """With `count_RC[r, c]` images of the pair `cells[:, c]` of actual and predicted class."""
    actual_C, predicted_C = cells
    level_R, slope_RC = _macro_f1_and_slope(count_RC, actual_C, predicted_C, num_classes)
    return level_R, np.sqrt(np.einsum("rc,rc->r", count_RC, slope_RC**2))


def _macro_f1_and_slope(count_RC: Floats, actual_C: Labels, predicted_C: Labels, num_classes: int) -> tuple[Floats, Floats]:
    """Macro-F1 and what one image more of a cell would add to it, to first order. (F1 is 2 right / (actual + predicted).)"""
    right_C = actual_C == predicted_C
    is_actual_CK, is_predicted_CK = _is_of_class(actual_C, num_classes), _is_of_class(predicted_C, num_classes)
    total_RK = count_RC @ (is_actual_CK + is_predicted_CK)
    occurs_RK = total_RK > 0
    per_image_RK = np.divide(1, total_RK, out=np.zeros_like(total_RK), where=occurs_RK)
    f1_RK = 2 * ((count_RC * right_C) @ is_actual_CK) * per_image_RK
    num_occurring_R = occurs_RK.sum(axis=1)
    loss_RK = f1_RK * per_image_RK
    slope_RC = 2 * per_image_RK[:, actual_C] * right_C - loss_RK[:, actual_C] - loss_RK[:, predicted_C]
    return f1_RK.sum(axis=1) / num_occurring_R, slope_RC / num_occurring_R[:, None]
