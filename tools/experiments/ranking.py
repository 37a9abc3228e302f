"""All experiments by test accuracy, and which are not significantly different from the best. Legend: M runs, N test images."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from classifier.common.errors import UserError
from record.results import Results, read_results
from record.revisions import Revision
from record.statistics import LEVEL, holm, mcnemar_mid_p, share_interval
from record.verdicts import reason_not_to_compare
from tools.experiments.dvc_exp import ListedExperiment, listed_experiments
from tools.experiments.jobs import count
from tools.experiments.named import SEED


@dataclass(frozen=True)
class Candidate:
    """A run with its results."""

    names: tuple[str, ...]
    """All that it goes by, an experiment's own first."""
    commits: tuple[str, ...]
    """That hold it; none for what only the workspace has."""
    setting: str
    """All params but the seed, as text."""
    results: Results

    @property
    def name(self) -> str:
        """All of its names."""
        return " = ".join(self.names)

    def also(self, equal: "Candidate") -> "Candidate":
        """This run, known by the names and commits of an equal one too."""
        return replace(self, names=(*self.names, *equal.names), commits=(*self.commits, *equal.commits))


@dataclass(frozen=True)
class RankedRun:
    """Of one candidate: the 95 % Wilson interval of its accuracy, and the p-value of its difference from the best."""

    candidate: Candidate
    accuracy: float
    low: float
    high: float
    p_value: float
    """Corrected; 1 for the best itself."""

    @property
    def as_good(self) -> bool:
        """Whether it is the best, or is not significantly different."""
        return self.p_value >= LEVEL


@dataclass(frozen=True)
class Comparison:
    """Of all that DVC lists."""

    groups: list[list[RankedRun]]
    """Runs that were measured on the same test images, the best first; the largest group first."""
    left_out: list[str]
    """A line for each run without results that can be read, which says why."""


def compare() -> Comparison:
    """Rank all experiments, the last commit and the workspace. Raises UserError where none of them has a result."""
    candidates, left_out = _candidates(listed_experiments())
    if not candidates:
        raise UserError("no experiment has a result here; `python -m tools.experiments run` makes some")
    return Comparison([rank(group) for group in _comparable(candidates)], left_out)


def rank(candidates: list[Candidate]) -> list[RankedRun]:
    """Highest accuracy first. Needs candidates of the same test images.

    All pairs are tested and corrected together (Holm 1979), not the best against each other alone: which is the best was not
    known beforehand, and the largest of many equal ones lies further from the smallest than any two named ones do.
    """
    right_MN = np.stack([candidate.results.right_N for candidate in candidates])
    order = np.argsort(-right_MN.sum(axis=1), kind="stable")
    p_MM = paired_p_values(right_MN)
    return [_ranked(candidates[index], float(p_MM[order[0], index])) for index in order]


def paired_p_values(right_MN: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(M, M) mid-p values of McNemar's test for every pair of rows, corrected together; 1 on the diagonal."""
    right, wrong = right_MN.astype(np.float64), (~right_MN).astype(np.float64)
    gained_MM = right @ wrong.T  # exact: counts lie far below 2**53
    rows, columns = np.triu_indices(len(right_MN), k=1)
    pairs = zip(rows, columns, strict=True)
    p_MM = np.ones_like(gained_MM)
    changes = [(int(gained_MM[row, column]), int(gained_MM[column, row])) for row, column in pairs]
    p_MM[rows, columns] = holm([mcnemar_mid_p(gained, lost) for gained, lost in changes])
    return np.minimum(p_MM, p_MM.T)


def _ranked(candidate: Candidate, p_value: float) -> RankedRun:
    right_N = candidate.results.right_N
    interval = share_interval(int(right_N.sum()), len(right_N))
    return RankedRun(candidate, interval.estimate, interval.low, interval.high, p_value)


def _candidates(listed: list[ListedExperiment]) -> tuple[list[Candidate], list[str]]:
    """Those with results, a line each; and of the others why they are left out. Equal runs are one."""
    found: dict[tuple[str, str], Candidate] = {}
    left_out = []
    names = [one.name for one in listed]
    for one in reversed(listed):  # the workspace and HEAD last: experiments come first in a joined name
        name = one.name if names.count(one.name) == 1 or not one.commit else f"{one.name} ({one.commit[:7]})"
        try:
            if one.state:
                raise UserError(one.state)
            results = read_results(Revision(one.name, one.commit))
        except UserError as error:
            left_out.append(f"left out: {name}: {str(error).removeprefix(f'{one.name}: ')}")
            continue
        setting = {key: value for key, value in one.params.items() if key != SEED}
        key = json.dumps(one.params, sort_keys=True, default=str), _digest(results)
        run = Candidate((name,), (one.commit,) if one.commit else (), json.dumps(setting, sort_keys=True, default=str), results)
        found[key] = found[key].also(run) if key in found else run
    return list(found.values()), left_out


def _digest(results: Results) -> str:
    return hashlib.sha256(results.predictions.to_csv().encode()).hexdigest()


def _comparable(candidates: list[Candidate]) -> list[list[Candidate]]:
    """By test images, the largest group first."""
    groups: list[list[Candidate]] = []
    for candidate in candidates:
        for group in groups:
            if reason_not_to_compare(group[0].results, candidate.results) is None:
                group.append(candidate)
                break
        else:
            groups.append([candidate])
    return sorted(groups, key=len, reverse=True)


WARNING = (
    "warning: this ranks by test accuracy, and the best of many looks better than it is; report its accuracy on images that "
    "were not used to choose"
)
_LEAST_P = 0.001


def as_text(comparison: Comparison) -> str:
    """A ranking for each test split, then what was left out."""
    several_splits = len(comparison.groups) > 1
    parts = ["\n".join(_group(ranked, name_split=several_splits)) for ranked in comparison.groups]
    chosen = any(len(ranked) > 1 for ranked in comparison.groups)
    last = [*comparison.left_out, *([WARNING] if chosen else [])]
    return "\n\n".join([*parts, *(["\n".join(last)] if last else [])]) + "\n"


def _group(ranked: Sequence[RankedRun], *, name_split: bool) -> Iterator[str]:
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
    tests = count(num_pairs, "paired test")
    yield f"= the best, and those not significantly different from it: {told}, by {tests} of these runs"
    corrected = ", corrected for their number after Holm" if num_pairs > 1 else ""
    yield f"(McNemar, mid-p{corrected}); the variation between seeds is not included"


def _rows(ranked: Sequence[RankedRun]) -> Iterator[str]:
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
