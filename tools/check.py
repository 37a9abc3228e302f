"""Check params.yaml, dvc.yaml and DVC's settings before anything runs: `python -m tools.check`.

One line a problem; exit status 1 if any.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from classifier.catalogue import load_dataset
from classifier.common.errors import UserError, shown
from classifier.common.graph import GRAPH_FILE, declared_paths, load_graph, names, used_keys
from classifier.common.ignore_rules import ignore_problems
from classifier.common.modules import PACKAGES, is_code, with_modules
from classifier.network_sizes import unfit_images
from classifier.own_data import OWN, refuse_mismatch
from classifier.params.base import Params, read_yaml, refusals, unknown_keys
from classifier.params.build import BuildParams
from classifier.params.convert import ConvertParams
from classifier.params.download import DownloadParams
from classifier.params.evaluate import EvaluateParams
from classifier.params.launcher import LauncherParams
from classifier.params.plot import PlotParams
from classifier.params.train import TrainParams
from classifier.params.weights import WeightsParams
from stages.runner import PARAMS_FILE, one_line
from tools.committed_secrets import committed_secrets
from tools.dvc_locks import damaged_tables
from tools.import_closure import declared_code, import_closure
from tools.interrupted import interrupted_experiment
from tools.lock_file import lock_file_problem

STAGE_PARAMS: dict[str, type[Params]] = {
    "download": DownloadParams,
    "convert": ConvertParams,
    "build": BuildParams,
    "weights": WeightsParams,
    "train": TrainParams,
    "evaluate": EvaluateParams,
    "plot": PlotParams,
}
COMMAND_PARAMS: tuple[type[Params], ...] = (LauncherParams,)
"""Those that stand in a command, and that no stage's code reads."""


def problems(root: Path = Path()) -> list[str]:
    """Every problem of what a killed DVC left, of its settings, of the params and of the graph under `root`, one line each."""
    found = [*_left_by_dvc(root), *committed_secrets(root)]
    try:
        values = read_yaml(root / PARAMS_FILE)
        graph = load_graph(root / GRAPH_FILE)
        found += [*params_problems(root, values, root / PARAMS_FILE), *_graph_problems(root, graph)]
        declared = [path for stage in graph.values() for path in declared_paths(stage, values)]
        return list(dict.fromkeys([*found, *ignore_problems(root, declared)]))
    except (UserError, OSError, SyntaxError) as error:
        return [*found, one_line(error)]


def _left_by_dvc(root: Path) -> Iterator[str]:
    """What a DVC that was killed left git and its own files in, each with the mend."""
    for found in (interrupted_experiment(root), lock_file_problem(root)):
        if found:
            yield found
    for table in damaged_tables(root):
        yield f"{table}: damaged, as by a kill or a power cut, and DVC stops at it; when no `dvc` runs here, `rm {table}`"


def params_problems(root: Path, values: dict[str, Any], path: Path, *, own_images: bool = True) -> Iterator[str]:
    """Every problem of `values`, which stand in `path`, with the graph and the data sets under `root`, one line each.

    Without `own_images`, whether a person's own images are there is not looked at.
    """
    yield from unknown_keys(path, values, used_keys(root / GRAPH_FILE))
    refused = _refused(values, path)
    if not refused and (own_images or values["dataset"] not in OWN):
        yield from source_problems(root, values["source"], values["dataset"])
    yield from refused or _image_size_problems(path, values["network"], values["image_size"])


def value_problems(values: dict[str, Any], path: Path) -> list[str]:
    """Those of the values alone and beside each other: no file is read for them, so that many settings take no time."""
    return _refused(values, path) or [*_image_size_problems(path, values["network"], values["image_size"])]


def _refused(values: dict[str, Any], path: Path) -> list[str]:
    models: list[type[Params]] = [*STAGE_PARAMS.values(), *COMMAND_PARAMS]
    return list(dict.fromkeys(line for model in models for line in refusals(path, values, model)))


def source_problems(root: Path, source: str, dataset: str) -> Iterator[str]:
    """What is wrong with the catalogue or the images under `root`, if anything."""
    try:
        refuse_mismatch(root / source, dataset)
        if dataset not in OWN:
            load_dataset(root / source, dataset)
    except (UserError, OSError) as error:
        yield one_line(error)


def _image_size_problems(path: Path, network: str, image_size: int) -> Iterator[str]:
    if problem := unfit_images(network, image_size, image_size):
        yield f"{path}: {problem}"


def _graph_problems(root: Path, graph: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Where dvc.yaml and the code differ: a stage's params must be its code's fields, its code deps what its code imports.

    Its code is the modules that its command runs, as `python -m stages.launch ${launcher} -m stages.train` runs two.
    """
    yield from _odd_modules(root)
    for name, model in STAGE_PARAMS.items():
        declared = graph.get(name, {})
        for verb, odd in _differences(set(names(declared.get("params", []))), set(model.model_fields)):
            yield f"{root / GRAPH_FILE}: stage {name}: {verb} the param {odd}"
        modules = {f"stages.{name}", *re.findall(r"-m (stages\.\w+)", str(declared.get("cmd", "")))}
        imported = {file.as_posix() for module in modules for file in import_closure(module, root)}
        deps = names(declared.get("deps", []))
        for problem in (*_odd_folders(deps, root), *_code_problems(declared_code(deps, root), imported)):
            yield f"{root / GRAPH_FILE}: stage {name}: {problem}"


def _odd_modules(root: Path) -> Iterator[str]:
    """What git, DVC and Python take for different things: links, folders, and names that cannot be imported."""
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            if path.is_symlink() or not path.is_file() or not path.stem.isidentifier():
                yield f"{shown(str(path))}: needs a plain file with a name that Python can import; rename or remove it"


def _odd_folders(deps: list[str], root: Path) -> Iterator[str]:
    """Folders of code in a stage's `deps` that are not there as DVC and git both see them."""
    for dep in deps:
        path = Path(dep)
        if not is_code(path) or path.suffix == ".py":
            continue
        if path.as_posix() != dep:
            yield f"write {path.as_posix()} for the dependency {dep}"
        elif (root / path).is_symlink() or not with_modules([path], root):
            yield f"the dependency {dep} needs a folder with modules in it"


def _code_problems(declared: dict[str, str], imported: set[str]) -> Iterator[str]:
    """`declared` is what `declared_code` gives."""
    for verb, odd in _differences(set(declared), imported):
        listed = declared.get(odd, odd)
        if listed == odd:
            yield f"{verb} the dependency {odd}"
        else:
            yield (
                f"dvc.yaml lists {listed}, but its code does not use {odd}; move that out of the folder, or list those of the "
                f"folder's files that the stage uses"
            )


def _differences(declared: set[str], used: set[str]) -> Iterator[tuple[str, str]]:
    for name in sorted(used - declared):
        yield "its code uses but dvc.yaml does not list", name
    for name in sorted(declared - used):
        yield "dvc.yaml lists but its code does not use", name


if __name__ == "__main__":
    found = problems()
    print("\n".join(found), file=sys.stderr, end="\n" if found else "")
    sys.exit(1 if found else 0)
