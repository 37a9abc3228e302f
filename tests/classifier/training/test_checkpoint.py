"""A run that goes on from its saved state ends with the bits of one that was never broken off."""

import os
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from classifier.training import checkpoint as resume
from classifier.training.checkpoint import Checkpoint, CheckpointStore, DamagedCheckpointError, read_checkpoint
from classifier.training.loop import TrainState
from tests.support.training import SIDE, BrokenOffError, compute, model_for, params, recipe_for, run

__all__ = ["compute"]


@pytest.mark.parametrize("network", ["mlp", pytest.param("cnn", marks=pytest.mark.slow), "pyramid"])
@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": "sgd", "momentum": 0.0, "lr": 0.3},
        {"optimizer": "sgd", "momentum": 0.9, "lr": 0.05},
        {"optimizer": "adam", "momentum": None, "lr": 0.01},
        {
            "optimizer": "adamw",
            "momentum": None,
            "lr": 0.01,
            "weight_decay": 0.1,
            "augment": ["flip", "crop", "cutout", "cutmix"],
        },
        {"optimizer": "muon", "momentum": None, "lr": 0.01, "schedule": "onecycle", "warmup_fraction": 0.3},
        {"optimizer": "adam", "momentum": None, "lr": 0.01, "ema_decay": 0.9, "clip_norm": 1.0, "precision": "bfloat16"},
    ],
)
def test_broken_off_twice_and_resumed_it_is_the_same_to_the_bit(
    tmp_path: Path, network: str, changes: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    if network == "mlp" and changes["optimizer"] == "muon":
        pytest.skip("refused: there is nothing for Muon to move")
    settings = params(network=network, epochs=5, **changes)
    straight, straight_model = run(settings, None)
    point = CheckpointStore(tmp_path / "state.safetensors")
    for epochs in (2, 4):
        with pytest.raises(BrokenOffError):
            run(settings, point, broken_off_after=epochs)
    resumed, resumed_model = run(settings, point)
    assert capsys.readouterr().err == "", "no state was set aside"
    assert resumed.history == straight.history
    assert resumed.kept == straight.kept
    assert resumed.weights.keys() == straight.weights.keys()
    assert all(torch.equal(resumed.weights[name], straight.weights[name]) for name in straight.weights)
    pairs = zip(resumed_model.parameters(), straight_model.parameters(), strict=True)
    assert all(torch.equal(ours, theirs) for ours, theirs in pairs)


def test_only_the_missing_epochs_are_trained(tmp_path: Path) -> None:
    point = CheckpointStore(tmp_path / "state.safetensors")
    with pytest.raises(BrokenOffError):
        run(params(network="mlp", epochs=3), point, broken_off_after=2)
    with pytest.raises(BrokenOffError):
        run(params(network="mlp", epochs=3), point, broken_off_after=3)
    result, _ = run(params(network="mlp", epochs=3), point, broken_off_after=3)
    assert len(result.history) == 3, "nothing is left to train: broken_off_after would have been raised again"


@pytest.mark.parametrize(
    "damage", ["truncated", "flipped bit", "other network", "not safetensors", "empty", "pickle", "no metadata"]
)
def test_a_damaged_state_is_set_aside_with_a_line_and_the_run_starts_anew(
    tmp_path: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = params(network="mlp", epochs=2)
    straight, _ = run(settings, None)
    path = tmp_path / "state.safetensors"
    with pytest.raises(BrokenOffError):
        run(
            settings if damage != "other network" else params(network="cnn", epochs=2),
            CheckpointStore(path),
            broken_off_after=1,
        )
    content = bytearray(path.read_bytes())
    if damage == "truncated":
        path.write_bytes(content[:-9])
    elif damage == "flipped bit":
        content[-9] ^= 1
        path.write_bytes(content)
    elif damage == "no metadata":
        save_file(load_file(path), path)
    elif damage != "other network":
        path.write_bytes(
            {"not safetensors": b"x" * 100, "empty": b"", "pickle": b"\x80\x04cos\nsystem\n(S'touch pwned'\ntR."}[damage]
        )
    result, _ = run(settings, CheckpointStore(path))
    assert result.history == straight.history
    line = capsys.readouterr().err
    assert line.startswith(f"{tmp_path / 'state.damaged'}: set aside, it")
    assert line.endswith("; training starts from the beginning\n")
    assert line.count("\n") == 1


def test_the_state_of_other_facts_has_another_name() -> None:
    start = Path("resume/train-abc")
    facts: dict[str, str | int] = {"torch": "2.14.1", "threads": 2}
    paths = {CheckpointStore.of_run(start, facts).path, CheckpointStore.of_run(start, facts | {"threads": 1}).path}
    assert len(paths) == 2
    assert all(path.parent == start.parent and path.name.startswith("train-abc-") for path in paths)


def test_a_state_of_other_facts_is_not_taken_and_that_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Weights of two arithmetics are what no single command gives."""
    start, settings = tmp_path / "train-abc", params(network="mlp", epochs=2)
    with pytest.raises(BrokenOffError):
        run(settings, CheckpointStore.of_run(start, {"ONEDNN_MAX_CPU_ISA": "AVX2"}), broken_off_after=1)
    with pytest.raises(BrokenOffError):
        run(settings, CheckpointStore.of_run(start, {}), broken_off_after=1)
    line = capsys.readouterr().err
    assert line.startswith("a broken-off run of the same was computed on another CPU or GPU, by other versions or in another ")
    assert line.count("\n") == 1
    run(settings, CheckpointStore.of_run(start, {}))
    run(settings, CheckpointStore.of_run(tmp_path / "train-other", {}))
    assert capsys.readouterr().err == "", "this run's own is there; another run has none"


def test_a_finished_run_is_found_again_until_dvc_has_recorded_it(tmp_path: Path) -> None:
    point = CheckpointStore(tmp_path / "train-1-2.safetensors")
    settings = params(network="mlp", epochs=2)
    with pytest.raises(BrokenOffError):
        run(settings, point, broken_off_after=2)
    point.finish("0123")
    assert [path.name for path in tmp_path.iterdir()] == ["train-1-2.0123.finished"]
    point.finish("0123")  # another run of the same may have been first
    result, _ = run(settings, point, broken_off_after=2)
    assert len(result.history) == 2, "nothing is left to train: broken_off_after would have been raised again"
    assert [path.name for path in tmp_path.iterdir()] == ["train-1-2.safetensors"]


def test_old_states_and_the_oldest_of_too_many_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("classifier.training.state_files.MAX_BYTES", 250)
    for name, days in (("ancient", 31), ("older", 3), ("old", 2), ("new", 1), ("own", 90)):
        (tmp_path / name).write_bytes(b"x" * 100)
        stamp = time.time() - days * 24 * 3600
        os.utime(tmp_path / name, (stamp, stamp))
    CheckpointStore(tmp_path / "own").restore(TrainState(model_for("mlp"), recipe_for(params(network="mlp"))))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "old", "own.damaged"]


def test_the_state_holds_everything_and_no_pickle(tmp_path: Path) -> None:
    point = CheckpointStore(tmp_path / "state.safetensors")
    settings = params(network="mlp", optimizer="adam", momentum=None, epochs=2)
    with pytest.raises(BrokenOffError):
        run(settings, point, broken_off_after=1)
    with safe_open(point.path, framework="pt") as file:
        names = set(file.keys())
    weights = {f"{layer}.{kind}" for layer in (1, 3, 5) for kind in ("weight", "bias")}
    optimizer = {f"optimizer.0.{index}.{name}" for index in range(6) for name in ("step", "exp_avg", "exp_avg_sq")}
    assert names == {f"network.{name}" for name in weights} | {f"kept.{name}" for name in weights} | optimizer
    point.discard()
    assert list(tmp_path.iterdir()) == []


def test_the_state_of_another_run_under_this_runs_name_is_set_aside(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As after copying files by hand: the shapes fit, the seed and the optimizer do not."""
    with pytest.raises(BrokenOffError):
        run(params(network="mlp", epochs=2, seed=9), CheckpointStore(tmp_path / "other.safetensors"), broken_off_after=1)
    (tmp_path / "own.safetensors").write_bytes((tmp_path / "other.safetensors").read_bytes())
    settings = params(network="mlp", epochs=2, optimizer="adam", momentum=None)
    result, _ = run(settings, CheckpointStore(tmp_path / "own.safetensors"))
    assert result.history == run(settings, None)[0].history
    assert "set aside, it belongs to another run; training starts from the beginning" in capsys.readouterr().err


def test_the_state_of_another_optimizer_is_set_aside(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its tensors are fewer than Adam's. Under the name of its own run, as where a digest did not tell them apart."""
    point = CheckpointStore(tmp_path / "own.safetensors")
    with pytest.raises(BrokenOffError):
        run(params(network="mlp", epochs=2), point, broken_off_after=1)
    run(params(network="mlp", epochs=2, optimizer="adam", momentum=None), point)
    assert "set aside, it belongs to another optimizer; training starts from the beginning" in capsys.readouterr().err


def test_a_state_that_another_run_replaces_while_it_is_read_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    point, settings = CheckpointStore(tmp_path / "own.safetensors"), params(network="mlp", epochs=2)
    with pytest.raises(BrokenOffError):
        run(settings, point, broken_off_after=1)
    reads = 0

    def read_once_too_late(path: Path, train_state: TrainState) -> Checkpoint:
        nonlocal reads
        reads += 1
        if reads > 1:
            return read_checkpoint(path, train_state)
        (tmp_path / "new").write_bytes(path.read_bytes())
        (tmp_path / "new").replace(path)
        raise DamagedCheckpointError("its file was gone")

    monkeypatch.setattr(resume, "read_checkpoint", read_once_too_late)
    assert point.restore(TrainState(model_for("mlp", side=SIDE), recipe_for(settings)))
    assert reads == 2
    assert capsys.readouterr().err == ""


def test_a_state_that_another_run_saves_where_there_was_none_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    point, settings = CheckpointStore(tmp_path / "own.safetensors"), params(network="mlp", epochs=2)
    train_state = TrainState(model_for("mlp", side=SIDE), recipe_for(settings))
    looks = iter([None, None])

    def not_there_yet(path: Path) -> None:
        path.write_bytes(b"of another run, since that look")
        return next(looks)

    monkeypatch.setattr(resume, "_file_version", not_there_yet)
    assert not point.restore(train_state)
    assert point.path.read_bytes() == b"of another run, since that look"
    assert capsys.readouterr().err == ""
