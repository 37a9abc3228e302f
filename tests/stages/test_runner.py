"""What surrounds every stage: Ctrl-C, a killed caller, inputs that change meanwhile, a second run.."""

import errno
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from classifier.common.errors import UserError, memory_errors
from classifier.common.params import Params
from classifier.common.process import ERROR_FILE_VARIABLE, LAUNCHED_VARIABLE
from stages import runner
from tests.support.killed_runs import ended

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys, time
from pathlib import Path
from classifier.common.params import Params
from stages import runner

class ToyParams(Params):
    lr: float

def main(params):
    Path("began").touch()
    BODY
    Path("out").write_text("done")

runner.SECONDS_FOR_ANOTHER_RUN_TO_END = 0.5
runner.run_stage("toy", main, ToyParams)
"""
WAIT_FOR_GO = 'while not Path("go").exists(): time.sleep(0.02)'


class ToyParams(Params):
    """Of the stage that runs in the process of the tests."""

    lr: float


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "dvc.yaml").write_text("stages:\n  toy:\n    deps: ['${source}', requirements.txt, folder]\n    params: [lr]\n")
    (tmp_path / "params.yaml").write_text("lr: 0.5\nsource: data.txt\n")
    (tmp_path / "data.txt").write_text("data")
    (tmp_path / "requirements.txt").write_text("# none\n")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/a").write_text("a")
    return tmp_path


def start(folder: Path, body: str = WAIT_FOR_GO, **environment: str) -> subprocess.Popen[str]:
    """A process that runs a stage with `body`. Its package has the real project's `__init__.py`, as `stages` has."""
    (folder / "toys").mkdir(exist_ok=True)
    shutil.copy(ROOT / "stages/__init__.py", folder / "toys")
    (folder / "toys/toy.py").write_text(PROGRAM.replace("BODY", textwrap.indent(body, "    ").strip()))
    return subprocess.Popen(
        [sys.executable, "-m", "toys.toy"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(path: Path, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.02)


def finish(process: subprocess.Popen[str], folder: Path) -> tuple[int, str]:
    (folder / "go").touch()
    _, errors = process.communicate(timeout=120)
    return process.returncode, errors


def test_a_stage_whose_inputs_stay_ends_well_also_when_they_are_touched(folder: Path) -> None:
    process = start(folder)
    wait_for(folder / "began")
    os.utime(folder / "data.txt", (1, 1))
    (folder / "params.yaml").write_text("source: data.txt  # a comment\nlr: 0.50\n")
    assert finish(process, folder) == (0, "")
    assert (folder / "out").read_text() == "done"


@pytest.mark.parametrize(
    ("name", "content", "named"),
    [
        ("data.txt", "DATA", "data.txt"),
        ("folder/a", "b", "folder/a"),
        ("folder/b", "new", "folder/b"),
        ("requirements.txt", "# other\n", "requirements.txt"),
        ("params.yaml", "lr: 0.25\nsource: data.txt\n", "params.yaml: lr"),
    ],
)
def test_an_input_that_changes_meanwhile_fails_the_stage_with_its_name(
    folder: Path, name: str, content: str, named: str
) -> None:
    process = start(folder)
    wait_for(folder / "began")
    (folder / name).write_text(content)
    line = f"error: {named} changed while toy was running, which had read the old one; run the same command again\n"
    assert finish(process, folder) == (1, line)


JUNK = ["notes.txt", ".DS_Store", "module.py~", "__pycache__/module.cpython-311.pyc"]


def add_code(folder: Path) -> Path:
    """A folder of code among what the stage declares."""
    code = folder / "classifier/training"
    code.mkdir(parents=True)
    (code / "module.py").write_text("old\n")
    (folder / "dvc.yaml").write_text((folder / "dvc.yaml").read_text().replace("folder]", "folder, classifier/training]"))
    return code


def test_of_a_folder_of_code_only_modules_are_inputs(folder: Path) -> None:
    """As for DVC, by .dvcignore; in a folder of data each file is one."""
    code = add_code(folder)
    process = start(folder)
    wait_for(folder / "began")
    for name in JUNK:
        (code / name).parent.mkdir(exist_ok=True)
        (code / name).touch()
    assert finish(process, folder) == (0, "")
    for name in JUNK:
        (folder / "began").unlink(missing_ok=True)
        (folder / "go").unlink()
        process = start(folder)
        wait_for(folder / "began")
        (folder / "folder" / name).parent.mkdir(exist_ok=True)
        (folder / "folder" / name).touch()
        line = f"error: folder/{name} changed while toy was running, which had read the old one; run the same command again\n"
        assert finish(process, folder) == (1, line)


@pytest.mark.parametrize("name", ["module.py", "new.py"])
def test_a_module_that_changes_meanwhile_fails_the_stage_with_its_name(folder: Path, name: str) -> None:
    code = add_code(folder)
    process = start(folder)
    wait_for(folder / "began")
    (code / name).write_text("new\n")
    line = f"error: {code.relative_to(folder)}/{name} changed while toy was running, which had read the old one; "
    assert finish(process, folder) == (1, line + "run the same command again\n")


def test_junk_beside_the_code_leaves_the_name_of_the_state_as_it_is(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By that name a broken-off training is found again."""
    code = add_code(folder)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(runner, "STARTED_NS", time.time_ns() + 10**12)  # nothing is edited late here
    names = [state_name()]
    for name in JUNK:
        (code / name).parent.mkdir(exist_ok=True)
        (code / name).touch()
    names.append(state_name())
    assert names[0] == names[1]
    (code / "new.py").touch()
    assert state_name() not in names


def state_name() -> str:
    """Of the state of a resumable stage `toy` in the current folder."""
    names: list[str] = []
    runner.run_stage("toy", lambda params, resume, inputs: names.append(resume.name), ToyParams, resumable=True)
    return names[0]


def test_code_that_is_edited_while_the_stage_still_imports_fails_it(folder: Path) -> None:
    """The old code would run, and DVC would record the new one's hash."""
    (folder / "code.py").write_text("old\n")
    (folder / "dvc.yaml").write_text((folder / "dvc.yaml").read_text().replace("folder]", "folder, code.py]"))
    slow_import = f"Path('importing').touch()\n{WAIT_FOR_GO}\nrunner.run_stage("
    assert finish(start(folder), folder) == (0, "")
    (folder / "go").unlink()
    (folder / "toys/toy.py").write_text((folder / "toys/toy.py").read_text().replace("runner.run_stage(", slow_import))
    command = [sys.executable, "-m", "toys.toy"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True)
    wait_for(folder / "importing")
    (folder / "code.py").write_text("new\n")
    line = "error: code.py changed while toy was starting, which may have read the old one; run the same command again\n"
    assert finish(process, folder) == (1, line)


def test_a_module_that_is_removed_after_it_was_imported_fails_the_stage(folder: Path) -> None:
    """DVC would record a folder of code without it, which cannot run."""
    assert finish(start(folder), folder) == (0, "")
    (folder / "classifier").mkdir()
    (folder / "classifier/gone.py").write_text("from pathlib import Path\nPath(__file__).unlink()\n")
    own_import = "import sys\nfrom importlib.machinery import SourceFileLoader\n"
    own_import += "SourceFileLoader('gone', str(Path.cwd() / 'classifier/gone.py')).load_module()\nrunner.run_stage("
    (folder / "toys/toy.py").write_text((folder / "toys/toy.py").read_text().replace("runner.run_stage(", own_import))
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-m", "toys.toy"]
    process = subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True)
    line = "error: classifier/gone.py was removed while toy was starting, which read it; put it back and run it again\n"
    assert finish(process, folder) == (1, line)


def test_only_the_training_asks_which_of_several_processes_it_is(folder: Path) -> None:
    """RANK may be anything in the environment of a person."""
    process = start(folder, RANK="first")
    wait_for(folder / "began")
    assert finish(process, folder) == (0, "")


def test_a_param_of_another_stage_may_change_meanwhile(folder: Path) -> None:
    (folder / "dvc.yaml").write_text((folder / "dvc.yaml").read_text() + "  other:\n    params: [epochs]\n")
    process = start(folder)
    wait_for(folder / "began")
    (folder / "params.yaml").write_text("lr: 0.5\nsource: data.txt\nepochs: 3\n")
    assert finish(process, folder) == (0, "")


def test_ctrl_c_ends_it_within_a_second_with_one_line(folder: Path) -> None:
    seconds = []
    for _ in range(3):  # the machine may have other work
        (folder / "began").unlink(missing_ok=True)
        process = start(folder)
        wait_for(folder / "began")
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=120)
        seconds.append(time.monotonic() - began)
        assert (process.returncode, errors) == (130, "toy: interrupted; run the same command again\n")
        assert not (folder / "out").exists()
    assert min(seconds) < 1


@pytest.mark.parametrize("seconds", [0.1, 0.3, 0.6, 1.0, 1.5])
def test_ctrl_c_while_a_real_stage_still_imports_prints_no_traceback(tmp_path: Path, seconds: float) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "stages.train"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert "stages" not in errors, errors
    assert process.returncode in (-signal.SIGINT, 1, 130)


def test_a_stage_that_begins_imports_nothing_before_ctrl_c_can_end_it() -> None:
    program = (
        "import sys; sys.argv = ['-m']; import stages, _signal; "
        "assert not {'enum', 'signal'} & sys.modules.keys(); assert _signal.getsignal(_signal.SIGINT) == _signal.SIG_DFL"
    )
    environment = os.environ.keys() - {"DVC_STAGE", "TORCHELASTIC_RUN_ID"}
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, env={name: os.environ[name] for name in environment}, check=True)


