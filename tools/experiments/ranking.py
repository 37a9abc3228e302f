"""All experiments by test accuracy, and which of them cannot be told from the best. Legend: M runs, N test images."""

import hashlib
import json
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from classifier.errors import UserError
from tools.experiments.listed import SEED
from tools.experiments.shown import Shown, shown_experiments
from tools.review.results import Results, read_results
from tools.review.revisions import Revision
from tools.review.statistics import LEVEL, holm, mcnemar_mid_p, share_interval
from tools.review.verdicts import reason_not_to_compare

WARNING = (
    "warning: choosing by test accuracy uses the test images up: the best of many looks better than it is; "
    "state its accuracy from images that no choice was made by"
)


@dataclass(frozen=True)
class Candidate:
    """A run with its results; `name` joins all names that it goes by."""

    name: str
    setting: str
    """All params but the seed, as text."""
    results: Results


@dataclass(frozen=True)
class Ranked:
    """Of one candidate: the 95 % Wilson interval of its accuracy, and the p-value of its difference from the best."""

    candidate: Candidate
    accuracy: float
    low: float
    high: float
    p_value: float
    """Corrected; 1 for the best itself."""


def compare() -> str:
    """The text for the terminal: a ranking for each test split that there are several runs of, and what was left out."""
    candidates, left_out = _candidates(shown_experiments())
    if not candidates:
        raise UserError("no experiment has a result here; `python -m tools.experiments run` makes some")
    groups = _comparable(candidates)
    parts = [_ranking_text(group, number_of_splits=len(groups)) for group in groups]
    return "\n\n".join([*parts, "\n".join([*left_out, WARNING])]) + "\n"


def rank(candidates: list[Candidate]) -> list[Ranked]:
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


def _ranked(candidate: Candidate, p_value: float) -> Ranked:
    right_N = candidate.results.right_N
    interval = share_interval(int(right_N.sum()), len(right_N))
    return Ranked(candidate, interval.estimate, interval.low, interval.high, p_value)


def _candidates(listed: list[Shown]) -> tuple[list[Candidate], list[str]]:
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
        joined = f"{found[key].name} = {name}" if key in found else name
        found[key] = Candidate(joined, json.dumps(setting, sort_keys=True, default=str), results)
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


def _ranking_text(candidates: list[Candidate], number_of_splits: int) -> str:
    ranked = rank(candidates)
    num_images, num_settings = len(candidates[0].results.right_N), len({candidate.setting for candidate in candidates})
    num_pairs = len(candidates) * (len(candidates) - 1) // 2
    width = max(len(one.candidate.name) for one in ranked)
    split = "" if number_of_splits == 1 else f" (split {candidates[0].results.test_hash[:7]})"
    head = f"{'':2}{'experiment':{width}}  accuracy  95 % interval    p against the best"
    rows = [
        f"{'=' if one.p_value >= LEVEL else ' '} {one.candidate.name:{width}}  {one.accuracy:8.2%}  "
        f"{one.low:.2%} to {one.high:.2%}  {'' if number == 0 else f'{one.p_value:.3f}'}".rstrip()
        for number, one in enumerate(ranked)
    ]
    alike = sum(one.p_value >= LEVEL for one in ranked)
    return "\n".join(
        [
            f"{_count(len(ranked), 'run')} of {_count(num_settings, 'setting')} on the same {num_images:,} test images{split}",
            "",
            head,
            *rows,
            "",
            f"= cannot be told from the best: {alike} of {len(ranked)}, by {_count(num_pairs, 'paired test')} of these runs",
            "(McNemar, mid-p, corrected for their number after Holm); what another seed would give is not in them",
        ]
    )


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
