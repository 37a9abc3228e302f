"""The stage `train` with a stopwatch, in the current folder: its last line is its seconds, imports left out."""

import time
from pathlib import Path

from classifier.common.params import read_yaml, validate
from classifier.training.params import TrainParams
from stages.train import main as train

PARAMS_FILE = Path("params.yaml")


def main() -> None:
    """Train, from the first look at the data set to the kept weights on the disk, validation included."""
    params = validate(PARAMS_FILE, read_yaml(PARAMS_FILE), TrainParams)
    began = time.perf_counter()
    train(params)
    print(time.perf_counter() - began)


if __name__ == "__main__":
    main()
