"""What a run takes: parameters of its model, or seconds of its training."""

from collections.abc import Sequence
from enum import StrEnum

from tools.experiments.ranking import Ranked
from tools.experiments.recorded import read_model
from tools.experiments.results_file import RESULTS_FILE, Run, read_results_file


class Cost(StrEnum):
    """What can be asked for."""

    PARAMETERS = "parameters"
    SECONDS = "seconds"


WHY_UNKNOWN = {
    Cost.PARAMETERS: f"its model is no longer in DVC's cache, and {RESULTS_FILE} does not have it",
    Cost.SECONDS: f"{RESULTS_FILE} has no time of it; `python -m tools.experiments run` notes that of a training",
}


def costs(ranked: Sequence[Ranked], kind: Cost) -> list[float | None]:
    """Of each run; None where nothing tells."""
    noted = {run.experiment: run for setting in read_results_file().values() for run in setting.runs}
    return [_cost(one, kind, [noted[commit] for commit in one.candidate.commits if commit in noted]) for one in ranked]


def _cost(one: Ranked, kind: Cost, noted: Sequence[Run]) -> float | None:
    if kind == Cost.SECONDS:
        return next((run.seconds for run in noted if run.seconds is not None), None)
    known = next((run.num_parameters for run in noted if run.num_parameters is not None), None)
    if known is not None:
        return known
    model = read_model(one.candidate.results.lock)
    return model.num_parameters if model else None
