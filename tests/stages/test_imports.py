"""No stage imports what it does not use, which every run would pay, nor anything that dvc.yaml is not held against.

Read from Python's own -X importtime.
"""

import gzip
import hashlib
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from tests.support.pipeline import SOURCE, Repository
from tools.check import import_closure

LARGE = {"matplotlib", "pandas", "PIL", "requests", "scipy", "sklearn", "sympy", "torch", "torch._dynamo", "torchvision"}
"""Packages that take a tenth of a second or more to import; torch._dynamo is its compiler, which its optimizers bring too."""
OUR_PACKAGES = {"stages", "classifier", "record", "tools", "benchmarks", "tests"}
USED: dict[str, set[str]] = {
    "download": {"requests"},
    "convert": {"PIL"},
    "build": {"scipy"},
    "weights": set(),
    "train": {"pandas", "torch"},
    "evaluate": {"pandas", "scipy", "sklearn", "torch"},
    "plot": {"matplotlib", "pandas", "PIL"},
}
"""By stage; scikit-learn brings scipy and pandas with it, and matplotlib Pillow."""


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """Modules that each stage imports while it does its work, on a small data set in the idx format."""
    folder = tmp_path_factory.mktemp("imports")
    repository = Repository(folder / "project", dataset="fashion_mnist", image_size=28, network="pyramid", epochs=1)
    _write_small_data(repository.root, folder / "mirror/fashion_mnist")
    environment = repository.environment() | {"DATASET_MIRROR": str(folder / "mirror")}
    return {stage: _imports(stage, repository.root, environment) for stage in USED}


def _write_small_data(root: Path, mirror: Path) -> None:
    mirror.mkdir(parents=True)
    catalogue = yaml.safe_load((root / "catalogue.yaml").read_text(encoding="utf-8"))
    rng = np.random.default_rng(0)
    for role, file in catalogue["fashion_mnist"]["files"].items():
        num_images = 200 if role.startswith("train") else 100
        is_images = role.endswith("images")
        shape = (num_images, 28, 28) if is_images else (num_images,)
        header = bytes([0, 0, 8, len(shape)]) + np.array(shape, dtype=">u4").tobytes()
        values = rng.integers(0, 256, shape) if is_images else np.arange(num_images) % 10
        content = gzip.compress(header + values.astype(np.uint8).tobytes())
        (mirror / file["name"]).write_bytes(content)
        file |= {"size": len(content), "md5": hashlib.md5(content).hexdigest()}
    (root / "catalogue.yaml").write_text(yaml.safe_dump(catalogue), encoding="utf-8")


def _imports(stage: str, root: Path, environment: dict[str, str]) -> set[str]:
    command = [sys.executable, "-X", "importtime", "-m", f"stages.{stage}"]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, re.sub(r"^import time:.*\n", "", done.stderr, flags=re.MULTILINE)
    return set(re.findall(r"^import time:\s+\d+ \|\s+\d+ \|\s+([\w.]+)", done.stderr, flags=re.MULTILINE))


@pytest.mark.parametrize("stage", USED)
def test_a_stage_imports_the_large_packages_that_it_uses_and_no_others(stage: str, imported: dict[str, set[str]]) -> None:
    assert f"stages.{stage}".partition(".")[0] in imported[stage], "the log is empty"
    assert imported[stage] & LARGE == USED[stage]


@pytest.mark.parametrize("stage", USED)
def test_all_that_a_stage_imports_while_it_works_is_in_its_closure(stage: str, imported: dict[str, set[str]]) -> None:
    closure = import_closure(f"stages.{stage}", SOURCE)
    names = {".".join(file.with_suffix("").parts).removesuffix(".__init__") for file in closure}
    own = {name for name in imported[stage] if name.partition(".")[0] in OUR_PACKAGES}
    assert len(own) > 5
    assert own <= names
