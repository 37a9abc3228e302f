"""The Makefile and tools/setup.sh with real make, real venv, real pip and real git, on two tiny packages of our own."""

import os
import re
import shutil
import subprocess
import time
from pathlib import Path
from zipfile import ZipFile

import pytest

SOURCE = Path(__file__).parents[1]
NAMED = {f"GIT_{role}_{key}": "x" for role in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")}


def make_wheel(folder: Path, name: str, version: str, code: str = "") -> Path:
    """A package of one module whose VERSION says which one was installed."""
    folder.mkdir(exist_ok=True)
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": f"VERSION = {version!r}\n{code}",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    with ZipFile(wheel, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
        archive.writestr(f"{info}/RECORD", "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"]))
    return wheel


class Project:
    """What the set-up needs of this project, in a folder of its own, with requirements that take no time."""

    def __init__(self, root: Path, wheels: Path) -> None:
        self.root = root
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(wheels),
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(wheels),
        }

    def run(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.root,
            env=self.environment | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    def make(self, *arguments: str, status: int = 0, **environment: str) -> str:
        """What `make` prints; fails unless its exit status is `status` (2 is that of a failed command)."""
        done = self.run("make", *arguments, **environment)
        assert done.returncode == status, done.stdout
        return done.stdout

    def installed(self, name: str = "tiny") -> str:
        done = self.run(".venv/bin/python", "-c", f"import {name}; print({name}.VERSION)")
        return done.stdout.strip() if done.returncode == 0 else "broken"

    def forget_stamps(self) -> None:
        for stamp in self.root.glob(".venv/.installed-*"):
            stamp.unlink()

    @property
    def site_packages(self) -> Path:
        return next(self.root.glob(".venv/lib/python*/site-packages"))

    def git(self, *arguments: str) -> str:
        done = self.run("git", *arguments, **NAMED)
        assert done.returncode == 0, done.stdout
        return done.stdout.strip()


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheels")
    twice = [(name, version) for name in ("tiny", "tinyboard") for version in ("1.0", "2.0")]
    once = [(name, "1.0") for name in ("tinydev", "tinyexport", "tinys3", "tinyssh", "tinysearch", "tinyparquet")]
    for name, version in (*twice, *once):
        make_wheel(folder, name, version)
    return folder


ANEW = ".venv is half-made, or its Python is gone; making it anew"
SETUP = ("Makefile", ".gitignore", "tools/__init__.py", "tools/setup.sh", "tools/half_installed.py", "tools/uv.py")
IMPORTED = (
    "classifier/__init__.py",
    *(f"classifier/common/{name}.py" for name in ("__init__", "environment", "errors")),
)
"""By tools/__init__.py. It runs before a package is installed: a further file here has to do without, too."""


def copy_setup(root: Path) -> None:
    for name in (*SETUP, *IMPORTED):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(SOURCE / name, root / name)
    write_requirements(root)


def write_requirements(root: Path) -> None:
    """Of the same names as ours, with packages that take no time."""
    (root / "requirements.txt").write_text("-c constraints.txt\ntiny==1.0\n", encoding="utf-8")
    (root / "requirements-tensorboard.txt").write_text("-c constraints.txt\ntinyboard==1.0\n", encoding="utf-8")
    for kind in ("export", "s3", "ssh", "search", "parquet"):
        (root / f"requirements-{kind}.txt").write_text(f"-c constraints.txt\ntiny{kind}==1.0\n", encoding="utf-8")
    kinds = ("tensorboard", "export", "s3", "ssh", "search", "parquet")
    (root / "requirements-dev.txt").write_text("".join(f"-r requirements-{kind}.txt\n" for kind in kinds) + "tinydev\n")
    (root / "constraints.txt").write_text("tinydev==1.0\n", encoding="utf-8")


@pytest.fixture
def archive(tmp_path: Path, wheels: Path) -> Project:
    """A downloaded archive: no .git, no .venv, and a path with a space and an apostrophe."""
    root = tmp_path / "Ann's own folder"
    copy_setup(root)
    return Project(root, wheels)


@pytest.fixture(scope="session")
def set_up(tmp_path_factory: pytest.TempPathFactory, wheels: Path) -> tuple[Project, str]:
    """Another one after `make setup`, and what that said; made once, since pip takes seconds to arrive.

    It came with a .venv from elsewhere, whose Python is not here.
    """
    root = tmp_path_factory.mktemp("ready") / "Ann's own folder"
    copy_setup(root)
    (root / ".venv/bin").mkdir(parents=True)
    (root / ".venv/bin/python").symlink_to("/no/such/python")
    project = Project(root, wheels)
    return project, project.make("setup")


@pytest.fixture
def project(archive: Project, set_up: tuple[Project, str]) -> Project:
    """After `make setup`, in a repository with one commit of its owner."""
    shutil.copytree(set_up[0].root / ".venv", archive.root / ".venv", symlinks=True)
    archive.git("init", "--quiet")
    archive.git("add", "--all")
    archive.git("commit", "--quiet", "--message", "mine")
    return archive


def fake(folder: Path, name: str, script: str) -> None:
    """Put a command into `folder`."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    (folder / name).chmod(0o755)


def test_help_is_the_default_and_names_every_target() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    command = ["make", "-C", str(SOURCE), "--no-print-directory"]
    printed = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    makefile = (SOURCE / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[0].split()
    assert re.findall(r"^make (\S+) +\S", printed, re.MULTILINE) == targets
    assert re.findall(r"^([a-z-]+):", makefile, re.MULTILINE) == targets


def test_an_archive_without_an_identity_is_set_up_and_the_second_time_is_free(set_up: tuple[Project, str]) -> None:
    archive, said = set_up
    assert f"setup: {ANEW}\nsetup: making .venv with " in said
    assert 'made one here, with a first commit by "nobody"' in said
    assert archive.installed() == "1.0"
    assert archive.git("log", "--format=%an %ae %cn %s") == "nobody nobody@localhost nobody Start from a downloaded copy"
    assert archive.git("status", "--porcelain") == ""
    assert "tools/setup.sh" in archive.git("ls-files")
    assert ".venv" not in archive.git("ls-files")
    seconds = []
    for _ in range(3):  # the machine may have other work
        start = time.monotonic()
        assert archive.make("setup") == ""
        seconds.append(time.monotonic() - start)
    assert min(seconds) < 1
    assert archive.git("rev-list", "--count", "HEAD") == "1"


def test_tests_and_lint_get_their_tools_too(project: Project) -> None:
    assert project.installed("tinydev") == "broken"
    said = project.make("setup-dev")
    assert "installing requirements.txt" not in said
    assert [project.installed(name) for name in ("tinydev", "tinyboard", "tinyexport", "tinys3", "tinyssh")] == ["1.0"] * 5
    assert project.make("setup-dev") == ""
    (project.root / "requirements-tensorboard.txt").write_text("tinyboard==2.0\n", encoding="utf-8")
    project.make("setup-dev")
    assert project.installed("tinyboard") == "2.0"


UV_IN_SMALL = """
import os, subprocess, sys
print("uv", *sys.argv[1:4], {name: value for name, value in os.environ.items() if name.startswith("UV_")}, flush=True)
command = [sys.executable, "-m", "pip", "install", *sys.argv[5:]]
sys.exit(int(os.environ["UV_STATUS"]) or subprocess.run(command).returncode)
"""


@pytest.fixture
def with_uv(project: Project, tmp_path: Path) -> str:
    """Where pip finds tiny packages, and one that stands in for uv: it tells what it got, and hands it on to pip."""
    (version,) = re.findall(r"^UV=uv==(.+)$", (SOURCE / "tools/setup.sh").read_text(encoding="utf-8"), re.MULTILINE)
    make_wheel(tmp_path / "with_uv", "uv", version, UV_IN_SMALL)
    (project.root / "requirements.txt").write_text("tiny==2.0\n", encoding="utf-8")
    return f"{project.environment['PIP_FIND_LINKS']} {tmp_path / 'with_uv'}"


def test_uv_installs_by_the_settings_of_pip(project: Project, with_uv: str) -> None:
    said = project.make("setup", PIP_FIND_LINKS=with_uv, UV_STATUS="0")
    assert "uv pip install --python {" in said
    for setting in ("'UV_INDEX_STRATEGY': 'unsafe-best-match'", "'UV_NO_INDEX': '1'"):
        assert setting in said
    assert f"'UV_FIND_LINKS': '{with_uv.replace(' ', ',')}'" in said
    assert project.installed() == "2.0"
    assert project.make("setup", PIP_FIND_LINKS=with_uv, UV_STATUS="0") == ""


@pytest.mark.parametrize(
    ("environment", "said_why"),
    [({"UV_STATUS": "2"}, "uv pip install"), ({"PIP_PROXY": "", "UV_STATUS": "0"}, "setup: pip is set to proxy")],
)
def test_pip_installs_where_uv_fails_or_cannot_be_told(
    project: Project, with_uv: str, environment: dict[str, str], said_why: str
) -> None:
    said = project.make("setup", PIP_FIND_LINKS=with_uv, **environment)
    assert said_why in said
    assert project.installed() == "2.0"


def test_export_gets_its_packages_on_first_use(project: Project) -> None:
    (project.root / "tools/export").mkdir()
    program = "import sys\nimport tinyexport\nprint('exporting', sys.argv[1:])\n"
    (project.root / "tools/export/__main__.py").write_text(program, encoding="utf-8")
    assert project.installed("tinyexport") == "broken"
    said = project.make("export", "ARGS=--help")
    assert "installing requirements-export.txt" in said
    assert "exporting ['--help']" in said
    assert project.installed("tinydev") == "broken"
    assert project.make("export").splitlines() == ["exporting []"]


def test_other_times_of_the_same_text_cost_nothing(project: Project) -> None:
    for name in ("requirements.txt", "constraints.txt"):
        os.utime(project.root / name)
    assert project.make("setup") == ""


def test_another_pin_is_installed(project: Project) -> None:
    (project.root / "requirements.txt").write_text("tiny==2.0\n", encoding="utf-8")
    project.make("setup")
    assert project.installed() == "2.0"


def test_another_constraint_is_heeded(project: Project) -> None:
    (project.root / "constraints.txt").write_text("tiny<2\n", encoding="utf-8")
    (project.root / "requirements.txt").write_text("-c constraints.txt\ntiny\n", encoding="utf-8")
    project.make("setup")
    assert project.installed() == "1.0"


@pytest.mark.slow
def test_what_pip_cannot_install_is_tried_again(project: Project) -> None:
    before = (project.root / "requirements.txt").read_bytes()
    (project.root / "requirements.txt").write_text("tiny==3.0\n", encoding="utf-8")
    for _ in range(2):
        assert "setup: pip could not install requirements.txt; see its messages above" in project.make("setup", status=2)
    (project.root / "requirements.txt").write_bytes(before)
    assert "installing requirements.txt" in project.make("setup")  # pip may have changed anything before it failed


def test_a_build_of_the_pinned_version_is_left_alone(project: Project, tmp_path: Path) -> None:
    """As torch 2.14.1+cpu is where 2.14.1 is pinned."""
    wheel = make_wheel(tmp_path / "other", "tiny", "1.0+cpu")
    project.run(".venv/bin/python", "-m", "pip", "install", str(wheel))
    project.forget_stamps()
    project.make("setup")
    assert project.installed() == "1.0+cpu"


def test_a_package_whose_unpacking_was_cut_short_is_installed_again(project: Project) -> None:
    """pip alone takes it for installed, as seen after killing it at work."""
    (project.site_packages / "tiny.py").unlink()
    project.forget_stamps()
    assert "tiny is half-installed" in project.make("setup")
    assert project.installed() == "1.0"


@pytest.mark.parametrize("lost", ["pip/_internal/cli", pytest.param("pip*", marks=pytest.mark.slow)])
def test_a_venv_without_pip_or_with_half_of_it_is_completed(project: Project, lost: str) -> None:
    for path in project.site_packages.glob(lost):
        shutil.rmtree(path)
    project.forget_stamps()
    assert "making it anew" not in project.make("setup")
    assert project.run(".venv/bin/python", "-m", "pip", "--version").returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["none there", "a link to nowhere", "pip"])
def test_a_venv_beyond_repair_is_made_anew(project: Project, damage: str) -> None:
    if damage == "pip":
        shutil.rmtree(project.site_packages / "pip")
        (project.site_packages / "pip").write_text("not a folder", encoding="utf-8")
        project.forget_stamps()
    else:
        shutil.rmtree(project.root / ".venv")
        if damage == "a link to nowhere":
            (project.root / ".venv").symlink_to("nowhere")
    assert (ANEW in project.make("setup")) == (damage != "none there")
    assert project.installed() == "1.0"


def test_settings_of_the_caller_do_not_leak_in(project: Project, tmp_path: Path) -> None:
    bad = tmp_path / "bad"
    bad.mkdir()
    for module in ("pip", "tiny"):
        (bad / f"{module}.py").write_text("raise SystemExit('from the outside')", encoding="utf-8")
    settings = tmp_path / "pip.conf"
    settings.write_text("[global]\nuser = true\n", encoding="utf-8")
    (project.root / "requirements.txt").write_text("tiny==2.0\n", encoding="utf-8")
    project.make(
        "setup",
        PYTHONPATH=str(bad),
        PYTHONHOME=str(bad),
        PYTHONSAFEPATH="1",
        VIRTUAL_ENV=str(bad),
        PIP_CONFIG_FILE=str(settings),
        GIT_DIR=str(bad / "none"),
        GIT_INDEX_FILE=str(bad / "index"),
    )
    assert project.installed() == "2.0"
    assert project.git("rev-list", "--count", "HEAD") == "1"
    assert sorted(path.name for path in bad.iterdir()) == ["pip.py", "tiny.py"]


def test_a_python_that_is_no_use_is_refused_by_name(archive: Project, tmp_path: Path) -> None:
    commands = tmp_path / "commands"
    pretend = """exec python3 -c 'import sys; {}; exec(sys.argv[1])' "$2" """
    fake(commands, "old", pretend.format("sys.version_info = (3, 9, 2)"))
    fake(commands, "bare", pretend.format('sys.modules["ensurepip"] = None'))
    needed = "setup: needs a Python from 3.11 to 3.14 with its venv module, got "
    assert f"{needed}{commands}/old is Python 3.9.2; install one" in archive.make("setup", f"PYTHON={commands}/old", status=2)
    refusal = archive.make("setup", f"PYTHON={commands}/bare", status=2)
    assert f"{needed}{commands}/bare lacks its venv module (on Debian or Ubuntu: apt install python3" in refusal
    assert f"{needed}no working /no/python; install one" in archive.make("setup", "PYTHON=/no/python", status=2)
    assert not (archive.root / ".venv").exists()


def test_a_machine_without_git_is_told(archive: Project, tmp_path: Path) -> None:
    fake(tmp_path / "commands", "git", "exit 127")
    path = f"{tmp_path / 'commands'}{os.pathsep}{archive.environment['PATH']}"
    assert "setup: needs git, got none that works; install it" in archive.make("setup", status=2, PATH=path)


def test_a_repository_that_stopped_before_its_first_commit_gets_it(project: Project) -> None:
    shutil.rmtree(project.root / ".git")
    project.git("init", "--quiet")
    project.make("setup", **NAMED)
    assert project.git("log", "--format=%s") == "Start from a downloaded copy"


def test_a_configured_identity_signs_the_first_commit(project: Project, tmp_path: Path) -> None:
    shutil.rmtree(project.root / ".git")
    settings = tmp_path / "gitconfig"
    settings.write_text("[user]\nname = Ann\nemail = ann@example.org\n[commit]\ngpgsign = true\n", encoding="utf-8")
    assert "with a first commit of yours" in project.make("setup", GIT_CONFIG_GLOBAL=str(settings))
    assert project.git("log", "--format=%an %ae") == "Ann ann@example.org"


def test_a_repository_around_that_does_not_hold_the_files_is_left_alone(project: Project) -> None:
    shutil.rmtree(project.root / ".git")
    around = Project(project.root.parent, Path(project.environment["HOME"]))
    around.git("init", "--quiet")
    around.git("commit", "--quiet", "--allow-empty", "--message", "theirs")
    project.make("setup")
    assert project.git("log", "--format=%s") == "Start from a downloaded copy"
    assert around.git("log", "--format=%s") == "theirs"
    assert around.git("ls-files", "--stage") == ""


def test_a_repository_around_that_holds_the_files_is_used(project: Project) -> None:
    shutil.rmtree(project.root / ".git")
    around = Project(project.root.parent, Path(project.environment["HOME"]))
    around.git("init", "--quiet")
    around.git("add", f"{project.root.name}/Makefile")
    around.git("commit", "--quiet", "--message", "theirs")
    assert project.make("setup") == ""
    assert not (project.root / ".git").exists()


def test_repro_checks_before_it_runs(project: Project) -> None:
    (project.root / "tools/check.py").write_text("import os\nraise SystemExit(int(os.environ['CHECK']))\n", encoding="utf-8")
    (project.root / "dvc").mkdir()
    program = "import shutil, sys\nprint(sys.argv[1:], shutil.which('python'))\n"
    (project.root / "dvc/__main__.py").write_text(program, encoding="utf-8")
    python = project.root / ".venv/bin/python"
    assert f"['repro', '--dry', 'a b'] {python}\n" in project.make("repro", "ARGS=--dry 'a b'", CHECK="0")
    assert "['repro'" not in project.make("repro", status=2, CHECK="1")


def test_tensorboard_is_installed_when_it_is_first_asked_for(project: Project) -> None:
    (project.root / "tools/tensorboard.py").write_text("import sys, tinyboard\nprint(sys.argv[1:])\n", encoding="utf-8")
    assert project.make("setup") == ""
    assert project.installed("tinyboard") == "broken"
    said = project.make("tensorboard", "ARGS=--watch 'a b'")
    assert "setup: installing requirements-tensorboard.txt into .venv" in said
    assert said.endswith("['--watch', 'a b']\n")
    assert project.installed("tinydev") == "broken"
    assert project.make("tensorboard") == "[]\n"


def test_push_and_pull_install_what_the_remote_needs(project: Project) -> None:
    (project.root / "tools/share.py").write_text("import sys\nprint(sys.argv[1:])\n", encoding="utf-8")
    (project.root / ".dvc").mkdir()
    config = project.root / ".dvc/config"
    config.write_text("['remote \"storage\"']\n    url = /srv/s3://storage\n", encoding="utf-8")
    assert project.make("push", "ARGS=--remote 'a b'") == "['push', '--remote', 'a b']\n"
    config.write_text("['remote \"storage\"']\n    url = s3://bucket/storage\n", encoding="utf-8")
    said = project.make("pull")
    assert "setup: installing requirements-s3.txt into .venv" in said and said.endswith("['pull']\n")
    (project.root / ".dvc/config.local").write_text("[remote]\n  url=ssh://host/storage\n", encoding="utf-8")
    assert "setup: installing requirements-ssh.txt into .venv" in project.make("pull")
    assert [project.installed(name) for name in ("tinys3", "tinyssh", "tinydev")] == ["1.0", "1.0", "broken"]
    assert project.make("pull") == "['pull']\n"


def test_ci_lints_and_tests_with_the_data_beside_the_checkout(archive: Project, tmp_path: Path) -> None:
    (archive.root / ".ci").mkdir()
    shutil.copy(SOURCE / ".ci/run", archive.root / ".ci/run")
    fake(tmp_path / "commands", "make", 'echo "$1 in $PWD with ${DATASET_MIRROR-nothing}"; [ "$1" != "$FAILS" ]')
    path = f"{tmp_path / 'commands'}{os.pathsep}{archive.environment['PATH']}"
    run = str(archive.root / ".ci/run")
    done = archive.run(run, PATH=path, FAILS="")
    targets = ["lint", "test", "test-slow"]
    assert done.stdout.splitlines() == [f"{target} in {archive.root} with nothing" for target in targets]
    datasets = archive.root.parent / "shared/datasets"
    datasets.mkdir(parents=True)
    done = archive.run("sh", "-c", 'cd / && exec "$0"', run, PATH=path, FAILS="lint")
    assert done.returncode == 1
    assert done.stdout == f"lint in {archive.root} with {datasets}\n"
