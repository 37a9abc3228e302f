# /// script
# requires-python = ">=3.11"
# dependencies = ["ultralytics==8.4.190", "torch==2.13.0", "torchvision==0.28.0"]
# ///
"""ultralytics' yolo11n-cls: FOLDER (train, test) EPOCHS SIDE [FROZEN LAYERS], to the accuracy on the test pictures.

From random weights, also where the first layers are frozen: no time depends on them.
"""

import sys
import tempfile

from ultralytics import YOLO

folder, epochs, side, *frozen = sys.argv[1:]
with tempfile.TemporaryDirectory() as results:
    where = {"data": folder, "imgsz": int(side), "device": "cpu", "project": results, "plots": False, "verbose": False}
    model = YOLO("yolo11n-cls.yaml")
    model.train(epochs=int(epochs), freeze=int(frozen[0]) if frozen else None, seed=0, **where)
    print(float(model.val(split="test", **where).top1))
