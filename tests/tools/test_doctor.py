"""`make doctor` tells the facts, names what is wrong with the way to mend it, and starts where nothing is installed."""

import ast
import fcntl
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import warm
from tests.support.file_server import file_server
from tools import doctor
from tools.doctor import Wrong

SOURCE = Path(__file__).parents[2]
FILES = ("params.yaml", "dvc.yaml", "catalogue.yaml", ".dvcignore", ".gitignore", *doctor.REQUIREMENTS)
IDX_FILES = [f"{split}-{kind}-ubyte.gz" for split in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of this project, without git and .venv, in a path with a space; the working folder."""
    root = tmp_path / "a copy"
    for name in ("classifier", "record", "stages", "tools", ".dvc"):
        ignored = shutil.ignore_patterns("cache", "tmp")
        shutil.copytree(SOURCE / name, root / name, ignore=ignored)
    for name in FILES:
        shutil.copy(SOURCE / name, root / name)
    monkeypatch.chdir(root)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("DATASET_MIRROR", raising=False)
    return root


@pytest.fixture
def repository(folder: Path) -> Path:
    """`folder` with one commit and an identity."""
    git("init", "--quiet", "--initial-branch=main")
    git("config", "user.name", "Ann")
    git("config", "user.email", "ann@example.org")
    git("add", "--all")
    git("commit", "--quiet", "--message", "start")
    return folder


def git(*arguments: str) -> None:
    subprocess.run(["git", *arguments], check=True, capture_output=True)


def told(section: Callable[[], Iterator[str]]) -> tuple[str, list[str]]:
    """The facts of a section in one text, and what it finds wrong."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "executable", warm.python())  # that it starts DVC with
        lines = [*section()]
    facts = "\n".join(line for line in lines if not isinstance(line, Wrong))
    return facts, [str(line) for line in lines if isinstance(line, Wrong)]


def own_venv(folder: Path) -> Path:
    """A .venv of this folder with the packages of this Python, and its own python command."""
    venv = folder / ".venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    inside = next(venv.glob("lib/python*/site-packages"))
    inside.rmdir()
    inside.symlink_to(next(Path(sys.prefix).glob("lib/python*/site-packages")))
    return venv / "bin/python"


def consult(python: Path | str) -> subprocess.CompletedProcess[str]:
    command = [str(python), "-m", "tools.doctor"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_where_all_is_well_it_says_so(repository: Path) -> None:
    done = consult(own_venv(repository))
    assert done.stderr == ""
    assert done.stdout.endswith("\nnothing is wrong\n")
    assert done.returncode == 0
    for fact in ("python    3.", "packages  dvc 3.", "all as pinned", "torch 2.", "branch main", "would check", " GB free"):
        assert fact in done.stdout


def test_it_starts_where_nothing_is_installed(repository: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(repository / ".venv")], check=True)
    done = consult(repository / ".venv/bin/python")
    assert done.returncode == 1
    assert done.stderr == ""
    assert "- packages: not installed: dvc, torch, torchvision, numpy, " in done.stdout
    assert "run `rm -f .venv/.installed-*` and `make setup`" in done.stdout
    assert "check     not checked: packages are missing" in done.stdout


def test_without_a_venv_it_says_how_to_make_one(repository: Path) -> None:
    done = consult(warm.python())
    assert done.returncode == 1
    assert "\nwrong:\n- python: there is no .venv that works; run `make setup`\n" in done.stdout


def test_a_venv_that_was_moved_here_is_seen(folder: Path) -> None:
    python = own_venv(folder)
    activate = folder / ".venv/bin/activate"
    activate.write_text(activate.read_text(encoding="utf-8").replace(str(folder), "/elsewhere"), encoding="utf-8")
    program = "from tools.doctor import *; print([line for line in python_section() if isinstance(line, Wrong)])"
    said = subprocess.run([str(python), "-c", program], capture_output=True, text=True, check=True).stdout
    assert ".venv was made in another folder" in said


def python_section_of(python: Path | str) -> list[str]:
    program = "from tools.doctor import *; print([str(line) for line in python_section() if isinstance(line, Wrong)])"
    said = subprocess.run([str(python), "-c", program], capture_output=True, text=True, check=True).stdout
    lines: list[str] = ast.literal_eval(said)
    return lines


def test_a_venv_that_is_a_link_and_another_python(folder: Path, tmp_path: Path) -> None:
    python = own_venv(folder)
    assert python_section_of(python) == []
    assert python_section_of(sys.executable) == [
        "this Python is not that of .venv, which works; run `make doctor`, or `source .venv/bin/activate` first"
    ]
    (folder / ".venv").rename(tmp_path / "shared")
    activate = tmp_path / "shared/bin/activate"
    text = activate.read_text(encoding="utf-8").replace(f"{folder}/.venv", f"{tmp_path}/shared")
    activate.write_text(text, encoding="utf-8")
    (folder / ".venv").symlink_to(tmp_path / "shared")
    assert python_section_of(folder / ".venv/bin/python") == []
    assert python_section_of(tmp_path / "shared/bin/python") == []


def test_a_repository_of_another_user(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where a container sees a folder of its host."""
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    _, wrong = told(doctor.git_section)
    quoted = re.escape(shlex.quote(str(repository)))
    assert len(wrong) == 1
    assert re.match(
        rf"the repository belongs to another user, .*; `git config --global --add safe\.directory {quoted}`", wrong[0]
    )


def test_other_versions_than_the_pinned_are_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", str(folder / ".venv"))
    (folder / "requirements.txt").write_text("tqdm==0.1\nno-such-package==1.0\n", encoding="utf-8")
    _, wrong = told(doctor.packages_section)
    assert wrong[0] == f"not installed: no-such-package; {doctor.REINSTALL}"
    assert wrong[1].startswith("not the pinned version: tqdm ")
    assert " (0.1 is pinned)" in wrong[1]
    assert "no-such-package" not in wrong[1]


def test_no_repository(folder: Path) -> None:
    _, wrong = told(doctor.git_section)
    assert "DVC needs a git repository (fatal: not a git repository" in wrong[0]


def test_a_repository_around_that_does_not_hold_the_files(folder: Path) -> None:
    subprocess.run(["git", "init", "--quiet", ".."], check=True)
    _, wrong = told(doctor.git_section)
    assert wrong[0].startswith(f"the repository around this folder, {folder.parent}, does not hold its files")


def test_no_commit(folder: Path) -> None:
    git("init", "--quiet")
    _, wrong = told(doctor.git_section)
    assert wrong == ["there is no commit yet, and experiments need one; `make setup` makes it"]


def test_no_identity(repository: Path) -> None:
    git("config", "--unset", "user.email")
    facts, wrong = told(doctor.git_section)
    assert "branch main" in facts
    assert "git knows no name and address of yours" in wrong[0]


def test_detached_head_and_lost_files_as_a_killed_experiment_leaves_them(repository: Path) -> None:
    git("checkout", "--quiet", "--detach")
    (repository / "dvc.yaml").unlink()
    (repository / "params.yaml").write_text("lr: 1\n", encoding="utf-8")
    facts, wrong = told(doctor.git_section)
    assert "HEAD is detached" in facts
    assert "2 tracked files differ from the commit: dvc.yaml, params.yaml" in facts
    assert len(wrong) == 1
    assert wrong[0].endswith("`git checkout HEAD -- dvc.yaml` brings them back")


def test_a_git_that_does_not_start(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(folder))
    _, wrong = told(doctor.git_section)
    assert wrong[0].startswith("git does not start (")


def test_a_dvc_at_work_is_not_disturbed(repository: Path) -> None:
    (repository / ".dvc/tmp").mkdir()
    with (repository / ".dvc/tmp/lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        facts, wrong = told(doctor.dvc_section)
        assert "a DVC command is running" in facts
        assert wrong == []
    facts, _ = told(doctor.dvc_section)
    assert "`dvc repro` would check: download, convert, build, weights, train, evaluate, plot" in facts


def test_who_holds_files_is_told_and_the_dead_are_not(repository: Path) -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    holders = {"read": {"a": [{"pid": os.getpid(), "cmd": "dvc repro"}]}, "write": {"b": {"pid": dead.pid, "cmd": "dvc pull"}}}
    (repository / ".dvc/tmp").mkdir()
    (repository / ".dvc/tmp/rwlock").write_text(json.dumps(holders), encoding="utf-8")
    facts, _ = told(doctor.dvc_section)
    assert f"\nprocess {os.getpid()} holds files: dvc repro\n" in facts
    assert "dvc pull" not in facts
    assert "a DVC command is running in this folder, so `dvc status` was not run" in facts


def test_a_cache_that_several_share(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    with (tmp_path / "shared/object").open("wb") as file:
        file.truncate(30_000_000)
    (repository / ".dvc/config.local").write_text(f"[cache]\n    dir = {tmp_path}/shared\n", encoding="utf-8")
    assert told(doctor.dvc_section)[0].startswith("cache 0.03 GB, ")


def test_a_linked_worktree_with_its_own_cache(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git("worktree", "add", "--quiet", str(tmp_path / "side"))
    assert "worktree" not in told(doctor.dvc_section)[0]
    monkeypatch.chdir(tmp_path / "side")
    told_to = re.search(r"a linked worktree with its own cache: .*`dvc (cache dir .*)` shares it", told(doctor.dvc_section)[0])
    assert told_to
    subprocess.run([warm.python(), "-m", "dvc", *shlex.split(told_to[1])], check=True, capture_output=True)
    facts, _ = told(doctor.dvc_section)
    assert "worktree" not in facts
    assert Path(".dvc/config.local").read_text(encoding="utf-8").endswith(f"dir = {repository}/.dvc/cache\n")


def test_a_shallow_clone_that_lost_its_edge(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `dvc exp pull` from a path leaves it: .git/shallow is gone."""
    git("commit", "--quiet", "--allow-empty", "--message", "second")
    git("clone", "--quiet", "--depth=1", repository.as_uri(), str(tmp_path / "clone"))
    monkeypatch.chdir(tmp_path / "clone")
    assert not any("earlier commits" in line for line in told(doctor.git_section)[1])
    Path(".git/shallow").unlink()
    (line,) = [line for line in told(doctor.git_section)[1] if line.startswith("earlier commits are missing")]
    subprocess.run(line.split("`")[3], shell=True, check=True, capture_output=True)
    count = subprocess.run(["git", "rev-list", "--count", "HEAD"], capture_output=True, text=True, check=True).stdout
    assert count == "2\n" and not any("earlier commits" in line for line in told(doctor.git_section)[1])


def test_what_a_killed_dvc_left_of_its_own_files_is_told(repository: Path) -> None:
    (repository / ".dvc/tmp").mkdir()
    (repository / ".dvc/tmp/rwlock").write_text("{", encoding="utf-8")
    (repository / "dvc.lock").write_text("schema: '2.0'\nsta", encoding="utf-8")
    _, wrong = told(doctor.check_section)
    assert any(line.endswith("when no `dvc` runs here, `rm .dvc/tmp/rwlock`") for line in wrong)
    assert any(line.startswith("dvc.lock: half-written") for line in wrong)


def test_a_graph_that_dvc_cannot_read(repository: Path) -> None:
    (repository / "dvc.yaml").write_text("stages: 1\n", encoding="utf-8")
    _, wrong = told(doctor.dvc_section)
    assert wrong[0].startswith("`dvc status` fails: ")


def test_a_mirror_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mirror = folder / "mirror"
    monkeypatch.setenv("DATASET_MIRROR", str(mirror))
    assert told(doctor.mirror_section) == ("", [f"DATASET_MIRROR: there is no folder {mirror}; correct it or unset it"])
    (mirror / "fashion_mnist").mkdir(parents=True)
    for name in IDX_FILES:
        (mirror / "fashion_mnist" / name).touch()
    assert told(doctor.mirror_section)[0].endswith("of fashion_mnist it lacks nothing")
    (mirror / "fashion_mnist" / IDX_FILES[2]).unlink()
    assert told(doctor.mirror_section)[0].endswith(f"of fashion_mnist it lacks {IDX_FILES[2]}")


def test_a_mirror_address_and_no_password_of_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = f"/sets/fashion_mnist/{IDX_FILES[0]}"
    with file_server() as server:
        monkeypatch.setenv("DATASET_MIRROR", f"{server.address}/sets")
        assert told(doctor.mirror_section)[0].endswith(f"asked for {path.removeprefix('/sets/')}, it says: HTTP 404")
        server.files[path] = b"x"
        assert told(doctor.mirror_section)[0].endswith("it says: HTTP 200")
    monkeypatch.setenv("DATASET_MIRROR", "http://ann:secret@127.0.0.1:9/sets")
    facts, wrong = told(doctor.mirror_section)
    assert "DATASET_MIRROR is http://127.0.0.1:9/sets; " in facts
    assert "secret" not in facts
    assert wrong == []


def test_bad_params_are_listed(folder: Path) -> None:
    text = (folder / "params.yaml").read_text(encoding="utf-8")
    (folder / "params.yaml").write_text(f"{text}\nlearning: 1\n".replace("\nseed: ", "\nseed: -1"), encoding="utf-8")
    facts, wrong = told(doctor.check_section)
    assert facts == ""
    assert any("params.yaml: seed must be" in line for line in wrong)
    assert any("no stage in dvc.yaml uses the key 'learning'" in line for line in wrong)


def test_a_full_disk(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: shutil._ntuple_diskusage(10**12, 0, 10**9))  # type: ignore[attr-defined]
    _, wrong = told(doctor.disk_section)
    assert wrong[0].startswith("only 1.00 GB of disk space are free, about 2.00 GB are needed")


def test_a_file_that_goes_while_all_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("goes", "stays"):
        with (tmp_path / name).open("wb") as file:
            file.truncate(30_000_000)
    walk = os.walk

    def then_remove(folder: str) -> Iterator[tuple[str, list[str], list[str]]]:
        for found in walk(folder):
            (tmp_path / "goes").unlink()
            yield found

    monkeypatch.setattr("os.walk", then_remove)
    assert doctor._size(str(tmp_path)) == "0.03 GB"


def test_a_section_that_stumbles_does_not_hide_the_others(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stumbling() -> Iterator[str]:
        yield "one fact"
        raise PermissionError(13, "Permission denied", "somewhere")

    monkeypatch.setattr(doctor, "SECTIONS", {"first": stumbling, "disk": doctor.disk_section})
    assert doctor.main([]) == 1
    said = capsys.readouterr().out
    assert said.startswith("first     one fact\ndisk      ")
    assert "- first: could not be checked: PermissionError: [Errno 13] Permission denied: 'somewhere'" in said
