"""The experiments as runs of an MLflow tracking store: params, metrics, curves by epoch, and the commit that each is."""

import json
import math
from collections.abc import Iterator
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Metric, Param
from mlflow.exceptions import MlflowException

from classifier.common.errors import UserError
from record.git import run_git
from record.results import Results, read_results
from record.revisions import Experiment, finished_experiments

COMMIT = "dvc.commit"
"""The tag by which a run is found again."""
MAX_METRICS, MAX_PARAMS = 1000, 100
"""That a store takes at once."""
MAX_LETTERS = 6000
"""Of a param."""
COUNTER = "epoch"


def write_runs(store: str) -> list[str]:
    """Write each finished experiment that the store does not have; a line for each. Raises UserError where there is none."""
    experiments = finished_experiments()
    if not experiments:
        raise UserError("no experiment has ended here; `dvc exp run` or `python -m tools.experiments run` makes some")
    try:
        client = MlflowClient(store)
        name = Path.cwd().name
        known = client.get_experiment_by_name(name)
        group = known.experiment_id if known else client.create_experiment(name)
        return [f"{experiment.name}: {_write(client, group, experiment)}" for experiment in experiments]
    except MlflowException as error:
        raise UserError(f"--store {store}: {' '.join(str(error).split())[:300]}") from None


def _write(client: MlflowClient, group: str, experiment: Experiment) -> str:
    found = client.search_runs([group], f"tags.`{COMMIT}` = '{experiment.commit}'")
    if any(run.info.status == "FINISHED" for run in found):
        return "is there already"
    for run in found:  # of a call that was killed
        client.delete_run(run.info.run_id)
    try:
        results = read_results(experiment.revision)
    except UserError as error:
        return f"left out: {str(error).removeprefix(f'{experiment.name}: ')}"
    milliseconds = 1000 * int(run_git("log", "-1", "--format=%ct", experiment.commit).text)
    tags = {COMMIT: experiment.commit, "dvc.baseline": experiment.baseline}
    run_id = client.create_run(group, milliseconds, tags, experiment.name).info.run_id
    metrics = list(_metrics(results, milliseconds))
    for start in range(0, len(metrics), MAX_METRICS):
        client.log_batch(run_id, metrics=metrics[start : start + MAX_METRICS])
    params = [Param(key, json.dumps(value)[:MAX_LETTERS]) for key, value in sorted(results.lock.param_values.items())]
    for start in range(0, len(params), MAX_PARAMS):
        client.log_batch(run_id, params=params[start : start + MAX_PARAMS])
    client.set_terminated(run_id, end_time=milliseconds)
    return "written"


def _metrics(results: Results, milliseconds: int) -> Iterator[Metric]:
    """Those of metrics/, and plots/history.csv as `epoch/…`. No file says when an epoch ended: all have the commit's time."""
    for name, value in results.metrics.items():
        yield Metric(name, value, milliseconds, 0)
    for name in results.history.columns.drop(COUNTER):
        for epoch, value in zip(results.history[COUNTER], results.history[name], strict=True):
            if not math.isnan(value):
                yield Metric(f"{COUNTER}/{name}", float(value), milliseconds, int(epoch))