def test_importing_a_stage_leaves_ctrl_c_alone() -> None:
    program = "import signal, stages.plot; assert signal.getsignal(signal.SIGINT) is signal.default_int_handler"
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)


@pytest.mark.parametrize("through_a_shell", [False, True])
def test_a_stage_ends_when_its_caller_is_killed(folder: Path, through_a_shell: bool) -> None:
    """The caller stands in for dvc, which starts a shell; some shells stay as the stage's parent, some make room for it."""
    assert finish(start(folder), folder) == (0, "")
    (folder / "began").unlink()
    (folder / "go").unlink()
    command = f"{shlex.quote(sys.executable)} -m toys.toy" + ("; true" if through_a_shell else "")
    caller = subprocess.Popen(
        [sys.executable, "-c", f"import subprocess; subprocess.run(['/bin/sh', '-c', {command!r}])"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "DVC_STAGE": "toy"},
    )
    wait_for(folder / "began")
    descendants = psutil.Process(caller.pid).children(recursive=True)
    stage = next(process for process in descendants if "toys.toy" in process.cmdline())
    caller.kill()
    caller.wait()
    assert ended(stage, 30)


def test_a_stage_whose_caller_lives_goes_on(folder: Path) -> None:
    process = start(folder, body="time.sleep(2)", DVC_STAGE="toy")
    assert finish(process, folder) == (0, "")


