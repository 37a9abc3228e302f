"""The sentences and cells of a review, as plain text that Markdown and HTML share."""

from classifier.scores.baseline import no_better_than_guessing
from record.results import Results
from record.statistics import Interval, share_interval
from record.verdicts import BETTER, NO_EVIDENCE, WORSE, ClassVerdict, TestedMetric, commonest_mistakes
from tools.review.review import Review

MAX_MISTAKES_NAMED = 5
METHODS_TITLE = "How the differences are tested"
METHODS = (
    "The unit is the test image, and the verdict is about these two models, not about their settings. Accuracy: mid-p McNemar "
    "test, Bonett-Price interval. Loss and macro-F1: symmetric bootstrap-t over images, 10,000 resamples. Each is tested "
    "at the 5 % level; the classes are corrected after Holm for their number. More in docs/explain/statistics.md."
)
OTHER_METRICS = "Other metrics, without a test"
_WORDS = {
    "test_accuracy": "test accuracy",
    "test_loss": "test loss",
    "test_macro_f1": "macro-F1",
    "test_balanced_accuracy": "balanced accuracy (mean recall)",
    "test_baseline_accuracy": "accuracy of always guessing the largest class",
}


def metric_words(name: str) -> str:
    """`test_accuracy` as one says it; other names as they are."""
    return _WORDS.get(name, name)


def figure(value: float | None) -> str:
    """Four decimals, none for the number of an epoch; a dash for none."""
    if value is None:
        return "–"
    return str(value) if isinstance(value, int) else f"{value:.4f}"


def signed(value: float) -> str:
    """A difference, with its sign."""
    text = f"{value:+.4f}"
    return text.replace("-", "−") if float(text) else text[1:]


def percent(share: float, decimals: int = 1) -> str:
    """A share, with a space that no line breaks at."""
    return f"{100 * share:.{decimals}f}\u00a0%"


def interval_words(interval: Interval) -> str:
    """The bounds."""
    return f"{signed(interval.low)} to {signed(interval.high)}"


def quoted(name: str) -> str:
    """The name of a class within a sentence."""
    return f'"{name}"'


def revision_words(results: Results) -> str:
    """`main (140ab41)`; only the commit where the revision was named by it."""
    name, commit = results.revision.name, results.revision.short_commit
    if commit is None:
        return name
    return commit if commit.startswith(name) or name.startswith(commit) else f"{name} ({commit})"


def headline(review: Review) -> tuple[str, str]:
    """The verdict, and the sentence that goes on from it."""
    accuracy = review.metrics[0]
    if review.refusal:
        return "Not comparable", f": {review.refusal}."
    if review.identical:
        return "No difference", f": both give each of the {len(review.after.actual_N):,} test images the same class and loss."
    assert accuracy.interval is not None
    moved = f"{figure(accuracy.before)} → {figure(accuracy.after)}, {signed(accuracy.interval.estimate)}"
    sentence = f"{moved} (95 % interval {interval_words(accuracy.interval)})."
    if accuracy.verdict == NO_EVIDENCE:
        return "No evidence of a difference", f" in test accuracy: {sentence}"
    return accuracy.verdict.capitalize(), f": test accuracy {sentence}"


def further_verdicts(review: Review) -> list[str]:
    """Sentences on the other metrics, the classes, and the spread between seeds."""
    if review.refusal or review.identical:
        return []
    sentences = [f"{_capital(metric_words(metric.name))}: {metric.verdict}." for metric in review.metrics[1:]]
    for verdict in (WORSE, BETTER):
        names = [quoted(one.name) for one in review.classes if one.verdict == verdict]
        if names:
            sentences.append(f"{'Class' if len(names) == 1 else 'Classes'} {verdict}: {', '.join(names)}.")
    return [*sentences, *_spread_sentences(review)]


def guessing_sentences(review: Review) -> list[str]:
    """One for each side whose accuracy is not significantly above that of always guessing the largest class."""
    sides = ((revision_words(results), guessing_remark(results)) for results in (review.before, review.after))
    return [f"{name} is {remark}" for name, remark in sides if remark]


def guessing_remark(results: Results) -> str | None:
    """The same for one model, without its name."""
    accuracy = share_interval(int(results.right_N.sum()), len(results.right_N))
    return no_better_than_guessing(accuracy.estimate, accuracy.low, accuracy.high, results.baseline)


