"""How the model is used: as its results were made, by dvc.lock; on this machine, by params.yaml."""

from pathlib import Path
from typing import Any

from classifier.conversion.resize import Fit
from classifier.model.file import ModelDescription
from classifier.params.base import read_yaml, validate
from classifier.params.evaluate import EvaluateParams, resolve_flip_tta
from stages.runner import PARAMS_FILE
from tools.review.lock_file import LOCK_FILE, read_lock

RECORDED = {"convert": "resize", "evaluate": "flip_tta"}
"""Stage to the param of it that a prediction must share with the run that made and measured the model."""


class Settings(EvaluateParams):
    """The params of other stages that matter for a prediction."""

    resize: Fit

    def mirrors(self, description: ModelDescription) -> bool:
        """Whether the model that is so described is asked about a picture and its mirror image together."""
        return resolve_flip_tta(self.flip_tta, description.mirrored)


def read_settings(root: Path) -> Settings:
    """`resize` and `flip_tta` of the last run, so that an edit of params.yaml since then changes no answer.

    Of a stage that dvc.lock does not have, params.yaml says. Raises UserError for a file that is damaged.
    """
    lock, params = root / LOCK_FILE, root / PARAMS_FILE
    values = read_yaml(params)
    recorded = _recorded(lock) if lock.exists() else {}
    return validate(lock if recorded else params, values | recorded, Settings)


def _recorded(lock: Path) -> dict[str, Any]:
    stages = read_lock(lock).stages
    found = {name: stages[stage].param_values.get(name) for stage, name in RECORDED.items() if stage in stages}
    return {name: value for name, value in found.items() if value is not None}
