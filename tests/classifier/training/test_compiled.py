"""torch.compile: said in one line where it cannot work; where it can, a resumed run has the bits of a straight one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
FORWARD = """
import torch
from classifier.training.loop import compile_network
from classifier.common.errors import UserError
try:
    compile_network(torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.ReLU()))(torch.ones(2, 3))
except UserError as error:
    print(error)
"""
TRAIN = """
import hashlib, sys
from pathlib import Path
from safetensors.torch import save
from classifier.training.checkpoint import CheckpointStore
from tests.support.training import BrokenOffError, params, run
settings = params(network="pyramid", compile=True, epochs=3, batch_size=16)
point = CheckpointStore(Path(sys.argv[1]) / "state.safetensors") if sys.argv[1] else None
try:
    result, _ = run(settings, point, broken_off_after=int(sys.argv[2]))
    print(hashlib.sha256(save({name: tensor.contiguous() for name, tensor in result.weights.items()})).hexdigest())
except BrokenOffError:
    pass
"""


def python(code: str, *arguments: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_without_a_compiler_it_is_refused_in_one_line(tmp_path: Path) -> None:
    said = python(FORWARD, PATH=str(tmp_path), CXX="", TORCHINDUCTOR_CACHE_DIR=str(tmp_path / "cache"))
    assert said.startswith("compile: torch could not compile the network (")
    assert said.endswith("); write `compile: false`, or install a compiler\n")
    assert said.count("\n") == 1


@pytest.mark.slow
def test_a_compiled_run_that_was_broken_off_ends_with_the_same_bits(tmp_path: Path) -> None:
    """In processes of their own, because what was compiled before stays in a process. The last batch is a short one."""
    straight = python(TRAIN, "", "0")
    python(TRAIN, str(tmp_path), "1")
    assert python(TRAIN, str(tmp_path), "0") == straight
