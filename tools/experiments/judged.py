"""Looks at a trial's validation while it trains, and tells when it is poor beside the earlier ones."""

from pathlib import Path

from optuna.trial import Trial

from classifier.csv_file import read_table
from tools.review.results import HISTORY


class Judged:
    """Reports each epoch of plots/history.csv in `folder`, which `train` rewrites after every epoch, to Optuna's `trial`.

    The epochs are judged one after the other, however many have come since the last look, so that what is pruned does not
    depend on when it was looked.
    """

    def __init__(self, trial: Trial, metric: str, folder: Path) -> None:
        self._trial, self._metric, self._history = trial, metric, folder / HISTORY
        self._before: tuple[int, int] | None = None
        self.num_epochs = max(trial._get_latest_trial().intermediate_values, default=0)
        self.is_poor = False

    def begin(self) -> None:
        """To be called before the training: a history that lies there now counts for nothing."""
        self._before = self._identity()

    def look(self) -> bool:
        """Whether it is poor by now."""
        identity = self._identity()
        if identity and identity != self._before:
            self.report(self._history)
        return self.is_poor

    def report(self, history: Path) -> None:
        """Report the epochs that are new, up to one at which the trial is poor."""
        figures = read_table(history, ["epoch", self._metric])[self._metric]
        for figure in figures[self.num_epochs :]:
            if self.is_poor:
                return
            self.num_epochs += 1
            self._trial.report(float(figure), self.num_epochs)
            self.is_poor = self._trial.should_prune()

    def _identity(self) -> tuple[int, int] | None:
        try:
            status = self._history.stat()
        except FileNotFoundError:
            return None
        return status.st_ino, status.st_mtime_ns
