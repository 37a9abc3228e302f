"""The review for other programs, as JSON."""

import json
from dataclasses import asdict
from typing import Any

from tools.review.results import Results
from tools.review.review import Review


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
