"""The parameter that stands in a command of dvc.yaml and that no stage reads."""

from typing import Annotated

from pydantic import AfterValidator, Field

from classifier.common.errors import shown
from classifier.params.base import Params


def _one_command(launcher: str) -> str:
    if not launcher.strip() or launcher.lstrip().startswith("-") or "\n" in launcher:
        raise ValueError(f"launcher must be a command on one line that runs a Python module, as python, got {shown(launcher)}")
    return launcher


class LauncherParams(Params):
    """What starts the training: `python`, or `torchrun …` for several processes (stages.launch)."""

    launcher: Annotated[str, Field(min_length=1), AfterValidator(_one_command)]
