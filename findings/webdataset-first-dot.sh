#!/usr/bin/env bash
# A WebDataset of pictures named cat.0.jpg, cat.1.jpg, ... holds one sample, however many pictures are in it.
#
# Versions: webdataset 1.0.2, datasets 5.2.0, pillow 13.0.0.
# Behaviour: the name of a sample ends at the first dot of the file's name; the rest is the name of the field. So cat.0.jpg is field
#   "0.jpg" of sample "cat", cat.1.jpg is field "1.jpg" of the same one, and all that follow. Nothing is raised while reading.
# Best guess: the suffix begins at the last dot, as in os.path.splitext, so 100 samples of a picture and a label each.
# Seen: 1 sample of 200 fields, in both libraries. With "_" for the first dot it is 100.
#   webdataset, cat.N.jpg and cat.N.cls: 1 samples, fields of the first one: 200
#   webdataset, cat_N.jpg and cat_N.cls: 100 samples, fields of the first one: 2
#   webdataset, cat_N.crop.jpg and cat_N.crop.cls: 100 samples, fields of the first one: 2 (crop.jpg, crop.cls)
#   datasets, cat.N.jpg and cat.N.cls: 1 rows of 202 columns
#   datasets, cat_N.jpg and cat_N.cls: 100 rows of 4 columns
# Cats-and-dogs pictures are named like that: 25,000 of them would be two samples, each with all its pictures in memory at once.
# Exits with 1 when the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export HF_HOME="$work/hf" HF_HUB_OFFLINE=1 HF_HUB_DISABLE_TELEMETRY=1
python3 -m venv venv
venv/bin/pip install -qq webdataset==1.0.2 datasets==5.2.0 pillow==13.0.0
venv/bin/python - <<'PY'
import io
import tarfile

import datasets
import webdataset
from PIL import Image

datasets.disable_progress_bars()


def archive(pattern):
    path = f"{pattern.format('N')}.tar"
    with tarfile.open(path, "w") as file:
        for number in range(100):
            picture = io.BytesIO()
            Image.new("RGB", (8, 8), (number, 90, 90)).save(picture, "JPEG")
            for suffix, content in (("jpg", picture.getvalue()), ("cls", b"%d" % (number % 2))):
                member = tarfile.TarInfo(f"{pattern.format(number)}.{suffix}")
                member.size = len(content)
                file.addfile(member, io.BytesIO(content))
    return path


def by_webdataset(pattern):
    samples = list(webdataset.WebDataset(archive(pattern), shardshuffle=False))
    fields = [name for name in samples[0] if not name.startswith("__")]
    names = f" ({', '.join(fields)})" if "crop" in pattern else ""
    what = f"{pattern.format('N')}.jpg and {pattern.format('N')}.cls"
    print(f"webdataset, {what}: {len(samples)} samples, fields of the first one: {len(fields)}{names}")
    return len(samples), len(fields)


def by_datasets(pattern):
    rows = datasets.load_dataset("webdataset", data_files=archive(pattern), split="train")
    what = f"{pattern.format('N')}.jpg and {pattern.format('N')}.cls"
    print(f"datasets, {what}: {rows.num_rows} rows of {len(rows.features)} columns")
    return rows.num_rows


print(f"webdataset {webdataset.__version__}, datasets {datasets.__version__}")
found = [by_webdataset("cat.{}"), by_webdataset("cat_{}"), by_webdataset("cat_{}.crop")]
found += [by_datasets("cat.{}"), by_datasets("cat_{}")]
print("guess: 100 samples each time")
if found != [(1, 200), (100, 2), (100, 2), 1, 100]:
    raise SystemExit("changed: names are cut elsewhere")
PY
