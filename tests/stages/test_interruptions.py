"""Broken-off experiments, two runs at once, a full disk, an edit while a run goes on: on real DVC, with real processes."""

import ctypes
import hashlib
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import yaml
from dvc.repo import Repo

from record.killed import left_experiments
from tests.support import warm
from tests.support.killed_runs import (
    EPOCHS,
    GROWING,
    STAGES,
    assert_cache_is_intact,
    assert_nothing_is_half,
    ended,
    kill,
    outputs,
    retrain,
    running_stage,
)
from tests.support.pipeline import SOURCE, Committed, Repository

GOES_ON = "where this run was broken off"
MADE_BY = {
    "download": ["data/raw"],
    "convert": ["data/csv"],
    "build": ["data/dataset"],
    "weights": ["models/pretrained.safetensors"],
    "train": ["models/model.json", "models/model.safetensors", "metrics/train.json", "plots/history.csv", "plots/steps.csv"],
    "evaluate": ["metrics/test.json", "plots/predictions.csv", "plots/classes.csv"],
    "plot": [f"plots/{name}.png" for name in ("classes", "confusion", "curves", "mistakes", "samples")],
}
PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True)
class Running:
    """`dvc` as the leader of a process group, as a shell starts it, and the file that all it prints goes to."""

    process: subprocess.Popen[bytes]
    log: Path

    def printed(self) -> str:
        return self.log.read_text(encoding="utf-8")

    def wait_for(self, text: str) -> None:
        wait_until(lambda: text in self.printed(), self.printed)

    def end(self) -> tuple[int, str]:
        """Exit status and everything printed."""
        return self.process.wait(timeout=300), self.printed()


@contextmanager
def held(command: Running) -> Iterator[None]:
    """Stop the stage that runs below `command`, so that it cannot end meanwhile."""
    stage = running_stage(command.process)
    assert stage, command.printed()
    stage.suspend()
    try:
        yield
    finally:
        with suppress(psutil.NoSuchProcess):
            stage.resume()


def wait_until(condition: Callable[[], bool], told: Callable[[], str] = str, seconds: float = 300, pause: float = 0.02) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, told()
        time.sleep(pause)


