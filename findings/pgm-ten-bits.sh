#!/usr/bin/env bash
# A grey picture of 10 or 12 bits in a PGM file: Pillow makes it all white, OpenCV nearly black.
#
# Versions: pillow 13.0.0, opencv-python-headless 5.0.0.93, numpy 2.4.6.
# Behaviour: a PGM file says what its highest value is (maxval). Up to 255 Pillow stretches the values to 0 ... 255. Above, it stretches
#   them to 0 ... 65535, in mode I, and convert("L") then cuts off at 255 instead of dividing. OpenCV, asked for grey, does not look at
#   maxval: it keeps values of 8 bits and divides those of 16 by 256. A 16-bit PNG of the same values is not stretched by Pillow.
# Best guess: maxval is white in either, so a ramp from black to white has a mean of 127.5, whatever the number of bits.
# Seen, for a ramp from 0 to maxval:
#   maxval 100: Pillow L mean 127.5, 1 % white; OpenCV grey mean 50.0
#   maxval 1023: Pillow L mean 254.0, 100 % white; OpenCV grey mean 1.5
#   maxval 4095: Pillow L mean 254.0, 100 % white; OpenCV grey mean 7.5
#   maxval 65535: Pillow L mean 254.0, 100 % white; OpenCV grey mean 127.5
#   10-bit ramp as a 16-bit PNG: Pillow's highest value 1023; as PGM: 65535
# Nothing is raised or warned of. Way out in Pillow: np.asarray(image) >> 8 for a PGM, which is right for every maxval above 255.
# Exits with 1 when the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq pillow==13.0.0 opencv-python-headless==5.0.0.93 numpy==2.4.6
venv/bin/python - <<'PY'
import io
import warnings

import cv2
import numpy as np
import PIL
from PIL import Image

warnings.simplefilter("error")


def pgm(maxval):
    ramp = np.linspace(0, maxval, 256).round()
    values = np.tile(ramp.astype(np.uint8 if maxval < 256 else ">u2"), (64, 1))
    return b"P5\n256 64\n%d\n" % maxval + values.tobytes(), values


print(f"pillow {PIL.__version__}, opencv {cv2.__version__}")
means = {}
for maxval in (100, 1023, 4095, 65535):
    content, _ = pgm(maxval)
    by_pillow = np.asarray(Image.open(io.BytesIO(content)).convert("L"))
    by_opencv = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE)
    means[maxval] = (round(float(by_pillow.mean()), 1), round(float(by_opencv.mean()), 1))
    white = (by_pillow == 255).mean()
    print(f"maxval {maxval}: Pillow L mean {means[maxval][0]}, {white:.0%} white; OpenCV grey mean {means[maxval][1]}")
content, values = pgm(1023)
png = io.BytesIO()
Image.fromarray(values.astype(np.uint16)).save(png, "PNG")
highest = [int(np.asarray(Image.open(file)).max()) for file in (png, io.BytesIO(content))]
print(f"10-bit ramp as a 16-bit PNG: Pillow's highest value {highest[0]}; as PGM: {highest[1]}")
print("guess: a mean of 127.5 each time, and the same value in PNG and PGM")
if means[1023][0] < 250 or means[1023][1] > 5 or highest != [1023, 65535]:
    raise SystemExit("changed: pictures of more than 8 bits are read otherwise")
PY
