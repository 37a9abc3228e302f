"""Several processes that torchrun starts compute what one does: the same batches, losses and statistics, to the last digits."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from classifier.common.errors import PeerLostError, UserError
from classifier.common.process import LAUNCHED_VARIABLE, RankInfo
from classifier.compute.device import processes_fact
from classifier.training.distributed import SINGLE_PROCESS, DistributedContext, _peer_errors, init_distributed
from classifier.training.history import MetricSums
from tests.support import warm
from tests.support.several_processes import CASES, VALUES, found
from tests.support.training import CPU, compute
from tools.verify.verdict import _processes_here

__all__ = ["compute"]
ROOT = Path(__file__).parents[3]
Found = dict[str, Any]


@pytest.fixture(scope="module")
def one() -> Iterator[Found]:
    """What one process finds, without torch.distributed."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield found(SINGLE_PROCESS)
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def of_several(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], list[Found]]:
    """Of a number of processes, what each finds; they are started once."""
    folder = tmp_path_factory.mktemp("several")

    def found_by(size: int) -> list[Found]:
        if not (folder / f"{size}-0.pt").exists():
            options = ["--standalone", "--nproc-per-node", str(size), "--no-python", warm.python()]
            program = ["-m", "tests.support.several_processes", str(folder)]
            command = [warm.python(), "-m", "torch.distributed.run", *options, *program]
            subprocess.run(command, cwd=ROOT, check=True)
        return [torch.load(folder / f"{size}-{rank}.pt", weights_only=False) for rank in range(size)]

    return found_by


SIZES = pytest.mark.parametrize("size", [2, pytest.param(4, marks=pytest.mark.slow)])


@SIZES
@pytest.mark.parametrize("case", CASES)
def test_several_processes_train_as_one(one: Found, of_several: Callable[[int], list[Found]], size: int, case: str) -> None:
    """In float64 the figures of all epochs and rows agree to 9 digits; an unweighted mean of means would not to 2.

    Muon multiplies in bfloat16 whatever the precision (in float32 where that is emulated): a last digit can become a third.
    """
    relative, absolute = (1e-2, 1e-2) if case == "recipe" else (1e-9, 1e-9)
    for theirs in (process["trained"][case] for process in of_several(size)):
        for row, expected in zip(theirs["metrics"], one["trained"][case]["metrics"], strict=True):
            assert row == pytest.approx(expected, rel=relative)
        for name, weight in one["trained"][case]["weights"].items():
            torch.testing.assert_close(theirs["weights"][name], weight, rtol=relative, atol=absolute)


@SIZES
def test_every_process_ends_with_the_same_bits_and_again_in_a_second_run(
    of_several: Callable[[int], list[Found]], size: int
) -> None:
    first, *others = [process["trained"]["pyramid"] for process in of_several(size)]
    for other in [*others, *(process["again"] for process in of_several(size))]:
        assert other["metrics"] == first["metrics"]
        assert all(torch.equal(other["weights"][name], first["weights"][name]) for name in first["weights"])


@SIZES
def test_every_process_gets_the_features_that_one_computes(
    one: Found, of_several: Callable[[int], list[Found]], size: int
) -> None:
    """To the bit: a batch has the same images."""
    assert one["features"].shape == (14, 512, 1, 2)
    assert all(torch.equal(process["features"], one["features"]) for process in of_several(size))


TOLERANCES = {torch.float64: 1e-10, torch.float32: 2e-5, torch.bfloat16: 2e-2}


@SIZES
@pytest.mark.parametrize("kind", VALUES)
@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("momentum", [0.4, None])
def test_batch_normalisation_is_torchs_own_of_the_whole_batch(
    one: Found, of_several: Callable[[int], list[Found]], size: int, kind: str, dtype: torch.dtype, momentum: float | None
) -> None:
    """Forward, backward and running statistics; the values have a mean of 50 and a deviation of 3."""
    expected = one["normalised"][kind, dtype, momentum]
    processes = [process["normalised"][kind, dtype, momentum] for process in of_several(size)]
    for index in range(len(expected)):
        ours = [process[index] for process in processes]
        joint = _in_order(ours, size) if index < 2 else ours[0]
        assert joint.dtype == expected[index].dtype
        largest = max(1.0, float(expected[index].abs().max()))
        torch.testing.assert_close(joint, expected[index], rtol=0, atol=TOLERANCES[dtype] * largest)


