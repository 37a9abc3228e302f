"""The folders of runs/, each whole or not there."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from classifier.common.errors import UserError
from classifier.common.files import naming

RUNS = Path("runs")
STATE = Path(".dvc/tmp")
_EVENTS = "events.out.tfevents."
"""What SummaryWriter begins the name of its file with."""


@contextmanager
def replacing_run(path: Path) -> Iterator[Path]:
    """Yield an empty folder that takes the place of `path` on success.

    TensorBoard reads hidden folders in runs/ too, so the temporary one lies in .dvc/tmp. SummaryWriter gives each of its files
    another name, by which a server at work sees that there is something new.
    """
    refuse_foreign(path)
    STATE.mkdir(parents=True, exist_ok=True)
    path.parent.mkdir(exist_ok=True)
    with TemporaryDirectory(dir=STATE, prefix="tensorboard-") as temporary, naming(path):
        partial = Path(temporary) / path.name
        partial.mkdir()
        yield partial
        remove_run(path)
        partial.replace(path)


def remove_run(path: Path) -> None:
    """Delete the folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)


def refuse_foreign(path: Path) -> None:
    """Raise UserError for a path that holds something else than one of our runs."""
    files = list(path.iterdir()) if path.is_dir() else []
    if (path.exists() and not path.is_dir()) or any(not file.name.startswith(_EVENTS) for file in files):
        raise UserError(f"{path}: holds other things than a run of this tool; move it away")
