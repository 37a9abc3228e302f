"""How the tools end, each seen from outside."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tools.__main__ import verbs

SOURCE = Path(__file__).parents[2]


def running(body: str, folder: Path, options: str = "") -> "subprocess.Popen[bytes]":
    """A process whose tool is `body`, in the folder `folder`; its standard output takes ASCII alone but for `run_command`."""
    lines = [
        "import sys, time",
        "from classifier.common.errors import UserError",
        "from tools.command import run_command",
        "def main():",
        *(f"    {line}" for line in body.splitlines()),
        f"run_command(main{options})",
    ]
    return subprocess.Popen(
        [sys.executable, "-c", "\n".join(lines)],
        cwd=folder,
        env={"PYTHONPATH": str(SOURCE), "PYTHONIOENCODING": "ascii", "PATH": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.mark.parametrize(
    ("body", "status", "out", "err"),
    [
        ("print('猫')", 0, "猫\n", ""),
        ("return 3", 3, "", ""),
        (r"print('caf\udce9')", 0, "caf\\udce9\n", ""),
        (r"raise UserError('\x1b[2J\udce9')", 1, "", "error: \\x1b[2J\\udce9\n"),
        ("raise UserError('a.txt: needs\\n b')", 1, "", "error: a.txt: needs b\n"),
        ("open('gone.txt')", 1, "", "error: gone.txt: No such file or directory\n"),
        ("bytearray(2**60)", 1, "", "error: out of memory: memory could not be had; free some, and run it again\n"),
        (
            "import sqlite3; sqlite3.connect('gone/cache.db')",
            1,
            "",
            "error: a database of DVC, below .dvc/tmp or /var/tmp, cannot be used (unable to open database file); "
            "free some space on its disk\n",
        ),
        ("raise KeyboardInterrupt", 130, "", ""),
    ],
)
def test_statuses(tmp_path: Path, body: str, status: int, out: str, err: str) -> None:
    process = running(body, tmp_path)
    found_out, found_err = (text.decode() for text in process.communicate(timeout=60))
    assert (process.returncode, found_out, found_err) == (status, out, err)


def test_the_output_is_utf_8_also_where_dvc_has_put_its_own_before_it() -> None:
    program = "import dvc.repo; from tools.command import run_command; run_command(lambda: print('猫'))"
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", program], cwd=SOURCE, env=environment, capture_output=True, check=False)
    assert (done.stdout.decode(), done.stderr) == ("猫\n", b"")


def test_a_mistake_of_ours_keeps_its_traceback(tmp_path: Path) -> None:
    process = running("assert False, 'ours'", tmp_path)
    assert b"AssertionError: ours" in process.communicate(timeout=60)[1]
    assert process.returncode == 1


def test_nobody_reads_on(tmp_path: Path) -> None:
    with running("for _ in range(100_000): print('a line')", tmp_path) as process:
        assert process.stdout and process.stderr
        assert process.stdout.readline() == b"a line\n"
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 141


@pytest.mark.parametrize(
    ("options", "status", "is_tidied"), [("", -signal.SIGTERM, False), (", tidy_when_ended=True", 143, True)]
)
def test_an_end_from_outside(tmp_path: Path, options: str, status: int, is_tidied: bool) -> None:
    body = "try:\n    print('at work', flush=True)\n    time.sleep(60)\nfinally:\n    open('tidied', 'w').close()"
    with running(body, tmp_path, options) as process:
        assert process.stdout and process.stdout.readline() == b"at work\n"
        process.terminate()
        assert process.wait(60) == status
    assert (tmp_path / "tidied").exists() == is_tidied


@pytest.mark.parametrize("name", verbs())
def test_each_tool_ends_so(name: str) -> None:
    path = SOURCE / "tools" / name
    text = (path / "__main__.py" if path.is_dir() else path.with_suffix(".py")).read_text(encoding="utf-8")
    assert text.partition('if __name__ == "__main__":\n')[2].startswith("    run_command(")


LISTING = "import tools.__main__ as tool; tool.run_command(tool.main)"
HELP = "from tools.command import Parser, run_command; run_command(lambda: Parser().parse_args(['--help']))"
CONSULTING = "import tools.doctor as tool; tool.SECTIONS = {'disk': tool.disk_section}; tool.run_command(tool.main)"


REFUSING = "from tools.command import *\ndef main():\n  print(1)\n  raise UserError('no')\nrun_command(main)"
ONLY_OUTPUT = "the standard output: No space left on device"


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    ("program", "line"), [(LISTING, ONLY_OUTPUT), (CONSULTING, ONLY_OUTPUT), (HELP, ONLY_OUTPUT), (REFUSING, "no")]
)
def test_no_room_for_the_output_and_nobody_who_reads_it(program: str, line: str, unbuffered: str) -> None:
    """Where Python does not keep what it could not write, all that is known is that no other file was named."""
    command = [sys.executable, "-c", program]
    environment = os.environ | {"PYTHONUNBUFFERED": unbuffered}
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, cwd=SOURCE, env=environment, stdout=full, stderr=-1, text=True, check=False)
    if unbuffered:
        line = "the standard output or a temporary file: No space left on device"
    assert (done.returncode, done.stderr) == (1, f"error: {line}\n")
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(command, cwd=SOURCE, env=environment, stdout=write, stderr=-1, text=True, check=False)
    os.close(write)
    if program == REFUSING and not unbuffered:
        assert (done.returncode, done.stderr) == (1, "error: no\n")
        return
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize("package", ["stages", "tools"])
@pytest.mark.parametrize(
    ("mistake", "said"),
    [
        (
            "raise ImportError('libtorch_cpu.so: failed to map segment from shared object')",
            "error: out of memory: memory ",
        ),
        ("raise MemoryError('std::bad_alloc')", "error: out of memory: memory could not be had"),
        (
            "raise BlockingIOError(11, 'Resource temporarily unavailable')",
            "error: out of memory: no new ",
        ),
        ("raise KeyboardInterrupt", ""),
    ],
)
def test_what_fails_while_modules_are_imported_is_a_line(tmp_path: Path, package: str, mistake: str, said: str) -> None:
    """Before `run_command` or `run_stage` is there. A module of that name stands in the place of a large library."""
    (tmp_path / package).mkdir()
    (tmp_path / package / "__init__.py").write_text((SOURCE / package / "__init__.py").read_text(encoding="utf-8"))
    (tmp_path / package / "tool.py").write_text(mistake)
    command = [sys.executable, "-m", f"{package}.tool"]
    environment = {"PYTHONPATH": str(SOURCE), "PATH": ""}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode in (1, -signal.SIGINT)
    assert done.stderr.startswith(said)
    assert done.stderr.count("\n") == bool(said)


def test_not_even_enough_memory_for_the_line(tmp_path: Path) -> None:
    (tmp_path / "stages").mkdir()
    (tmp_path / "stages/__init__.py").write_text((SOURCE / "stages/__init__.py").read_text(encoding="utf-8"))
    (tmp_path / "stages/tool.py").write_text("raise MemoryError")
    (tmp_path / "classifier/common").mkdir(parents=True)
    (tmp_path / "classifier/common/errors.py").write_text("raise MemoryError")
    command = [sys.executable, "-m", "stages.tool"]
    done = subprocess.run(command, cwd=tmp_path, env={"PATH": ""}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "error: out of memory: free some, and run it again\n")


def test_a_user_without_a_name(tmp_path: Path) -> None:
    """As in a container that runs with a number that its list of users lacks: DVC stops there (getpass)."""
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools/__init__.py").write_text((SOURCE / "tools/__init__.py").read_text(encoding="utf-8"))
    (tmp_path / "tools/tool.py").write_text("import getpass, pwd; pwd.getpwuid = {}.__getitem__; print(getpass.getuser())")
    environment = {"PYTHONPATH": str(SOURCE), "PATH": ""}
    command = [sys.executable, "-m", "tools.tool"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == (f"{os.getuid()}\n", "")


def test_what_a_tool_does_not_see(tmp_path: Path) -> None:
    """Before it imports anything: what a stage removes from its environment, and a person's broken settings of matplotlib."""
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools/__init__.py").write_text((SOURCE / "tools/__init__.py").read_text(encoding="utf-8"))
    (tmp_path / "matplotlibrc").write_bytes(b"\xff\xfe")
    body = "import os, matplotlib.figure; print(*(os.environ.get(name) for name in ('OMP_THREAD_LIMIT', 'MKL_CBWR')))"
    (tmp_path / "tools/tool.py").write_text(body)
    environment = {"PYTHONPATH": str(SOURCE), "PATH": "", "OMP_THREAD_LIMIT": "1", "MKL_CBWR": "COMPATIBLE"}
    command = [sys.executable, "-m", "tools.tool"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("None COMPATIBLE\n", "")