def for_torchrun(reason: Path) -> dict[str, str]:
    """What torchrun tells of itself to each process."""
    return {LAUNCHED_VARIABLE: "1", ERROR_FILE_VARIABLE: str(reason)}


@pytest.mark.parametrize(("of_several", "last_words"), [(True, ""), (False, "too late\n")])
def test_one_of_several_processes_ends_at_once_and_leaves_its_reason(folder: Path, of_several: bool, last_words: str) -> None:
    """While Python takes its time to end, threads of torch that wait for the others may call std::terminate, which says so."""
    environment = for_torchrun(folder / "reason") if of_several else {}
    process = start(folder, "import atexit\natexit.register(lambda: print('too late'))\nraise OSError('bad')", **environment)
    printed, errors = process.communicate(timeout=120)
    assert (process.returncode, printed) == (1, last_words)
    assert errors == ("" if of_several else "error: bad\n")
    assert not of_several or json.loads((folder / "reason").read_text())["message"] == "bad"


def test_the_reason_is_read_in_any_locale(folder: Path) -> None:
    """Torchrun reads it in that of the system, and names of files may have bytes that are no text."""
    process = start(folder, "raise OSError('bad caf\u00e9 \\udce9 …')", **for_torchrun(folder / "reason"))
    assert process.wait(120) == 1
    assert json.loads((folder / "reason").read_bytes().decode("ascii"))["message"] == "bad café \udce9 …"