@pytest.fixture(scope="module")
def committed(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """The digits, run and committed."""
    return Committed(tmp_path_factory.mktemp("interruptions") / "project", tmp_path_factory, epochs=EPOCHS, eval_every=30)


@pytest.fixture(scope="module")
def straight(committed: Repository) -> dict[str, bytes]:
    """Every output of the committed run, and its dvc.lock."""
    return outputs(committed.root)


@pytest.fixture
def repository(committed: Repository, straight: dict[str, bytes]) -> Iterator[Repository]:
    """The committed one. A test may do with it what it likes."""
    yield committed
    committed.git("reset", "--quiet", "--hard")
    shutil.rmtree(committed.root / ".dvc/tmp/resume", ignore_errors=True)
    for name, content in straight.items():
        (committed.root / name).parent.mkdir(parents=True, exist_ok=True)
        (committed.root / name).unlink(missing_ok=True)
        (committed.root / name).write_bytes(content)


@pytest.fixture
def start(repository: Repository, tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """Starts `dvc` with some arguments. In the end nothing of it is left running."""
    processes: list[subprocess.Popen[bytes]] = []

    def started(*arguments: str) -> Running:
        log = tmp_path / f"log{len(processes)}"
        with log.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "dvc", *arguments],
                cwd=repository.root,
                env=repository.environment(),
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        processes.append(process)
        return Running(process, log)

    yield started
    for process in processes:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def trained_alone(repository: Repository, folder: Path, lr: float) -> dict[str, str]:
    """MD5 of each output of `train`, run once with a learning rate in a copy of the repository, without DVC."""
    shutil.copytree(repository.root, folder, ignore=shutil.ignore_patterns(".git", ".dvc", "models", "metrics", "plots"))
    (folder / "models").mkdir()
    shutil.copy(repository.root / "models/pretrained.safetensors", folder / "models")
    text = (folder / "params.yaml").read_text()
    (folder / "params.yaml").write_text(re.sub(r"^lr: .*", f"lr: {lr}", text, flags=re.MULTILINE))
    Repository.at(folder).python("stages.train")
    return {name: hashlib.md5((folder / name).read_bytes()).hexdigest() for name in MADE_BY["train"]}


def trained_by(repository: Repository, experiment: str) -> dict[str, str]:
    """MD5 of each output of `train` by the dvc.lock of an experiment."""
    references = repository.git("for-each-ref", "--format=%(refname)", "refs/exps").splitlines()
    reference = next(name for name in references if name.endswith(f"/{experiment}"))
    lock = yaml.safe_load(repository.git("show", f"{reference}:dvc.lock"))
    return {out["path"]: out["md5"] for out in lock["stages"]["train"]["outs"]}


def experiment_in(output: str) -> str:
    found = re.search(r"^Ran experiment\(s\): (\S+)$", output, flags=re.MULTILINE)
    assert found, output
    return found[1]


def states(repository: Repository) -> list[str]:
    """Whole ones. A kill while one is renamed leaves it under the name of the process, which the next run removes."""
    return sorted(path.name for path in (repository.root / ".dvc/tmp/resume").glob("*.safetensors"))


def assert_git_is_as_it_was(repository: Repository) -> None:
    assert repository.git("status", "--porcelain") == ""
    assert repository.git("symbolic-ref", "--short", "HEAD") == "main\n"
    assert repository.git("stash", "list") == ""


def broken_off(command: Running, kind: str) -> None:
    """Kill dvc alone, or its whole group, or send Ctrl-C to the group, once some epochs are trained."""
    command.wait_for("epoch 4/")
    if kind != "ctrl-c":
        kill(command.process, kind)
        return
    os.killpg(command.process.pid, signal.SIGINT)
    status, printed = command.end()
    assert status != 0
    assert "train: interrupted; the same command goes on after the last whole epoch" in printed
    assert "Traceback" not in printed


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "lr"), [("group", 0.002), ("dvc", 0.003), ("ctrl-c", 0.004)])
def test_a_broken_off_temporary_experiment_goes_on_when_the_same_is_typed(
    repository: Repository, start: Callable[..., Running], tmp_path: Path, kind: str, lr: float
) -> None:
    command = ["exp", "run", "--temp", "--set-param", f"lr={lr}", "train"]
    broken_off(start(*command), kind)
    state = states(repository)
    assert len(state) == 1
    if kind == "group":
        another = repository.dvc("exp", "run", "--temp", "--set-param", "lr=0.005", "train")
        assert "epoch 1/" in another, "it takes no state of another experiment"
        assert trained_by(repository, experiment_in(another)) == trained_alone(repository, tmp_path / "another", 0.005)
        assert states(repository) == state
    output = repository.dvc(*command)
    assert GOES_ON in output
    assert "epoch 1/" not in output
    assert trained_by(repository, experiment_in(output)) == trained_alone(repository, tmp_path / "alone", lr)
    assert states(repository) == [], "a finished run leaves none to go on from; its last one goes with the next stage"
    assert_git_is_as_it_was(repository)
    left = list((repository.root / ".dvc/tmp/exps/standalone").glob("tmp*"))
    assert len(list(left_experiments(repository.root))) == len(left)
    assert repository.dvc("exp", "show", "--csv").count("Running") == len(left)


@pytest.mark.slow
def test_what_killed_temporary_experiments_leave_can_be_thrown_away(repository: Repository) -> None:
    """The README's line. Until then DVC lists them as running."""
    subprocess.run("rm -rf .dvc/tmp/exps/standalone/tmp*", shell=True, cwd=repository.root, check=True)
    assert "Running" not in repository.dvc("exp", "show", "--csv")
    assert "up to date" in repository.dvc("status")


