"""Check params.yaml, dvc.yaml and DVC's settings before anything runs: `python -m tools.check`.

One line a problem; exit status 1 if any.
"""

import ast
import re
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from classifier.common.dvcignore import ignore_problems
from classifier.common.errors import UserError, one_line, short_repr
from classifier.common.graph import GRAPH_FILE, PACKAGES, declared_paths, is_code, load_graph, names, used_keys, with_modules
from classifier.common.params import PARAMS_FILE, Params, read_yaml, refusals, unknown_keys
from classifier.common.text import visible
from classifier.decoding.params import ConvertParams
from classifier.figures.params import PlotParams
from classifier.images.schema import OWN
from classifier.networks.names import unfit_images
from classifier.networks.params import WeightsParams
from classifier.scores.params import EvaluateParams
from classifier.sources.catalogue import load_dataset
from classifier.sources.params import DownloadParams, check_source
from classifier.splits.params import BuildParams
from classifier.training.params import LauncherParams, TrainParams
from record.dvc_locks import damaged_tables
from record.killed import interrupted_experiment
from record.lock_file import lock_file_problem
from tools.command import Parser, run_command


def declared_code(deps: Iterable[str], root: Path) -> dict[str, str]:
    """Each file of code under `root` that `deps`, of a stage, stand for, and the one that does: the file or a folder of it."""
    paths = {dep: Path(dep) for dep in deps}
    code = {dep: path for dep, path in paths.items() if is_code(path) or path.suffix == ".py"}
    return {file.as_posix(): dep for dep, path in code.items() for file in with_modules([path], root)}


def import_closure(module: str, root: Path) -> set[Path]:
    """Files under `root`, relative to it, that `module` and all it imports consist of, packages' `__init__.py` included.

    Read from the source, so imports inside functions count too. Names that are not files under `root` are left out.
    """
    found: set[Path] = set()
    waiting = [module]
    while waiting:
        for file in _files_of(waiting.pop(), root):
            if file not in found:
                found.add(file)
                waiting.extend(_imported_names((root / file).read_text(encoding="utf-8"), file))
    return found


def _files_of(module: str, root: Path) -> Iterator[Path]:
    """The file of `module`, if it is ours, and those of the packages it lies in. Python takes a package before a module."""
    parts = module.split(".")
    for depth in range(1, len(parts) + 1):
        folder = Path(*parts[:depth])
        candidates = (folder / "__init__.py", folder.with_suffix(".py"))
        yield from [file for file in candidates if (root / file).is_file()][:1]


@cache
def _imported_names(source: str, file: Path) -> tuple[str, ...]:
    """Dotted names that `source` imports: of `from a import b` both `a` and `a.b`, since b may be a module."""
    package = file.parent.parts
    found: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found.extend(name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join((*start, *(node.module.split(".") if node.module else ())))
            found.append(base)
            found.extend(f"{base}.{name.name}" for name in node.names)
    return tuple(dict.fromkeys(found))


CONFIG = Path(".dvc/config")
SECRETS = {
    *("access_key_id", "secret_access_key", "session_token", "sse_customer_key"),
    *("password", "passphrase", "token"),
    *("connection_string", "sas_token", "account_key", "client_secret"),
    *("oss_key_id", "oss_key_secret", "gdrive_client_secret"),
}
"""Settings of remotes that are secrets, or the names that go with them (REMOTE_SCHEMAS in dvc/config_schema.py)."""
KNOWN_NOW = "if it was committed, others know it: make a new one"
_SECTION = re.compile(r"""\s*\[\s*'?remote\s+"(.+?)"'?\s*\]""")
_SETTING = re.compile(r"""\s*(\w+)\s*=\s*["']?(.+?)["']?\s*$""")
_ADDRESS_WITH_PASSWORD = re.compile(r"\w+://[^/@:\s]*:[^/@\s]+@")


def committed_secrets(root: Path) -> Iterator[str]:
    """One line for each secret, with the commands that move it to .dvc/config.local, which git ignores; never its value."""
    path = root / CONFIG
    remote = ""
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else ():
        if section := _SECTION.match(line):
            remote = section[1]
        elif line.lstrip().startswith("["):
            remote = ""
        elif remote and (setting := _SETTING.match(line)):
            yield from _problem(path, remote, setting[1].lower(), setting[2])


def _problem(path: Path, remote: str, name: str, value: str) -> Iterator[str]:
    if name in SECRETS:
        unset, local = f"`dvc remote modify --unset {remote} {name}`", f"`dvc remote modify --local {remote} {name} …`"
        yield f"{path}: {name} of the remote {remote} is a secret, and git keeps this file; {unset} and {local}; {KNOWN_NOW}"
    elif _ADDRESS_WITH_PASSWORD.match(value):
        change, local = f"`dvc remote modify {remote} {name} …` without it", f"`dvc remote modify --local {remote} password …`"
        yield f"{path}: {name} of the remote {remote} holds a password, and git keeps it; {change} and {local}; {KNOWN_NOW}"


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
        yield f"{table}: damaged, for instance by a kill, and every `dvc` command fails; when no `dvc` runs here, `rm {table}`"


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
        check_source(root / source, dataset)
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
                yield f"{short_repr(str(path))}: needs a plain file with a name that Python can import; rename or remove it"


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
    """`declared` is what `declared_code` gives. A folder may hold more than the stage imports, but not nothing of it."""
    for file in sorted(imported - declared.keys()):
        yield f"its code uses but dvc.yaml does not list the dependency {file}"
    used = {declared[file] for file in imported & declared.keys()}
    for dep in sorted(set(declared.values()) - used):
        yield f"dvc.yaml lists but its code does not use the dependency {dep}"


def _differences(declared: set[str], used: set[str]) -> Iterator[tuple[str, str]]:
    for name in sorted(used - declared):
        yield "its code uses but dvc.yaml does not list", name
    for name in sorted(declared - used):
        yield "dvc.yaml lists but its code does not use", name


def main(arguments: list[str] | None = None) -> int:
    """Print every problem, and return the exit status."""
    Parser(
        prog="python -m tools.check", description=(__doc__ or "").partition("\n")[0], epilog="example: python -m tools.check"
    ).parse_args(arguments)
    found = problems()
    print("\n".join(map(visible, found)), file=sys.stderr, end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    run_command(main)
