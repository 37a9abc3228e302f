#!/usr/bin/env bash
# Ultralytics writes over JPEG files of your data folder when it only looks at them, and leaves a file beside them.
#
# Versions: ultralytics 8.4.190, torch 2.13.0, torchvision 0.28.0, pillow 13.0.0.
# Behaviour: before it trains a classifier it looks at every picture. A JPEG that does not end in the bytes FF D9 is called corrupt,
#   decoded, and saved again in its place with quality 100 and without its EXIF data. Any byte after the end mark is enough; phones
#   append a clip or depth data there, and Pillow reads such files without a word. It also writes train.cache beside train/.
# Best guess: a training reads its data; what it finds wrong it leaves out or tells. So 0 files change.
# Seen: the picture with trailing bytes is another one, three times as large; a line in the log says "restored and saved".
#   whole JPEG: unchanged
#   JPEG with 4 bytes after its end: changed, 3.5 kB -> 10.1 kB, 11 % of pixel values differ, camera name in EXIF: yes -> no
#   new files in the folder: train.cache
# A folder that DVC tracks is modified by that, so the next `dvc status` finds other data and runs all stages again.
# Exits with 1 when the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export YOLO_CONFIG_DIR="$work/settings" YOLO_OFFLINE=true YOLO_AUTOINSTALL=false MPLCONFIGDIR="$work/matplotlib"
mkdir settings
python3 -m venv venv
venv/bin/pip install -qq torch==2.13.0 torchvision==0.28.0 ultralytics==8.4.190 pillow==13.0.0
# the build without windows, which asks for no system libraries
venv/bin/pip uninstall -qq --yes opencv-python
venv/bin/pip install -qq opencv-python-headless==5.0.0.93
venv/bin/python - <<'PY'
import hashlib
from pathlib import Path

import numpy as np
import torch

try:
    import torchvision  # noqa: F401
except RuntimeError:  # its compiled operators do not fit a CPU build of torch; folders are read without them
    operators = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        operators.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
import ultralytics
from PIL import Image
from ultralytics.cfg import get_cfg
from ultralytics.data.dataset import ClassificationDataset

CAMERA = 0x010F
data = Path("data")
random = np.random.default_rng(0)
waves = 128 + 100 * np.sin(np.mgrid[0:96, 0:96].sum(0) / 9)[..., None] + random.normal(0, 12, (96, 96, 3))
picture = Image.fromarray(waves.clip(0, 255).astype(np.uint8))
exif = Image.Exif()
exif[CAMERA] = "some camera"
files = {"whole JPEG": data / "train/cat/whole.jpg", "JPEG with 4 bytes after its end": data / "train/dog/appended.jpg"}
for path in files.values():
    path.parent.mkdir(parents=True)
    picture.save(path, quality=85, exif=exif)
with files["JPEG with 4 bytes after its end"].open("ab") as file:
    file.write(b"clip")


def state(path):
    content = path.read_bytes()
    with Image.open(path) as image:
        pixels, camera = np.asarray(image.convert("RGB")), "yes" if CAMERA in image.getexif() else "no"
    return hashlib.sha256(content).hexdigest(), len(content), pixels, camera


before = {what: state(path) for what, path in files.items()}
names = {path.name for path in data.rglob("*")}
ClassificationDataset(str(data / "train"), get_cfg(), augment=False, prefix="train")
print(f"ultralytics {ultralytics.__version__}, torch {torch.__version__}")
changed = []
for what, path in files.items():
    old, new = before[what], state(path)
    changed.append(old[0] != new[0])
    if not changed[-1]:
        print(f"{what}: unchanged")
        continue
    share = (old[2] != new[2]).mean()
    sizes = f"{old[1] / 1000:.1f} kB -> {new[1] / 1000:.1f} kB"
    print(f"{what}: changed, {sizes}, {share:.0%} of pixel values differ, camera name in EXIF: {old[3]} -> {new[3]}")
added = sorted({path.name for path in data.rglob("*")} - names)
print(f"new files in the folder: {', '.join(added)}")
print("guess: 0 files change, none is new")
if changed != [False, True] or "train.cache" not in added:
    raise SystemExit("changed: the data folder is treated otherwise")
PY
