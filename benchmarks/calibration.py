"""How often a review calls two models different that are equally good: simulated pairs, judged by the code of tools/review.

    python -m benchmarks.calibration

Rewrites benchmarks/calibration.json and benchmarks/calibration.md.
"""

import argparse
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import binom, binomtest

from benchmarks.record import ROOT, circumstances
from classifier.common.files import write_json, write_text
from record.lock_file import Lock
from record.results import Results
from record.revisions import Revision
from record.statistics import LEVEL, mcnemar_mid_p
from record.verdicts import NO_EVIDENCE, compare_classes, compare_metrics

NUM_CLASSES = 10
MARGIN_MEAN, MARGIN_STD, SHARED_STD, OWN_STD = 10.0, 5.0, 0.8, 1.4
"""Of the logits. With SHARPNESS they give pairs that resemble two trainings of the `cnn`; the record has their figures."""
SHARPNESS = 0.6
"""The logits are multiplied by it."""
OTHER_SHARPNESS = 1.4456
"""Gives the same mean loss as SHARPNESS, from fewer and larger losses."""
CLASSES = "any class"
SHARE_THAT_CHANGES = 0.05
"""Of the images, for the exact rates."""
PACKAGES = ("numpy", "scipy")


@dataclass(frozen=True)
class Scenario:
    """Pairs of models whose accuracy, macro-F1, recalls and mean loss are the same over all images there could be."""

    name: str
    num_images: int
    num_pairs: int
    sharpness_after: float = SHARPNESS


def scenarios(scale: float) -> list[Scenario]:
    """Test splits as large as that of Fashion-MNIST and of the digits, and between; `scale` multiplies the numbers of pairs."""
    return [
        Scenario("alike", 10_000, round(500 * scale)),
        Scenario("alike", 1_000, round(2000 * scale)),
        Scenario("alike", 355, round(2000 * scale)),
        Scenario("one sharper", 10_000, round(250 * scale), OTHER_SHARPNESS),
        Scenario("one sharper", 1_000, round(1000 * scale), OTHER_SHARPNESS),
    ]


def main() -> None:
    """Simulate and write the record."""
    parser = argparse.ArgumentParser(description="False alarms of tools.review on models that are equally good.")
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies the numbers of pairs")
    scale = parser.parse_args().scale
    rows = []
    for number, scenario in enumerate(scenarios(scale)):
        rows.append(_measure(number, scenario))
        print(rows[-1], flush=True)
    record = {
        "command": f"python -m benchmarks.calibration --scale {scale:g}",
        **circumstances(PACKAGES),
        "scenarios": rows,
        "exact": exact_rates(),
    }
    write_json(ROOT / "benchmarks/calibration.json", record)
    write_text(ROOT / "benchmarks/calibration.md", _page(record))
    print(_page(record))


