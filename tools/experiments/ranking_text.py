"""The comparison of all experiments, for the terminal."""

from collections.abc import Iterator, Sequence

from tools.experiments.ranking import Comparison, Ranked
from tools.experiments.telling import count

WARNING = (
    "warning: choosing by test accuracy uses the test images up: the best of many looks better than it is; "
    "state its accuracy from images that no choice was made by"
)
_LEAST_P = 0.001


def as_text(comparison: Comparison) -> str:
    """A ranking for each test split, then what was left out."""
    several_splits = len(comparison.groups) > 1
    parts = ["\n".join(_group(ranked, name_split=several_splits)) for ranked in comparison.groups]
    chosen = any(len(ranked) > 1 for ranked in comparison.groups)
    last = [*comparison.left_out, *([WARNING] if chosen else [])]
    return "\n\n".join([*parts, *(["\n".join(last)] if last else [])]) + "\n"


def _group(ranked: Sequence[Ranked], *, name_split: bool) -> Iterator[str]:
    results = ranked[0].candidate.results
    images = count(len(results.right_N), "test image") + (f" (split {results.test_hash[:7]})" if name_split else "")
    if len(ranked) == 1:
        yield f"1 run on {images}; no other was measured on the same images, so there is nothing to compare it with"
        yield ""
        yield from _rows(ranked)
        return
    num_settings = len({one.candidate.setting for one in ranked})
    num_pairs = len(ranked) * (len(ranked) - 1) // 2
    num_others = sum(one.as_good for one in ranked) - 1
    yield f"{count(len(ranked), 'run')} of {count(num_settings, 'setting')} on the same {images}"
    yield ""
    yield from _rows(ranked)
    yield ""
    told = (
        f"{num_others} of the {len(ranked) - 1} others" if len(ranked) > 2 else ("the other" if num_others else "not the other")
    )
    yield f"= the best, and what cannot be told from it: {told}, by {count(num_pairs, 'paired test')} of these runs"
    corrected = ", corrected for their number after Holm" if num_pairs > 1 else ""
    yield f"(McNemar, mid-p{corrected}); what another seed would give is not in them"


def _rows(ranked: Sequence[Ranked]) -> Iterator[str]:
    width = max(len("experiment"), *(len(one.candidate.name) for one in ranked))
    several = len(ranked) > 1
    yield f"  {'experiment':{width}}  accuracy  {'95 % interval':17}  {'p against the best' if several else ''}".rstrip()
    for number, one in enumerate(ranked):
        p = "" if number == 0 else _p_words(one.p_value)
        mark = "=" if several and one.as_good else " "
        bounds = f"{one.low:.2%} to {one.high:.2%}"
        yield f"{mark} {one.candidate.name:{width}}  {one.accuracy:8.2%}  {bounds:17}  {p}".rstrip()


def _p_words(p_value: float) -> str:
    return f"{p_value:.3f}" if p_value >= _LEAST_P else f"<{_LEAST_P}"
