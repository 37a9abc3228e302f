"""Freed memory is kept for the next arrays, unless a person's own settings of the C library say otherwise."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from classifier.common.memory import OWN_THRESHOLDS, keep_freed_memory

ROOT = Path(__file__).parents[3]
PAGE_FAULTS = """
import resource
import numpy as np
from classifier.common.memory import keep_freed_memory

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

keep_freed_memory()
np.ones(40 * 2**20, dtype=np.uint8)
before = faults()
for _ in range(5):
    np.ones(40 * 2**20, dtype=np.uint8)
print(faults() - before)
"""
PAGES = 5 * 40 * 2**20 // os.sysconf("SC_PAGE_SIZE")


def page_faults(**environment: str) -> int:
    """Of five arrays of 40 MiB, one after the other, after a first one; with the pages of the system's usual size."""
    plain = {"NUMPY_MADVISE_HUGEPAGE": "0"} | environment
    command = [sys.executable, "-c", PAGE_FAULTS]
    return int(subprocess.run(command, cwd=ROOT, env=os.environ | plain, stdout=subprocess.PIPE, text=True, check=True).stdout)


@pytest.mark.parametrize(
    ("most", "expected"),
    [
        (2**31 - 1, [(-3, 2**31 - 1), (-1, 2**31 - 1)]),
        (2**25, [(-3, 2**31 - 1), (-3, 2**25), (-1, 2**31 - 1)]),
        (0, [(-3, 2**31 - 1), (-3, 2**25)]),
    ],
)
def test_an_older_library_gets_what_it_takes(
    most: int, expected: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """-3 is M_MMAP_THRESHOLD and -1 M_TRIM_THRESHOLD in malloc.h; 0 is a refusal."""
    calls = []

    class Library:
        def __init__(self, _: None) -> None:
            pass

        @staticmethod
        def mallopt(name: int, value: int) -> int:
            calls.append((name, value))
            return int(name == -1 or value <= most)

    monkeypatch.setattr("ctypes.CDLL", Library)
    for name in OWN_THRESHOLDS:
        monkeypatch.delenv(name, raising=False)
    keep_freed_memory()
    assert calls == expected


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries are left as they are")
def test_the_next_array_gets_the_pages_of_the_one_before() -> None:
    assert page_faults() < PAGES / 100
    assert page_faults(MALLOC_MMAP_THRESHOLD_="65536") > PAGES * 0.9
