"""Print what a bug report needs, and what is wrong here: `make doctor`. Exit status 1 when something is wrong.

It must work where packages are missing or broken, so that only the standard library is imported before it is needed.
"""

import fcntl
import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from classifier.common.versions import differing_versions
from record.dvc_locks import living_processes
from record.git import run_git
from tools.command import Parser, run_command
from tools.half_installed import half_installed

VENV = Path(".venv")
LOCK = Path(".dvc/tmp/lock")
DATA_BYTES = 2 * 10**9
"""Disk space for data, cache and some experiments."""
VENV_BYTES = 10 * 10**9 if platform.system() == "Linux" else 2 * 10**9
"""Disk space for .venv and pip's cache: the torch for Linux brings CUDA with it."""
NOT_INSTALLED = "none"  # the word of classifier.common.versions
MAX_SECONDS = 60
"""That each command gets."""
REQUIREMENTS = ("requirements.txt", "requirements-dev.txt", "constraints.txt")
REINSTALL = "run `rm -f .venv/.installed-*` and `make setup`"


class Wrong(str):
    """A line that says what is wrong and how to mend it. Any other line of a section is a fact."""


def python_section() -> Iterator[str]:
    """The Python, and whether it is that of .venv."""
    yield f"{platform.python_version()} ({sys.executable}), {platform.platform()}"
    if not (3, 11) <= sys.version_info[:2] <= (3, 14):
        yield Wrong("the pins need Python 3.11 to 3.14; delete .venv and run `make setup PYTHON=/path/to/python3.13`")
    if not _in_venv():
        if _output(str(VENV / "bin/python"), "-c", "")[0]:
            yield Wrong("there is no .venv that works; run `make setup`")
        else:
            yield Wrong(
                "this Python is not that of .venv, which works; run `make doctor`, or `source .venv/bin/activate` first"
            )
        return
    activate = (VENV / "bin/activate").read_text(encoding="utf-8")
    homes = [str(VENV.absolute()), str(VENV.resolve())]
    if not any(home in activate or shlex.quote(home) in activate for home in homes):
        yield Wrong(".venv was made in another folder, which its activate script still names; delete it and run `make setup`")


def _in_venv() -> bool:
    return Path(sys.prefix).resolve() == VENV.resolve()


def packages_section() -> Iterator[str]:
    """Installed versions beside the pinned ones."""
    if not _in_venv():
        yield "not checked: this Python is not that of .venv"
        return
    yield ", ".join(f"{name} {installed(name) or 'missing'}" for name in ("dvc", "torch", "torchvision", "numpy", "pandas"))
    runtime, tools, others = (differing_versions(Path(name)) for name in REQUIREMENTS)
    missing = [name for name, (found, _) in runtime.items() if found == NOT_INSTALLED]
    if missing:
        yield Wrong(f"not installed: {', '.join(missing)}; {REINSTALL}")
    if any(found == NOT_INSTALLED for found, _ in tools.values()):
        yield "the tools for tests and lint are not all installed (`make setup-dev`)"
    differing = [
        f"{name} {found} ({pinned} is pinned)"
        for name, (found, pinned) in (runtime | tools | others).items()
        if found != NOT_INSTALLED
    ]
    if differing:
        yield Wrong(f"not the pinned version: {', '.join(differing)}; {REINSTALL}")
    elif not missing:
        yield "all as pinned"
    broken = [name for name, _ in half_installed(Path(sysconfig.get_path("purelib")))]
    if broken:
        yield Wrong(f"half-installed: {', '.join(broken)}; {REINSTALL}")


