"""Stage `plot`: plots/*.csv, metrics/train.json, data/dataset/test -> plots/*.png."""

import sys
from pathlib import Path

import pandas as pd

from classifier.common.csv_file import read_csv
from classifier.common.errors import UserError, short_repr
from classifier.common.files import read_json, together
from classifier.figures.charts import class_bars, confusion_matrix, learning_curves
from classifier.figures.galleries import mistake_gallery, sample_grid
from classifier.figures.params import PlotParams
from classifier.figures.style import save_png, styled
from classifier.images.arrays import load_split
from classifier.images.schema import KeptEpoch
from stages.runner import run_stage


def main(params: PlotParams, root: Path = Path()) -> None:
    """Draw the figures of the last run; they depend on the files read and on nothing else."""
    plots = root / "plots"
    history = read_csv(plots / "history.csv", ["epoch", "train_loss", "train_accuracy"])
    predictions = read_csv(plots / "predictions.csv", ["actual", "predicted", "confidence"])
    classes = read_csv(plots / "classes.csv", ["class", "precision", "recall", "f1", "support"])
    names = list(classes["class"])
    images_NCHW, _ = load_split(root / "data/dataset/test")
    kept_epoch = read_json(root / "metrics/train.json", KeptEpoch).best_epoch
    _check_misfits(plots, history, kept_epoch, predictions, names, len(images_NCHW))
    with together(), styled(names) as remark:
        save_png(learning_curves(history, kept_epoch), plots / "curves.png")
        save_png(confusion_matrix(predictions, names), plots / "confusion.png")
        save_png(class_bars(classes), plots / "classes.png")
        save_png(sample_grid(images_NCHW, predictions["actual"], names), plots / "samples.png")
        save_png(mistake_gallery(images_NCHW, predictions), plots / "mistakes.png")
    if remark:
        print(f"plots: {remark}: dvc repro --force --single-item plot", file=sys.stderr)


def _check_misfits(
    plots: Path, history: pd.DataFrame, kept_epoch: int, predictions: pd.DataFrame, names: list[str], num_images: int
) -> None:
    """Raise UserError for tables that are not of one run."""
    if list(history["epoch"]) != list(range(1, len(history) + 1)):
        raise UserError(f"{plots / 'history.csv'}: needs the epochs 1 to {len(history)} in order; run `dvc repro`")
    if kept_epoch > len(history):
        needed = f"the epoch {short_repr(kept_epoch)} that metrics/train.json names"
        raise UserError(f"{plots / 'history.csv'}: needs {needed}, found {len(history)} epochs; run `dvc repro`")
    if len(set(names)) < len(names):
        raise UserError(f"{plots / 'classes.csv'}: needs each class once; run `dvc repro`")
    if len(predictions) != num_images:
        found = f"data/dataset/test has {num_images} images, found {len(predictions)} rows"
        raise UserError(f"{plots / 'predictions.csv'}: {found}; run `dvc repro`")
    unknown = {*predictions["actual"], *predictions["predicted"]} - set(names)
    if unknown:
        raise UserError(
            f"{plots / 'predictions.csv'}: {short_repr(min(unknown))} is not a class of classes.csv; run `dvc repro`"
        )


if __name__ == "__main__":
    run_stage("plot", main, PlotParams)
