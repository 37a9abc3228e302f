"""Which images a step takes, and the history by step."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from classifier.common.errors import UserError
from classifier.common.files import write_json
from classifier.images.arrays import write_split
from classifier.model.dataset import ImageDataset
from classifier.model.file import load_model
from classifier.model.inference import predict
from classifier.training.checkpoint import CheckpointStore
from classifier.training.history import Epoch, Result, StepRow, history_table, steps_table
from classifier.training.loader import steps_of_epoch
from classifier.training.loop import TrainState, fit
from stages.train import main
from tests.support.training import CPU, model_for, params, random_set, recipe_for, train


def test_an_epoch_takes_every_image_once_and_another_order_each_time() -> None:
    recipe = recipe_for(params(), random_set(20))
    first, second = (torch.cat(steps_of_epoch(recipe, epoch, CPU)) for epoch in (1, 2))
    assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(20))
    assert first.tolist() != second.tolist()
    assert [len(step) for step in steps_of_epoch(recipe, 1, CPU)] == [8, 8, 4]


def test_without_shuffling_the_order_is_that_of_the_file() -> None:
    taken = steps_of_epoch(recipe_for(params(shuffle=False), random_set(20)), 3, CPU)
    assert [step.tolist() for step in taken] == [list(range(8)), list(range(8, 16)), list(range(16, 20))]


@pytest.mark.parametrize(("num_images", "lengths"), [(20, [8, 8]), (16, [8, 8]), (8, [8])])
def test_a_last_batch_that_is_not_full_is_dropped(num_images: int, lengths: list[int]) -> None:
    train_set = random_set(num_images)
    taken = steps_of_epoch(recipe_for(params(drop_last=True), train_set), 1, CPU)
    assert [len(step) for step in taken] == lengths
    order = torch.cat(steps_of_epoch(recipe_for(params(), train_set), 1, CPU))
    assert torch.equal(torch.cat(taken), order[: sum(lengths)])


def test_dropped_images_are_neither_trained_on_nor_counted() -> None:
    """Of 20 images in the order of the file the last four: training on the first 16 alone is the same."""
    settings = params(network="mlp", drop_last=True, shuffle=False)
    whole = random_set(20)
    part = ImageDataset(whole.images_NCHW[:16], whole.labels_N[:16])
    dropped, without = (train(model_for("mlp"), images, random_set(0), settings) for images in (whole, part))
    assert dropped.history == without.history
    assert torch.equal(dropped.weights["1.weight"], without.weights["1.weight"])


def test_a_lone_image_that_is_dropped_is_not_refused() -> None:
    settings = params(network="pyramid", optimizer="muon", momentum=None, drop_last=True)
    train(model_for("pyramid", side=8), random_set(9, side=8), random_set(0, side=8), settings)


def metrics(row: StepRow | Epoch) -> list[float | None]:
    return [row.train_loss, row.train_accuracy, row.val_loss, row.val_accuracy]


def test_a_row_has_the_figures_of_the_steps_since_the_one_before_and_validation_at_that_moment() -> None:
    """Three steps an epoch and a row every two: one row in two spans the end of an epoch, whose last batch is short."""
    settings = params(network="mlp", epochs=4, eval_every=2, lr=0.3)
    train_set, val_set = random_set(20), random_set(9, seed=1)
    recipe = recipe_for(settings, train_set)
    seen: list[tuple[float, int, int]] = []
    validated: list[tuple[float, float]] = []

    class Watched(TrainState):
        """Measures what the coming step is about to train on, and after it the validation images."""

        def step(self, number: int) -> None:
            rows = steps_of_epoch(recipe, number // 3 + 1, CPU)[number % 3].numpy()
            batch = ImageDataset(train_set.images_NCHW[rows], train_set.labels_N[rows])
            before = predict(self.model, batch)
            seen.append((before.loss * len(rows), round(before.accuracy * len(rows)), len(rows)))
            self.model.train()
            super().step(number)
            after = predict(self.model, val_set)
            validated.append((after.loss, after.accuracy))
            self.model.train()

    result = fit(Watched(model_for("mlp"), recipe), train_set, val_set, lambda result: None)
    assert [row.step for row in result.steps] == [2, 4, 6, 8, 10, 12]
    for row in result.steps:
        losses, correct, sizes = np.array(seen[row.step - 2 : row.step]).sum(axis=0)
        assert metrics(row) == pytest.approx([losses / sizes, correct / sizes, *validated[row.step - 1]], rel=1e-5)
    assert result.since_row.seen == 0
    table = steps_table(result)
    assert list(table.columns) == ["step", "train_loss", "train_accuracy", "val_loss", "val_accuracy"]
    assert len(table) == 6


@pytest.mark.parametrize("network", ["mlp", "cnn", "pyramid"])
def test_the_history_by_step_changes_nothing_else(network: str) -> None:
    def run(eval_every: int | None) -> Result:
        settings = params(network=network, epochs=2, eval_every=eval_every)
        return train(model_for(network, side=16), random_set(30, side=16), random_set(9, side=16, seed=1), settings)

    with_rows, without = run(1), run(None)
    assert len(with_rows.steps) == 8
    assert without.steps == ()
    assert all(torch.equal(with_rows.weights[name], without.weights[name]) for name in without.weights)
    for ours, theirs in zip(with_rows.history, without.history, strict=True):
        assert metrics(ours) == pytest.approx(metrics(theirs), rel=1e-12)


def test_without_validation_the_rows_have_the_training_figures_alone() -> None:
    """A row an epoch is then the epoch's."""
    result = train(model_for("mlp"), random_set(24), random_set(0), params(network="mlp", epochs=3, eval_every=3))
    assert list(steps_table(result).columns) == ["step", "train_loss", "train_accuracy"]
    assert steps_table(result)["train_loss"].tolist() == history_table(result)["train_loss"].tolist()


