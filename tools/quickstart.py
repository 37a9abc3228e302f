"""Get the data, train, measure and plot, after the set-up of `make quickstart`; without a network, on the digits."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from classifier.common.errors import UserError, one_line
from classifier.common.files import replacing
from classifier.common.params import PARAMS_FILE, read_yaml, validate
from classifier.images.schema import OWN
from classifier.sources.catalogue import load_dataset
from classifier.sources.fetch import UnreachableError
from classifier.sources.params import DownloadParams
from stages.download import fetch
from tools.command import Parser, run_command

FALLBACK = "digits"
_MARK = "  # put by make quickstart in place of "
_LINE = re.compile(rb"^(dataset:[ \t]+)([^\r\n]+)", re.MULTILINE)
_LINE_PUT_BY_US = re.compile(rb"^(dataset:[ \t]+)" + re.escape(FALLBACK + _MARK).encode() + rb"([^\r\n]+)", re.MULTILINE)


def main(arguments: list[str] | None = None) -> int:
    """Get the data, then check and run the pipeline. Returns the exit status."""
    Parser(
        prog="python -m tools.quickstart", description=(__doc__ or "").partition("\n")[0], epilog="example: make quickstart"
    ).parse_args(arguments)
    _rewrite(PARAMS_FILE, without_fallback)
    params = validate(PARAMS_FILE, read_yaml(PARAMS_FILE), DownloadParams)
    _say(f"quickstart: get {params.dataset}, then train, measure and plot; Ctrl-C stops, and the same command goes on")
    try:
        if params.dataset not in OWN:
            fetch(params.dataset, load_dataset(Path(params.source), params.dataset), Path())
    except UnreachableError as error:
        if run("dvc", "status", "--quiet", "download") != 0:  # nothing is missing where the stage would not run
            _rewrite(PARAMS_FILE, with_fallback)
            _say(f"{one_line(error)}\n\n{explanation(params.dataset)}\n")
    status = run("tools.check") or run("dvc", "repro")
    if status == 0:
        _say(where_to_look(Path()))
    return status


def with_fallback(params_text: bytes) -> bytes:
    """The text of params.yaml with `dataset: digits` and, in a comment, what stood there; every other byte as it was."""
    if len(_LINE.findall(params_text)) != 1:
        raise UserError(f"{PARAMS_FILE}: needs one line like `dataset: fashion_mnist`; write it so")
    return _LINE.sub(rb"\g<1>" + (FALLBACK + _MARK).encode() + rb"\g<2>", params_text)


def without_fallback(params_text: bytes) -> bytes:
    """The inverse of `with_fallback`; a `dataset` line that it did not write stays."""
    return _LINE_PUT_BY_US.sub(rb"\g<1>\g<2>", params_text)


def _rewrite(path: Path, change: Callable[[bytes], bytes]) -> None:
    before = path.read_bytes()
    after = change(before)
    if after != before:
        with replacing(path) as partial:
            partial.write_bytes(after)


def explanation(dataset: str) -> str:
    """What a person must know of the fallback, in one sentence."""
    return (
        f"No source of {dataset} answered with its files, so this run uses the digits inside scikit-learn: "
        f"params.yaml now says `dataset: {FALLBACK}`, dvc.lock, metrics and plots will be those of the digits "
        "(`git checkout HEAD -- params.yaml dvc.lock metrics plots` brings the committed ones back), "
        f"and the next `make quickstart` tries {dataset} again."
    )


def run(module: str, *arguments: str) -> int:
    """Run `python -m module arguments`; the exit status, 130 after Ctrl-C.

    The terminal sends Ctrl-C to the child too. We wait for its own end: killing DVC would leave its stage running.
    """
    interrupts: list[int] = []
    previous = signal.signal(signal.SIGINT, lambda number, frame: interrupts.append(number))
    try:
        status = subprocess.Popen([sys.executable, "-m", module, *arguments]).wait()
    finally:
        signal.signal(signal.SIGINT, previous)
    if interrupts:
        raise KeyboardInterrupt
    return status


def where_to_look(root: Path) -> str:
    """The test accuracy, the pictures, and what to try next."""
    accuracy = json.loads((root / "metrics/test.json").read_text(encoding="utf-8"))["test_accuracy"]
    pictures = "\n".join(f"  {path.relative_to(root)}" for path in sorted(root.glob("plots/*.png")))
    return f"""
Test accuracy: {accuracy:.2%} (more in metrics/test.json). The pictures:
{pictures}
Next: `source .venv/bin/activate`, then change a number and compare:
  dvc exp run -S lr=0.002
  dvc exp show
  dvc metrics diff"""


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    run_command(main)
