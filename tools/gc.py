"""Free the disk of what no commit and no experiment needs: `python -m tools.gc`, or with options of `dvc gc`, as --workspace.

What it keeps is not run again. `dvc gc` by itself also deletes DVC's copies of the metrics and plots that git keeps, and then a
setting whose model is still in the cache trains again (findings/dvc-gc-run-cache.sh). They are some kilobytes, and stay.

example: python -m tools.gc --workspace
"""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from dvc.repo import Repo
from pydantic import ValidationError

from classifier.common.errors import UserError
from classifier.common.files import replacing
from classifier.common.params import read_yaml
from record.content import cached_path
from record.lock_file import LockedStage
from tools.command import run_command

KEPT = "kept-by-gc"
"""A folder of the cache, while `dvc gc` runs."""
DEFAULT = ["--all-commits", "--all-experiments"]
SCOPES = ("-w", "--workspace", "-a", "--all-", "-A", "-T", "--date", "--rev")
"""Options of `dvc gc` that say what is kept."""


def main(arguments: list[str] | None = None) -> int:
    """Run `dvc gc`, with these or the default options, and return its exit status."""
    given = sys.argv[1:] if arguments is None else arguments
    if given in (["--help"], ["-h"]):
        print(__doc__)
        return 0
    with Repo() as repo:
        kept = Path(repo.cache.local_cache_dir) / KEPT
        _bring_back(repo, kept)  # what a killed one left
        _keep(repo, kept)
        print("the metrics and plots of each run whose other results stay are put back after it", flush=True)
        scope = [] if any(option.startswith(SCOPES) for option in given) else DEFAULT
        status = subprocess.run([sys.executable, "-m", "dvc", "gc", *scope, *given], check=False).returncode
        _bring_back(repo, kept)
    return status


def _runs(repo: Any) -> Iterator[LockedStage]:
    """What the run cache holds; DVC passes over a damaged part of it too."""
    for path in sorted(Path(repo.stage_cache.cache_dir).glob("*/*/*")):
        with suppress(UserError, ValidationError):
            yield LockedStage.model_validate(read_yaml(path))


def _keep(repo: Any, kept: Path) -> None:
    """Copy what git keeps of the outputs in the run cache; they are small."""
    in_git = {out.def_path for out in repo.index.outs if not out.use_cache}
    for md5 in {out.md5 for run in _runs(repo) for out in run.outs if out.path in in_git}:
        if file := cached_path(repo, md5):
            with replacing(kept / md5) as partial:
                shutil.copyfile(file, partial)


def _bring_back(repo: Any, kept: Path) -> None:
    """Put each into the cache again of which the run has the rest there, and what it read of other runs; forget the others."""
    if not kept.is_dir():
        return
    names = {path.name for path in kept.iterdir()}
    runs = [*_runs(repo)]
    made = {out.md5 for run in runs for out in run.outs}
    needs = [({out.md5 for out in run.outs}, {dep.md5 for dep in run.deps} & made) for run in runs]
    before = -1
    while len(needs) != before:  # what is put back may be what another run read
        before = len(needs)
        ready = [(outs, read) for outs, read in needs if all(cached_path(repo, md5) for md5 in (outs - names) | read)]
        for outs, _ in ready:
            for md5 in outs & names:
                _put(kept / md5, Path(repo.cache.local.oid_to_path(md5)))
        needs = [need for need in needs if need not in ready]
    shutil.rmtree(kept)


def _put(file: Path, target: Path) -> None:
    if not target.exists():
        with replacing(target) as partial:
            shutil.copyfile(file, partial)
        target.chmod(0o444)  # as DVC has all that is in its cache


if __name__ == "__main__":
    run_command(main)
