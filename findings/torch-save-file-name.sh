#!/usr/bin/env bash
# torch.save writes the file's name into the file, so a model that is written under a temporary name has other bytes each time.
#
# Versions: torch 2.13.0.
# Behaviour: the file is a ZIP archive whose members lie in a folder named for the file: model.pt holds model/data.pkl, tmp3f.pt
#   holds tmp3f/data.pkl. Renaming it afterwards does not change that. An open file in place of a name gives "archive".
# Best guess: the bytes follow from the weights. So 5 saves through a temporary file and os.replace give 1 file.
# Seen: 5 saves give 5 files; each has the random name in it several times.
#   5 saves as model.pt: 1 different files
#   5 saves under a temporary name, renamed to model.pt: 5 different files, of 1 length; the name stands in the last one 16 times
#   5 saves into an open temporary file, renamed to model.pt: 1 different files
# The usual way of writing safely thus makes DVC believe in a new model after each run: stages after it run again, and the cache
# keeps one copy a run.
# Way out: torch.save(weights, opened_file).
# Exits with 1 when the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq torch==2.13.0 numpy==2.4.6
venv/bin/python - <<'PY'
import hashlib
import os
import tempfile
from pathlib import Path

import torch

torch.manual_seed(0)
weights = torch.nn.Linear(100, 10).state_dict()
TARGET = Path("model.pt")


def plain():
    torch.save(weights, TARGET)


def renamed():
    handle, name = tempfile.mkstemp(suffix=".pt", dir=".")
    os.close(handle)
    torch.save(weights, name)
    os.replace(name, TARGET)
    names.append(Path(name).stem.encode())


def opened():
    with tempfile.NamedTemporaryFile(dir=".", suffix=".pt", delete=False) as file:
        torch.save(weights, file)
    os.replace(file.name, TARGET)


names = []
print(f"torch {torch.__version__}")
different = {}
for save, what in (
    (plain, "as model.pt"),
    (renamed, "under a temporary name, renamed to model.pt"),
    (opened, "into an open temporary file, renamed to model.pt"),
):
    contents = []
    for _ in range(5):
        save()
        contents.append(TARGET.read_bytes())
    different[what] = len({hashlib.sha256(content).digest() for content in contents})
    more = ""
    if save is renamed:
        lengths = len(set(map(len, contents)))
        more = f", of {lengths} length; the name stands in the last one {contents[-1].count(names[-1])} times"
    print(f"5 saves {what}: {different[what]} different files{more}")
    assert torch.equal(torch.load(TARGET)["weight"], weights["weight"])
print("guess: 1 different file each time")
if list(different.values()) != [1, 5, 1]:
    raise SystemExit("changed: the name plays another part")
PY