def _spread_sentences(review: Review) -> list[str]:
    if review.spread is None:
        return []
    seeds = f"{review.spread.num_seeds} seeds of the default setting"
    within = [metric for metric in review.metrics if review.within_spread(metric) and metric.interval is not None]
    if not within:
        return [f"Every difference is larger than those between seeds alone ({seeds})."]
    bounds = ", ".join(f"{metric_words(metric.name)} ±{review.spread.bounds[metric.name]:.4f}" for metric in within)
    return [f"No larger than those between seeds alone ({seeds}): {bounds}."]


def stale_sentences(review: Review) -> list[str]:
    """One for each stage whose results are not of the params and files beside them."""
    return [sentence for revision, stages in review.stale.items() for sentence in stale_stages(revision, stages)]


def stale_stages(revision: str, stages: dict[str, list[str]]) -> list[str]:
    """The same for one revision."""
    return [
        f"dvc.lock of {revision} is stale: stage {stage} ran with another {', '.join(names)}" for stage, names in stages.items()
    ]


def touched_sentence(review: Review) -> str:
    """Which stages the changes touch."""
    touched = review.touched
    parts = [
        f"{words} {', '.join(stages)}"
        for words, stages in (
            ("directly", touched.directly),
            ("through their inputs", touched.by_inputs),
            ("on another machine or in another environment", touched.by_machine),
            ("without a change that is recorded here (another machine or environment?)", touched.unexplained),
        )
        if stages
    ]
    return f"Stages affected: {'; '.join(parts)}." if parts else "No stage is affected: both have the same dvc.lock."


def metric_cells(metric: TestedMetric) -> list[str]:
    """Before, after, difference, interval."""
    interval = metric.interval
    compared = (signed(interval.estimate), interval_words(interval)) if interval else ("–", "–")
    return [figure(metric.before), figure(metric.after), *compared]


MAX_CLASSES = 60
"""In a table; a comment on a pull request has room for some 200 rows."""
CLASS_HEADS = ["images", "recall before", "after", "difference", "gained", "lost", "p (Holm)"]


def listed_classes(review: Review) -> list[ClassVerdict]:
    """Those that have room in a table, in the order of the classes: first what differs, then the largest changes."""
    changed_most = sorted(review.classes, key=lambda one: (one.verdict == NO_EVIDENCE, -abs(one.gained - one.lost)))
    listed = {one.name for one in changed_most[:MAX_CLASSES]}
    return [one for one in review.classes if one.name in listed]


def left_out_sentences(review: Review) -> list[str]:
    """Where the table has not all classes."""
    if len(review.classes) <= MAX_CLASSES:
        return []
    return [f"These are the {MAX_CLASSES} of {len(review.classes):,} classes that changed most; --json prints all."]


def class_cells(one: ClassVerdict) -> list[str]:
    """A cell for each of CLASS_HEADS."""
    recalls = [figure(one.recall_before), figure(one.recall_after), signed(one.recall_after - one.recall_before)]
    return [f"{one.num_images:,}", *recalls, f"{one.gained}", f"{one.lost}", f"{one.p_value:.3g}"]


def other_metric_cells(before: float | None, after: float | None) -> list[str]:
    """Before, after, difference."""
    if before is None or after is None:
        return [figure(before), figure(after), "–"]
    difference = after - before
    whole = f"{difference:+}".replace("-", "−") if difference else "0"
    return [figure(before), figure(after), whole if isinstance(difference, int) else signed(difference)]


def flip_sentences(review: Review) -> list[tuple[str, list[str]]]:
    """A sentence for each direction, and the commonest mistakes that it is made of."""
    assert review.flips is not None
    sentences = []
    for rows, wrong, words in (
        (review.flips.lost, review.after, "right before and wrong after"),
        (review.flips.gained, review.before, "wrong before and right after"),
    ):
        mistakes = commonest_mistakes(rows, wrong, MAX_MISTAKES_NAMED)
        pairs = [f"{quoted(actual)} predicted as {quoted(predicted)}: {count}" for actual, predicted, count in mistakes]
        sentences.append((f"{len(rows):,} image{'' if len(rows) == 1 else 's'} {words}", pairs))
    return sentences


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
