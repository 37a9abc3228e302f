"""Everything a killed run needs to go on to the same bits: one safetensors file, whole or not there, kept for a time."""

import hashlib
import json
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import torch
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from classifier.common.errors import UserError, memory_errors
from classifier.common.files import FINISHED
from classifier.training.history import Epoch, MetricSums, Result, StepRow
from classifier.training.loop import TrainState
from classifier.training.state_files import make_room, replacing_alone


@dataclass(frozen=True)
class _Progress:
    history: tuple[Epoch, ...]
    kept_epoch: int
    steps: tuple[StepRow, ...]
    since_row: MetricSums
    processes: tuple[int, ...]


@dataclass(frozen=True)
class Checkpoint:
    """What a file holds, read whole and found to fit the train state."""

    tensors: dict[str, Tensor]
    progress: _Progress


_PROGRESS = TypeAdapter(_Progress)


class DamagedCheckpointError(Exception):
    """The file is not there, not a checkpoint of this model and optimizer, or not the bytes that were written."""


def write_checkpoint(path: Path, train_state: TrainState) -> None:
    """Write the weights, their average, the optimizers' states, the kept weights and the history, with a checksum over all.

    An epoch must be complete. Two runs of the same experiment may save at once: whichever is the last, `path` is whole.
    """
    result = train_state.result
    assert result, "nothing was trained yet"
    tensors = {
        **_add_prefix("network.", train_state.model.network.state_dict()),
        **_add_prefix("average.", train_state.average.network.state_dict() if train_state.average else {}),
        **_add_prefix("kept.", result.weights),
        **_optimizer_tensors(train_state),
    }
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    progress = _Progress(result.history, result.kept.epoch, result.steps, result.since_row, result.processes)
    metadata = {"run": path.name, "progress": json.dumps(asdict(progress))}
    content = save(tensors, metadata=metadata | {"sha256": _checksum(tensors, metadata)})
    with replacing_alone(path) as partial:
        partial.write_bytes(content)


def read_checkpoint(path: Path, train_state: TrainState) -> Checkpoint:
    """What was saved. Raises DamagedCheckpointError unless it is there, whole, of the run that `path` names, and fits.

    Raises UserError when there is no memory for it.
    """
    try:
        with memory_errors("batch_size"), safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in sorted(file.keys())}
        if metadata.pop("sha256") != _checksum(tensors, metadata):
            raise DamagedCheckpointError("its checksum is wrong")
        if metadata["run"] != path.name:
            raise DamagedCheckpointError("it belongs to another run")
        progress = _PROGRESS.validate_json(metadata["progress"], strict=True)
        _ = progress.history[progress.kept_epoch - 1]
    except UserError:
        raise  # the file is as good as it was
    except (SafetensorError, OSError, RuntimeError, KeyError, IndexError, TypeError, ValueError, ValidationError) as error:
        raise DamagedCheckpointError(f"it is not a whole training state ({type(error).__name__})") from None
    for prefix in ("network.", "kept.", *(["average."] if train_state.average else [])):
        _check_shapes(_take_prefix(tensors, prefix), train_state.model.network.state_dict(), "network")
    saved = {name: tensor for name, tensor in tensors.items() if name.startswith("optimizer.")}
    _check_shapes(saved, _optimizer_tensors(train_state), "optimizer")
    return Checkpoint(tensors, progress)


def restore_checkpoint(checkpoint: Checkpoint, train_state: TrainState) -> None:
    """Give `train_state` the saved weights, average, optimizers' states and result."""
    tensors, progress = checkpoint.tensors, checkpoint.progress
    if train_state.average:
        train_state.average.network.load_state_dict(_take_prefix(tensors, "average."))
    train_state.model.network.load_state_dict(_take_prefix(tensors, "network."))
    for name, tensor in _optimizer_tensors(train_state).items():
        tensor.copy_(tensors[name])
    train_state.result = Result(
        progress.history,
        kept=progress.history[progress.kept_epoch - 1],
        weights=_take_prefix(tensors, "kept."),
        steps=progress.steps,
        since_row=progress.since_row,
        processes=progress.processes,
    )


