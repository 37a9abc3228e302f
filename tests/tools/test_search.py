"""Searches: a real Optuna study in SQLite, stopped and continued, with real DVC experiments; pruning of one that trains."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml
from optuna.distributions import FloatDistribution
from optuna.trial import create_trial

from classifier.common.errors import UserError
from classifier.common.params import read_yaml
from tests.support.pipeline import Repository
from tools.experiments.__main__ import main
from tools.experiments.dvc_exp import dvc_exp_run
from tools.experiments.search import Pruner
from tools.experiments.space import corners, draw, space

TRAIN = """
import json, os, pathlib, time
from ruamel.yaml import YAML
params = YAML(typ="safe").load(pathlib.Path("params.yaml"))
for name in ("models", "metrics", "plots"):
    pathlib.Path(name).mkdir(exist_ok=True)
write = lambda name, text: pathlib.Path(name).write_text(text)
best, rows = 0.9 - params["lr"] / 2, "epoch,val_accuracy\\n"
for epoch in range(1, 5):
    rows += f"{epoch},{best * epoch / 4}\\n"
    print(f"epoch {epoch}/4", flush=True)
    pathlib.Path("plots/new").write_text(rows)
    pathlib.Path("plots/new").replace("plots/history.csv")
    while epoch == 2 and os.path.exists(os.environ.get("WAIT", "")):
        time.sleep(0.1)
write("models/model.json", json.dumps(params))
images = {"train": 900, "val": 200, "test": 300}
none = dict.fromkeys(images, 0)
found = {"images": images, "classes": 2, "imbalance": 1.0, "leaked": {}, "label_conflicts": 0, "unreadable": 0}
write("metrics/data.json", json.dumps(found | {"classes_missing": none, "constant": none, "repeated": none}))
write("metrics/train.json", json.dumps({"val_loss": 1 - best, "val_accuracy": best}))
write("metrics/test.json", json.dumps({"test_accuracy": 0.5}))
"""
"""Stands in for the training: val_accuracy rises over four epochs to 0.9 - lr / 2. After the second it waits for $WAIT."""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """This project's params and tools around one stage that takes a moment."""
    project = Repository(tmp_path / "project")
    (project.root / "stages/train.py").write_text(TRAIN)
    results = ["metrics/data.json", "metrics/train.json", "metrics/test.json", "plots/history.csv"]
    stage = {
        "cmd": "python -m stages.train",
        "deps": ["stages/train.py"],
        "params": list(read_yaml(project.root / "params.yaml")),
        "outs": ["models/model.json"],
        "metrics": [{path: {"cache": False}} for path in results],
    }
    (project.root / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"train": stage}}, sort_keys=False))
    (project.root / ".gitignore").write_text((project.root / ".gitignore").read_text() + "/models\n")
    project.git("add", "--all")
    project.git("commit", "--quiet", "--message", "a tiny pipeline")
    monkeypatch.chdir(project.root)
    for name, value in project.environment().items():
        monkeypatch.setenv(name, value)
    return project


def told_trials(said: str) -> dict[int, tuple[str, str]]:
    """Of each trial its setting and what became of it."""
    names = dict(re.findall(r"^experiments: trial (\d+) of \d+: (.*)$", said, re.MULTILINE))
    ends = dict(re.findall(r"^experiments: trial (\d+): (.*)$", said, re.MULTILINE))
    return {int(number): (names[number], end) for number, end in ends.items()}