@pytest.mark.slow
def test_the_same_experiment_twice_at_once_completes_twice(
    repository: Repository, start: Callable[..., Running], tmp_path: Path
) -> None:
    """Both save the same state, and one removes it while the other still trains.

    The one begins when the other trains, and ends while that is held: DVC waits for its locks three seconds only, and where
    both end at the same moment, DVC 3.67 may lose the name of one (fetch_exps goes over what git refuses).
    """
    command = ["exp", "run", "--temp", "--set-param", "lr=0.007", "train"]
    first = start(*command)
    first.wait_for("epoch 2/")
    with held(first):
        second = start(*command)
        ended_first = second.end()
        assert states(repository) == []
    ends = [ended_first, first.end()]
    expected = trained_alone(repository, tmp_path / "alone", 0.007)
    for status, printed in ends:
        assert status == 0, printed
        assert f"epoch {EPOCHS}/{EPOCHS}" in printed
        assert "set aside" not in printed
        assert trained_by(repository, experiment_in(printed)) == expected
    assert states(repository) == []


def test_processes_that_save_the_same_state_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    """Two runs of the same experiment, in a tight loop; and what a third was saving when it was killed goes away."""
    state = tmp_path / "state.safetensors"
    gone = subprocess.Popen(["true"])
    gone.wait()
    (tmp_path / f".state.safetensors.{gone.pid}.partial").write_bytes(b"half")
    command = [warm.python(), "-m", "tests.support.saving", str(state)]
    runs = [
        subprocess.Popen(command, cwd=SOURCE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for run in runs:
        assert run.stdout
        assert run.stdout.readline() == "ready\n"
    for run in runs:
        assert run.stdin
        run.stdin.write("g")
        run.stdin.flush()
    assert [run.communicate(timeout=300)[1] for run in runs] == ["", ""]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_two_repros_at_once_the_second_is_refused_and_the_first_completes(
    repository: Repository, start: Callable[..., Running], straight: dict[str, bytes]
) -> None:
    retrain(repository)
    first = start("repro")
    first.wait_for("epoch 2/")
    with held(first):
        refusal = repository.dvc("repro", status=255)
    assert re.search(rf"is busy, it is being blocked by:\n  \(PID {first.process.pid}\):", refusal), refusal
    assert "Traceback" not in refusal
    assert first.end()[0] == 0
    assert outputs(repository.root) == straight
    assert_cache_is_intact(repository.root)


@pytest.mark.slow
def test_two_repros_started_in_the_same_moment_leave_what_one_leaves(
    repository: Repository, start: Callable[..., Running], straight: dict[str, bytes]
) -> None:
    retrain(repository)
    ends = [run.end() for run in [start("repro"), start("repro")]]
    assert 0 in [status for status, _ in ends], ends
    assert all("Traceback" not in printed for _, printed in ends)
    assert all(status == 0 or "busy" in printed or "lock" in printed for status, printed in ends), ends
    repository.dvc("repro")
    assert outputs(repository.root) == straight
    assert_cache_is_intact(repository.root)


@pytest.mark.parametrize(
    ("stage", "most_bytes", "named"),
    [
        ("download", 20_000, r"\.dvc/tmp/downloads/digits/\w+/digits\.csv\.gz\.partial"),
        pytest.param("convert", 20_000, "data/csv", marks=pytest.mark.slow),
        pytest.param("build", 20_000, "data/dataset", marks=pytest.mark.slow),
        pytest.param("train", 100_000, r"\.dvc/tmp/resume/train-[-0-9a-f]+\.safetensors", marks=pytest.mark.slow),
        pytest.param("evaluate", 1_000, r"plots/predictions\.csv", marks=pytest.mark.slow),
        pytest.param("plot", 1_000, r"plots/curves\.png", marks=pytest.mark.slow),
    ],
)
def test_a_full_disk_is_one_line_and_the_stage_completes_once_there_is_space(
    repository: Repository, straight: dict[str, bytes], stage: str, most_bytes: int, named: str
) -> None:
    """A limit on the size of files stands in for the full disk. DVC has emptied the stage's outputs when it starts it."""
    assert list(MADE_BY) == STAGES
    remove(repository, MADE_BY[stage])
    shutil.rmtree(repository.root / ".dvc/tmp/downloads", ignore_errors=True)
    done = run_limited(repository.root, stage, most_bytes)
    assert done.returncode == 1
    assert re.fullmatch(rf"error: {named}: File too large\n", done.stderr), done.stderr
    assert "Traceback" not in done.stdout
    made = [str(path.relative_to(repository.root)) for path in repository.root.rglob("*") if path.is_file()]
    there = {name for name in made if name.startswith(tuple(MADE_BY[stage]))}
    assert there == (GROWING if stage == "train" else set()), "only what train writes before its first epoch"
    assert_nothing_is_half(repository.root, straight)
    left_by_kills = ("/downloads/", ".dvc/tmp/exps/")
    assert not [name for name in made if name.endswith(".partial") and not any(part in name for part in left_by_kills)]
    assert run_limited(repository.root, stage, None).returncode == 0
    assert outputs(repository.root) == straight
    assert states(repository) == []


@pytest.mark.parametrize("full", ["state", pytest.param("model", marks=pytest.mark.slow)])
def test_a_disk_that_fills_up_in_training_costs_no_finished_epoch(
    repository: Repository, straight: dict[str, bytes], tmp_path: Path, full: str
) -> None:
    """The disk is full from the second saving of the state on, or for the model in the end; then there is space again."""
    remove(repository, MADE_BY["train"])
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))"
    before = {
        "state": f"save = r.CheckpointStore.save\ndef once(*all):\n  save(*all)\n  {limit}\nr.CheckpointStore.save = once",
        "model": f"save = t.save_model\ndef limited(*all):\n  {limit}\n  save(*all)\nt.save_model = limited",
    }[full]
    run = "t.run_stage('train', t.main, t.TrainParams, resumable=True)"
    program = f"import classifier.training.checkpoint as r, stages.train as t\n{before}\n{run}"
    done = run_limited(repository.root, "", None, [sys.executable, "-c", program])
    assert done.returncode == 1
    named = {"state": r"\.dvc/tmp/resume/train-[-0-9a-f]+\.safetensors", "model": r"models/model\.safetensors"}[full]
    assert re.fullmatch(rf"error: {named}: File too large\n", done.stderr), done.stderr
    assert len(states(repository)) == 1
    assert not list((repository.root / "models").glob("*model*"))
    again = run_limited(repository.root, "train", None)
    line = {"state": f"going on after epoch 1 of {EPOCHS}, {GOES_ON}", "model": f"all {EPOCHS} epochs were trained before"}[
        full
    ]
    assert line in again.stdout
    assert outputs(repository.root) == straight


