"""`python -m tools.experiments mlflow` into a real store, in an environment that has requirements-mlflow.txt."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from classifier.common.errors import UserError
from tests.support.report_case import ReportCase
from tools.experiments.__main__ import main

SOURCE = Path(__file__).parents[2]
SHOW = """
import json
from mlflow import MlflowClient
client = MlflowClient("sqlite:///mlflow.db")
runs = client.search_runs([client.get_experiment_by_name("project").experiment_id])
curve = [[(one.step, one.value) for one in client.get_metric_history(run.info.run_id, "epoch/train_loss")] for run in runs]
print(json.dumps([[run.info.run_name, run.info.status, run.data.tags, run.data.params, run.data.metrics] for run in runs]))
print(json.dumps(curve))
"""


@pytest.mark.slow
def test_each_experiment_is_a_run_once(tmp_path: Path) -> None:
    case = ReportCase(tmp_path / "project")
    baseline = case.git("rev-parse", "HEAD")
    case.results([0, 1, 2, 2], [0, 1, 2, 1], lr=0.002)
    commit = case.commit("experiment")
    case.git("update-ref", f"refs/exps/{baseline[:2]}/{baseline[2:]}/quick", commit)
    packages = tmp_path / "packages"
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--target",
        packages,
        "-r",
        SOURCE / "requirements-mlflow.txt",
    ]
    installed = subprocess.run(pip, capture_output=True, text=True, check=False)
    if "(from versions: none)" in installed.stderr:
        pytest.skip("no package index can be reached from here")
    assert installed.returncode == 0, installed.stderr

    def python(*arguments: str) -> str:
        paths = f"import sys; sys.path[:0] = [{str(SOURCE)!r}]; sys.path.append({str(packages)!r}); "
        command = [sys.executable, "-c", paths + arguments[0], *arguments[1:]]
        done = subprocess.run(command, cwd=case.root, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    tool = "from tools.experiments.__main__ import main; sys.exit(main(sys.argv[1:]))"
    assert python(tool, "mlflow") == "quick: written\n"
    assert python(tool, "mlflow") == "quick: is there already\n"
    runs, curves = map(json.loads, python(SHOW).splitlines())
    ((name, status, tags, params, metrics),) = runs
    assert (name, status, tags["dvc.commit"], tags["dvc.baseline"]) == ("quick", "FINISHED", commit, baseline)
    assert params == {"dataset": '"digits"', "lr": "0.002", "momentum": "null"}
    assert (metrics["test_accuracy"], metrics["best_epoch"]) == (0.75, 2)
    assert curves == [[[1, 2.0], [2, 1.0]]]


@pytest.mark.skipif(find_spec("mlflow") is not None, reason="mlflow is here")
def test_without_mlflow_it_says_how_to_get_it() -> None:
    with pytest.raises(UserError, match=r"^mlflow: not installed; `sh tools/setup.sh mlflow` installs it"):
        main(["mlflow"])
