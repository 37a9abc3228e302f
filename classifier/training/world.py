"""The processes that train one network together, and what they tell each other. Legend: N images of a batch.

All of them must make the same calls in the same order. Alone, a call sends nothing and changes nothing.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
from torch import Tensor

from classifier.common.errors import PeerLostError, UserError
from classifier.common.out_of_memory import memory_told
from classifier.common.place import Place
from classifier.training.tally import Sums

Value = TypeVar("Value")
BACKENDS = {"cpu": "gloo", "cuda": "cpu:gloo,cuda:nccl"}
"""By the kind of device; figures and training states go over the CPUs in any case."""
PATIENCE = timedelta(minutes=10)
"""For how long one process waits for another; as torchrun does for other machines."""


@dataclass(frozen=True)
class World:
    """`size` processes, of which this one is number `rank`. A call raises PeerLostError when another one is gone."""

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process speaks and writes for all."""
        return self.rank == 0

    def share(self, rows_N: Tensor) -> Tensor:
        """The rows of a batch that this process takes: dealt out one by one, so that no share is larger by more than one."""
        return rows_N if self.size == 1 else rows_N[self.rank :: self.size]

    def part(self, num_images: int) -> slice:
        """The consecutive images of a data set that this process measures; there may be none."""
        return slice(num_images * self.rank // self.size, num_images * (self.rank + 1) // self.size)

    def add_up(self, values: Tensor) -> None:
        """Replace `values` by their sums over all processes, the same bits in each."""
        if self.size > 1:
            with _peers_needed():
                torch.distributed.all_reduce(values)

    def gathered(self, values: Tensor) -> Tensor:
        """Those of every process, by rank: of shape (size, …)."""
        if self.size == 1:
            return values[None]
        rows = [torch.empty_like(values) for _ in range(self.size)]
        with _peers_needed():
            torch.distributed.all_gather(rows, values)
        return torch.stack(rows)

    def total(self, sums: Sums) -> Sums:
        """Over the images of all processes."""
        if self.size == 1:
            return sums
        figures = torch.tensor([sums.loss, sums.correct, sums.seen], dtype=torch.float64)
        self.add_up(figures)
        loss, correct, seen = figures.tolist()
        return Sums(loss, correct, round(seen))

    def from_first(self, value: Value) -> Value:
        """What the first process passes; what the others pass is not looked at."""
        if self.size == 1:
            return value
        values = [value]
        with _peers_needed():
            torch.distributed.broadcast_object_list(values, device=torch.device("cpu"))
        return values[0]

    def copy_first(self, tensors: Iterable[Tensor]) -> None:
        """Overwrite the tensors by those of the first process."""
        if self.size > 1:
            for tensor in tensors:
                values = tensor.detach().contiguous()
                with _peers_needed():
                    torch.distributed.broadcast(values, src=0)
                tensor.detach().copy_(values)

    def refuse_differences(self, digest: str) -> None:
        """Raise UserError unless all processes pass the same `digest` of what they compute with."""
        if self.size == 1:
            return
        digests: list[str] = [""] * self.size
        with _peers_needed():
            torch.distributed.all_gather_object(digests, digest)
        odd = next((rank for rank, other in enumerate(digests) if other != digests[0]), None)
        if odd is not None:
            raise UserError(
                f"process {odd} of {self.size} has other params, code, data, torch, device or precision than process 0; bring "
                "both folders to one commit and the same params.yaml, and the data with `dvc pull` or `dvc repro build weights`"
            )


ALONE = World()


@contextmanager
def joined(device: torch.device) -> Iterator[World]:
    """The world that torchrun started this process in; it meets the others over gloo, and NCCL between GPUs.

    Raises UserError when the device is not one for several processes, PeerLostError when the others do not come.
    """
    place = Place.of_this_process()
    if place.size == 1:
        yield ALONE
        return
    _refuse_device(device, place)
    with _peers_needed():
        torch.distributed.init_process_group(BACKENDS[device.type], timeout=PATIENCE)
    yield World(place.rank, place.size)
    torch.distributed.destroy_process_group()


def _refuse_device(device: torch.device, place: Place) -> None:
    if device.type not in BACKENDS:
        raise UserError(f"device {device.type!r} has one process only; write `device: cpu` or `launcher: python`")
    if device.type == "cuda":
        num_devices = torch.cuda.device_count()
        if place.local_rank >= num_devices:
            raise UserError(
                f"launcher: each process needs a GPU of its own, and this machine has {num_devices}; lower --nproc-per-node or "
                "write `device: cpu`"
            )
        torch.cuda.set_device(place.local_rank)


@contextmanager
def _peers_needed() -> Iterator[None]:
    """Say in our words that another process is gone: torch raises a RuntimeError of many kinds."""
    try:
        with memory_told("batch_size"):
            yield
    except RuntimeError as error:
        raise PeerLostError(
            "another process of this training has ended or cannot be reached; the same command goes on after the last whole "
            "epoch"
        ) from error
