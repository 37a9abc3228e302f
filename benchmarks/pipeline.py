"""Where the seconds of `dvc repro` go: by stage, imports, DVC itself; and what a run with nothing to do costs: on Linux,

    DATASET_MIRROR=… python -m benchmarks.pipeline

A copy of this repository's files is run in a temporary folder, with a mirror of the data set, so that no network is timed.
Beside it stands a repository of as many trivial stages under the same DVC. Rewrites benchmarks/pipeline.json, .md and .png.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from ruamel.yaml import YAML

from benchmarks.record import ROOT, circumstances, page_head, ranged, spread
from classifier.common.errors import UserError
from classifier.common.files import write_json, write_text
from classifier.figures.style import BLUE, GREY, VERMILION, save_png, styled

STAGES = ("download", "convert", "build", "weights", "train", "evaluate", "plot")
IDENTITY = {
    f"GIT_{role}_{key}": value
    for role in ("AUTHOR", "COMMITTER")
    for key, value in (("NAME", "Benchmark"), ("EMAIL", "benchmark@example.com"))
}
CHANGED_LR = "lr=0.0055"
# `python` of the stages: notes when each begins and ends, and what it imports, as -X importtime tells it.
SHIM = """#!/bin/sh
log={folder}/$(echo "$*" | tr -c 'a-z\\n' _)
begin=$(date +%s.%N)
PYTHONPROFILEIMPORTTIME=1 {python} "$@" 2>"$log.imports"
status=$?
end=$(date +%s.%N)
grep -v '^import time:' "$log.imports" >&2
echo "$begin $end" >"$log.seconds"
exit $status
"""
TRIVIAL_STAGE = """  stage{number}:
    cmd: cp file{number} file{next}
    deps: [file{number}]
    outs: [file{next}]
