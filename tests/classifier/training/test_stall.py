"""A training that makes no step says so once, and what it waits for."""

import sys
import threading
from types import FrameType

import pytest
import torch

from classifier.training.distributed import DistributedContext
from classifier.training.loop import TrainState
from classifier.training.stall import StallNotice, waits_for
from tests.support.training import compute, model_for, params, recipe_for

__all__ = ["compute"]


class Screen:
    """Stands in for standard error; `said` is set at the first line."""

    def __init__(self) -> None:
        self.text = ""
        self.said = threading.Event()

    def write(self, text: str) -> None:
        self.text += text
        if "\n" in self.text:
            self.said.set()

    def flush(self) -> None:
        """There is nothing to flush."""


def test_no_step_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    with StallNotice(lambda: 7, seconds=0.01) as notice:
        assert screen.said.wait(60)
        notice._thread.join(60)
    assert screen.text.startswith("train: no step for 0.01 seconds, after step 7: it waits outside of this project's code")
    assert screen.text.count("\n") == 1
    assert not notice._thread.is_alive(), "it says it once"


def test_while_steps_are_made_nothing_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    counted = threading.Event()
    count = 0

    def steps() -> int:
        nonlocal count
        count += 1
        if count == 5:
            counted.set()
        return count

    with StallNotice(steps, seconds=0.001) as notice:
        assert counted.wait(60)
    assert not notice._thread.is_alive(), "a thread that outlives the loop frees its tensors while Python shuts down"
    assert capsys.readouterr().err == ""


def test_a_process_that_waits_for_another_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[str] = []

    def all_reduce(_: object) -> None:
        frame: FrameType = sys._getframe()
        found.append(waits_for(frame))

    monkeypatch.setattr(torch.distributed, "all_reduce", all_reduce)
    DistributedContext(0, 2).all_reduce(torch.zeros(1))
    (line,) = found
    assert line.startswith("it waits for another process, in all_reduce (classifier/training/distributed.py:")


def test_the_loop_counts_its_steps() -> None:
    train_state = TrainState(model_for("mlp"), recipe_for(params(network="mlp")))
    assert train_state.num_steps == 0
    for parameter in train_state.model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    train_state.step(4)
    assert train_state.num_steps == 5