def installed(name: str) -> str | None:
    """Version of a package, None when it is not there."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def device_section() -> Iterator[str]:
    """What torch can compute on."""
    yield f"{os.cpu_count()} CPU cores"
    if not installed("torch"):
        return
    try:
        import torch
    except (ImportError, OSError) as error:
        yield Wrong(f"torch does not start: {_one_line(error)}; {REINSTALL}")
        return
    yield f"torch {torch.__version__}, {torch.get_num_threads()} threads unless params.yaml says otherwise"
    for number in range(torch.cuda.device_count()):
        yield f"CUDA {torch.version.cuda}: {torch.cuda.get_device_name(number)}"
    if torch.backends.mps.is_available():
        yield "MPS"
    if not torch.cuda.is_available() and shutil.which("nvidia-smi"):
        yield f"nvidia-smi is here, but this torch (CUDA {torch.version.cuda}) finds no GPU"


def git_section() -> Iterator[str]:
    """The repository that DVC works in."""
    status, words = _git("--version")
    if status:
        yield Wrong(f"git does not start ({words}); install it")
        return
    yield words
    status, top = _git("rev-parse", "--show-toplevel")
    if owner := re.search(r"dubious ownership in repository at '(.+)'", top):
        trust = f"`git config --global --add safe.directory {shlex.quote(owner[1])}`"
        yield Wrong(f"the repository belongs to another user, so git does nothing in it; {trust}, if you trust what it holds")
        return
    if status:
        yield Wrong(f"DVC needs a git repository ({top}); `make setup` makes one")
        return
    if Path(top) != Path.cwd():
        yield f"the repository is that of {top}"
        if not _git("ls-files", "Makefile")[1]:
            yield Wrong(f"the repository around this folder, {top}, does not hold its files; `make setup` makes one here")
    status, words = _git("rev-list", "--count", "HEAD")
    if edge := re.search(r"Failed to traverse parents of commit ([0-9a-f]{40})", words) if status else None:
        mend = f"`echo {edge[1]} > .git/shallow && git fetch --unshallow`"
        yield Wrong(f"earlier commits are missing, as after `dvc exp pull` into a shallow clone; {mend} brings them")
        return
    status, commit = _git("log", "-1", "--format=%h of %cs")
    if status:
        yield Wrong("there is no commit yet, and experiments need one; `make setup` makes it")
        return
    detached, branch = _git("symbolic-ref", "--quiet", "--short", "HEAD")
    place = "HEAD is detached (`git switch -` goes back to the branch)" if detached else f"branch {branch}"
    yield f"commit {commit}, {place}"
    yield from _changes()
    if _git("config", "user.name")[0] or _git("config", "user.email")[0]:
        yield Wrong(
            "git knows no name and address of yours, which `dvc exp apply`, `dvc exp save` and queued experiments need; "
            "set them: `git config --global user.name 'Your Name'` and `git config --global user.email you@example.org`"
        )


def _changes() -> Iterator[str]:
    lines = _git("status", "--porcelain", "--untracked-files=no", ".")[1].splitlines()
    if lines:
        yield f"{len(lines)} tracked files differ from the commit: {', '.join(line[3:] for line in lines[:8])}"
    deleted = [line[3:] for line in lines if "D" in line[:2]]
    if deleted:
        names = " ".join(deleted)
        yield Wrong(f"tracked files are gone, as after a killed `dvc exp run`; `git checkout HEAD -- {names}` brings them back")


def dvc_section() -> Iterator[str]:
    """The cache, the locks, and what `dvc repro` would run."""
    status, cache = _output(sys.executable, "-m", "dvc", "cache", "dir")  # it may be shared with others
    yield f"cache {_size('.dvc/cache' if status else cache)}, downloads {_size('.dvc/tmp/downloads')}"
    if find_spec("dvc") is None:
        return
    common = Path(_git("rev-parse", "--git-common-dir")[1])
    if common.is_absolute() and Path(cache).resolve() == Path(".dvc/cache").resolve():
        shared = shlex.quote(str(common.parent / ".dvc/cache"))
        yield (
            f"a linked worktree with its own cache: `dvc exp apply` finds no model of another one's experiments; "
            f"`dvc cache dir --local {shared}` shares it (docs/guide/clones.md)"
        )
    status, words = _output(sys.executable, "-m", "dvc", "remote", "default")
    yield f"shared storage: {words}; `python -m tools.share status` checks it" if status == 0 else "no shared storage"
    at_work = living_processes(Path())
    yield from (f"process {pid} holds files: {command}" for pid, command in at_work.items())
    from record.killed import edits_taken_by_apply, left_experiments  # needs a package that comes with DVC

    yield from (Wrong(line) for line in left_experiments(Path()))
    if taken := edits_taken_by_apply(Path()):
        yield Wrong(taken)
    if at_work or _is_locked(LOCK):
        yield "a DVC command is running in this folder, so `dvc status` was not run"
        return
    status, words = _output(sys.executable, "-m", "dvc", "status", "--json")
    if status:
        yield Wrong(f"`dvc status` fails: {words}")
        return
    stages = [*json.loads(words.splitlines()[-1])][::-1]  # dvc.yaml begins with the last stage
    yield f"`dvc repro` would check: {', '.join(stages)}" if stages else "all stages are up to date"


def _is_locked(lock: Path) -> bool:
    """Whether a process holds `lock`, as DVC does while it works. The file alone means nothing: DVC leaves it."""
    if not lock.exists():
        return False
    with lock.open() as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError as error:  # any other than this: the file system has no locks
            return isinstance(error, BlockingIOError)
    return False


def mirror_section() -> Iterator[str]:
    """Where the files of the data set come from."""
    mirror = os.environ.get("DATASET_MIRROR")
    if not mirror:
        yield "DATASET_MIRROR is not set: the official hosts are asked"
        return
    shown = re.sub(r"//[^/@]*@", "//", mirror)
    folder = Path(mirror.removeprefix("file://"))
    is_address = mirror.lower().startswith(("http://", "https://"))
    if not is_address and not folder.is_dir():
        yield Wrong(f"DATASET_MIRROR: there is no folder {shown}; correct it or unset it")
        return
    dataset, files = _wanted()
    if not files:
        yield f"DATASET_MIRROR is {shown}"
    elif is_address:
        yield f"DATASET_MIRROR is {shown}; asked for {dataset}/{files[0]}, it says: {_answer(f'{mirror}/{dataset}/{files[0]}')}"
    else:
        lacking = [name for name in files if not (folder / dataset / name).is_file()]
        yield f"DATASET_MIRROR is {shown}; of {dataset} it lacks {', '.join(lacking) or 'nothing'}"


def _wanted() -> tuple[str, list[str]]:
    """The data set of params.yaml and the names of its files that a mirror may hold; none where that cannot be told."""
    try:
        from classifier.common.errors import UserError
        from classifier.common.params import PARAMS_FILE, read_yaml
        from classifier.sources.catalogue import load_dataset
    except ImportError:
        return "", []
    try:
        params = read_yaml(PARAMS_FILE)
        files = load_dataset(Path(str(params.get("source"))), str(params.get("dataset"))).files.values()
    except (UserError, OSError):
        return "", []  # the section `check` says why
    return str(params["dataset"]), [file.name for file in files if not file.packaged]


def _answer(url: str) -> str:
    import requests

    try:
        with requests.get(url, stream=True, timeout=5) as response:
            return f"HTTP {response.status_code}"
    except requests.RequestException as error:
        return _one_line(error)


def disk_section() -> Iterator[str]:
    """Free space in this folder."""
    free = shutil.disk_usage(".").free
    needed = DATA_BYTES if installed("torch") else DATA_BYTES + VENV_BYTES
    yield f"{_gb(free)} free"
    if free < needed:
        yield Wrong(f"only {_gb(free)} of disk space are free, about {_gb(needed)} are needed; `python -m tools.gc` may help")


def check_section() -> Iterator[str]:
    """What `python -m tools.check` says of params.yaml, of dvc.yaml, and of what a killed DVC left."""
    if any(found == NOT_INSTALLED for found, _ in differing_versions(Path("requirements.txt")).values()):
        yield "not checked: packages are missing"
        return
    status, words = _output(sys.executable, "-m", "tools.check")
    yield from (Wrong(line) for line in words.splitlines())
    if status == 0:
        yield "params.yaml and dvc.yaml are good, and no killed `dvc` left anything behind"


SECTIONS: dict[str, Callable[[], Iterator[str]]] = {
    "python": python_section,
    "packages": packages_section,
    "device": device_section,
    "git": git_section,
    "dvc": dvc_section,
    "mirror": mirror_section,
    "disk": disk_section,
    "check": check_section,
}


def main(arguments: list[str] | None = None) -> int:
    """Print the facts, then what is wrong. Returns the exit status."""
    Parser(
        prog="python -m tools.doctor", description=(__doc__ or "").partition("\n")[0], epilog="example: python -m tools.doctor"
    ).parse_args(arguments)
    wrong = []
    for name, section in SECTIONS.items():
        for line in _guarded(section):
            if isinstance(line, Wrong):
                wrong.append(f"{name}: {line}")
            else:
                print(f"{name:9} {line}", flush=True)
    print("\n" + "\n".join(["wrong:", *(f"- {line}" for line in wrong)] if wrong else ["nothing is wrong"]))
    return 1 if wrong else 0


def _guarded(section: Callable[[], Iterator[str]]) -> Iterator[str]:
    """The lines of a section; what one of them stumbles over is a finding too, and must not hide the other sections."""
    try:
        yield from section()
    except Exception as error:
        yield Wrong(f"could not be checked: {type(error).__name__}: {_one_line(error)}")


def _git(*arguments: str) -> tuple[int, str]:
    """As `_output`, of git."""
    answer = run_git(*arguments, seconds=MAX_SECONDS)
    return answer.status, answer.errors if answer.status else answer.text


def _output(*command: str) -> tuple[int, str]:
    """Exit status and words of a command: its output, or its errors when it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=MAX_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return 127, _one_line(error)
    return done.returncode, (done.stderr if done.returncode else done.stdout).rstrip()


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _size(folder: str) -> str:
    """Of its files; DVC may be at work on them."""
    num_bytes = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                num_bytes += Path(place, name).lstat().st_size
    return _gb(num_bytes)


def _gb(num_bytes: int) -> str:
    return f"{num_bytes / 1e9:.2f} GB"


if __name__ == "__main__":
    run_command(main)
