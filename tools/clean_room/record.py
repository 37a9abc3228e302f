"""Whether dvc.lock agrees with itself, and the outputs in the workspace with it. No stage is run for that."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tools.clean_room.content import is_as_recorded, recorded_hash


def wrong_outputs(repo: Any, stage: Any) -> Iterator[tuple[bool, str]]:
    """(whether it is a breach, a line) of each output of `stage` that is not in the workspace as dvc.lock records it.

    An output that is not there at all is none: a fresh clone has no cached ones.
    """
    for out in stage.outs:
        name = out.def_path
        bring = f"`{'dvc checkout' if out.use_cache else 'git restore'} {name}`"
        if not Path(out.fs_path).exists():
            yield False, f"{name} is not in the workspace; {bring} may bring it"
        elif not is_as_recorded(repo, out):
            yield True, f"{name} in the workspace is not what dvc.lock records; {bring} or `dvc repro {stage.name}`"


def broken_chains(repo: Any, stage: Any) -> Iterator[str]:
    """A line for each dependency that another stage makes, and of which dvc.lock has not the same hash for both."""
    for dep in stage.deps:
        for out in repo.index.outs:
            if out.hash_info and dep.hash_info and Path(dep.fs_path).is_relative_to(out.fs_path):
                made = recorded_hash(repo, out, Path(dep.fs_path))
                if made is not None and made != dep.hash_info.value:
                    maker = out.stage.addressing
                    yield (
                        f"{dep.def_path} has MD5 {dep.hash_info.value} as dvc.lock records it for {stage.name}, and "
                        f"{made or 'none'} for {maker}, which makes it; run `dvc repro {stage.name}`"
                    )
