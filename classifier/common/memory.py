"""What the C library does with memory that is no longer needed."""

import ctypes
import os

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
LARGEST_INT = 2**31 - 1
LARGEST_OF_OLD = 2**25
"""Older releases of glibc refuse a larger M_MMAP_THRESHOLD."""
OWN_THRESHOLDS = {"MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES"}


def keep_freed_memory() -> None:
    """Have the C library, where it is glibc, keep the memory of freed arrays for the next ones.

    By itself it gives large arrays back to the system at once, and to be given them again page by page takes longer than much
    of what is done with them. No number changes by that (mallopt(3)); the memory that a process holds does a little. Thresholds
    in the environment, as MALLOC_TRIM_THRESHOLD_, stay as they are.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if not mallopt or OWN_THRESHOLDS & os.environ.keys():
        return
    if mallopt(M_MMAP_THRESHOLD, LARGEST_INT) or mallopt(M_MMAP_THRESHOLD, LARGEST_OF_OLD):
        mallopt(M_TRIM_THRESHOLD, LARGEST_INT)  # alone it would keep the other one from rising by itself
