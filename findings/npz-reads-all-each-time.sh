#!/usr/bin/env bash
# Ten pictures out of an .npz file read the whole data set ten times, and mmap_mode does not help, without a word.
#
# Versions: numpy 2.4.6; Linux (the bytes are counted by /proc/self/io).
# Behaviour: np.load of an .npz gives an archive that reads and unpacks an array anew each time it is asked for by name, keeps
#   nothing, and takes mmap_mode without heeding it. So archive["train_images"][i], in a data set's __getitem__, reads all pictures.
# Best guess: with mmap_mode="r", as for .npy, only the pages of the pictures: some 80 kB for ten. At worst all once, 16 MB.
# Seen, for 20,000 pictures of 28x28 (15.7 MB), as MedMNIST has them, saved without compression:
#   .npy, mmap_mode="r": ten pictures read 0.0 MB, type memmap
#   .npz, mmap_mode="r": ten pictures read 156.8 MB, type ndarray; warnings: 0
#   .npz, the array taken once: ten pictures read 15.7 MB
# One epoch over it would read 314 GB in place of 16 MB.
# Way out: keep images = archive["train_images"], or save each array as .npy.
# Exits with 1 when the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
if [ ! -r /proc/self/io ]; then
    echo "needs Linux, for /proc/self/io"
    exit 0
fi
python3 -m venv venv
venv/bin/pip install -qq numpy==2.4.6
venv/bin/python - <<'PY'
import warnings
from pathlib import Path

import numpy as np

pictures = np.random.default_rng(0).integers(0, 256, (20_000, 28, 28), dtype=np.uint8)
np.save("pictures.npy", pictures)
np.savez("pictures.npz", train_images=pictures)
chosen = range(0, 20_000, 2_000)


def read_so_far():
    return int(Path("/proc/self/io").read_text().split()[1])  # after the word "rchar:"


def megabytes(take):
    before = read_so_far()
    total = sum(int(take(number).sum()) for number in chosen)
    assert total == int(pictures[::2_000].sum())
    return (read_so_far() - before) / 1e6


print(f"numpy {np.__version__}; the pictures are {pictures.nbytes / 1e6:.1f} MB")
mapped = np.load("pictures.npy", mmap_mode="r")
print(f'.npy, mmap_mode="r": ten pictures read {megabytes(lambda number: mapped[number]):.1f} MB, type {type(mapped).__name__}')
with warnings.catch_warnings(record=True) as warned:
    warnings.simplefilter("always")
    archive = np.load("pictures.npz", mmap_mode="r")
    each_time = megabytes(lambda number: archive["train_images"][number])
    kind = type(archive["train_images"]).__name__
print(f'.npz, mmap_mode="r": ten pictures read {each_time:.1f} MB, type {kind}; warnings: {len(warned)}')
before = read_so_far()
kept = archive["train_images"]
once = (read_so_far() - before) / 1e6 + megabytes(lambda number: kept[number])
print(f".npz, the array taken once: ten pictures read {once:.1f} MB")
print("guess: about 0.1 MB, at worst 16 MB")
if each_time < 100 or kind != "ndarray" or warned:
    raise SystemExit("changed: an .npz is read otherwise, or says that it is not mapped")
PY
