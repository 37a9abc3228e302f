"""Runs one stage from the command line: typed params in; when something is wrong, one clear line out and exit status 1."""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from classifier.errors import UserError
from classifier.params.base import AnyParams, read_yaml, refuse_unknown_keys, validate

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
    refuse_unknown_keys(PARAMS_FILE, values, used_keys(GRAPH_FILE))
    return validate(PARAMS_FILE, values, model)


def used_keys(graph_file: Path) -> set[str]:
    """Names of params.yaml that some stage of `graph_file` declares or that the file interpolates as `${name}`."""
    text = graph_file.read_text(encoding="utf-8")
    stages: dict[str, dict[str, Any]] = yaml.safe_load(text)["stages"]
    declared = {name for stage in stages.values() for name in stage.get("params", [])}
    return declared | set(re.findall(r"\$\{\s*(\w+)", text))


def one_line(error: Exception) -> str:
    """The text of an error on one line; of a system error, the file and the system's reason."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split())
