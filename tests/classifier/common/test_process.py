"""The caller that a stage watches is the one behind the shell, whatever shell DVC takes ($SHELL)."""

import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest

from classifier.common.process import LAUNCHER_VARIABLE, SHELLS, identity

PYTHON = shlex.quote(sys.executable)
ROOT = Path(__file__).parents[3]
PROGRAM = "from classifier.common.process import _caller; print(_caller().pid)"


@pytest.mark.skipif(sys.platform != "linux", reason="a process is named after the link it was started by")
@pytest.mark.parametrize("shell", ["ash", "busybox", "csh", "tcsh", "bash"])
def test_a_shell_in_between_is_not_the_caller(tmp_path: Path, shell: str) -> None:
    """The shell stays, because another command follows. A link gives /bin/sh the name of one that is not installed here."""
    assert shell in SHELLS
    (tmp_path / shell).symlink_to("/bin/sh")
    command = [str(tmp_path / shell), "-c", f"{PYTHON} -c '{PROGRAM}'; true"]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout == f"{os.getpid()}\n"


def test_another_program_in_between_is(tmp_path: Path) -> None:
    program = "import os, subprocess, sys; print(os.getpid(), flush=True); subprocess.run([sys.executable, '-c', sys.argv[1]])"
    command = [sys.executable, "-c", program, PROGRAM]
    first, second = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    assert first == second


@pytest.mark.skipif(sys.platform == "win32", reason="there are no sessions")
def test_a_stage_whose_caller_was_gone_before_it_began_ends_at_once(tmp_path: Path) -> None:
    """As when dvc is killed just after starting the stage. The shell in between waits until its own starter is gone."""
    environment = f"DVC_STAGE=plot PYTHONPATH={shlex.quote(str(ROOT))}"
    stage = f"sleep 1; cd {tmp_path}; {environment} {PYTHON} -m stages.plot 2>said; echo $? >status"
    starter = f"import subprocess; subprocess.Popen(['sh', '-c', {stage!r}])"
    subprocess.run([sys.executable, "-c", starter], start_new_session=True, check=True)
    deadline = time.monotonic() + 60
    while not (tmp_path / "status").exists() or not (tmp_path / "status").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert (tmp_path / "status").read_text() == "1\n"
    assert (tmp_path / "said").read_text() == "", "it did not get as far as missing its params.yaml"


def test_a_process_whose_launcher_was_gone_before_it_began_ends_at_once(tmp_path: Path) -> None:
    """This process stands for a launcher that lives, an ended one for one that does not."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    command = [sys.executable, "-m", "stages.plot"]
    here = identity()
    there = here.replace(str(os.getpid()), str(gone.pid), 1)
    goes_on = "error: params.yaml: no such file"
    nonsense = here.replace(str(os.getpid()), "x", 1)
    for launcher, said in ((here, goes_on), (there, ""), (f"{gone.pid} of another namespace", goes_on), (nonsense, goes_on)):
        environment = {"TORCHELASTIC_RUN_ID": "1", LAUNCHER_VARIABLE: launcher, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, cwd=tmp_path, env=os.environ | environment, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert done.stderr.partition(";")[0] == said
