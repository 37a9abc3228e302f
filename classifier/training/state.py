"""Everything a killed training run needs to go on to the same bits, in one safetensors file that is whole or not there."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from classifier.common.errors import UserError
from classifier.common.files import naming, replacing
from classifier.common.out_of_memory import memory_told
from classifier.training.loop import Trainee
from classifier.training.progress import Epoch, Result, StepRow
from classifier.training.tally import Sums


@dataclass(frozen=True)
class _Progress:
    history: tuple[Epoch, ...]
    kept_epoch: int
    steps: tuple[StepRow, ...]
    since_row: Sums
    processes: tuple[int, ...]


@dataclass(frozen=True)
class State:
    """What a file holds, read whole and found to fit the trainee."""

    tensors: dict[str, Tensor]
    progress: _Progress


_PROGRESS = TypeAdapter(_Progress)


class DamagedStateError(Exception):
    """The file is not there, not a state of this model and optimizer, or not the bytes that were written."""


def save_state(path: Path, trainee: Trainee, result: Result) -> None:
    """Write the weights, their average, the optimizers' states, the kept weights and the history, with a checksum over all.

    Two runs of the same experiment may save at once, each under a name of its own: whichever is the last, `path` is whole.
    """
    tensors = {
        **_prefixed("network.", trainee.model.network.state_dict()),
        **_prefixed("average.", trainee.average.network.state_dict() if trainee.average else {}),
        **_prefixed("kept.", result.weights),
        **_optimizer_tensors(trainee),
    }
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    progress = _Progress(result.history, result.kept.epoch, result.steps, result.since_row, result.processes)
    metadata = {"run": path.name, "progress": json.dumps(asdict(progress))}
    content = save(tensors, metadata=metadata | {"sha256": _checksum(tensors, metadata)})
    own = path.with_name(f"{path.name}.{os.getpid()}")
    with replacing(own) as partial, naming(path):
        partial.write_bytes(content)
    own.replace(path)


def read_state(path: Path, trainee: Trainee) -> State:
    """What was saved. Raises DamagedStateError unless it is there, whole, of the run that `path` names, and fits `trainee`.

    Raises UserError when there is no memory for it.
    """
    try:
        with memory_told("batch_size"), safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in sorted(file.keys())}
        if metadata.pop("sha256") != _checksum(tensors, metadata):
            raise DamagedStateError("its checksum is wrong")
        if metadata["run"] != path.name:
            raise DamagedStateError("it belongs to another run")
        progress = _PROGRESS.validate_json(metadata["progress"], strict=True)
        _ = progress.history[progress.kept_epoch - 1]
    except UserError:
        raise  # the state is as good as it was
    except (SafetensorError, OSError, RuntimeError, KeyError, IndexError, TypeError, ValueError, ValidationError) as error:
        raise DamagedStateError(f"it is not a whole training state ({type(error).__name__})") from None
    for prefix in ("network.", "kept.", *(["average."] if trainee.average else [])):
        _require_same_shapes(_with_prefix(tensors, prefix), trainee.model.network.state_dict(), "network")
    saved = {name: tensor for name, tensor in tensors.items() if name.startswith("optimizer.")}
    _require_same_shapes(saved, _optimizer_tensors(trainee), "optimizer")
    return State(tensors, progress)


def put_in_place(state: State, trainee: Trainee) -> Result:
    """Give `trainee` the saved weights, average and optimizer states; return the history so far."""
    tensors, progress = state.tensors, state.progress
    if trainee.average:
        trainee.average.network.load_state_dict(_with_prefix(tensors, "average."))
    trainee.model.network.load_state_dict(_with_prefix(tensors, "network."))
    for name, tensor in _optimizer_tensors(trainee).items():
        tensor.copy_(tensors[name])
    kept = progress.history[progress.kept_epoch - 1]
    weights = _with_prefix(tensors, "kept.")
    return Result(progress.history, kept, weights, progress.steps, progress.since_row, progress.processes)


def _optimizer_tensors(trainee: Trainee) -> dict[str, Tensor]:
    """The optimizers' states, as they are and by name: to be saved, or to be copied over."""
    return {
        f"optimizer.{number}.{index}.{name}": tensor
        for number, optimizer in enumerate(trainee.optimizers)
        for name, tensors in optimizer.state.items()
        for index, tensor in enumerate(tensors)
    }


def _require_same_shapes(tensors: dict[str, Tensor], needed: Mapping[str, Tensor], kind: str) -> None:
    if {name: tensor.shape for name, tensor in tensors.items()} != {name: tensor.shape for name, tensor in needed.items()}:
        raise DamagedStateError(f"it belongs to another {kind}")


def _prefixed(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in tensors.items()}


def _with_prefix(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _checksum(tensors: dict[str, Tensor], metadata: dict[str, str]) -> str:
    """SHA-256 of the names, the bytes and the metadata, which hold the file's name: that of the run it belongs to."""
    digest = hashlib.sha256(json.dumps(metadata, sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(name.encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
