"""What is told of a training run: the learning curves, the kept epoch's metrics, and a line for the terminal."""

import pandas as pd

from classifier.training.measured import Measured
from classifier.training.progress import Result


def history_table(result: Result) -> pd.DataFrame:
    """One row an epoch: epoch, train_loss, train_accuracy and, with validation, val_loss, val_accuracy."""
    return pd.DataFrame([{"epoch": epoch.epoch} | epoch.figures() for epoch in result.history])


def steps_table(result: Result) -> pd.DataFrame:
    """One row every `eval_every` steps, with the columns of the table of epochs but `step` for `epoch`; maybe none."""
    columns = ["step", *result.history[-1].figures()]
    return pd.DataFrame([{"step": row.step} | row.figures() for row in result.steps], columns=columns)


def train_metrics(result: Result, again: Measured | None = None) -> dict[str, float]:
    """The kept epoch's figures, to six decimals, and its number as `best_epoch`.

    `again` is what the kept weights say of the images to train on: `kept_train_loss` and `kept_train_accuracy`.
    """
    figures = result.kept.figures()
    if again:
        figures |= {"kept_train_loss": again.loss, "kept_train_accuracy": again.accuracy}
    return {name: round(figure, 6) for name, figure in figures.items()} | {"best_epoch": result.kept.epoch}


def epoch_line(result: Result, num_epochs: int) -> str:
    """The last epoch's figures on one line, starred when it is the one kept so far."""
    last = result.history[-1]
    figures = "  ".join(f"{name} {figure:.4f}" for name, figure in last.figures().items())
    return f"epoch {last.epoch}/{num_epochs}  {figures}{'  *' if last is result.kept else ''}"