"""
WANTED = {
    "no-op, times the trivial one, at most": 1.3,
    "stages without train, s, below": 20,
    "the same beyond imports, s, below": 8,
}
PACKAGES = ("dvc", "torch", "numpy")


def main() -> None:
    """Measure and write the record."""
    parser = argparse.ArgumentParser(description="Seconds of dvc repro by stage, and of a run with nothing to do.")
    parser.add_argument("--rounds", type=int, default=3, help="cold runs, each in a new folder, and experiments")
    parser.add_argument("--repeats", type=int, default=15, help="runs with nothing to do, in turn with the trivial ones")
    parser.add_argument("--epochs", type=int, default=1, help="of the training, whose time is not the subject")
    arguments = parser.parse_args()
    if "DATASET_MIRROR" not in os.environ:
        raise SystemExit("error: DATASET_MIRROR: needs a folder that holds fashion_mnist/, or the network would be timed")
    with tempfile.TemporaryDirectory() as folder:
        figures = _measure(Path(folder), arguments.rounds, arguments.repeats, arguments.epochs)
    options = f"--rounds {arguments.rounds} --repeats {arguments.repeats} --epochs {arguments.epochs}"
    record = {
        "command": f"python -m benchmarks.pipeline {options}",
        "rounds": arguments.rounds,
        "repeats": arguments.repeats,
        "epochs": arguments.epochs,
        **circumstances(PACKAGES),
        **figures,
        "wanted": WANTED,
    }
    write_json(ROOT / "benchmarks/pipeline.json", record)
    write_text(ROOT / "benchmarks/pipeline.md", _page(record))
    _plot(record, ROOT / "benchmarks/pipeline.png")
    print(_page(record))


def _measure(folder: Path, rounds: int, repeats: int, epochs: int) -> dict[str, Any]:
    cold: list[dict[str, dict[str, float]]] = []
    changed: list[dict[str, dict[str, float]]] = []
    for number in range(rounds):
        repository = Timed(folder / f"round{number}")
        copy_project(repository, dataset="fashion_mnist", epochs=epochs)
        cold.append(repository.staged("repro"))
        repository.commit("results")
        changed.append(repository.staged("exp", "run", "-S", CHANGED_LR))
        repository.git("checkout", "--quiet", "HEAD", "--", ".")
        repository.dvc("checkout", "--quiet")
        if number < rounds - 1:
            shutil.rmtree(repository.root)
    trivial = Timed(folder / "trivial")
    _write_trivial(trivial)
    idle: dict[str, list[float]] = {}
    for _ in range(repeats):
        for command in ("repro", "status"):
            for name, asked in (("ours", repository), ("trivial", trivial)):
                idle.setdefault(f"{command}, {name}", []).append(asked.dvc(command))
    return {
        "cold_seconds": summed_up(cold),
        "lr_changed_seconds": summed_up(changed),
        "idle_seconds": {name: spread(seconds) for name, seconds in idle.items()},
        "idle_times_trivial": {
            command: spread(np.divide(idle[f"{command}, ours"], idle[f"{command}, trivial"]).tolist())
            for command in ("repro", "status")
        },
        "seconds_without_train": {
            kind: spread([sum(of[stage][kind] for stage in STAGES if stage != "train") for of in cold])
            for kind in ("all", "beyond imports")
        },
    }


class Timed:
    """A repository under git and DVC at `root`, whose commands are timed."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.logs = root.with_name(f"{root.name}-logs")
        shims = root.with_name(f"{root.name}-bin")
        for path in (root, self.logs, shims):
            path.mkdir()
        (shims / "python").write_text(SHIM.format(folder=self.logs, python=sys.executable), encoding="utf-8")
        (shims / "python").chmod(0o755)
        self.environment = {**os.environ, "PATH": f"{shims}{os.pathsep}{os.environ['PATH']}", **IDENTITY}

    def git(self, *arguments: str) -> None:
        """Run git. Raises CalledProcessError when it fails."""
        subprocess.run(["git", *arguments], cwd=self.root, env=self.environment, check=True, stdout=subprocess.DEVNULL)

    def dvc(self, *arguments: str) -> float:
        """Run dvc and return its seconds. Raises UserError with what it printed when it fails."""
        began = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "dvc", *arguments],
            cwd=self.root,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        seconds = time.perf_counter() - began
        if done.returncode:
            raise UserError(f"dvc {' '.join(arguments)} failed in the copy: {done.stdout}{done.stderr}")
        return seconds

    def staged(self, *arguments: str) -> dict[str, dict[str, float]]:
        """The seconds of a dvc command: of each stage that ran, of all of it, and of DVC without the stages."""
        for log in self.logs.iterdir():
            log.unlink()
        whole = self.dvc(*arguments)
        stages = {stage: self._stage_seconds(stage) for stage in STAGES if self._log(stage, "seconds").exists()}
        in_stages = sum(seconds["all"] for seconds in stages.values())
        return stages | {"DVC itself": {"all": whole - in_stages}, "whole": {"all": whole}}

    def commit(self, message: str) -> None:
        """Commit everything that git does not ignore."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "-m", message)

    def _stage_seconds(self, stage: str) -> dict[str, float]:
        begin, end = self._log(stage, "seconds").read_text(encoding="utf-8").split()
        text = self._log(stage, "imports").read_text(encoding="utf-8")
        imports = sum(int(own) for own in re.findall(r"^import time:\s+(\d+) \|", text, flags=re.MULTILINE)) / 1e6
        seconds = float(end) - float(begin)
        return {"all": seconds, "imports": imports, "beyond imports": seconds - imports}

    def _log(self, stage: str, kind: str) -> Path:
        return self.logs / f"_m_stages_{stage}.{kind}"


def copy_project(repository: Timed, **params: Any) -> None:
    """The files that git tracks or would track, without results, with these params, as the first commit of a new repository."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    root = repository.root
    for name in listed:
        if not name.startswith(("dvc.lock", "metrics/", "plots/")) and (ROOT / name).is_file():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, root / name)
    editor = YAML()
    values = editor.load(root / "params.yaml")
    values.update(params)
    editor.dump(values, root / "params.yaml")
    repository.git("init", "--quiet", "--initial-branch=main")
    repository.commit("start")


