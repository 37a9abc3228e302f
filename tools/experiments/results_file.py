"""benchmarks/results.json: what came out of every run of the named experiments, as the table of results needs it."""

import os
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, RootModel

from classifier.common.errors import UserError
from classifier.common.files import read_json, write_json
from tools.experiments.listed import SEED
from tools.experiments.recorded import read_model, read_recorded
from tools.processor import processor_name
from tools.review.revisions import Held

RESULTS_FILE = Path("benchmarks/results.json")


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


class Run(_Strict):
    """One seed. `seconds` are those of the training, which only a run that trained from its start can tell."""

    seed: int
    commit: str
    """Of the code: the commit that the experiment began from."""
    experiment: str
    """The experiment's own commit."""
    metrics: dict[str, float]
    epochs: Annotated[int, Field(ge=1)] | None = None
    """That were trained; None of a run that was noted before they were."""
    num_parameters: int | None
    computed_with: dict[str, str | int] | None
    """Versions, device, threads, by models/model.json; None, as num_parameters, where the cache no longer has it."""
    seconds: Annotated[float, Field(ge=0)] | None
    machine: str | None
    """Of the seconds."""


class Setting(_Strict):
    """All params of an experiment but the seed, and its runs by seed."""

    params: dict[str, Any]
    runs: list[Run]

    def agrees_with(self, params: dict[str, Any]) -> bool:
        """Whether `params` have the same values, as far as both have them: a param that came later changes no earlier run."""
        return all(params[name] == value for name, value in self.params.items() if name in params)


class _File(RootModel[dict[str, Setting]]):
    model_config = ConfigDict(strict=True)


def read_results_file() -> dict[str, Setting]:
    """The settings by experiment; none where there is no file. Raises UserError for a damaged one."""
    if not RESULTS_FILE.exists():
        return {}
    try:
        return read_json(RESULTS_FILE, _File).root
    except UserError as error:
        raise UserError(f"{error}; mend it, or `git restore {RESULTS_FILE}`") from None


def note(name: str, seed: int, params: dict[str, Any], held: Held, seconds: float | None) -> None:
    """Put the run into the file, in place of an earlier one of this seed; runs of the name with other params go.

    Without `seconds` of its own it takes over those of an earlier run that gave the same metrics.
    """
    results = read_results_file()
    setting = {key: value for key, value in params.items() if key != SEED}
    kept = results[name].runs if name in results and results[name].agrees_with(setting) else []
    earlier = next((run for run in kept if run.seed == seed), None)
    if seconds is None and earlier and earlier.experiment == held.commit and earlier.epochs is not None:
        return
    run = _run(seed, held, seconds)
    if seconds is None and earlier and earlier.metrics == run.metrics:
        run = run.model_copy(update={"seconds": earlier.seconds, "machine": earlier.machine})
    runs = sorted([run, *(one for one in kept if one.seed != seed)], key=lambda one: one.seed)
    results[name] = Setting(params=setting, runs=runs)
    write_json(RESULTS_FILE, {name: results[name].model_dump() for name in sorted(results)})


def _run(seed: int, held: Held, seconds: float | None) -> Run:
    recorded = read_recorded(held.revision)
    model = read_model(recorded.lock)
    return Run(
        seed=seed,
        commit=held.baseline,
        experiment=held.commit,
        metrics=recorded.metrics,
        epochs=recorded.epochs,
        num_parameters=model.num_parameters if model else None,
        computed_with=model.computed_with if model else None,
        seconds=seconds,
        machine=None if seconds is None else _machine(),
    )


def _machine() -> str:
    """The processor and how many of it there are."""
    return f"{processor_name()}, {os.cpu_count()} cores"
