#!/usr/bin/env bash
# ToTensor makes the bright half of a 16-bit grey PNG negative, and scales nothing.
#
# Versions: torchvision 0.28.0, torch 2.13.0, pillow 13.0.0.
# Behaviour: ToTensor promises numbers from 0 to 1 for pictures of 8 bits. Of a picture in mode "I;16" it makes int16, so that 32768 to
#   65535 become -32768 to -1. Neither an error nor a warning. pil_to_tensor and the v2 transforms give uint16, and scale it rightly.
# Best guess: ToTensor gives 0 to 1, as v2.ToImage and v2.ToDtype(torch.float32, scale=True), its documented successors, do.
# Seen, for a ramp from black (0) to white (65535):
#   ToTensor: torch.int16, from -32768 to 32767; 50 % of the pixels are negative; white is -1
#   v2.ToImage, v2.ToDtype: torch.float32, from 0.0 to 1.0; 0 % of the pixels are negative; white is 1.0
#   the highest pixel of ToTensor lies at 50 % of the ramp
# Normalize then refuses the integers; `.float()` in between, the usual mend, hides it: the picture trains with a black band in its
# brightest part.
# Exits with 1 when the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq torch==2.13.0 torchvision==0.28.0 pillow==13.0.0 numpy==2.4.6
venv/bin/python -W error - <<'PY'
import io

import numpy as np
import torch

try:
    import torchvision
except RuntimeError:  # its compiled operators do not fit a CPU build of torch; these transforms do without them
    operators = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        operators.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    import torchvision
from PIL import Image
from torchvision import transforms
from torchvision.transforms import v2

file = io.BytesIO()
Image.fromarray(np.arange(2**16, dtype=np.uint16).reshape(256, 256)).save(file, "PNG")
image = Image.open(file)
old = transforms.ToTensor()(image)
new = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])(image)
print(f"torchvision {torchvision.__version__}, torch {torch.__version__}; the picture has mode {image.mode}")
for what, pixels in (("ToTensor", old), ("v2.ToImage, v2.ToDtype", new)):
    lowest, highest, white = pixels.min().item(), pixels.max().item(), pixels.flatten()[-1].item()
    negative = (pixels < 0).double().mean().item()
    print(f"{what}: {pixels.dtype}, from {lowest} to {highest}; {negative:.0%} of the pixels are negative; white is {white}")
place = old.flatten().argmax().item() / (2**16 - 1)
print(f"the highest pixel of ToTensor lies at {place:.0%} of the ramp")
print("guess: from 0 to 1 each time")
if old.dtype != torch.int16 or old.min() >= 0 or new.min() < 0 or new.max() != 1:
    raise SystemExit("changed: 16-bit pictures are turned into tensors otherwise")
PY
