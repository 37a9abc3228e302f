"""What the review's page shows. Its words are in review.html."""

import base64
from collections.abc import Mapping

from tools.page import render
from tools.review import wording
from tools.review.review import Review


def as_page(review: Review, pictures: Mapping[str, bytes], missing: str | None) -> str:
    """The page; `pictures` are PNGs by caption, `missing` says why those of the images are not among them."""
    return render(
        "review/review",
        title=f"Review: {wording.revision_words(review.before)} → {wording.revision_words(review.after)}",
        review=review,
        wording=wording,
        pictures={name: f"data:image/png;base64,{base64.b64encode(png).decode()}" for name, png in pictures.items()},
        missing=missing,
        rows={
            "metrics": [
                [wording.metric_words(metric.name), metric.verdict, *wording.metric_cells(metric)] for metric in review.metrics
            ],
            "changes": [
                [f"{change.kind} {change.name}", change.before, change.after, ", ".join(change.stages)]
                for change in review.changes
            ],
            "classes": [[one.name, one.verdict, *wording.class_cells(one)] for one in review.classes],
            "other_metrics": [[name, *wording.other_metric_cells(*values)] for name, values in review.other_metrics.items()],
        },
    )
