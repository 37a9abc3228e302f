"""Runs one stage from the command line: typed params in; when something is wrong, one clear line out and exit status 1."""

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any, NoReturn

from classifier.common.dvcignore import check_not_ignored
from classifier.common.environment import variables_in_words
from classifier.common.errors import PeerLostError, UserError, memory_errors, one_line
from classifier.common.files import drop_recorded, one_process, state_folder, write_text
from classifier.common.fingerprint import changed_file, combined_digest, fingerprints
from classifier.common.graph import GRAPH_FILE, declared_paths, is_code, load_graph, used_keys, with_modules
from classifier.common.params import PARAMS_FILE, AnyParams, read_yaml, unknown_keys, validate
from classifier.common.process import ERROR_FILE_VARIABLE, LAUNCHED_VARIABLE, PEER_LOST, RankInfo
from classifier.common.versions import REQUIREMENTS_FILE, differing_versions
from stages import STARTED_NS

MADE = ("data", "models", "metrics", "plots")
"""Folders of what stages write."""
IN_GIT = ("metrics", "plots")
"""Lists in dvc.yaml of what git keeps, and not DVC's cache."""
SECONDS_FOR_ANOTHER_RUN_TO_END = 10


def run_stage(name: str, main: Callable[..., None], model: type[AnyParams], *, resumable: bool = False) -> None:
    """Call `main` with the params of `model`, and exit: 0 when done, 1 with one line on bad input, 130 on Ctrl-C.

    A resumable stage gets two arguments more. `resume` says where to keep its training state: the path differs with everything
    that the output depends on. `inputs` is a digest of all files that it declares. torchrun may have started several processes:
    the first one prints, and each reports its failure to torchrun.
    """
    speaks = True
    try:
        if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        speaks = not resumable or RankInfo.from_environment().rank == 0
        smaller = "batch_size" if "batch_size" in model.model_fields else ""
        busy = f"{name}: another process is running this stage in this folder; wait until it has ended"
        # One that DVC left behind is about to end by itself.
        alone = one_process(Path(".dvc/tmp") / f"{name}.lock", busy, seconds=SECONDS_FOR_ANOTHER_RUN_TO_END)
        with alone if speaks else _silent(), memory_errors(smaller):
            _run(name, main, model, resumable, speaks)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if speaks:
            after = "; the same command goes on after the last whole epoch" if resumable else "; run the same command again"
            print(f"{name}: interrupted{after}", file=sys.stderr)
        _leave(130)
    except (UserError, OSError) as error:
        _fail(error)


def _fail(error: Exception) -> NoReturn:
    """Say it on one line, and exit; where torchrun waits for several processes, in the file that it reads then.

    That file is whole or not there: torchrun may end this process meanwhile, as soon as another has failed. It is ASCII, which
    is read in whatever locale. Where it cannot be written, each process says its line itself.
    """
    file = _file_for_torchrun()
    if file is None:
        sys.exit(f"error: {one_line(error)}")
    reason = {"message": one_line(error), "timestamp": int(time.time()), PEER_LOST: isinstance(error, PeerLostError)}
    try:
        write_text(file, json.dumps(reason))
    except (OSError, ValueError):
        print(f"error: {one_line(error)}", file=sys.stderr)
    _leave(1)


def _file_for_torchrun() -> Path | None:
    """None where it is not torchrun that waits, whatever file a person or a cluster has named for it."""
    file = os.environ.get(ERROR_FILE_VARIABLE)
    return Path(file) if file and os.environ.get(LAUNCHED_VARIABLE) else None


def _leave(status: int) -> NoReturn:
    """End; one of several processes at once: threads of torch that wait for the others would say words of their own."""
    if _file_for_torchrun() is None:
        sys.exit(status)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


@contextmanager
def _silent() -> Iterator[None]:
    """Print nothing but errors."""
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere, redirect_stdout(nowhere):
        yield


