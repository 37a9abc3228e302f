"""Runs one stage from the command line: typed params in; when something is wrong, one clear line out and exit status 1."""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from classifier.errors import UserError
from classifier.params.base import AnyParams, read_yaml, unknown_keys, validate

PARAMS_FILE = Path("params.yaml")
GRAPH_FILE = Path("dvc.yaml")


def run_stage(main: Callable[[AnyParams], None], model: type[AnyParams]) -> None:
    """Call `main` with the params of `model`, and exit: 0 when done, 1 with one line on bad input, 130 on Ctrl-C."""
    try:
        main(load_params(model))
    except KeyboardInterrupt:
        sys.exit(130)
    except (UserError, OSError) as error:
        sys.exit(f"error: {one_line(error)}")


def load_params(model: type[AnyParams]) -> AnyParams:
    """Read params.yaml, refuse keys that nothing in dvc.yaml uses, and return the fields of `model`."""
    values = read_yaml(PARAMS_FILE)
    unknown = unknown_keys(PARAMS_FILE, values, used_keys(GRAPH_FILE))
    if unknown:
        raise UserError(unknown[0])
    return validate(PARAMS_FILE, values, model)


def used_keys(graph_file: Path) -> set[str]:
    """Names of params.yaml that some stage of `graph_file` declares or that the file interpolates as `${name}`."""
    declared = {name for stage in load_graph(graph_file).values() for name in stage.get("params", [])}
    return declared | set(re.findall(r"\$\{\s*(\w+)", graph_file.read_text(encoding="utf-8")))


def load_graph(graph_file: Path) -> dict[str, dict[str, Any]]:
    """The stages of dvc.yaml by name. Raises UserError when there are none to read."""
    try:
        stages: dict[str, dict[str, Any]] = yaml.safe_load(graph_file.read_text(encoding="utf-8"))["stages"]
    except FileNotFoundError:
        raise UserError(f"{graph_file}: no such file; run this in the folder that has it") from None
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise UserError(f"{graph_file}: needs a mapping `stages:`, got {' '.join(str(error).split())}") from None
    return stages


def one_line(error: Exception) -> str:
    """The text of an error on one line; of a system error, the file and the system's reason."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split())