def test_a_row_that_is_not_finite_is_refused_with_its_step() -> None:
    with pytest.raises(UserError, match=r"^training diverged in step \d+: train_loss is (nan|inf); try a lower `lr`$"):
        train(model_for("mlp"), random_set(64), random_set(0), params(network="mlp", lr=1000, epochs=20, eval_every=1))


class BrokenOffError(Exception):
    """Stands in for a kill."""


@pytest.mark.parametrize("eval_every", [2, 5])
def test_a_run_that_was_broken_off_has_the_same_rows(tmp_path: Path, eval_every: int) -> None:
    """Of three steps an epoch: the sums of the steps after the last row are carried over, with five for a whole epoch."""
    settings = params(network="mlp", epochs=5, eval_every=eval_every)
    sets = random_set(20), random_set(9, seed=1)
    straight = train(model_for("mlp"), *sets, settings)
    point = CheckpointStore(tmp_path / "state.safetensors")
    for broken_off_after in (1, 3, 4, 0):
        train_state = TrainState(model_for("mlp"), recipe_for(settings, sets[0]))

        def after_epoch(result: Result, train_state: TrainState = train_state, last: int = broken_off_after) -> None:
            point.save(train_state)
            if len(result.history) == last:
                raise BrokenOffError

        point.restore(train_state)
        if broken_off_after:
            with pytest.raises(BrokenOffError):
                fit(train_state, *sets, after_epoch)
    resumed = fit(train_state, *sets, after_epoch)
    assert len(resumed.steps) == 15 // eval_every
    assert (resumed.steps, resumed.since_row, resumed.history) == (straight.steps, straight.since_row, straight.history)


def make_data(root: Path, num_val: int = 6) -> ImageDataset:
    images = random_set(24)
    for split, rows in (("train", 24), ("val", num_val)):
        write_split(root / "data/dataset" / split, rows, (1, 6, 6), iter([(images.images_NCHW[:rows], images.labels_N[:rows])]))
    described = {"dataset": "mine", "classes": ["a", "b", "c"], "shape_CHW": (1, 6, 6), "hflip_invariant": True}
    described |= {"mean": [0.5], "std": [0.25]}
    write_json(root / "data/dataset/dataset.json", described | {"rows": {"train": 24, "val": num_val, "test": 0}})
    return images


@pytest.mark.parametrize(("num_val", "columns"), [(6, ",val_loss,val_accuracy"), (0, "")])
def test_the_table_exists_also_when_it_is_off(tmp_path: Path, num_val: int, columns: str) -> None:
    make_data(tmp_path, num_val)
    main(params(network="mlp"), tmp_path)
    assert (tmp_path / "plots/steps.csv").read_text() == f"step,train_loss,train_accuracy{columns}\n"
    main(params(network="mlp", eval_every=2, epochs=3), tmp_path)
    assert pd.read_csv(tmp_path / "plots/steps.csv")["step"].tolist() == [2, 4, 6, 8]


@pytest.mark.parametrize("ema_decay", [None, 0.5])
def test_the_training_images_are_measured_again_with_the_kept_weights(tmp_path: Path, ema_decay: float | None) -> None:
    images = make_data(tmp_path)
    settings: dict[str, Any] = {"network": "mlp", "epochs": 6, "lr": 0.5, "augment": ["flip"], "ema_decay": ema_decay}
    main(params(**settings), tmp_path)
    plain = json.loads((tmp_path / "metrics/train.json").read_text())
    main(params(**settings, evaluate_train=True), tmp_path)
    again = json.loads((tmp_path / "metrics/train.json").read_text())
    assert again.items() > plain.items()
    assert again.keys() - plain.keys() == {"kept_train_loss", "kept_train_accuracy"}
    predictions = predict(load_model(tmp_path / "models")[0], images)
    assert again["kept_train_loss"] == pytest.approx(predictions.loss, abs=1e-6)
    assert again["kept_train_accuracy"] == pytest.approx(predictions.accuracy, abs=1e-6)
    assert again["kept_train_loss"] != again["train_loss"]


def test_weights_that_the_last_step_ruined_are_refused(tmp_path: Path) -> None:
    """Without validation nobody has seen them: the one step's figures are those before it."""
    make_data(tmp_path, num_val=0)
    ruinous = params(network="mlp", batch_size=24, lr=1000.0, weight_decay=1.0, precision="float32", evaluate_train=True)
    with pytest.raises(UserError, match=r"^training diverged in epoch \d+: "):
        main(ruinous.model_copy(update={"lr": 1e38}), tmp_path)
    assert not (tmp_path / "models").exists()
