"""The stage of the training under torchrun: who speaks and writes, what a kill, Ctrl-C or an error leaves, how it goes on."""

import json
import logging
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import psutil
import pytest
import yaml
from torch.distributed.elastic.multiprocessing.errors import ProcessFailure

from classifier.common.errors import UserError
from classifier.training.params import LauncherParams
from stages import launch as launch_module
from stages.launch import _why_failed
from tests.support.killed_runs import ended
from tests.support.pipeline import SOURCE, Repository
from tools.check import refusals

TORCHRUN = ("torchrun", "--standalone", "--nproc-per-node")
EPOCHS = 20
OUTPUTS = ["models/model.json", "models/model.safetensors", "metrics/train.json", "plots/history.csv", "plots/steps.csv"]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """The digits, up to the training."""
    repository = Repository(tmp_path_factory.mktemp("launch") / "project", epochs=EPOCHS, eval_every=30, ema_decay=0.9)
    repository.dvc("repro", "build", "weights")
    (repository.root / "temporary").mkdir()
    return repository


@pytest.fixture(scope="module")
def straight(repository: Repository) -> dict[str, bytes]:
    """What two processes write that nobody disturbs."""
    status, printed, errors = finished(launch(repository, *TORCHRUN, "2"))
    assert (status, errors) == (0, "")
    assert printed.count("\n") == 1 + EPOCHS
    return outputs(repository)