@pytest.mark.slow
def test_a_search_that_is_stopped_goes_on_and_draws_what_an_undisturbed_one_draws(
    project: Repository, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    command = ["search", "lr=log:1e-3:1", "weight_decay=0,1e-4", "--trials"]
    wait = tmp_path / "wait"
    with subprocess.Popen(
        [sys.executable, "-m", "tools.experiments", *command, "8"],
        env={**os.environ, "WAIT": str(wait)},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        first = ""
        for line in process.stdout:
            first += line
            if line.startswith("experiments: trial 2 of 8"):
                wait.touch()
            if wait.exists() and line.startswith("epoch 2/4"):
                time.sleep(1)
                os.killpg(process.pid, signal.SIGINT)
                break
        first += process.stdout.read()
    assert process.returncode == 130, first
    assert first.endswith("experiments: interrupted; 1 of 8 trials done; the same command continues\n")
    wait.unlink()

    assert main([*command, "8"]) == 0
    second = capfd.readouterr().out
    stopped = told_trials(first) | told_trials(second)
    assert list(stopped) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert "epoch 1/4" in second
    best = max(float(end.split()[1]) for _, end in stopped.values() if end.startswith("val_accuracy"))
    assert re.search(rf"^  1  .* {best:.2%}$".replace("1  .*", r"1  .*"), second, re.MULTILINE)
    assert any(end.startswith("pruned after epoch") for _, end in stopped.values())
    looks = 4 * sum(end.startswith("val_") for _, end in stopped.values())
    looks += sum(int(end.split()[3].rstrip(":")) for _, end in stopped.values() if end.startswith("pruned"))
    assert f" and {looks} epochs were compared" in second
    complete = {name for name, end in stopped.values() if end.startswith("val_")}
    held = project.git("for-each-ref", "--format=%(refname:lstrip=4)", "refs/exps/*/*/*").split()
    assert set(held) == complete, "an experiment for each that came to its end, and no other"
    assert project.git("status", "--porcelain") == ""

    shutil.rmtree(project.root / ".dvc/tmp/searches")
    assert main([*command, "8"]) == 0
    again = capfd.readouterr().out
    assert told_trials(again) == stopped
    assert again.count("is finished already") >= len(complete) - 1
    assert main([*command, "3"]) == 0
    assert "8 trials so far of 3" in capfd.readouterr().out

    (study,) = (project.root / ".dvc/tmp/searches").glob("*/study.db")
    study.write_bytes(b"no database" * 100)
    with pytest.raises(UserError, match=r"study\.db: not a study of this Optuna \(.*\); `rm .*` and the same"):
        main([*command, "8"])


def test_a_poor_training_is_stopped_while_it_goes_on(
    project: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Five earlier trials had 0.4 after the second epoch, this one has 0.2. It waits there for ever."""
    study = optuna.create_study(direction="maximize", pruner=optuna.pruners.MedianPruner(5, 2))
    params: dict[str, Any] = {"params": {"lr": 0.1}, "distributions": {"lr": FloatDistribution(0.01, 10)}}
    for _ in range(5):
        study.add_trial(create_trial(**params, value=0.8, intermediate_values={1: 0.1, 2: 0.4, 3: 0.6, 4: 0.8}))
    (tmp_path / "wait").touch()
    monkeypatch.setenv("WAIT", str(tmp_path / "wait"))
    (project.root / "plots").mkdir()
    (project.root / "plots/history.csv").write_text("epoch,val_accuracy\n1,0\n2,0\n3,0\n")
    project.git("add", "plots")
    project.git("commit", "--quiet", "--message", "the history of a run before")
    trial = study.ask()
    judged = Pruner(trial, "val_accuracy", project.root)
    judged.begin()
    assert not judged.look()
    assert dvc_exp_run(["-S", "lr=1.0"], is_hopeless=judged.look).status
    assert judged.is_poor
    assert study.trials[-1].intermediate_values == pytest.approx({1: 0.1, 2: 0.2}), "of this training, not of the one before"
    said = capfd.readouterr().out
    assert "epoch 2/4" in said
    assert "epoch 3/4" not in said


def test_what_is_drawn_stays_in_its_interval_and_has_few_digits() -> None:
    dimensions = space(["lr=log:1e-4:0.1", "batch_size=log:16:256", "weight_decay=range:0:0.5", "augment=[],[flip,shift]"])
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    found = [draw(dimensions, study.ask()) for _ in range(200)]
    assert all(1e-4 <= one["lr"] <= 0.1 and float(f"{one['lr']:.4g}") == one["lr"] for one in found)
    assert sum(one["lr"] < 10**-2.5 for one in found) == pytest.approx(100, abs=25), "half of them below the geometric mean"
    assert all(type(one["batch_size"]) is int and 16 <= one["batch_size"] <= 256 for one in found)
    assert {tuple(one["augment"]) for one in found} == {(), ("flip", "shift")}
    ends = corners(dimensions)
    assert len(ends) == 16
    assert {"lr": 1e-4, "batch_size": 256, "weight_decay": 0, "augment": ["flip", "shift"]} in ends


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lr=log:0:1"], r"^lr: log needs a number above 0 and a larger one, got '0:1'$"),
        (["lr=log:1:1"], r"^lr: log needs a number above 0 and a larger one"),
        (["lr=range:a:b"], r"^lr: needs two numbers as in lr=range:1:10, got 'a:b'$"),
        (["lr=range:1"], r"^lr: needs a value"),
        (["epochs=range:0:5"], r"^search: epochs=0: epochs must be greater than or equal to 1, got 0$"),
        (["lr=log:1e-3:1e5"], r"^search: lr=100000: lr must be less than or equal to 1000"),
        (["momentum=0.5,null", "optimizer=sgd,adam"], r"^search: momentum=0\.5,optimizer=adam: momentum has no effect"),
        (["val_fraction=range:0.1:0.5"], r"^search: val_fraction: each value has other validation images"),
        (
            ["lr=log:1e-3:1", "--metric", "test_accuracy"],
            r"^--metric test_accuracy: a test split that chooses can no longer measure",
        ),
    ],
)
def test_a_bad_search_is_refused_on_one_line(
    arguments: list[str], message: str, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path_factory.getbasetemp() / "refused"
    if not root.exists():
        Repository(root)
    monkeypatch.chdir(root)
    with pytest.raises(UserError, match=message) as refused:
        main(["search", *arguments])
    assert "\n" not in str(refused.value)
    assert not (root / ".dvc/tmp/searches").exists()
