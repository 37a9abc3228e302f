"""How far the test metrics of the default setting lie apart when nothing but the seed differs, from benchmarks/seeds.json."""

import math
import statistics
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from scipy.stats import t

from classifier.common.files import read_json
from record.lock_file import Lock
from record.revisions import Revision
from record.statistics import LEVEL

SEEDS_FILE = "benchmarks/seeds.json"
_WORD_OF_DATA = "dataset"

_Figures = Annotated[list[Annotated[float, Field(allow_inf_nan=False)]], Field(min_length=2)]


class _Runs(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)

    setting: dict[str, Any]
    test_accuracy: _Figures
    test_loss: _Figures
    test_macro_f1: _Figures


class _Experiments(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)

    default: _Runs


class _Record(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)

    experiments: _Experiments


@dataclass(frozen=True)
class SeedSpread:
    """By metric, what the difference of two runs of the setting stays below in 95 of 100 pairs of seeds."""

    num_seeds: int
    bounds: dict[str, float]


def read_spread(revision: Revision, lock: Lock) -> SeedSpread | None:
    """The spread on record in `revision`; None when there is none, or it is that of another data set.

    A difference of two normal draws has √2 of their standard deviation, which is estimated here, hence Student's t.
    """
    with revision.unpacked([SEEDS_FILE]) as folder:
        if not (folder / SEEDS_FILE).is_file():
            return None
        runs = read_json(folder / SEEDS_FILE, _Record).experiments.default
    values = [stage.param_values[_WORD_OF_DATA] for stage in lock.stages.values() if _WORD_OF_DATA in stage.param_values]
    if not values or any(value != runs.setting.get(_WORD_OF_DATA) for value in values):
        return None
    return SeedSpread(
        len(runs.test_accuracy),
        {name: _bound(getattr(runs, name)) for name in ("test_accuracy", "test_loss", "test_macro_f1")},
    )


def _bound(figures: list[float]) -> float:
    quantile = float(t.ppf(1 - LEVEL / 2, len(figures) - 1))
    return quantile * math.sqrt(2) * statistics.stdev(figures)
