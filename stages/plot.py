"""Stage `plot`: plots/*.csv, metrics/train.json, data/dataset/test -> plots/*.png."""

from pathlib import Path

from classifier.arrays import load_split
from classifier.csv_file import read_table
from classifier.errors import UserError
from classifier.figure_style import save_png, styled
from classifier.figures import class_bars, confusion_matrix, learning_curves
from classifier.files import read_json
from classifier.galleries import mistake_gallery, sample_grid
from classifier.params.plot import PlotParams
from classifier.schema import KeptEpoch
from stages.runner import run_stage


def main(params: PlotParams, root: Path = Path()) -> None:
    """Draw the figures of the last run; they depend on the files read and on nothing else."""
    plots = root / "plots"
    history = read_table(plots / "history.csv", ["epoch", "train_loss", "train_accuracy"])
    predictions = read_table(plots / "predictions.csv", ["actual", "predicted", "confidence"])
    classes = read_table(plots / "classes.csv", ["class", "precision", "recall", "f1", "support"])
    names = list(classes["class"])
    images_NCHW, _ = load_split(root / "data/dataset/test")
    if len(images_NCHW) != len(predictions):
        raise UserError(
            f"{plots / 'predictions.csv'}: data/dataset/test has {len(images_NCHW)} images, found {len(predictions)} rows; "
            "run `dvc repro`"
        )
    kept_epoch = read_json(root / "metrics/train.json", KeptEpoch).best_epoch
    with styled():
        save_png(learning_curves(history, kept_epoch), plots / "curves.png")
        save_png(confusion_matrix(predictions, names), plots / "confusion.png")
        save_png(class_bars(classes), plots / "classes.png")
        save_png(sample_grid(images_NCHW, predictions["actual"], names), plots / "samples.png")
        save_png(mistake_gallery(images_NCHW, predictions), plots / "mistakes.png")


if __name__ == "__main__":
    run_stage("plot", main, PlotParams)
