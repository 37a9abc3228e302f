"""One of several processes that train some steps together, with a clock on what it does. benchmarks/scaling.py starts them.

torchrun --standalone --nproc-per-node 2 -m benchmarks.scaling_steps FILE STEPS REPEATS THREADS
"""

import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from benchmarks.made_up import made_up_training, params_of_one_epoch
from classifier.common.files import write_json
from classifier.compute.device import parameter_dtype, set_up_compute
from classifier.networks.own import count_parameters
from classifier.training.augment import Augmentations
from classifier.training.distributed import DistributedContext, init_distributed
from classifier.training.loader import Batches

Returned = TypeVar("Returned")

SPENT: defaultdict[str, float] = defaultdict(float)
"""Seconds by what they were spent on, and messages and bytes sent, of this process."""


def clocked(job: Callable[..., Returned], name: str) -> Callable[..., Returned]:
    """`job`, whose seconds count as `name`. On CPUs it has done its work when it returns; elsewhere it is waited for."""

    def run(*arguments: Any) -> Returned:
        _wait()
        start = time.perf_counter()
        try:
            return job(*arguments)
        finally:
            _wait()
            SPENT[name] += time.perf_counter() - start

    return run


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


class ClockedContext(DistributedContext):
    """With a clock on its messages: the waiting for slower processes counts too."""

    def all_reduce(self, values: Tensor) -> None:
        """As DistributedContext's."""
        if self.size > 1:
            _note(values)
            clocked(super().all_reduce, "messages")(values)

    def all_gather(self, values: Tensor) -> Tensor:
        """As DistributedContext's."""
        _note(values)
        return clocked(super().all_gather, "messages")(values)


def _note(values: Tensor) -> None:
    SPENT["sent"] += 1
    SPENT["bytes"] += values.nbytes


def measure(context: DistributedContext, num_steps: int, repeats: int, threads: int) -> dict[str, Any]:
    """Milliseconds a step, a list of one a repeat, by what they were spent on."""
    params = params_of_one_epoch(threads=threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    train_state, train = made_up_training(params, device, num_steps * params.batch_size, context)
    train()  # the first steps set up the kernels
    rows: dict[str, list[float]] = {"compute": [], "messages": [], "input": [], "step": []}
    for _ in range(repeats):
        SPENT.clear()
        clocked(train, "step")()
        SPENT["compute"] = SPENT["step"] - SPENT["messages"] - SPENT["input"]
        for name, values in rows.items():
            values.append(1000 * SPENT[name] / num_steps)
    return {
        "network": params.network,
        "optimizer": params.chosen_optimizer,
        "batch_size": params.batch_size,
        "device": device.type,
        "parameters": count_parameters(train_state.model.network),
        "bytes_a_parameter": parameter_dtype(train_state.model.precision).itemsize,
        "messages_a_step": round(SPENT["sent"] / num_steps),
        "bytes_a_step": round(SPENT["bytes"] / num_steps),
        "threads": threads,
        "milliseconds": rows,
    }


def main(file: Path, num_steps: int, repeats: int, threads: int) -> None:
    """Measure; the first process writes `file`."""
    device = set_up_compute("auto", threads)
    setattr(Batches, "cut", clocked(Batches.cut, "input"))  # noqa: B010
    setattr(Augmentations, "__call__", clocked(Augmentations.__call__, "input"))  # noqa: B010
    with init_distributed(device) as context:
        figures = measure(ClockedContext(context.rank, context.size), num_steps, repeats, threads)
        if context.is_main_process:
            write_json(file, figures)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:5]))