@pytest.mark.slow
def test_a_training_that_dvc_did_not_record_is_found_again_and_a_recorded_one_is_not(repository: Repository) -> None:
    """The stage ends well, started as by DVC, which is gone then. DVC runs it again; at last it is asked to train anew."""
    repository.set_params(lr=0.002)
    started_by_dvc = repository.environment() | {"DVC_STAGE": "train", "DVC_ROOT": str(repository.root)}
    subprocess.run([sys.executable, "-m", "stages.train"], cwd=repository.root, env=started_by_dvc, check=True)
    (finished,) = (repository.root / ".dvc/tmp/resume").glob("train-*.finished")
    weights = (repository.root / "models/model.safetensors").read_bytes()
    assert hashlib.md5(weights, usedforsecurity=False).hexdigest() in finished.name
    assert f"all {EPOCHS} epochs were trained before, but not recorded" in repository.dvc("repro", "evaluate")
    assert (repository.root / "models/model.safetensors").read_bytes() == weights
    assert not list((repository.root / ".dvc/tmp/resume").iterdir()), "the next stage finds it recorded"
    printed = repository.dvc("repro", "--force", "--single-item", "train")
    assert f"epoch 1/{EPOCHS}" in printed and "were trained before" not in printed
    assert (repository.root / "models/model.safetensors").read_bytes() == weights