def _write_trivial(repository: Timed) -> None:
    """As many stages as ours, which copy a file of one line, run once."""
    stages = "".join(TRIVIAL_STAGE.format(number=number, next=number + 1) for number in range(len(STAGES)))
    (repository.root / "dvc.yaml").write_text(f"stages:\n{stages}", encoding="utf-8")
    (repository.root / "file0").write_text("one line\n", encoding="utf-8")
    repository.git("init", "--quiet", "--initial-branch=main")
    repository.dvc("init", "--quiet")
    repository.dvc("repro", "--quiet")
    repository.commit("start")


def summed_up(rounds: list[dict[str, dict[str, float]]]) -> dict[str, dict[str, dict[str, float]]]:
    """The spread of each figure over the rounds of `Timed.staged`."""
    return {name: {kind: spread([of[name][kind] for of in rounds]) for kind in rounds[0][name]} for name in rounds[0]}


def _page(record: dict[str, Any]) -> str:
    """The record as Markdown."""
    others = record["seconds_without_train"]
    facts = [
        "data: Fashion-MNIST from a mirror in a folder",
        f"n = {record['rounds']} cold runs and experiments, {record['repeats']} runs with nothing to do; training shortened to "
        f"{record['epochs']} epoch{'s' if record['epochs'] > 1 else ''}",
    ]
    lines = [
        *page_head("Speed of the pipeline", "pipeline", record, facts),
        "",
        "![Seconds of each stage, imports and the rest](pipeline.png)",
        "",
        "Seconds: median, least to greatest. Imports are what `-X importtime` adds up to in the same run; DVC itself is the",
        "rest of the command: its start, hashing, and moving results into the cache.",
        "",
        "## A cold `dvc repro`",
        "",
        *stage_table(record["cold_seconds"]),
        "",
        f"Without `train`: {ranged(others['all'])} s, of which {ranged(others['beyond imports'])} s beyond imports "
        f"(wanted: below {WANTED['stages without train, s, below']} and "
        f"{WANTED['the same beyond imports, s, below']}).",
        "",
        f"## `dvc exp run -S {CHANGED_LR}`",
        "",
        *stage_table(record["lr_changed_seconds"]),
        "",
        "## With nothing to do",
        "",
        "| | this pipeline | as many trivial stages | times |",
        "|---|---|---|---|",
        *(
            f"| `dvc {command}` | {ranged(record['idle_seconds'][f'{command}, ours'])} "
            f"| {ranged(record['idle_seconds'][f'{command}, trivial'])} | {ranged(times)} |"
            for command, times in record["idle_times_trivial"].items()
        ),
        "",
        f"Wanted: at most {WANTED['no-op, times the trivial one, at most']} times. A pair of runs is one after the other.",
    ]
    return "\n".join(lines) + "\n"


def stage_table(rows: dict[str, dict[str, dict[str, float]]]) -> list[str]:
    """A row for each stage, as Markdown."""
    kinds = ("all", "imports", "beyond imports")
    return [
        "| | all | imports | beyond imports |",
        "|---|---|---|---|",
        *(f"| {name} | {' | '.join(ranged(of[kind]) if kind in of else '' for kind in kinds)} |" for name, of in rows.items()),
    ]


def _plot(record: dict[str, Any], path: Path) -> None:
    """A bar a stage of the cold run, imports apart, and one of DVC itself."""
    rows = {name: of for name, of in record["cold_seconds"].items() if name != "whole"}
    imports = [of["imports"]["median"] if "imports" in of else 0 for of in rows.values()]
    rest = [of["beyond imports"]["median"] if "imports" in of else of["all"]["median"] for of in rows.values()]
    colours = [GREY if name == "DVC itself" else BLUE for name in rows]
    with styled():
        figure = Figure(figsize=(8, 3.2))
        axes = figure.subplots()
        axes.barh(list(rows), imports, color=VERMILION, label="imports")
        axes.barh(list(rows), rest, left=imports, color=colours, label="beyond imports")
        axes.invert_yaxis()
        axes.grid(axis="y", visible=False)
        axes.set_xlabel("seconds")
        epochs = f"{record['epochs']} epoch{'s' if record['epochs'] > 1 else ''}"
        axes.set_title(f"A cold dvc repro, training for {epochs}")
        axes.legend()
        save_png(figure, path)


if __name__ == "__main__":
    main()
