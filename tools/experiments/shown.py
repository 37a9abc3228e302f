"""The experiments as `dvc exp show` lists them, also those that wait, run or have failed."""

import json
import subprocess
import sys
from typing import Any

from pydantic import BaseModel, ValidationError

from classifier.common.errors import UserError, shown, told
from stages.runner import PARAMS_FILE
from tools.experiments.git import head_commit
from tools.review.revisions import held_experiments

WORKSPACE = "workspace"
QUEUED, RUNNING = "queued", "running"


class _Params(BaseModel):
    data: dict[str, Any] = {}


class _Data(BaseModel):
    params: dict[str, _Params] = {}


class _State(BaseModel):
    rev: str
    name: str | None = None
    data: _Data | None = None


class _Executor(BaseModel):
    state: str


class _Range(BaseModel):
    revs: list[_State]
    executor: _Executor | None = None
    name: str | None = None


class _Commit(_State):
    experiments: list[_Range] | None = None


class Shown(BaseModel):
    """A line of the listing: the workspace, the last commit, or an experiment. `state` is None for what has a result."""

    name: str
    commit: str | None
    """None for the workspace."""
    params: dict[str, Any]
    state: str | None = None


def shown_experiments() -> list[Shown]:
    """The workspace, the last commit, then the experiments of every commit that has some."""
    head = head_commit()
    begun_from = dict.fromkeys([head, *(held.baseline for held in held_experiments())])
    listing = _exp_show(list(begun_from))
    lines = []
    for entry in listing:
        if entry.rev in (WORKSPACE, head):
            is_workspace = entry.rev == WORKSPACE
            lines.append(_line(entry, WORKSPACE if is_workspace else "HEAD", None if is_workspace else entry.rev))
        for one in entry.experiments or []:
            tip = one.revs[0]
            state = one.executor.state if one.executor else None
            lines.append(_line(tip, one.name or tip.name or tip.rev[:7], tip.rev, None if state == "success" else state))
    return lines


def waiting_experiments() -> set[str]:
    """Names of those that are queued or at work."""
    return {one.name for one in shown_experiments() if one.state in (QUEUED, RUNNING)}


def _line(entry: _State, name: str, commit: str | None, state: str | None = None) -> Shown:
    params = entry.data.params.get(str(PARAMS_FILE), _Params()).data if entry.data else {}
    return Shown(name=name, commit=commit, params=params, state=state)


def _exp_show(commits: list[str]) -> list[_Commit]:
    command = [sys.executable, "-m", "dvc", "exp", "show", "--json", *(f"--rev={commit}" for commit in commits)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(f"dvc exp show: {told(Exception(done.stderr.removeprefix('ERROR: ')))}")
    try:
        return [_Commit.model_validate(entry) for entry in json.loads(done.stdout)]
    except (ValueError, ValidationError):
        raise UserError(f"dvc exp show: needs a JSON list of commits, got {shown(done.stdout)}") from None