def remove(repository: Repository, names: list[str]) -> None:
    for name in names:
        path = repository.root / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def run_limited(
    root: Path, stage: str, most_bytes: int | None, command: list[str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a stage as DVC does, in a process that may write no file of more than `most_bytes`."""

    def limit() -> None:
        if most_bytes is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))

    python = warm.python() if most_bytes is None else sys.executable
    return subprocess.run(
        command or [python, "-m", f"stages.{stage}"],
        cwd=root,
        preexec_fn=limit,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_params_edited_while_it_trains_fail_the_run_and_the_next_takes_the_new_value(
    repository: Repository, start: Callable[..., Running], tmp_path: Path
) -> None:
    repository.set_params(lr=0.008)
    lock = repository.read("dvc.lock")
    run = start("repro", "train")
    run.wait_for("epoch 2/")
    with held(run):
        repository.set_params(lr=0.009)
    status, printed = run.end()
    assert status == 255
    line = "error: params.yaml: lr changed while train was running, which had read the old one; run the same command again"
    assert line in printed.splitlines()
    assert "Traceback" not in printed
    assert repository.read("dvc.lock") == lock, "DVC recorded nothing"
    assert "lr: 0.009" in repository.read("params.yaml")
    output = repository.dvc("repro", "train")
    assert "epoch 1/" in output
    recorded = yaml.safe_load(repository.read("dvc.lock"))["stages"]["train"]
    assert recorded["params"]["params.yaml"]["lr"] == 0.009
    expected = trained_alone(repository, tmp_path / "alone", 0.009)
    assert {out["path"]: out["md5"] for out in recorded["outs"]} == expected


@contextmanager
def adopting_orphans() -> Iterator[None]:
    """Make this process the parent of those whose parent ends, to wait for the killed ones itself.

    Some init processes wait for none, and then DVC takes a killed process for a running one.
    """
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1)
    try:
        yield
    finally:
        libc.prctl(PR_SET_CHILD_SUBREAPER, 0)


def processes_in(root: Path) -> list[psutil.Process]:
    """Those whose working folder is `root` or below it."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if Path(process.cwd()).is_relative_to(root):
                found.append(process)
    return found


def queued_of(lines: Iterator[str]) -> list[str]:
    """Those of the queue: experiments of other tests may be left in folders of their own."""
    return [line for line in lines if line.startswith("the queued experiment")]


def status_beside_a_worker(repository: Repository) -> str:
    """Of the queue. DVC reads a worker's answer now and then before it is written, and fails; then it is asked again."""
    for _ in range(2):
        try:
            return repository.dvc("queue", "status")
        except AssertionError as error:
            if "Expecting value" not in str(error):
                raise
    return repository.dvc("queue", "status")


def any_unended(root: Path) -> bool:
    """Whether a queued experiment has not run to its end. The workers are not asked."""
    with Repo(str(root)) as repo:
        queue = repo.experiments.celery_queue
        return any(True for entries in (queue.iter_queued(), queue.iter_active()) for _ in entries)


def reap(group: int) -> None:
    with suppress(ChildProcessError):
        while True:
            os.waitpid(-group, 0)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="adopts orphans with prctl")
def test_a_killed_queue_goes_on_when_the_same_is_queued_again(
    repository: Repository, start: Callable[..., Running], tmp_path: Path
) -> None:
    """The worker, the dvc below it and the stage are killed; the commands are those of the README.

    `dvc queue start` is not run with a pipe for its output: the worker would hold the other end.
    """
    queue = ["exp", "run", "--queue", "--set-param", "lr=0.01", "train"]
    logs = repository.root / ".dvc/tmp/exps/run"
    with adopting_orphans():
        try:
            repository.dvc(*queue)
            name = repository.dvc("queue", "status").splitlines()[1].split()[1]
            assert start("queue", "start").process.wait(timeout=60) == 0
            wait_until(lambda: any("epoch 4/" in log.read_text() for log in logs.glob("*/*.out")))
            worker = next(process for process in processes_in(repository.root) if "queue-worker" in process.cmdline())
            group = os.getpgid(worker.pid)
            assert group != os.getpgid(0)
            os.killpg(group, signal.SIGKILL)
            reap(group)
            assert processes_in(repository.root) == []
            assert len(states(repository)) == 1
            assert re.search(rf"{name} .* Running\n.*\nWorker status: 0 active", repository.dvc("queue", "status"), re.DOTALL)
            (line,) = queued_of(left_experiments(repository.root))
            assert f"`dvc queue kill {name} && dvc queue remove {name}` removes it from the list" in line
            repository.dvc("queue", "kill", name)
            assert re.search(rf"{name} .* Failed", repository.dvc("queue", "status"))
            repository.dvc("queue", "remove", name)
            assert "No experiment tasks" in repository.dvc("queue", "status")
            assert queued_of(left_experiments(repository.root)) == []
            repository.dvc(*queue)
            assert start("queue", "start").process.wait(timeout=60) == 0
            wait_until(lambda: not any_unended(repository.root), pause=0.5)
            status = status_beside_a_worker(repository)
            assert "Success" in status, status
            again = status.splitlines()[1].split()[1]
            printed = repository.dvc("queue", "logs", again)
            assert GOES_ON in printed
            assert "epoch 1/" not in printed
            assert trained_by(repository, again) == trained_alone(repository, tmp_path / "alone", 0.01)
            assert states(repository) == []
            assert_git_is_as_it_was(repository)
        finally:
            for process in processes_in(repository.root):
                with suppress(psutil.Error):
                    process.kill()
                    ended(process, 60)
    assert processes_in(repository.root) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own in memory. Needs the right to mount."""
    folder = tmp_path / "disk"
    folder.mkdir()
    options = ["-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)]
    mounted = subprocess.run(["mount", *options], capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"cannot mount a tmpfs: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def used(folder: Path) -> int:
    figures = os.statvfs(folder)
    return (figures.f_blocks - figures.f_bfree) * figures.f_frsize


def resize(folder: Path, most_bytes: int) -> None:
    subprocess.run(["mount", "-o", f"remount,size={most_bytes}", str(folder)], check=True)


def cached(root: Path) -> set[str]:
    return {str(file.relative_to(root)) for file in (root / ".dvc/cache/files/md5").glob("??/*")}


MENDS = {"Unable to read RWLock-file": ".dvc/tmp/rwlock", "dvc.lock' validation failed": "dvc.lock"}
"""What DVC itself may leave half-written on a full disk, by what it then says; deleting it loses nothing."""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="mounts a tmpfs")
def test_a_real_disk_that_is_too_small_at_any_stage(small_disk: Path, tmp_path: Path) -> None:
    """However much of it is there: a line that names the reason, nothing half-written, and the straight run's bytes after."""
    repository = Repository(small_disk / "project", epochs=4, threads=1)
    start_bytes = used(small_disk)
    shutil.copytree(repository.root, tmp_path / "fresh")
    repository.dvc("repro")
    end_bytes = used(small_disk)
    straight, cache = outputs(repository.root), cached(repository.root)
    stopped = []
    for share in (0.03, 0.08, 0.12, 0.3, 0.4, 0.57, 0.75, 0.97):
        shutil.rmtree(repository.root)
        shutil.copytree(tmp_path / "fresh", repository.root)
        resize(small_disk, start_bytes + int(share * (end_bytes - start_bytes)))
        printed = repository.dvc("repro", status=255)
        assert "No space left on device" in printed
        assert "Traceback" not in printed
        stopped.extend(re.findall(r"exited with 1|\[Errno 28\]", printed)[-1:])
        assert_nothing_is_half(repository.root, straight)
        partial = [file for file in repository.root.rglob("*.partial") if "downloads" not in file.parts]
        assert partial == []
        resize(small_disk, 64 * 2**20)
        go_on(repository)
        assert outputs(repository.root) == straight
        for file in (repository.root / ".dvc/cache").rglob(".*.tmp"):
            file.unlink()  # what DVC itself had begun to write; it takes it for nothing else
        assert cached(repository.root) == cache
        assert_cache_is_intact(repository.root)
    assert set(stopped) == {"exited with 1", "[Errno 28]"}, "now a stage met the full disk and now DVC"


def go_on(repository: Repository) -> None:
    """`dvc repro`, after the mends that DVC's own complaints ask for."""
    for _ in MENDS:
        try:
            repository.dvc("repro")
        except AssertionError as failed:
            for complaint, file in MENDS.items():
                if complaint in str(failed):
                    (repository.root / file).unlink()
        else:
            return
    repository.dvc("repro")
