"""What all tests stand on."""

import os
import signal
import sys
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis.internal.conjecture import providers

from classifier.common.environment import RECORDED, RECORDED_AS_A_FACT

# A property has the same examples every time, whichever modules of ours are loaded (hypothesis takes constants out of them),
# and no limit of time for one: the machine may have other work. CASES_TIMES (tests/support/bad_input.py) asks for others.
settings.register_profile("tests", deadline=None, derandomize="CASES_TIMES" not in os.environ, database=None)
settings.load_profile("tests")
providers.is_local_module_file = lambda path: False

# What the tests start compiles each module of a repository once, not in every process.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# A stage says which of these are set, and records them: what the caller has set is not what the tests are about.
for name in (*RECORDED, *RECORDED_AS_A_FACT):
    os.environ.pop(name, None)

# A shell that starts a command in the background has it ignore Ctrl-C, and what it starts in turn: the tests of Ctrl-C need it.
signal.signal(signal.SIGINT, signal.default_int_handler)

if "PYTEST_XDIST_WORKER" in os.environ:
    import torch

    # Threads that wait for each other on a busy core take twice the time of one; in the stages that tests start, they sleep.
    torch.set_num_threads(1)
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")

TESTS = Path(__file__).parent
LONG = [
    TESTS / name
    for name in (
        *("tools/test_experiments.py", "tools/test_export.py", "stages/test_launch.py", "tools/test_verify.py"),
        *("stages/test_pipeline.py", "test_makefile.py", "tools/test_share.py", "tools/test_ci_pipeline.py"),
        *("tools/test_tensorboard.py", "tools/test_doctor.py", "stages/test_kill.py", "stages/test_interruptions.py"),
        *("classifier/training/test_distributed.py", "tools/test_predict.py", "tools/test_check.py", "tools/test_report.py"),
        *("stages/test_bad_input_model.py", "record/test_statistics.py", "classifier/training/test_checkpoint.py"),
        *("tools/test_quickstart.py", "record/test_interrupted.py", "tools/test_export_model.py", "tools/test_data.py"),
    )
]
assert all(path.is_file() for path in LONG), LONG


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files that take long come first, so that no process of `make test` is left with one of them in the end."""
    places = {path: place for place, path in enumerate(LONG)}
    items.sort(key=lambda item: places.get(item.path, len(LONG)))
