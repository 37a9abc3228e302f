"""All that a review says of two revisions, before it is put into words."""

from dataclasses import dataclass

from tools.review.changes import Change, Touched, by_module, find_changes, touched_stages
from tools.review.flips import Flips, find_flips
from tools.review.results import Results, read_results
from tools.review.revisions import Revision
from tools.review.seeds import SeedSpread, read_spread
from tools.review.staleness import stale_inputs
from tools.review.verdicts import (
    ClassVerdict,
    TestedMetric,
    judge_classes,
    judge_metrics,
    reason_not_to_compare,
    same_predictions,
)


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
    stale = {results.revision.name: stale_inputs(results.revision, results.lock) for results in (before, after)}
    return Review(
        before,
        after,
        [one for change in find_changes(before.lock, after.lock) for one in by_module(change, base, head)],
        touched_stages(before.lock, after.lock),
        {name: stages for name, stages in stale.items() if stages},
        refusal,
        judge_metrics(before, after, comparable=refusal is None),
        judge_classes(before, after) if refusal is None else [],
        find_flips(before, after) if refusal is None else None,
        read_spread(head, after.lock),
        identical=refusal is None and same_predictions(before, after),
    )
