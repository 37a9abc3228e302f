"""A real TensorBoard server, asked over HTTP, over runs that have curves only; and following a run that grows."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import psutil
import pytest

from classifier.common.errors import UserError
from classifier.common.files import write_text
from tools.tensorboard import server
from tools.tensorboard.__main__ import main
from tools.tensorboard.runs import replacing_run
from tools.tensorboard.server import Watch

SOURCE = Path(__file__).parents[2]
ROWS = ["epoch,train_loss,train_accuracy", "1,2.25,0.125", "2,1.5,0.25", "3,0.75,0.5"]
SECONDS_TO_WAIT = 120
"""A machine that does other things too may need this long to start two processes that import a lot."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, without a run."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def grow(num_epochs: int) -> None:
    """Rewrite the history as `train` does."""
    write_text(Path("plots/history.csv"), "\n".join(ROWS[: num_epochs + 1]) + "\n")


def wait_for(condition: Callable[[], Any], seen: Callable[[], object] = lambda: None) -> Any:
    """What `condition` returns, once that is something. What was `seen` instead is in the message of a test that fails."""
    end = time.monotonic() + SECONDS_TO_WAIT
    while not (found := condition()):
        assert time.monotonic() < end, f"waited in vain, seen: {seen()}"
        time.sleep(0.1)
    return found


def losses(address: str) -> list[list[float]]:
    """Step and loss of the workspace's run, as the page asks for them; none while the server does not know it."""
    try:
        with urlopen(f"{address}/data/plugin/scalars/scalars?run=workspace&tag=by_epoch%2Ftrain_loss") as response:
            return [point[1:] for point in json.load(response)]
    except OSError:
        return []


class Tool:
    """`python -m tools.tensorboard` as a person calls it, in a group of processes of its own, as a shell starts it."""

    def __init__(self, *arguments: str) -> None:
        self.log = Path("log.txt")
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tools.tensorboard", *arguments],
                env={**os.environ, "PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1"},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def said(self) -> str:
        return self.log.read_text()

    def address(self) -> str:
        """Once the server listens."""
        return str(wait_for(lambda: re.search(r"http://localhost:\d+", self.said()))[0])

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def end(self, number: int, *, group: bool) -> int:
        """Send a signal, to its group as a terminal does with Ctrl-C, and return the exit status once all have ended."""
        children = self.children()
        os.killpg(self.process.pid, number) if group else os.kill(self.process.pid, number)
        status = self.process.wait(SECONDS_TO_WAIT)
        assert psutil.wait_procs(children, SECONDS_TO_WAIT)[1] == [], "a process was left behind"
        return status


@pytest.fixture
def start() -> Iterator[Callable[..., Tool]]:
    """A function that starts the tool; what a failed test leaves running is ended."""
    started: list[Tool] = []

    def function(*arguments: str) -> Tool:
        started.append(Tool(*arguments))
        return started[-1]

    yield function
    for tool in started:
        if tool.process.poll() is None:
            tool.end(signal.SIGTERM, group=False)


def test_a_run_that_goes_on_is_followed_and_ctrl_c_ends_all(folder: Path, start: Callable[..., Tool]) -> None:
    """From before its first epoch to the first one of another run, under one server."""
    tool = start("--watch", "--port", "0")
    wait_for(lambda: "runs/workspace: waiting for the first epoch\n" in tool.said())
    address = tool.address()
    for num_epochs in (1, 3):
        grow(num_epochs)
        expected = [[1, 2.25], [2, 1.5], [3, 0.75]][:num_epochs]
        wait_for(lambda expected=expected: losses(address) == expected, lambda: (losses(address), tool.said()))
    Path("plots/history.csv").unlink()
    wait_for(lambda: not Path("runs/workspace").exists())
    write_text(Path("plots/history.csv"), f"{ROWS[0]}\n1,4.5,0.25\n")
    wait_for(lambda: losses(address) == [[1, 4.5]], lambda: (losses(address), tool.said()))
    with urlopen(address) as page:
        assert b"<title>TensorBoard</title>" in page.read()
    assert len(tool.children()) >= 1
    assert tool.end(signal.SIGINT, group=True) == 130
    assert "Traceback" not in tool.said()
    assert [path.name for path in folder.glob(".dvc/tmp/*")] == []


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGHUP, marks=pytest.mark.slow)])
def test_a_kill_ends_the_server_too(folder: Path, start: Callable[..., Tool], number: signal.Signals) -> None:
    grow(2)
    here = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup children would ignore it
    tool = start("--port", "0")
    signal.signal(signal.SIGHUP, here)
    address = tool.address()
    wait_for(lambda: losses(address) == [[1, 2.25], [2, 1.5]])
    assert tool.end(number, group=False) == 128 + number
    assert "Traceback" not in tool.said()


