"""experiments.yaml: the named experiments, their overrides of params.yaml, checked before anything runs."""

import re
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from classifier.common.errors import MAX_SHOWN, UserError, short_repr
from classifier.common.params import read_yaml
from classifier.images.schema import OWN
from record.git import run_git
from tools.check import params_problems, source_problems

EXPERIMENTS_FILE = Path("experiments.yaml")
SEED = "seed"
_NAME = re.compile(r"[a-z][a-z0-9-]{0,59}")
"""Fit for a name in git, and without the characters that a shell or Markdown would take for its own."""
_SEEDED = re.compile(r".*-seed[0-9]+")

OneLine = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\r\n|]+$")]
"""Text for a cell of a table."""


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)


class ReportedMetrics(_Strict):
    """Figures that the author published, where there are any, and where they come from.

    Those of the test split, and `train_`, those of the training images with the final weights.
    """

    accuracy: float | None = Field(default=None, ge=0, le=1)
    loss: float | None = Field(default=None, ge=0)
    train_accuracy: float | None = Field(default=None, ge=0, le=1)
    train_loss: float | None = Field(default=None, ge=0)
    source: OneLine


class NamedExperiment(_Strict):
    """One entry; its name is its key in the file."""

    description: OneLine
    overrides: dict[str, Any] = {}
    reported: ReportedMetrics | None = None


def read_experiments(path: Path = EXPERIMENTS_FILE) -> dict[str, NamedExperiment]:
    """The experiments by name, in the order of the file. Raises UserError with the first wrong name or field."""
    values = read_yaml(path)
    if not values:
        raise UserError(f"{path}: needs an experiment at least, as `quick:` with a `description:` below it")
    return {name: _read(path, name, entry) for name, entry in values.items()}


def _read(path: Path, name: object, entry: object) -> NamedExperiment:
    if not isinstance(name, str) or not _NAME.fullmatch(name) or _SEEDED.fullmatch(name):
        needed = "a name of small letters, digits and hyphens that begins with a letter and does not end like -seed0"
        raise UserError(f"{path}: {short_repr(name)}: needs {needed}")
    try:
        experiment = NamedExperiment.model_validate(entry)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        field = ".".join(str(part)[:MAX_SHOWN] for part in first["loc"]) or "the entry"
        raise UserError(f"{path}: {name}: {field}: {first['msg']}, got {short_repr(first['input'])}") from None
    if SEED in experiment.overrides:
        raise UserError(f"{path}: {name}: {SEED}: is given by --seeds, so that each seed is a run of its own; delete this line")
    return experiment


def with_overrides(params: Mapping[str, Any], experiment: NamedExperiment) -> dict[str, Any]:
    """All params of the experiment, with the seed of params.yaml."""
    return {**params, **experiment.overrides}


def check_experiments(params: dict[str, Any], experiments: Mapping[str, NamedExperiment], where: Path) -> None:
    """Raise UserError for the first thing wrong with `params`, which stand in `where`, or with an experiment's overrides.

    Own images that are not there stop only the experiment that needs them: see `missing_images`.
    """
    check_params(params, where)
    for name, experiment in experiments.items():
        check_params(with_overrides(params, experiment), Path(f"{EXPERIMENTS_FILE}: {name}"))


def missing_images(params: Mapping[str, Any], folder: Path) -> str | None:
    """Why the experiment cannot have a person's own images in the project's `folder`, if it needs some; what to do.

    Where a `.dvc` file stands for them, DVC gets them.
    """
    source, dataset = params["source"], params["dataset"]
    if dataset not in OWN or _is_dvc_added(source, folder):
        return None
    problem = next(source_problems(folder, source, dataset), None)
    if problem is None:
        return None
    if Path(source).exists() and not (folder / source).exists():
        return f"{source}: is not in the last commit, in a copy of which experiments run; {_way_out(source, Path())}"
    here = problem.replace(f"{folder}/", "")
    return f"{here}; put yours there with `dvc add` and commit it, or name another `source` in {EXPERIMENTS_FILE}"


def untracked_images(params: Mapping[str, Any], folder: Path) -> str | None:
    """Why an experiment in a copy or in DVC's queue would lack a person's own images, which are in the project's `folder`.

    It runs in a copy that holds what git and DVC track, and whatever an absolute path leads to.
    """
    source, dataset = params["source"], params["dataset"]
    if dataset not in OWN or Path(source).is_absolute() or _is_dvc_added(source, folder):
        return None
    listed = run_git("ls-files", "--others", "--directory", "--no-empty-directory", "-z", "--", source, folder=folder).text
    untracked = [path for path in listed.split("\0") if path and not PurePath(path).name.startswith(".")]
    if not untracked:
        return None
    return (
        f"{source}: git does not track {short_repr(untracked[0])}, so an experiment in a copy would not see it; "
        f"{_way_out(source, folder)}"
    )


def _is_dvc_added(source: str, folder: Path) -> bool:
    """Whether a `.dvc` file is there for it, or for a folder that it lies in."""
    path = PurePath(source)
    return any((folder / f"{part}.dvc").is_file() for part in (path, *path.parents))


def _way_out(source: str, folder: Path) -> str:
    return f"`dvc add {source}` and commit {source}.dvc, or name the whole path: `-S source={(folder / source).resolve()}`"


def set_param_options(overrides: Mapping[str, Any], seed: int) -> list[str]:
    """The options of `dvc exp run` for `overrides` and `seed`."""
    return param_options({**overrides, SEED: seed})


def param_options(overrides: Mapping[str, Any]) -> list[str]:
    """The options of `dvc exp run` for `overrides`."""
    return [option for key, value in overrides.items() for option in ("-S", f"{key}={_hydra(value)}")]


def _hydra(value: Any) -> str:
    """`value` in the grammar of Hydra's overrides, which DVC reads: text in quotes, a backslash doubled only before a quote."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{','.join(map(_hydra, value))}]"
    if isinstance(value, str):
        return "'" + re.sub(r"(\\+)(?='|$)", r"\1\1", value).replace("'", "\\'") + "'"
    return repr(value)


def check_params(params: dict[str, Any], where: Path) -> None:
    """Raise UserError for the first thing wrong with `params`, which stand in `where`."""
    # A problem of the catalogue begins with that file's name instead.
    for problem in params_problems(Path(), params, where, own_images=False):
        raise UserError(problem if problem.startswith(f"{where}: ") else f"{where}: {problem}")