def _in_order(shares: list[Tensor], size: int) -> Tensor:
    """Of images that were dealt out one by one."""
    num_images = sum(len(share) for share in shares)
    return torch.stack([shares[row % size][row // size] for row in range(num_images)])


@SIZES
def test_processes_that_read_other_things_are_refused_by_all(of_several: Callable[[int], list[Found]], size: int) -> None:
    for process in of_several(size):
        assert process["told"] == {"rank": 0}
        (line,) = process["refused"]
        assert re.match(rf"^process {size // 2} of {size} has other params, code, data, torch, device or precision", line)


def test_every_image_is_measured_and_trained_on_once() -> None:
    for size in (1, 2, 3, 7):
        worlds = [DistributedContext(rank, size) for rank in range(size)]
        for num_images in (0, 1, 5, 20):
            rows = torch.arange(num_images)
            shares = [context.shard(rows) for context in worlds]
            assert sorted(torch.cat(shares).tolist()) == rows.tolist()
            assert max(map(len, shares)) - min(map(len, shares)) <= 1
            assert torch.cat([rows[context.shard_slice(num_images)] for context in worlds]).tolist() == rows.tolist()


def test_the_fact_of_several_processes() -> None:
    assert processes_fact(()) == processes_fact((1,)) == {}, "model.json of one process stays as it was"
    assert processes_fact((2,)) == {"processes": 2}
    assert processes_fact((4, 1)) == {"processes": "4, 1"}


def test_verify_expects_the_number_of_processes_of_the_command_that_it_repeats() -> None:
    assert _processes_here({"threads": 2}) == {}
    assert _processes_here({"processes": 2}) == {"processes": 2}
    assert _processes_here({"processes": "4, 2"}) == {"processes": 2}, "and so names the difference as the reason"


def test_alone_nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    with init_distributed(CPU) as context:
        assert context == SINGLE_PROCESS
        assert not torch.distributed.is_initialized()
    rows = torch.arange(3)
    assert SINGLE_PROCESS.shard(rows) is rows
    assert (sums := MetricSums(1.0, 2.0, 3)).all_reduce(SINGLE_PROCESS) is sums


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        (
            {"RANK": "2", "WORLD_SIZE": "2"},
            r"^RANK must be from 0 to below WORLD_SIZE, got 2 of 2; start the job with torchrun$",
        ),
        ({"RANK": "first"}, r"^RANK in the environment must be a whole number, got 'first'; start the job with torchrun$"),
        ({"WORLD_SIZE": "-1"}, r"^WORLD_SIZE in the environment must be a whole number, got '-1'"),
    ],
)
def test_an_environment_that_makes_no_sense_is_refused(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], message: str
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert RankInfo.from_environment() == RankInfo(), "not of torchrun, but what a batch system has left"
    monkeypatch.setenv(LAUNCHED_VARIABLE, "1")
    with pytest.raises(UserError, match=message):
        RankInfo.from_environment()


def test_a_device_for_one_process_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", LAUNCHED_VARIABLE: "1"}.items():
        monkeypatch.setenv(name, value)
    message = r"^device 'mps' has one process only; write `device: cpu` or `launcher: python`$"
    with pytest.raises(UserError, match=message), init_distributed(torch.device("mps")):
        pass
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    message = "^launcher: each process needs a GPU of its own, and this machine has 1; lower --nproc-per-node or write "
    with pytest.raises(UserError, match=message), init_distributed(torch.device("cuda")):
        pass


COMPILED = """
import torch
from classifier.training.distributed import convert_batch_norms, init_distributed
from classifier.training.loop import TrainState, fit
from classifier.networks.whitening import fit_first_layer
from tests.support.training import CPU, model_for, params, random_set, recipe_for

torch.set_num_threads(1)
train_set, val_set = random_set(36, side=16), random_set(12, side=16, seed=1)
with init_distributed(CPU) as context:
    losses = []
    for compile_it in (False, True):
        settings = params(network="pyramid", lr=0.01, batch_size=12, epochs=2, compile=compile_it)
        model = model_for("pyramid", side=16)
        convert_batch_norms(model.network, context)
        fit_first_layer(model.network, lambda: model.normalise(train_set.batch(torch.arange(36))[0]))
        train_state = TrainState(model, recipe_for(settings, train_set), context)
        result = fit(train_state, train_set, val_set, lambda result: None)
        losses += [[epoch.train_loss for epoch in result.history]]
    print(losses, flush=True)
    assert all(abs(ours - theirs) < 1e-5 for ours, theirs in zip(*losses))
"""


@pytest.mark.slow
def test_a_compiled_network_trains_as_the_plain_one(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(COMPILED)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", tmp_path / "program.py"]
    subprocess.run(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=True)


@pytest.mark.parametrize(
    ("words", "error", "line"),
    [
        ("Connection closed by peer", PeerLostError, r"^another process of this training has ended or cannot be reached; "),
        ("CUDA error: out of memory", UserError, r"^out of memory: the GPU's memory could not be had; "),
    ],
)
def test_a_lost_peer_is_told_from_lost_memory(words: str, error: type[Exception], line: str) -> None:
    """Else the process that ran out of it would count as one that ended because of another, and none would say why."""
    with pytest.raises(error, match=line) as raised, _peer_errors():
        raise RuntimeError(words)
    assert type(raised.value) is error