def _run(name: str, main: Callable[..., None], model: type[AnyParams], resumable: bool, speaks: bool) -> None:
    """Run the stage between two looks at what it declares to read: what DVC records after it must be what it read."""
    values = read_yaml(PARAMS_FILE)
    params = _checked_params(values, model)
    stage = _stage(name)
    check_not_ignored(Path(), declared_paths(stage, values))
    dependencies = [Path(path) for path in declared_paths(stage, values, kinds=["deps"])]
    _check_present(name, dependencies, declared_paths(stage, values, kinds=IN_GIT), values.get("source"))
    if speaks and REQUIREMENTS_FILE in dependencies:
        _print_differing_versions()
        _print_variables()
    _check_late_edits(name, dependencies)
    before = fingerprints(with_modules(dependencies))
    states = state_folder(Path()) / "resume"
    if speaks:
        drop_recorded(states, Path("dvc.lock"))
    if resumable:
        digest = combined_digest(before, params.model_dump())
        main(params, resume=states / f"{name}-{digest[:32]}", inputs=combined_digest(before))
    else:
        main(params)
    _check_changes(name, params, changed_file(before, with_modules(dependencies)))


def _stage(name: str) -> dict[str, Any]:
    stages = load_graph(GRAPH_FILE)
    if name not in stages:
        raise UserError(f"{GRAPH_FILE}: needs a stage {name!r}, has {', '.join(stages)}")
    return stages[name]


def _check_present(name: str, dependencies: list[Path], results: list[str], source: object) -> None:
    """Raise UserError for the first file that is not there: DVC looks for some only after the stage, which is then lost.

    Of the `results` that git keeps DVC has removed the earlier ones by now.
    """
    for path in dependencies:
        if not path.exists():
            bring = "`git restore` brings it"
            if str(path) == source:
                bring = "`source` in params.yaml names it"
            elif path.parts[0] in MADE:
                bring = f"`dvc repro` makes it, and `dvc checkout {path}` brings back what was made before"
            gone = [result for result in results if not Path(result).exists()]
            removed = f"; what DVC removed before is in git if it was committed: `git restore {' '.join(gone)}`" if gone else ""
            raise UserError(f"{path}: no such file, and {name} depends on it; {bring}{removed}")


def _checked_params(values: dict[str, Any], model: type[AnyParams]) -> AnyParams:
    unknown = unknown_keys(PARAMS_FILE, values, used_keys(GRAPH_FILE))
    if unknown:
        raise UserError(unknown[0])
    return validate(PARAMS_FILE, values, model)


def _print_differing_versions() -> None:
    differing = differing_versions(REQUIREMENTS_FILE)
    if differing:
        listed = ", ".join(f"{name} {installed} (pinned {pinned})" for name, (installed, pinned) in differing.items())
        print(f"versions differ from {REQUIREMENTS_FILE}, so bytes may too: {listed}", file=sys.stderr)


def _print_variables() -> None:
    if variables := variables_in_words():
        print(f"environment: bytes may depend on {variables}", file=sys.stderr)


def _check_late_edits(name: str, dependencies: list[Path]) -> None:
    """Raise UserError if code was edited since the stage began to import it, which takes seconds: the old code may run.

    A date in the future, from a clock that was wrong, is not that of an edit just now. A module may also be gone since.
    """
    for file in _imported_code():
        if not file.exists():
            raise UserError(f"{file} was removed while {name} was starting, which read it; put it back and run it again")
    for file in with_modules(dependencies):
        if file.suffix == ".py" and file.is_file() and STARTED_NS < file.stat().st_mtime_ns <= time.time_ns():
            raise UserError(
                f"{file} changed while {name} was starting, which may have read the old one; run the same command again"
            )


def _imported_code() -> list[Path]:
    """The project's own modules that this process has imported, relative to its folder."""
    here = f"{Path.cwd()}{os.sep}"
    files = [str(getattr(module, "__file__", None)) for module in list(sys.modules.values())]
    inside = [Path(file.removeprefix(here)) for file in files if file.startswith(here)]
    return sorted(file for file in inside if is_code(file))


def _check_changes(name: str, params: AnyParams, file: Path | None) -> None:
    """Raise UserError if a param or a file that the stage read is not what it was, so that DVC records nothing."""
    now = read_yaml(PARAMS_FILE)
    changed = [f"{PARAMS_FILE}: {key}" for key, value in params.model_dump().items() if key not in now or now[key] != value]
    if file is not None:
        changed.append(str(file))
    if changed:
        raise UserError(
            f"{changed[0]} changed while {name} was running, which had read the old one; run the same command again"
        )
