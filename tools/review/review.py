"""All that a review says of two revisions, before it is put into words; as JSON for other programs."""

import json
from dataclasses import asdict, dataclass
from typing import Any

from record.results import Results, read_results
from record.revisions import Revision
from record.staleness import stale_inputs
from record.verdicts import (
    ClassVerdict,
    Flips,
    SeedSpread,
    TestedMetric,
    compare_classes,
    compare_metrics,
    find_flips,
    read_spread,
    reason_not_to_compare,
    same_predictions,
)
from tools.review.changes import Change, Touched, by_module, fact_changes, find_changes, touched_stages


@dataclass(frozen=True)
class Review:
    """`before` and `after` compared."""

    before: Results
    after: Results
    changes: list[Change]
    touched: Touched
    stale: dict[str, dict[str, list[str]]]
    """Of each revision whose dvc.lock is: its name, and by stage what differs from what the stage ran with."""
    refusal: str | None
    """Why the predictions cannot be compared; None when they can."""
    metrics: list[TestedMetric]
    classes: list[ClassVerdict]
    """Empty when they cannot be compared."""
    flips: Flips | None
    spread: SeedSpread | None
    identical: bool
    """Whether every image has the same predicted class and loss on both sides."""

    @property
    def other_metrics(self) -> dict[str, tuple[float | None, float | None]]:
        """Metrics of which nothing is kept of each image, so that no test is possible; None where a side lacks it.

        The bounds of one side's own accuracy are left out: they say little of the difference, and look as if they did.
        """
        before, after = self.before.metrics, self.after.metrics
        names = [name for name in {**before, **after} if not name.startswith(tuple(metric.name for metric in self.metrics))]
        return {name: (before.get(name), after.get(name)) for name in names}

    def within_spread(self, metric: TestedMetric) -> bool:
        """Whether another seed alone could have made the difference."""
        return (
            self.spread is not None
            and metric.interval is not None
            and abs(metric.interval.estimate) <= self.spread.bounds[metric.name]
        )


def review(base: Revision, head: Revision) -> Review:
    """Compare two revisions from what git and the workspace hold; nothing is run. Raises UserError for bad results."""
    before, after = read_results(base), read_results(head)
    refusal = reason_not_to_compare(before, after)
    facts = fact_changes(before.lock, after.lock)
    stale = {results.revision.name: stale_inputs(results.revision, results.lock) for results in (before, after)}
    return Review(
        before,
        after,
        [one for change in find_changes(before.lock, after.lock) for one in by_module(change, base, head)] + facts,
        touched_stages(before.lock, after.lock, facts),
        {name: stages for name, stages in stale.items() if stages},
        refusal,
        compare_metrics(before, after, comparable=refusal is None),
        compare_classes(before, after) if refusal is None else [],
        find_flips(before, after) if refusal is None else None,
        read_spread(head, after.lock),
        identical=refusal is None and same_predictions(before, after),
    )


def as_json(review: Review) -> str:
    """Everything, the positions of all images that changed sides included."""
    metrics = [
        {
            "name": metric.name,
            "before": metric.before,
            "after": metric.after,
            "difference": metric.interval and metric.interval.estimate,
            "low": metric.interval and metric.interval.low,
            "high": metric.interval and metric.interval.high,
            "p_value": metric.p_value,
            "verdict": metric.verdict,
            "within_seed_spread": review.within_spread(metric) if review.spread and metric.interval else None,
        }
        for metric in review.metrics
    ]
    document = {
        "base": _side(review.before),
        "head": _side(review.after),
        "not_comparable_because": review.refusal,
        "identical_predictions": review.identical,
        "metrics": metrics,
        "other_metrics": {name: {"before": old, "after": new} for name, (old, new) in review.other_metrics.items()},
        "classes": [asdict(one) for one in review.classes],
        "flips": review.flips and {"lost": review.flips.lost.tolist(), "gained": review.flips.gained.tolist()},
        "changes": [asdict(change) for change in review.changes],
        "touched_stages": asdict(review.touched),
        "stale": review.stale,
    }
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)


def _side(results: Results) -> dict[str, Any]:
    return {"name": results.revision.name, "commit": results.revision.commit, "test_hash": results.test_hash}
