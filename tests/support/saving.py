"""What test_interruptions.py starts twice: `-m tests.support.saving PATH` saves one state again and again, once it is told."""

import copy
import sys
from pathlib import Path

from classifier.training.checkpoint import CheckpointStore
from classifier.training.history import Epoch, Result
from classifier.training.loop import TrainState
from tests.support.training import model_for, params, recipe_for


def main(path: Path) -> None:
    model = model_for("mlp")
    state = TrainState(model, recipe_for(params(network="mlp", optimizer="adam", momentum=None)))
    epoch = Epoch(1.0, 0.5, None, None, epoch=1)
    state.result = result = Result((epoch,), epoch, copy.deepcopy(model.network.state_dict()))
    store = CheckpointStore(path)
    print("ready", flush=True)
    sys.stdin.read(1)
    for _ in range(50):
        store.save(state)
        store.restore(state)
        assert state.result.history == result.history
        store.discard()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