def _optimizer_tensors(train_state: TrainState) -> dict[str, Tensor]:
    """The optimizers' states, as they are and by name: to be saved, or to be copied over."""
    return {
        f"optimizer.{number}.{index}.{name}": tensor
        for number, optimizer in enumerate(train_state.optimizers)
        for name, tensors in optimizer.state.items()
        for index, tensor in enumerate(tensors)
    }


def _check_shapes(tensors: dict[str, Tensor], needed: Mapping[str, Tensor], kind: str) -> None:
    if {name: tensor.shape for name, tensor in tensors.items()} != {name: tensor.shape for name, tensor in needed.items()}:
        raise DamagedCheckpointError(f"it belongs to another {kind}")


def _add_prefix(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in tensors.items()}


def _take_prefix(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _checksum(tensors: dict[str, Tensor], metadata: dict[str, str]) -> str:
    """SHA-256 of the names, the bytes and the metadata, which hold the file's name: that of the run it belongs to."""
    digest = hashlib.sha256(json.dumps(metadata, sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(name.encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


class CheckpointStore:
    """The checkpoint of one run at `path`, whose name holds the digest of all that the run's bytes depend on.

    So that of another experiment, or of other code, data or versions, is never found here.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def of_run(cls, start: Path, facts: Mapping[str, object]) -> Self:
        """`start` is different for all that the stage declares to read; `facts` are what else the bytes depend on."""
        digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
        return cls(start.with_name(f"{start.name}-{digest[:8]}.safetensors"))

    def restore(self, train_state: TrainState) -> bool:
        """Put what was saved into `train_state`; return whether there was a checkpoint to go on from.

        The main process reads it, for all. A damaged file is set aside as `<name>.damaged`, and said on standard error.
        """
        context = train_state.context
        checkpoint = context.broadcast_object(self._read(train_state) if context.is_main_process else None)
        if checkpoint:
            restore_checkpoint(checkpoint, train_state)
        return checkpoint is not None

    def _read(self, train_state: TrainState) -> Checkpoint | None:
        make_room([self.path])
        if not self.path.exists():
            for finished in self.path.parent.glob(f"{self.path.stem}.*{FINISHED}"):
                finished.replace(self.path)
        while True:
            before = _file_version(self.path)
            try:
                return read_checkpoint(self.path, train_state)
            except DamagedCheckpointError as error:
                if _file_version(self.path) == before:
                    if before:
                        self._set_aside(error)
                    else:
                        self._print_others()
                    return None
                # Another run of the same experiment replaced or removed it while it was read.

    def _print_others(self) -> None:
        others = self.path.parent.glob(f"{self.path.stem.rpartition('-')[0]}-*{self.path.suffix}")
        if next(others, None):
            print(
                "a broken-off run of the same was computed on another CPU or GPU, by other versions or in another environment: "
                "not mixed with this one, which starts from the beginning",
                file=sys.stderr,
            )

    def _set_aside(self, error: DamagedCheckpointError) -> None:
        aside = self.path.with_suffix(".damaged")
        with suppress(FileNotFoundError):  # another run may have removed it just now
            self.path.replace(aside)
            print(f"{aside}: set aside, {error}; training starts from the beginning", file=sys.stderr)

    def save(self, train_state: TrainState) -> None:
        """Replace the checkpoint, whole or not at all."""
        write_checkpoint(self.path, train_state)

    def finish(self, weights_md5: str) -> None:
        """Keep the checkpoint of the complete run until DVC has recorded these weights; `drop_recorded` then deletes it."""
        with suppress(FileNotFoundError):  # another run of the same experiment may have done so
            self.path.replace(self.path.with_name(f"{self.path.stem}.{weights_md5}{FINISHED}"))

    def discard(self) -> None:
        """Remove the checkpoint: the run is complete."""
        self.path.unlink(missing_ok=True)


def _file_version(path: Path) -> tuple[int, int] | None:
    """They differ after each save; None where there is no file."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns
