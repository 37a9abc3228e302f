"""Recognises what a killed `dvc exp run` leaves behind: HEAD off its branch, tracked metrics and plots deleted."""

import json
import subprocess
from pathlib import Path

import psutil

BASELINE = "refs/exps/exec/EXEC_BASELINE"


def interrupted_experiment(root: Path) -> str | None:
    """One line that says how to mend it without losing anything; None when there is nothing to mend.

    While an experiment runs in the workspace, DVC takes HEAD off its branch and notes the commit in EXEC_BASELINE.
    It deletes that reference in the end; EXEC_HEAD stays, also after a run that went well.
    """
    baseline = _git(root, "rev-parse", "--quiet", "--verify", BASELINE)
    if _git(root, "symbolic-ref", "--quiet", "HEAD") or not baseline or baseline != _git(root, "rev-parse", "HEAD"):
        return None
    if _dvc_runs(root / ".dvc/tmp/rwlock"):
        return None
    branch = _git(root, "rev-parse", "--abbrev-ref", "@{-1}") or "main"
    return (
        "git: an experiment was killed here and left HEAD off its branch; this mends it and keeps your changes: "
        f"git switch {branch} && git update-ref -d {BASELINE} && git restore metrics plots; then the experiment's command goes "
        "on where it was (params.yaml has its values until then: git diff HEAD params.yaml)"
    )


def _git(root: Path, *arguments: str) -> str:
    """What git answers; empty when it fails, as it does where there is no repository or no git."""
    try:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _dvc_runs(lock: Path) -> bool:
    """Whether a process that holds one of DVC's locks is alive."""
    try:
        held = json.loads(lock.read_text(encoding="utf-8"))
        readers = [holder for holders in held.get("read", {}).values() for holder in holders]
        return any(psutil.pid_exists(holder["pid"]) for holder in [*readers, *held.get("write", {}).values()])
    except (OSError, ValueError):
        return False
