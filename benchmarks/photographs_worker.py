"""Decodes photographs in a process of its own: python -m benchmarks.photographs_worker WAY SIZE, told by lines `PATH TIMES`.

WAY is `ours`, `before` (the code on PYTHONPATH is that of d7d7a93) or `ImageFolder` (what torchvision's does with a picture).
Answers each line with the processor milliseconds of one decoding.
"""

import importlib
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

MODULES = {"ours": "classifier.decoding.pictures", "before": "classifier.conversion.decode"}


def main() -> None:
    """Answer until the input ends."""
    decode = _decoder(sys.argv[1], int(sys.argv[2]))
    for line in sys.stdin:
        path, times = line.rsplit(" ", 1)
        decode(path)
        began = time.process_time()
        for _ in range(int(times)):
            decode(path)
        print((time.process_time() - began) * 1000 / int(times), flush=True)


def _decoder(way: str, size: int) -> Callable[[str], Any]:
    if way == "ImageFolder":
        import torch
        from torchvision.datasets.folder import default_loader
        from torchvision.transforms import CenterCrop, Compose, PILToTensor, Resize

        torch.set_num_threads(1)
        transform = Compose([Resize(size), CenterCrop(size), PILToTensor()])
        return lambda path: transform(default_loader(path))
    module = importlib.import_module(MODULES[way])
    module.Image.init()
    return lambda path: module.decoded(Path(path).read_bytes(), size, "crop", False)


if __name__ == "__main__":
    main()