def test_one_of_several_processes_that_is_ended_meanwhile_leaves_no_half_reason(folder: Path) -> None:
    """Torchrun ends the others as soon as it sees that one has failed; of half a file it would make a failure of its own."""
    body = f"import os\nos.fsync = lambda _: os.kill(os.getpid(), {signal.SIGTERM.value})\nraise OSError('bad')"
    process = start(folder, body, **for_torchrun(folder / "reason"))
    assert process.wait(120) == -signal.SIGTERM
    assert not (folder / "reason").exists()


def test_one_of_several_processes_that_cannot_leave_its_reason_tells_it(folder: Path) -> None:
    (folder / "full").touch()
    process = start(folder, "raise OSError('bad')", **for_torchrun(folder / "full/reason"))
    assert finish(process, folder) == (1, "error: bad\n")


@pytest.mark.parametrize("environment", [{ERROR_FILE_VARIABLE: "others"}, {ERROR_FILE_VARIABLE: "", LAUNCHED_VARIABLE: "1"}])
def test_no_reason_is_left_where_torchrun_does_not_ask(folder: Path, environment: dict[str, str]) -> None:
    """A cluster may name a file for it, which is not ours to write; torchrun without a place for its own names none."""
    (folder / "others").write_text("kept")
    process = start(folder, "raise OSError('bad')", **environment)
    assert finish(process, folder) == (1, "error: bad\n")
    assert (folder / "others").read_text() == "kept"


def test_a_second_run_is_refused_while_the_first_goes_on(folder: Path) -> None:
    first = start(folder)
    wait_for(folder / "began")
    second = start(folder)
    _, errors = second.communicate(timeout=120)
    assert second.returncode == 1
    assert errors == "error: toy: another process is running this stage in this folder; wait until it has ended\n"
    assert finish(first, folder) == (0, "")


def test_a_killed_run_leaves_no_lock(folder: Path) -> None:
    first = start(folder)
    wait_for(folder / "began")
    first.kill()
    first.wait()
    assert finish(start(folder), folder) == (0, "")


class BatchParams(ToyParams):
    """Of a stage that could do with less memory."""

    batch_size: int = 8


@pytest.mark.parametrize(
    ("allocate", "missing"),
    [
        (lambda: np.empty(2**49, dtype=np.uint8), "512 TiB of memory"),
        (lambda: torch.empty(2**49, dtype=torch.uint8), f"{2**49} bytes of memory"),
        (lambda: bytearray(2**60), "memory"),
    ],
)
def test_memory_that_runs_out_is_told_on_one_line(
    folder: Path, allocate: Callable[[], object], missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setattr(runner, "STARTED_NS", time.time_ns())
    for model, hint in ((ToyParams, "free some"), (BatchParams, "free some or lower batch_size")):
        with pytest.raises(SystemExit) as ended_with:
            runner.run_stage("toy", lambda params: allocate(), model)
        line = f"error: out of memory: {missing} could not be had; {hint}, and run it again"
        assert ended_with.value.code == line


def test_the_memory_of_a_gpu_is_told_apart() -> None:
    """In the form in which torch tells it."""
    words = "CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has a total capacity of 79.11 GiB of which 1.06 GiB is free."
    with (
        pytest.raises(UserError, match=r"^out of memory: 2\.50 GiB of the GPU's memory could not be had; free some, and"),
        memory_errors(),
    ):
        raise torch.OutOfMemoryError(words)


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        RuntimeError("can't start new thread"),
        RuntimeError("Resource temporarily unavailable"),
        ImportError("libtorch_cpu.so: failed to map segment from shared object"),
        BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
)
def test_memory_is_meant_by_other_errors_too(error: Exception) -> None:
    with pytest.raises(UserError, match=r"^out of memory: "), memory_errors():
        raise error