def exact_rates() -> dict[str, dict[str, float]]:
    """By number of images, the exact false-alarm rate of the accuracy's test, and of any of the classes of equal size."""
    rates = {}
    for num_images in (355, 1_000, 10_000):
        of_one_class = exact_rate(num_images // NUM_CLASSES, LEVEL / NUM_CLASSES)
        rates[f"{num_images:,}"] = {
            "accuracy": round(exact_rate(num_images, LEVEL), 4),
            CLASSES: round(1 - (1 - of_one_class) ** NUM_CLASSES, 4),
        }
    return rates


def exact_rate(num_images: int, level: float) -> float:
    """How often the mid-p value is below `level` when an image that changes sides is as likely gained as lost.

    The sum over how many of `num_images` change sides, and how many of these are gained.
    """
    least, most = (int(bound) for bound in binom.ppf([1e-9, 1 - 1e-9], num_images, SHARE_THAT_CHANGES))
    rate = 0.0
    for num_changed in range(least, most + 1):
        fewer = bisect_left(range(num_changed // 2 + 1), level, key=lambda gained: mcnemar_mid_p(gained, num_changed - gained))
        rate += binom.pmf(num_changed, num_images, SHARE_THAT_CHANGES) * 2 * binom.cdf(fewer - 1, num_changed, 0.5)
    return float(rate)


def _measure(number: int, scenario: Scenario) -> dict[str, Any]:
    alarms: dict[str, int] = {}
    likeness = []
    for pair in range(scenario.num_pairs):
        before, after = simulated_pair(np.random.default_rng([number, pair]), scenario)
        verdicts = {metric.name: metric.verdict for metric in compare_metrics(before, after, comparable=True)}
        verdicts[CLASSES] = next(
            (one.verdict for one in compare_classes(before, after) if one.verdict != NO_EVIDENCE), NO_EVIDENCE
        )
        for name, verdict in verdicts.items():
            alarms[name] = alarms.get(name, 0) + (verdict != NO_EVIDENCE)
        correlation = np.corrcoef(before.loss_N, after.loss_N)[0, 1]
        likeness.append([before.right_N.mean(), (before.right_N != after.right_N).mean(), correlation])
    accuracy, changed, correlation = np.mean(likeness, axis=0)
    return {
        "models": scenario.name,
        "images": scenario.num_images,
        "pairs": scenario.num_pairs,
        "accuracy": round(float(accuracy), 4),
        "share_that_changes_sides": round(float(changed), 4),
        "correlation_of_losses": round(float(correlation), 3),
        "false_alarms": {name: _rate(count, scenario.num_pairs) for name, count in alarms.items()},
    }


def simulated_pair(rng: np.random.Generator, scenario: Scenario) -> tuple[Results, Results]:
    """Two models that share how hard an image is, and err around it each for itself.

    Legend: N images, K classes. An image's logits are normal, partly shared by the models and partly their own; that of its
    class is higher by a normal margin, which they share. To multiply logits changes the loss, but not the predicted class.
    """
    num_images = scenario.num_images
    actual_N, row_N = rng.integers(0, NUM_CLASSES, num_images), np.arange(num_images)
    shared_NK = rng.normal(0, SHARED_STD, (num_images, NUM_CLASSES))
    shared_NK[row_N, actual_N] += rng.normal(MARGIN_MEAN, MARGIN_STD, num_images)
    before = _model(rng, shared_NK, actual_N, SHARPNESS)
    return before, _model(rng, shared_NK, actual_N, scenario.sharpness_after)


def _model(rng: np.random.Generator, shared_NK: NDArray[np.float64], actual_N: NDArray[np.int64], sharpness: float) -> Results:
    logits_NK = sharpness * (shared_NK + rng.normal(0, OWN_STD, shared_NK.shape))
    logits_NK -= logits_NK.max(axis=1, keepdims=True)
    loss_N = np.log(np.exp(logits_NK).sum(axis=1)) - logits_NK[np.arange(len(actual_N)), actual_N]
    predicted_N = logits_NK.argmax(axis=1)
    return Results(
        revision=Revision("simulated", None),
        lock=Lock(stages={}),
        metrics=dict.fromkeys(("test_accuracy", "test_loss", "test_macro_f1"), 0.0),
        predictions=pd.DataFrame(),
        history=pd.DataFrame(),
        classes=[str(label) for label in range(NUM_CLASSES)],
        actual_N=actual_N,
        predicted_N=predicted_N,
        right_N=actual_N == predicted_N,
        loss_N=loss_N,
    )


def _rate(count: int, total: int) -> dict[str, float]:
    """Share with its exact 95 % interval (Clopper & Pearson 1934)."""
    interval = binomtest(count, total).proportion_ci(method="exact")
    return {"rate": round(count / total, 4), "low": round(interval.low, 4), "high": round(interval.high, 4)}


def _page(record: dict[str, Any]) -> str:
    """The record as Markdown."""
    versions = ", ".join(f"{name} {number}" for name, number in record["versions"].items())
    lines = [
        "# False alarms of a review",
        "",
        "Written by `benchmarks/calibration.py`; the same figures are in `calibration.json`.",
        "",
        f"- command: `{record['command']}`",
        f"- machine: {record['processor']}, {record['cores']} cores, {record['system']}",
        f"- versions: {versions}; commit {record['commit']}",
        "- each pair is two simulated models that are equally good over all images there could be; any verdict but “no",
        "  evidence of a difference” is a false alarm. The level stated is 5 % for each column.",
        "- in brackets: the exact 95 % interval of the rate, as the number of pairs is finite",
        "",
        "| models | images | pairs | accuracy | macro-F1 | loss | any class (Holm) |",
        "|---|--:|--:|--:|--:|--:|--:|",
        *_rows(record["scenarios"]),
        "",
        f"Exactly, when {SHARE_THAT_CHANGES:.0%} of the images change sides:",
        "",
        "| images | accuracy, by the test alone | any of ten classes (Holm) |",
        "|--:|--:|--:|",
        *(f"| {images} | {rates['accuracy']:.2%} | {rates[CLASSES]:.2%} |" for images, rates in record["exact"].items()),
        "",
        "What the simulated pairs are like:",
        "",
        "| models | images | accuracy of one | change sides | correlation of losses |",
        "|---|--:|--:|--:|--:|",
        *(
            f"| {row['models']} | {row['images']:,} | {row['accuracy']} | {row['share_that_changes_sides']} "
            f"| {row['correlation_of_losses']} |"
            for row in record["scenarios"]
        ),
        "",
        "“Alike” models differ as two seeds might. “One sharper” has the same mean loss and the same accuracy, but its loss",
        "comes from fewer and larger mistakes, which makes the differences very skewed.",
    ]
    return "\n".join(lines) + "\n"


def _rows(rows: list[dict[str, Any]]) -> Iterator[str]:
    for row in rows:
        alarms = [row["false_alarms"][name] for name in ("test_accuracy", "test_macro_f1", "test_loss", CLASSES)]
        cells = [f"{one['rate']:.1%} ({one['low']:.1%} to {one['high']:.1%})" for one in alarms]
        yield f"| {row['models']} | {row['images']:,} | {row['pairs']:,} | {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
