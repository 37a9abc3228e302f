"""The params that an experiment runs with: checked before anything runs, and written as DVC's `-S` takes them."""

import re
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

from classifier.common.errors import UserError
from classifier.own_data import OWN
from tools.check import params_problems, source_problems
from tools.experiments.listed import EXPERIMENTS_FILE, SEED, Experiment


def with_overrides(params: Mapping[str, Any], experiment: Experiment) -> dict[str, Any]:
    """All params of the experiment, with the seed of params.yaml."""
    return {**params, **experiment.overrides}


def refuse_bad(params: dict[str, Any], experiments: Mapping[str, Experiment], where: Path) -> None:
    """Raise UserError for the first thing wrong with `params`, which stand in `where`, or with an experiment's overrides.

    Own images that are not there stop only the experiment that needs them: see `missing_images`.
    """
    refuse_params(params, where)
    for name, experiment in experiments.items():
        refuse_params(with_overrides(params, experiment), Path(f"{EXPERIMENTS_FILE}: {name}"))


def missing_images(params: Mapping[str, Any], folder: Path) -> str | None:
    """Why the experiment cannot have a person's own images in the project's `folder`, if it needs some; what to do.

    Where a `.dvc` file stands for them, DVC gets them.
    """
    source, dataset = params["source"], params["dataset"]
    if dataset not in OWN or (folder / f"{PurePath(source)}.dvc").is_file():
        return None
    problem = next(source_problems(folder, source, dataset), None)
    if problem is None:
        return None
    here = problem.replace(f"{folder}/", "")
    return f"{here}; put yours there with `dvc add` and commit it, or name another `source` in {EXPERIMENTS_FILE}"


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


def refuse_params(params: dict[str, Any], where: Path) -> None:
    """Raise UserError for the first thing wrong with `params`, which stand in `where`."""
    # A problem of the catalogue begins with that file's name instead.
    for problem in params_problems(Path(), params, where, own_images=False):
        raise UserError(problem if problem.startswith(f"{where}: ") else f"{where}: {problem}")
