"""Writes one run as TensorBoard's event file. Legend: N images, C channels, H height, W width."""

import json
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from classifier.common.csv_file import read_csv
from classifier.common.errors import UserError
from classifier.common.files import read_json
from classifier.images.schema import DatasetInfo, KeptEpoch
from classifier.model.dataset import ImageDataset
from classifier.model.file import load_model
from record.metrics import TEST_METRICS, TRAIN_METRICS, Metrics
from record.results import HISTORY, MODEL_WEIGHTS, PREDICTIONS
from tools.tensorboard.runs import CONFUSION, DATASET, STEPS, RunFiles

SAMPLES_PER_CLASS = 10
MAX_CLASSES = 20
WIDEST = 2000
"""Pixels of a row of samples; one sample at least."""
CONFIDENCE_BINS = np.linspace(0, 1, 51)
_LARGEST_STEP = 2**63 - 1


def write_run(folder: Path, run: RunFiles) -> int:
    """Write the event file of `run` into `folder`; return the number of its epochs. Raises UserError for a damaged part."""
    history = read_curves(run.folder / HISTORY, "epoch")
    now = time.time()  # one for all points: when each was made is not recorded, and the axis of time shall not invent it
    # purge_step tells a server at work to drop what it has read of the run before.
    with SummaryWriter(str(folder), purge_step=0) as writer:
        _add_curves(writer, history, "epoch", now)
        if has_rows(run.folder / STEPS):
            _add_curves(writer, read_curves(run.folder / STEPS, "step"), "step", now)
        if run.params:
            _add_params(writer, run.params)
        writer.add_custom_scalars({"by epoch": _charts(history)})
        if run.has_samples:
            _add_samples(writer, run.folder / DATASET)
        if run.has_model:
            _add_model(writer, run.folder)
        if run.has_confidences:
            _add_confidences(writer, run.folder)
            _add_test(writer, run.folder, now)
    return len(history)


def read_curves(path: Path, counter: str) -> pd.DataFrame:
    """A table with the columns `counter`, train_loss, train_accuracy. Raises UserError unless `counter` is whole and rises."""
    table = read_csv(path, [counter, "train_loss", "train_accuracy"])
    counted = list(table[counter])
    rises = all(before < after for before, after in zip([0, *counted], counted, strict=False))
    if not rises or not all(isinstance(value, int) and value <= _LARGEST_STEP for value in counted):
        raise UserError(f"{path}: needs whole numbers from 1 on in the column {counter!r}, each above the one before")
    return table


def has_rows(path: Path) -> bool:
    """Whether `path` is a file of more than its header: without `eval_every` there are no figures by step."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return bool(file.readline() and file.readline())


def _add_curves(writer: SummaryWriter, table: pd.DataFrame, counter: str, now: float) -> None:
    for name in table.columns.drop(counter):
        for number, figure in zip(table[counter], table[name], strict=True):
            writer.add_scalar(f"by_{counter}/{name}", figure, int(number), walltime=now)


def _add_params(writer: SummaryWriter, params: dict[str, Any]) -> None:
    """For the tab HParams, which finds the columns of all runs itself, and as a table for the tab Text."""
    plain = {
        name: value if isinstance(value, bool | int | float | str) else json.dumps(value) for name, value in params.items()
    }
    _, session, _ = hparams(plain, {})
    writer._get_file_writer().add_summary(session)  # add_hparams would write a run of its own below this one
    rows = "".join(f"| {name} | `{json.dumps(value)}` |\n" for name, value in sorted(params.items()))
    writer.add_text("params", f"| param | value |\n| :-- | :-- |\n{rows}")


def _add_test(writer: SummaryWriter, root: Path, now: float) -> None:
    """The metrics of the test split as scalars, which the tab HParams shows beside the params; and the confusion matrix."""
    epoch = read_json(root / TRAIN_METRICS, KeptEpoch).best_epoch
    for name, figure in read_json(root / TEST_METRICS, Metrics).root.items():
        writer.add_scalar(f"test/{name.removeprefix('test_')}", figure, epoch, walltime=now)
    if (root / CONFUSION).is_file():
        with Image.open(root / CONFUSION) as picture:
            writer.add_image("test/confusion", np.asarray(picture.convert("RGB")), epoch, dataformats="HWC")


def _charts(history: pd.DataFrame) -> dict[str, list[str | list[str]]]:
    """For the tab Custom Scalars: training and validation in one chart, as {"loss": ["Multiline", tags]}."""
    charts: dict[str, list[str | list[str]]] = {}
    for figure in ("loss", "accuracy"):
        tags = [f"by_epoch/{split}_{figure}" for split in ("train", "val") if f"{split}_{figure}" in history]
        charts[figure] = ["Multiline", tags]
    return charts


def _add_samples(writer: SummaryWriter, folder: Path) -> None:
    """The first images to train on of each class, side by side; the number keeps apart names that differ in signs alone."""
    info = read_json(folder / "dataset.json", DatasetInfo)
    samples = ImageDataset.from_folder(folder / "train", info)
    most = min(SAMPLES_PER_CLASS, max(1, WIDEST // info.shape_CHW[2]))
    for label, name in enumerate(info.classes[:MAX_CLASSES]):
        rows = np.flatnonzero(samples.labels_N == label)[:most]
        if len(rows):
            writer.add_image(f"samples/{label}_{name}", _row(samples.images_NCHW[rows]), 0)


def _row(images_NCHW: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Side by side, as one image of 3 channels or 1."""
    row_CHW = np.concatenate(list(images_NCHW), axis=2)
    return row_CHW if len(row_CHW) == 3 else row_CHW[:1]


def _add_model(writer: SummaryWriter, root: Path) -> None:
    """The graph, and a histogram of each tensor of the kept weights at the kept epoch."""
    model, description = load_model(root / "models")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch.jit.trace, which add_graph calls, is to go some day
        # And its remarks on branches: the graph is of one size of images.
        warnings.simplefilter("ignore", torch.jit.TracerWarning)  # type: ignore[attr-defined]
        writer.add_graph(model, torch.zeros(1, *description.shape_CHW, dtype=torch.uint8))
    for name, tensor in model.network.state_dict().items():
        if tensor.is_floating_point():
            if not tensor.isfinite().all():
                raise UserError(f"{root / MODEL_WEIGHTS}: needs finite weights, found others in {name}; run `dvc repro`")
            writer.add_histogram(f"weights/{name}", tensor, description.kept_epoch)


def _add_confidences(writer: SummaryWriter, root: Path) -> None:
    """Histograms of the test confidences at the kept epoch: of all images, of those classified right, and of the mistakes."""
    path = root / PREDICTIONS
    predictions = read_csv(path, ["actual", "predicted", "confidence"])
    if not predictions["confidence"].between(0, 1).all():
        raise UserError(f"{path}: needs confidences from 0 to 1; run `dvc repro`")
    epoch = read_json(root / TRAIN_METRICS, KeptEpoch).best_epoch
    right = predictions["actual"] == predictions["predicted"]
    for name, chosen in (("all", right | ~right), ("right", right), ("wrong", ~right)):
        confidences = predictions.loc[chosen, "confidence"].to_numpy(dtype=np.float64)
        if len(confidences):
            writer.add_histogram(f"confidence/{name}", confidences, epoch, bins=CONFIDENCE_BINS)
