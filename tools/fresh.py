"""Is dvc.lock up to date? `python -m tools.fresh [REVISION]` prints a line for each stale stage; exit status 1 if any.

It reads what git holds, and needs neither data nor cache nor DVC. It judges as `dvc status` does: all that dvc.yaml declares
must be as dvc.lock records it. Only what lies inside a stage's output folder cannot be compared without the data.
"""

import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from classifier.common.dvcignore import IGNORE_FILE, check_not_ignored, inside
from classifier.common.errors import UserError
from classifier.common.graph import GRAPH_FILE, OUTPUTS, Graph, declared_paths, names
from classifier.common.params import PARAMS_FILE
from classifier.common.text import visible
from record.lock_file import LOCK_FILE, Lock, LockedStage, md5_of_bytes
from record.pipeline import Pipeline, read_pipeline
from record.revisions import WORKSPACE, Revision, find_revision
from record.staleness import stale_by_paths
from tools.command import Parser, run_command

MEND = "run `dvc repro` and commit dvc.lock, metrics and plots"


def stale_lines(revision: Revision) -> list[str]:
    """What is stale, one line each, with what to do. Raises UserError for files that cannot be read."""
    pipeline = _read(revision)
    lock = pipeline.lock
    inputs = stale_by_paths(revision, lock)
    lines = []
    for name, declared in pipeline.graph.items():
        if name not in lock.stages:
            lines.append(f"{LOCK_FILE} is stale: stage {name} is not in it; {MEND}")
        elif reasons := [*_reasons(declared, lock.stages[name], inputs.get(name, [])), *_others_outputs(declared, lock, name)]:
            lines.append(f"{LOCK_FILE} is stale: stage {name}, {', '.join(reasons)}; {MEND}")
    return [*lines, *_other_results(revision, pipeline.graph, lock)]


def _read(revision: Revision) -> Pipeline:
    graphs = [str(GRAPH_FILE), *revision.graph_files()]
    revision.check_conflicts([str(PurePosixPath(file).with_name(LOCK_FILE)) for file in graphs], [str(PARAMS_FILE), *graphs])
    with revision.unpacked([LOCK_FILE, str(GRAPH_FILE)]) as folder:
        if not (folder / LOCK_FILE).is_file():
            raise UserError(f"{folder / LOCK_FILE}: no such file; {MEND}")
    pipeline = read_pipeline(revision)
    _check_hidden(revision, pipeline.graph)
    return pipeline


def _check_hidden(revision: Revision, graph: Graph) -> None:
    """Raise UserError where DVC may have recorded less than the stages read and wrote."""
    declared = [inside(Path(), path) for stage in graph.values() for path in declared_paths(stage, {})]
    folders = {folder for path in declared for folder in path.parents}
    with revision.unpacked(sorted((folder / IGNORE_FILE).as_posix() for folder in folders)) as root:
        check_not_ignored(root, map(str, declared))


def _reasons(declared: dict[str, Any], recorded: LockedStage, differing: list[str]) -> Iterator[str]:
    """In what a stage as it is declared differs from how it ran. What is recorded and no longer declared counts for nothing."""
    # Of a frozen stage DVC looks at its command and outputs alone.
    params, deps = ([], []) if declared.get("frozen") else (declared["params"], names(declared.get("deps", [])))
    if declared.get("cmd") != recorded.cmd:
        yield "its command"
    yield from (f"param {name}" for name in params if name in differing or name not in recorded.param_values)
    yield from (path for path in deps if path in differing or path not in recorded.dep_hashes)
    made = {out.path for out in recorded.outs}
    yield from (f"new output {path}" for key in OUTPUTS for path in names(declared.get(key, [])) if path not in made)


def _others_outputs(declared: dict[str, Any], lock: Lock, name: str) -> Iterator[str]:
    """Where a stage read other bytes than their maker wrote, as after a merge that took the two from different sides."""
    for path in [] if declared.get("frozen") else names(declared.get("deps", [])):
        md5 = lock.stages[name].dep_hashes.get(path)
        if md5 and lock.out_hashes.get(path, md5) != md5:
            yield f"{path} of another run"


def _other_results(revision: Revision, graph: Graph, lock: Lock) -> Iterator[str]:
    """Files of results in git that are not those that dvc.lock records."""
    entries = [entry for stage in graph.values() for key in OUTPUTS for entry in stage.get(key, []) if isinstance(entry, dict)]
    paths = [
        path
        for entry in entries
        for path, options in entry.items()
        if isinstance(options, dict) and options.get("cache") is False
    ]
    files = revision.files(paths)
    for path in paths:
        if path not in lock.out_hashes:
            continue
        if path not in files:
            yield f"{path} is missing; {MEND}"
        elif md5_of_bytes(files[path]) != lock.out_hashes[path]:
            yield f"{path} is not the file that {LOCK_FILE} records; {MEND}"


def main(arguments: list[str] | None = None) -> int:
    """Judge, print, and return the exit status."""
    parser = Parser(
        prog="python -m tools.fresh",
        description=(__doc__ or "").partition("?")[0] + "?",
        epilog="example: python -m tools.fresh main",
    )
    parser.add_argument("revision", nargs="?", default=WORKSPACE, help="commit, branch, tag, or `workspace` (the default)")
    lines = stale_lines(find_revision(parser.parse_args(arguments).revision))
    print("\n".join(map(visible, lines)), file=sys.stderr, end="\n" if lines else "")
    if not lines:
        print(f"{LOCK_FILE} is up to date: it matches the params, code and files")
    return 1 if lines else 0


if __name__ == "__main__":
    run_command(main)