@pytest.mark.parametrize("error", [OSError(errno.ENOENT, "No such file"), RuntimeError("shapes differ"), ValueError("memory")])
def test_other_errors_stay_what_they_are(error: Exception) -> None:
    with pytest.raises(type(error)) as raised, memory_errors():
        raise error
    assert raised.value is error


def test_other_versions_than_the_pinned_ones_are_told_in_one_line(folder: Path) -> None:
    (folder / "requirements.txt").write_text("-c x\nnumpy==0.1  # arrays\npyyaml==6.0.3\nno-such-thing==1\n")
    status, errors = finish(start(folder), folder)
    assert status == 0
    assert errors.startswith("versions differ from requirements.txt, so bytes may too: numpy ")
    assert errors.endswith(" (pinned 0.1), no-such-thing none (pinned 1)\n")
    assert errors.count("\n") == 1


@pytest.mark.parametrize(
    ("gone", "hint"),
    [
        ("data.txt", "`source` in params.yaml names it"),
        ("requirements.txt", "`git restore` brings it"),
        ("models/first", "`dvc repro` makes it, and `dvc checkout models/first` brings back what was made before"),
    ],
)
def test_a_dependency_that_is_missing_at_the_start_is_refused_at_the_start(folder: Path, gone: str, hint: str) -> None:
    (folder / "dvc.yaml").write_text((folder / "dvc.yaml").read_text().replace("folder]", "folder, models/first]"))
    (folder / "models").mkdir()
    (folder / "models/first").touch()
    assert finish(start(folder), folder) == (0, "")
    (folder / "began").unlink()
    (folder / gone).unlink()
    line = f"error: {gone}: no such file, and toy depends on it; {hint}"
    assert finish(start(folder), folder) == (1, f"{line}\n")
    assert not (folder / "began").exists()
    (folder / "dvc.yaml").write_text((folder / "dvc.yaml").read_text() + "    metrics: [here, m.json: {cache: false}]\n")
    (folder / "here").touch()
    removed = "; what DVC removed before is in git if it was committed: `git restore m.json`"
    assert finish(start(folder), folder) == (1, f"{line}{removed}\n")


def test_variables_that_bytes_depend_on_are_put_aside_or_named(folder: Path) -> None:
    """Those of the threads are gone before a library is imported; the other ones stay."""
    body = "import os\nprint(os.environ.get('OMP_THREAD_LIMIT'), os.environ.get('MKL_CBWR'))"
    of_torch = {"MKL_CBWR": "COMPATIBLE", "ATEN_CPU_CAPABILITY": "default"}
    process = start(folder, body, OMP_THREAD_LIMIT="1", OMP_DYNAMIC="true", **of_torch)
    printed, errors = process.communicate(timeout=120)
    assert (process.returncode, printed) == (0, "None COMPATIBLE\n")
    assert errors.splitlines() == [
        "environment: not used, as bytes would depend on it: OMP_DYNAMIC, OMP_THREAD_LIMIT",
        "environment: bytes may depend on MKL_CBWR=COMPATIBLE ATEN_CPU_CAPABILITY=default",
    ]


def test_a_finished_training_that_was_recorded_leaves_with_the_next_stage(folder: Path) -> None:
    states = folder / ".dvc/tmp/resume"
    states.mkdir(parents=True)
    for name in ("train-1-2.0123.finished", "train-1-3.4567.finished"):
        (states / name).touch()
    (folder / "dvc.lock").write_text("md5: 4567\n")
    assert finish(start(folder, DVC_ROOT=str(folder)), folder) == (0, "")
    assert [path.name for path in states.iterdir()] == ["train-1-2.0123.finished"]
