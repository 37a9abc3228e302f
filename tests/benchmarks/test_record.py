"""What all benchmarks write of the machine, the versions and the commit; committed pages follow from their records."""

import json
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from benchmarks import resume, table
from benchmarks.record import circumstances, circumstances_lines, page_head

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_the_circumstances_are_those_of_this_machine() -> None:
    found = circumstances(["numpy"])
    assert found["versions"] == {"python": platform.python_version(), "numpy": version("numpy")}
    assert found["cores"] >= 1
    assert found.keys() == {"processor", "cores", "system", "versions", "commit"}


def test_the_head_of_a_page() -> None:
    record = {"command": "python -m benchmarks.x", "processor": "P", "cores": 2, "system": "Linux", "commit": "abc"}
    record |= {"versions": {"python": "3.11", "torch": "2"}}
    assert page_head("Title", "x", record, ["one fact"]) == [
        "# Title",
        "",
        "Written by `benchmarks/x.py`; the same figures are in `x.json`.",
        "",
        "- command: `python -m benchmarks.x`",
        "- one fact",
        "- machine: P, 2 cores, Linux",
        "- versions: python 3.11, torch 2; commit abc",
    ]
    assert circumstances_lines(record) == page_head("", "", record)[-2:]


@pytest.mark.parametrize("benchmark", [resume, table])
def test_a_committed_page_is_that_of_its_record(benchmark: Any) -> None:
    name = benchmark.__name__.rpartition(".")[2]
    record = json.loads((BENCHMARKS / f"{name}.json").read_text(encoding="utf-8"))
    assert benchmark._page(record) == (BENCHMARKS / f"{name}.md").read_text(encoding="utf-8")
