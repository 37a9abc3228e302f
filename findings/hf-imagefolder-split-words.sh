#!/usr/bin/env bash
# One picture called test.jpg, or one class called "test tube", makes Hugging Face datasets drop all pictures but those, in silence.
#
# Versions: datasets 5.2.0, pillow 13.0.0.
# Behaviour: `imagefolder` looks for train, test, eval, dev, valid, ... as words in every path below the folder, files and class
#   folders alike. Is there one such path, then only paths with such a word belong to the data; all others are left out. Nothing
#   is raised or printed. If what is left is of one class, there is no column `label` either.
# Best guess: such words count for the folders of the first level, and what has none of them goes to train. So no picture is lost.
# Seen: 99 and 98 of 100 pictures are lost.
#   five classes, 20 pictures each: train 100, with labels
#   one picture renamed to cat/test.jpg: test 1, without labels: 99 pictures lost
#   one class renamed to test_tube: test 20, without labels: 80 pictures lost
#   two pictures renamed, cat/colour-test.jpg and dog/photo_dev.jpg: validation 1, test 1, with labels: 98 pictures lost
#   one picture renamed to cat/contest.jpg: train 100, with labels
# Way out: name the files with data_files={"train": "**"}, and compare the number of rows with that of the files.
# Exits with 1 when the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export HF_HOME="$work/hf" HF_HUB_OFFLINE=1 HF_HUB_DISABLE_TELEMETRY=1
python3 -m venv venv
venv/bin/pip install -qq datasets==5.2.0 pillow==13.0.0
venv/bin/python - <<'PY'
import logging
from pathlib import Path

import datasets
from PIL import Image

datasets.disable_progress_bars()
said = []
listener = logging.Handler(logging.WARNING)
listener.emit = lambda record: said.append(record.getMessage())
logging.getLogger("datasets").addHandler(listener)
CLASSES = ["cat", "dog", "owl", "rat", "tube"]
TOTAL = 20 * len(CLASSES)


def rows(number, renamed=None):
    renamed = renamed or {}
    folder = Path(f"pictures{number}")
    for place, name in enumerate(CLASSES):
        for count in range(20):
            path = folder / renamed.get(name, name) / renamed.get(f"{name}/{count}", f"{count}.jpg")
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8), (place * 50, count * 12, 90)).save(path)
    return datasets.load_dataset("imagefolder", data_dir=str(folder))


def tell(what, found):
    parts = ", ".join(f"{name} {len(part)}" for name, part in found.items())
    labels = "with" if all("label" in part.features for part in found.values()) else "without"
    lost = TOTAL - sum(map(len, found.values()))
    print(f"{what}: {parts}, {labels} labels" + (f": {lost} pictures lost" if lost else ""))
    return lost


print(f"datasets {datasets.__version__}")
lost = [
    tell("five classes, 20 pictures each", rows(0)),
    tell("one picture renamed to cat/test.jpg", rows(1, {"cat/0": "test.jpg"})),
    tell("one class renamed to test_tube", rows(2, {"tube": "test_tube"})),
    tell(
        "two pictures renamed, cat/colour-test.jpg and dog/photo_dev.jpg",
        rows(3, {"cat/0": "colour-test.jpg", "dog/0": "photo_dev.jpg"}),
    ),
    tell("one picture renamed to cat/contest.jpg", rows(4, {"cat/0": "contest.jpg"})),
]
print(f"warnings logged: {len(said)}")
print("guess: 0 pictures lost each time")
if lost != [0, 99, 80, 98, 0] or said:
    raise SystemExit("changed: another number of pictures is left, or a warning is given")
PY
