"""Export the model as an ONNX file with a model card, into models/export/: `make export`.

Exit status: 0; 1 when something is missing or does not fit, and then nothing is written; 2 for a wrong command line.
"""

import argparse
import json
import sys
from pathlib import Path

from classifier.common.errors import UserError
from classifier.common.files import one_process, replacing_folder
from classifier.common.versions import differing_versions
from classifier.compute.device import set_up_compute
from record.results import EVALUATE
from record.revisions import Provenance, read_provenance
from tools.command import Parser, run_command
from tools.export.card import Export, model_card
from tools.export.onnx_file import OLDEST_RUNTIME, OPSET, Probabilities, compare, write_onnx
from tools.export.origin import Origin, check_lock, read_origin, read_train_set
from tools.export.quantised import check_int8, write_int8

TARGET = Path("models/export")
MODEL, INT8, CARD = "model.onnx", "model.int8.onnx", "README.md"
REQUIREMENTS = Path("requirements-export.txt")
PACKAGES = ("torch", "onnx", "onnxscript", "onnxruntime")
"""Whose versions the card names."""


def main(arguments: list[str] | None = None) -> int:
    """Export, and say what was written."""
    parser = Parser(
        prog="python -m tools.export",
        description=(__doc__ or "").partition("\n")[0],
        epilog="example: python -m tools.export --int8 --license mit",
    )
    parser.add_argument(
        "--license", metavar="ID", help="the licence of the model, as model hubs spell it: mit, apache-2.0, cc-by-4.0"
    )
    parser.add_argument(
        "--int8", action="store_true", help=f"also write {INT8}: eight bits, kept only if it is not significantly worse"
    )
    parser.add_argument(
        "--opset", type=int, choices=OLDEST_RUNTIME, default=OPSET, help="version of ONNX's operators (default: %(default)s)"
    )
    options = parser.parse_args(arguments)
    if remark := check_packages():
        print(remark, file=sys.stderr)
    if not Path(".dvc").is_dir():
        raise UserError(".dvc: no such folder; run this in the folder that has dvc.yaml")
    with one_process(Path(".dvc/tmp/export.lock"), f"{TARGET}: another export is at work here; wait until it has ended"):
        _check_other_files()
        origin = read_origin()
        export = _export(origin, options)
    agreement, num_images = export.agreement, len(origin.test_set)
    ties = f" but {agreement.num_ties} ties" if agreement.num_ties else ""
    print(f"{TARGET / MODEL}: {len(export.content):,} bytes, uint8 images in, probabilities out")
    print(
        f"checked on {num_images:,} test images: the class that PyTorch gives, on all{ties}; "
        f"probabilities at most {agreement.largest_difference:.1e} apart"
    )
    if export.int8:
        print(
            f"{TARGET / INT8}: {len(export.int8.content):,} bytes; test accuracy {export.int8.accuracy:.2%}, "
            f"{export.int8.verdict} from the float32 file"
        )
    unlicensed = "" if export.license else "; it names no licence: --license mit writes one"
    print(f"{TARGET / CARD}: the model card, which also says how to use it{unlicensed}")
    return 0


def _export(origin: Origin, options: argparse.Namespace) -> Export:
    """Write the files, check each model, and only then put them in place of earlier ones."""
    threads = int(origin.param(EVALUATE, "threads"))
    set_up_compute("cpu", threads)
    description = origin.description
    network = Probabilities(origin.model, flip_tta=origin.flip_tta)
    with replacing_folder(TARGET) as folder:
        provenance = _provenance()
        write_onnx(folder / MODEL, network, description, _metadata(origin, provenance), options.opset)
        agreement = compare(folder / MODEL, network, origin.test_set, description.classes, threads)
        int8 = None
        if options.int8:
            write_int8(folder / INT8, folder / MODEL, read_train_set(origin))
            int8 = check_int8(folder / INT8, agreement.predicted_N, origin.test_set, threads)
        content = (folder / MODEL).read_bytes()
        export = Export(origin, provenance, agreement, content, int8, options.opset, options.license)
        (folder / CARD).write_text(model_card(export), encoding="utf-8", newline="\n")
        check_lock(origin.lock)  # a `dvc repro` may have gone on meanwhile
    return export


def _metadata(origin: Origin, provenance: Provenance) -> dict[str, str]:
    """What stands in the ONNX file beside the class names."""
    described = origin.description
    return {
        "commit": f"{provenance.commit}{'-dirty' if provenance.changed else ''}",
        "dataset": origin.dataset,
        "network": described.network,
        "input_shape": json.dumps(described.shape_CHW),
        "versions": json.dumps(provenance.versions),
    }


def _check_other_files() -> None:
    """Raise UserError where the folder holds what an export would delete and not make again."""
    others = sorted(path.name for path in TARGET.iterdir() if path.name not in (MODEL, INT8, CARD)) if TARGET.is_dir() else []
    if others:
        raise UserError(f"{TARGET}: an export replaces the whole folder, and it holds {others[0]!r}; move that elsewhere")


def _provenance() -> Provenance:
    found = read_provenance(PACKAGES, with_untracked=True)
    if found.commit is None:
        raise UserError("git: the model card names a commit, and here is none; `git commit` the project first")
    return found


def check_packages() -> str | None:
    """Raise UserError unless all that an export needs is installed; return a line on versions other than the pinned ones."""
    differing = differing_versions(REQUIREMENTS)
    missing = [name for name, (installed, _) in differing.items() if installed == "none"]
    if missing:
        raise UserError(
            f"{', '.join(missing)}: not installed; `make export` installs what an export needs, by hand "
            f"`pip install -r {REQUIREMENTS}`"
        )
    listed = ", ".join(f"{name} {installed} (pinned {pinned})" for name, (installed, pinned) in differing.items())
    return f"versions differ from {REQUIREMENTS}, so bytes may too: {listed}" if differing else None


if __name__ == "__main__":
    run_command(main)