@pytest.mark.slow
def test_where_tensorboard_has_no_quick_reader_a_replaced_run_is_seen_too(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(server, "OPTIONS", [*server.OPTIONS, "--load_fast=false"])
    grow(3)
    main(["--no-server"])
    with server.serve(Path("runs"), 0):
        printed = ""

        def address() -> str | None:
            nonlocal printed
            printed += capfd.readouterr().err
            found = re.search(r"http://localhost:\d+", printed)
            return found and found[0]

        at = wait_for(address)
        wait_for(lambda: losses(at) == [[1, 2.25], [2, 1.5], [3, 0.75]])
        write_text(Path("plots/history.csv"), f"{ROWS[0]}\n1,4.5,0.25\n2,4,0.5\n")
        main(["--no-server"])
        wait_for(lambda: losses(at) == [[1, 4.5], [2, 4]])


class TestPort:
    def test_one_that_is_taken_is_refused_before_anything_is_written(self, folder: Path) -> None:
        grow(1)
        with socket.socket() as other:
            other.bind(("localhost", 0))
            other.listen()
            port = other.getsockname()[1]
            words = f"^--port {port}: Address already in use; choose another one, or --port 0 for any free one$"
            with pytest.raises(UserError, match=words):
                main(["--port", str(port)])
        assert not (folder / "runs").exists()

    @pytest.mark.parametrize("port", ["-1", "65536", "http", "6006.5", ""])
    def test_what_is_none_is_refused(self, port: str, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit) as ended:
            main([f"--port={port}"])
        assert ended.value.code == 2
        assert f"argument --port: must be a number from 0 to 65535, got {port}" in capsys.readouterr().err

    def test_a_server_that_ends_by_itself_is_told(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        grow(1)
        monkeypatch.setattr(server, "OPTIONS", ["--no_such_option"])
        with pytest.raises(UserError, match=r"^tensorboard: ended with status 2; see its messages above$"):
            main(["--port", "0"])


class TestWatch:
    """`look` in turn with changes; `rewrite` is ours, and fails when told to."""

    @pytest.fixture(autouse=True)
    def watching(self, folder: Path) -> None:
        self.said: list[str] = []
        self.lines: list[str] = ["one line"]
        self.problem: Exception | None = None
        self.num_written = 0
        self.watch = Watch(Path("runs/workspace"), self.rewrite, self.said.extend)

    def rewrite(self) -> list[str]:
        if self.problem:
            raise self.problem
        self.num_written += 1
        return self.lines

    def test_it_writes_when_something_changed_and_only_then(self) -> None:
        grow(1)
        for _ in range(3):
            self.watch.look()
        assert self.num_written == 1
        for name in ("plots/steps.csv", "metrics/train.json", "models/model.json", "dvc.lock", "plots/predictions.csv"):
            write_text(Path(name), "new")
            self.watch.look()
        assert self.num_written == 6
        write_text(Path("README.md"), "new")
        self.watch.look()
        assert self.num_written == 6

    def test_what_stays_the_same_is_said_once(self) -> None:
        for num_epochs in (1, 2):
            grow(num_epochs)
            self.lines = [f"{num_epochs} epochs", "without weights"]
            self.watch.look()
        assert self.said == ["1 epochs", "without weights", "2 epochs"]

    def test_a_problem_that_passes_is_not_told(self) -> None:
        grow(1)
        self.problem = UserError("dvc.lock: half-written")
        self.watch.look()
        self.problem = None
        self.watch.look()
        assert (self.said, self.num_written) == (["one line"], 1)

    def test_a_problem_that_stays_is_told_once_and_ends_with_the_next_whole_file(self) -> None:
        grow(1)
        self.problem = UserError("plots/history.csv: damaged")
        for _ in range(4):
            self.watch.look()
        assert self.said == ["plots/history.csv: damaged; still watching"]
        self.problem = None
        grow(2)
        self.watch.look()
        assert self.said[1:] == ["one line"]

    def test_without_history_the_run_before_goes(self) -> None:
        grow(1)
        with replacing_run(Path("runs/workspace")):
            pass
        self.watch.look()
        Path("plots/history.csv").unlink()
        for _ in range(2):
            self.watch.look()
        assert not Path("runs/workspace").exists()
        assert self.said == ["one line", "runs/workspace: waiting for the first epoch"]


def test_a_failed_rewriting_leaves_the_run_before(folder: Path) -> None:
    with replacing_run(Path("runs/one")) as new:
        (new / "events.out.tfevents.1").write_text("first")
    with pytest.raises(OSError, match="runs/one"), replacing_run(Path("runs/one")) as new:
        (new / "events.out.tfevents.2").write_text("half")
        raise OSError(28, "No space left on device")
    assert [path.read_text() for path in Path("runs/one").iterdir()] == ["first"]
    assert list(folder.glob(".dvc/tmp/*")) == []