def launch(repository: Repository, *launcher: str, folder: Path | None = None, **environment: str) -> subprocess.Popen[str]:
    """The command of the training, as DVC would start it."""
    return subprocess.Popen(
        [sys.executable, "-m", "stages.launch", *launcher, "-m", "stages.train"],
        cwd=folder or repository.root,
        env=repository.environment() | {"TMPDIR": str(repository.root / "temporary")} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finished(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    printed, errors = process.communicate(timeout=300)
    return process.returncode, printed, errors


def outputs(repository: Repository) -> dict[str, bytes]:
    return {name: (repository.root / name).read_bytes() for name in OUTPUTS}


def workers(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """What it started, by rank, once the first epoch is kept."""
    states = Path(str(psutil.Process(process.pid).cwd()), ".dvc/tmp/resume")
    deadline = time.monotonic() + 300
    while not list(states.glob("*.safetensors")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return sorted(psutil.Process(process.pid).children(), key=lambda child: int(child.environ()["RANK"]))


def assert_nothing_is_left(repository: Repository, children: list[psutil.Process]) -> None:
    assert len(children) == 2
    assert all(ended(child, 60) for child in children)
    assert not list((repository.root / "temporary").glob("torchrun-*"))


@pytest.fixture
def port() -> Iterator[int]:
    """One that nothing listens on, kept from whoever asks the system for any free one of IPv4; torchrun can listen there."""
    with socket.socket() as unused:
        unused.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        unused.bind(("127.0.0.1", 0))
        yield int(unused.getsockname()[1])


@pytest.fixture
def no_state(repository: Repository) -> None:
    shutil.rmtree(repository.root / ".dvc/tmp/resume", ignore_errors=True)


def test_two_processes_speak_and_write_as_one(repository: Repository, straight: dict[str, bytes], no_state: None) -> None:
    printed = repository.python("stages.launch", "python", "-m", "stages.train")
    assert printed.count("\n") == 1 + EPOCHS
    assert "processes" not in json.loads(repository.read("models/model.json"))["computed_with"]
    theirs = pd.read_csv(repository.root / "plots/history.csv")
    (repository.root / "ours.csv").write_bytes(straight["plots/history.csv"])
    pd.testing.assert_frame_equal(pd.read_csv(repository.root / "ours.csv"), theirs, rtol=1e-3)
    assert json.loads(straight["models/model.json"])["computed_with"]["processes"] == 2


@pytest.mark.slow
def test_of_a_process_that_is_asked_to_end_its_number_is_told(repository: Repository, no_state: None) -> None:
    """Where the first one sees that it is gone before torchrun does, it speaks."""
    process = launch(repository, *TORCHRUN, "2")
    workers(process)[1].terminate()
    lines = [
        f"error: {words}; the same command goes on after the last whole epoch\n"
        for words in [
            "train: process 1 was ended by SIGTERM",
            "another process of this training has ended or cannot be reached",
        ]
    ]
    assert finished(process)[::2] in [(1, line) for line in lines]


def failure(exitcode: int, **said: object) -> ProcessFailure:
    failed = ProcessFailure(0, 1, exitcode, "")
    failed.error_file_data = said
    return failed


TERMINATED, KILLED = (failure(-number) for number in (signal.SIGTERM, signal.SIGKILL))
LOST = failure(1, message="lost", peer_lost=True)
BAD = failure(1, message="bad", peer_lost=False)


@pytest.mark.parametrize(
    ("failures", "line"),
    [
        ({1: TERMINATED, 0: TERMINATED}, "train: process 1 was ended by SIGTERM; "),
        ({1: TERMINATED, 0: LOST}, "train: process 1 was ended by SIGTERM; "),
        ({0: LOST, 1: TERMINATED}, "lost"),
        ({0: LOST, 1: KILLED}, "train: process 1 was ended by SIGKILL, as when memory runs out; "),
        ({0: TERMINATED, 1: KILLED, 2: BAD}, "bad"),
        ({0: failure(3), 1: TERMINATED}, "train: process 0 ended with status 3"),
        ({1: BAD, 0: BAD}, "bad"),
    ],
)
def test_the_line_is_about_the_process_that_began_it(failures: dict[int, ProcessFailure], line: str) -> None:
    assert _why_failed("train", failures.items()).startswith(line)


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_process_ends_the_job_with_one_line_and_the_same_command_goes_on(
    repository: Repository, straight: dict[str, bytes], no_state: None, rank: int
) -> None:
    process = launch(repository, *TORCHRUN, "2")
    children = workers(process)
    children[rank].kill()
    status, _, errors = finished(process)
    line = (
        f"error: train: process {rank} was ended by SIGKILL, as when memory runs out; the same command goes on after the last"
    )
    assert (status, errors) == (1, f"{line} whole epoch\n")
    assert_nothing_is_left(repository, children)
    status, printed, errors = finished(launch(repository, *TORCHRUN, "2"))
    assert (status, errors) == (0, "")
    assert printed.count("where this run was broken off") == 1
    assert printed.startswith("training mlp in float32 on cpu, 2 processes, optimizer: adam, augment: []\n")
    assert outputs(repository) == straight
    assert not list((repository.root / ".dvc/tmp/resume").iterdir()), "a finished run leaves no state"


def test_ctrl_c_ends_all_with_one_line_and_another_number_of_processes_goes_on(
    repository: Repository, straight: dict[str, bytes], no_state: None
) -> None:
    process = launch(repository, *TORCHRUN, "2")
    children = workers(process)
    os.killpg(process.pid, signal.SIGINT)
    status, _, errors = finished(process)
    assert (status, errors) == (130, "train: interrupted; the same command goes on after the last whole epoch\n")
    assert_nothing_is_left(repository, children)
    status, printed, errors = finished(launch(repository, *TORCHRUN, "1"))
    assert (status, errors) == (0, "")
    assert "where this run was broken off" in printed
    assert json.loads(repository.read("models/model.json"))["computed_with"]["processes"] == "2, 1"
    (repository.root / "ours.csv").write_bytes(straight["plots/history.csv"])
    theirs = pd.read_csv(repository.root / "plots/history.csv")
    pd.testing.assert_frame_equal(pd.read_csv(repository.root / "ours.csv"), theirs, rtol=1e-3)


@pytest.mark.parametrize("waiting_shell", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_no_process_outlives_the_launcher(repository: Repository, no_state: None, tmp_path: Path, waiting_shell: bool) -> None:
    script = tmp_path / "script"
    script.write_text(f'#!/bin/sh\n{shlex.quote(sys.executable)} "$@"\nexit $?\n')
    script.chmod(0o755)
    process = launch(repository, *TORCHRUN, "2", *(["--no-python", str(script)] if waiting_shell else []))
    children = workers(process)
    below = [process for child in children for process in child.children() if waiting_shell]
    process.kill()
    process.communicate()
    assert len(children) == 2
    assert len(below) == (2 if waiting_shell else 0)
    assert all(ended(child, 60) for child in (*children, *below))
    for folder in (repository.root / "temporary").glob("torchrun-*"):
        shutil.rmtree(folder)


@pytest.mark.slow
def test_an_error_of_all_processes_is_told_once(repository: Repository, no_state: None) -> None:
    repository.set_params(batch_size=33)
    status, printed, errors = finished(launch(repository, *TORCHRUN, "2"))
    repository.set_params(batch_size=32)
    line = "error: batch_size is that of all processes together and must be a multiple of 2, their number, got 33; the nearest"
    assert (status, printed, errors) == (1, "", f"{line} is 32\n")
    assert not list((repository.root / "temporary").glob("torchrun-*"))


@pytest.mark.parametrize(
    ("launcher", "line"),
    [
        (
            "torchrn --standalone",
            "launcher: 'torchrn' cannot be run (No such file or directory); write `launcher: python`, or a ",
        ),
        (
            "None",
            "launcher: 'None' cannot be run (No such file or directory); write `launcher: python`, or a program on PATH\n",
        ),
        ("", "launcher: needs a command that runs a Python module, got none; write `launcher: python`\n"),
        ("torchrun --nproc 2", "launcher: torchrun: error: ambiguous option: --nproc"),
        ("torchrun --processes 2", "launcher: torchrun: error: unrecognized arguments: --processes; see `torchrun --help`\n"),
        (
            "torchrun --nnodes 2 --rdzv-backend c10d --rdzv-endpoint 127.0.0.1:PORT --rdzv-conf join_timeout=2",
            "launcher: torchrun cannot run the processes: RendezvousTimeoutError, with the options '--nnodes 2 --rdzv-backend ",
        ),
        (
            "torchrun --nproc-per-node 0",
            "launcher: torchrun cannot run the processes: AssertionError, with the options '--nproc-per-node 0'\n",
        ),
        (
            "torchrun --event-log-handler none",
            "launcher: torchrun cannot run the processes: KeyError, with the options '--event-log-handler none'\n",
        ),
        ("torchrun --rdzv-backend etcd --nnodes 2", "launcher: torchrun cannot run the processes: "),
        (
            "torchrun --nproc-per-node two",
            "launcher: torchrun cannot run the processes: Unsupported nproc_per_node value: two\n",
        ),
    ],
)
def test_a_launcher_that_cannot_run_is_refused_on_one_line(repository: Repository, launcher: str, line: str, port: int) -> None:
    words = launcher.replace("PORT", str(port)).split()
    printed = repository.python("stages.launch", *words, "-m", "stages.train", status=1)
    assert printed.startswith(f"error: {line}")
    assert printed.count("\n") == 1


def test_a_machine_without_room_for_temporary_files_is_told_on_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/nowhere")
    monkeypatch.setattr(logging, "disable", lambda level: None)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    line = r"^launcher: torchrun cannot run the processes: \[Errno 2\] No such file or directory: '/nowhere/torchrun-[^\n]*$"
    with pytest.raises(UserError, match=line):
        launch_module.main([*TORCHRUN, "2", "-m", "stages.train"])


@pytest.mark.parametrize(
    ("host", "hint"),
    [
        pytest.param("127.0.0.1", "", marks=pytest.mark.slow),
        pytest.param("[::1]", "", marks=pytest.mark.slow),
        ("no..host", r"launcher: waiting for 'no\.\.host', which is not known here: .*label.*\n"),
    ],
)
def test_a_machine_that_waits_in_vain_says_for_whom_on_one_line(
    repository: Repository, host: str, hint: str, port: int
) -> None:
    options = f"--nnodes 2 --node-rank 1 --master-addr {host} --master-port {port} --rdzv-conf timeout=3"
    status, printed, errors = finished(launch(repository, "torchrun", *options.split()))
    assert (status, printed) == (1, "")
    line = rf"error: launcher: torchrun cannot run the processes: .*{re.escape(host.strip('[]'))}.*\n"
    assert re.fullmatch(hint + line, errors), errors


@pytest.mark.parametrize("launcher", [3, None, "", " ", "-m stages.train", "python\nrm", ["python"]])
def test_a_launcher_that_is_no_command_is_refused(launcher: object) -> None:
    (line,) = refusals(Path("params.yaml"), {"launcher": launcher}, LauncherParams)
    assert line.startswith("params.yaml: launcher must ")
    assert "\n" not in line


def other_machine(repository: Repository, folder: Path) -> Path:
    """A folder with the same files, as on a machine that shares no disk."""
    shutil.copytree(repository.root, folder, ignore=shutil.ignore_patterns("models", "metrics", "plots", "resume"))
    (folder / "models").mkdir()
    shutil.copy(repository.root / "models/pretrained.safetensors", folder / "models")
    return folder


def nodes(rank: int, port: int) -> list[str]:
    options = f"--nnodes 2 --node-rank {rank} --nproc-per-node 1 --master-addr 127.0.0.1 --master-port {port}"
    return ["torchrun", *options.split()]


@pytest.mark.slow
def test_two_machines_train_and_the_first_writes(
    repository: Repository, straight: dict[str, bytes], no_state: None, tmp_path: Path, port: int
) -> None:
    second = other_machine(repository, tmp_path / "second")
    processes = [launch(repository, *nodes(0, port)), launch(repository, *nodes(1, port), folder=second)]
    (status, _, errors), other = (finished(process) for process in processes)
    assert (status, errors) == (0, "")
    assert other == (0, "", "")
    assert outputs(repository) == straight, "two processes compute the same wherever they are"
    assert [path.name for path in (second / "models").iterdir()] == ["pretrained.safetensors"]
    assert not (second / "plots").exists()


LATE = """
import sys, time
from stages import launch

def late(*options):
    from torch.distributed.elastic.utils import store
    ask = store._barrier_nonblocking
    store._barrier_nonblocking = lambda **names: (ask(**names), time.sleep(5))[0]
    return parsed(*options)

parsed, launch._parsed = launch._parsed, late
launch.main(sys.argv[1:])
"""
"""The launcher, whose torchrun takes its time between telling that it has finished and asking whether all have."""


@pytest.mark.slow
def test_a_machine_that_ends_after_the_first_has_gone_ends_without_a_word(
    repository: Repository, straight: dict[str, bytes], no_state: None, tmp_path: Path, port: int
) -> None:
    second = other_machine(repository, tmp_path / "second")
    first = launch(repository, *nodes(0, port))
    command = [sys.executable, "-c", LATE, *nodes(1, port), "-m", "stages.train"]
    other = subprocess.run(
        command, cwd=second, env=repository.environment(), capture_output=True, text=True, check=False, timeout=300
    )
    assert finished(first)[::2] == (0, "")
    assert (other.returncode, other.stdout, other.stderr) == (0, "", "")


@pytest.mark.slow
def test_a_machine_with_other_params_is_refused(repository: Repository, no_state: None, tmp_path: Path, port: int) -> None:
    second = other_machine(repository, tmp_path / "second")
    params = (second / "params.yaml").read_text()
    (second / "params.yaml").write_text(params.replace("lr: 0.001", "lr: 0.002"))
    processes = [launch(repository, *nodes(0, port)), launch(repository, *nodes(1, port), folder=second)]
    for process in processes:
        status, _, errors = finished(process)
        assert errors.startswith(
            "error: process 1 of 2 has other params, code, data, torch, device or precision than process 0"
        )
        assert (status, errors.splitlines()[1:]) == (1, [])


@pytest.mark.slow
def test_an_experiment_with_two_processes_is_recorded_and_verified(repository: Repository, straight: dict[str, bytes]) -> None:
    """The lines of docs/guide/distributed.md."""
    repository.git("add", "--all")
    repository.git("commit", "--quiet", "--message", "built")
    printed = repository.dvc("exp", "run", "-S", "launcher=torchrun --standalone --nproc-per-node 2", "train")
    assert printed.count("epoch 1/") == 1
    assert outputs(repository) == straight
    recorded = yaml.safe_load(repository.read("dvc.lock"))["stages"]["train"]["cmd"]
    assert recorded == "python -m stages.launch torchrun --standalone --nproc-per-node 2 -m stages.train"
    command = [sys.executable, "-m", "tools.verify", "--stage", "train"]
    done = subprocess.run(
        command, cwd=repository.root, env=repository.environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


SRUN = """#!/bin/sh
for SLURM_NODEID in 0 1; do
    export SLURM_NODEID
    "$@" &
    jobs="$jobs $!"
done
for job in $jobs; do wait "$job" || exit 1; done
"""
"""On one machine in the place of two."""


@pytest.mark.slow
def test_the_slurm_script_of_the_documentation_trains_on_two_nodes(
    repository: Repository, straight: dict[str, bytes], no_state: None, tmp_path: Path, port: int
) -> None:
    (script,) = re.findall(
        r"```bash\n(#!/bin/sh\n#SBATCH.*?)```", (SOURCE / "docs/guide/distributed.md").read_text(), re.DOTALL
    )
    (tmp_path / "srun").write_text(SRUN)
    (tmp_path / "scontrol").write_text('#!/bin/sh\n[ "$*" = "show hostnames node[1-2]" ] && echo 127.0.0.1 && echo node2\n')
    for name in ("srun", "scontrol"):
        (tmp_path / name).chmod(0o755)
    (repository.root / ".venv/bin").mkdir(parents=True)
    (repository.root / ".venv/bin/activate").touch()
    repository.git("add", "--all")
    repository.git("commit", "--quiet", "--allow-empty", "--message", "before the job")
    small = script.replace("--nproc-per-node 4", "--nproc-per-node 1").replace("29500", str(port))
    assert small.count(str(port)) == 1
    environment = repository.environment()
    environment |= {"PATH": f"{tmp_path}:{environment['PATH']}", "SLURM_NNODES": "2", "SLURM_JOB_NODELIST": "node[1-2]"}
    done = subprocess.run(
        ["sh", "-c", small], cwd=repository.root, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("epoch 1/") == 1
    assert outputs(repository) == straight


@pytest.mark.parametrize(
    ("options", "address"),
    [
        ("--standalone --nproc-per-node 2", "127.0.0.1"),
        ("--nproc-per-node 2", "127.0.0.1"),
        ("--standalone --local-addr ::1", "::1"),
        ("--nnodes 2 --master-addr 127.0.0.1 --master-port 29500", None),
        ("--nnodes 2 --rdzv-backend c10d --rdzv-endpoint 127.0.0.1:29500", None),
    ],
)
def test_on_one_machine_its_own_name_is_not_looked_up(
    options: str, address: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it is not known, torchrun would wait for ever."""
    given: list[str | None] = []
    monkeypatch.setattr("torch.distributed.run.run", lambda options: given.append(options.local_addr))
    monkeypatch.setattr(logging, "disable", lambda level: None)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    launch_module.main(["torchrun", *options.split(), "-m", "stages.train"])
    assert given == [address]


def test_what_a_batch_system_left_of_a_job_is_not_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """But another launcher gets it: `srun` hands it to the torchrun that it starts."""
    left = {"RANK": "3", "WORLD_SIZE": "8", "MASTER_ADDR": "node1", "TORCHELASTIC_RUN_ID": "7"}
    environment = {"LANG": "C"} | left
    monkeypatch.setattr(os, "environ", environment)
    started: list[list[str]] = []
    monkeypatch.setattr(os, "execvp", lambda program, arguments: started.append(arguments))
    launch_module.main(["srun", "sh", "node.sh", "-m", "stages.train"])
    assert environment == {"LANG": "C"} | left
    launch_module.main(["python", "-m", "stages.train"])
    assert started == [["srun", "sh", "node.sh", "-m", "stages.train"], ["python", "-m", "stages.train"]]
    assert environment == {"LANG": "C"}
