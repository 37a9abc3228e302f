"""What test_distributed.py has torchrun start: `-m tests.support.several_processes FOLDER`."""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn

from classifier.common.errors import UserError
from classifier.networks.whitening import fit_first_layer
from classifier.training.distributed import SINGLE_PROCESS, DistributedContext, convert_batch_norms, init_distributed
from classifier.training.features import FeatureStore
from classifier.training.loop import TrainState, evaluate_kept, fit
from tests.support.training import CPU, model_for, params, random_set, recipe_for

SIDE = 16
CASES: dict[str, dict[str, Any]] = {
    # 38 images in batches of 12: the last batch has two, so that of four processes two have none.
    "pyramid": {
        "network": "pyramid",
        "optimizer": "adamw",
        "momentum": None,
        "lr": 0.01,
        "augment": ["flip", "crop", "cutout", "cutmix"],
    },
    "recipe": {
        **{"network": "pyramid", "optimizer": "muon", "momentum": None, "lr": 0.006, "weight_decay": 0.1, "augment": ["flip"]},
        **{"schedule": "linear", "warmup_fraction": 0.25, "label_smoothing": 0.1},
    },
    "mlp": {"network": "mlp", "lr": 0.1, "momentum": 0.9, "clip_norm": 0.5, "ema_decay": 0.9, "label_smoothing": 0.1},
    "weighted": {"network": "mlp", "lr": 0.1, "class_weights": [1.0, 2.0, 5.0], "label_smoothing": 0.1, "eval_every": 3},
    "dropout": {"network": "cnn", "lr": 0.1, "loss": "mse", "weight_decay": 0.01, "drop_last": True},
}
"""Changes to the params of tests/classifier/training/test_training.py, computed in float64."""
VALUES = {"even": 8, "uneven": 7, "some have none": 2}
"""Images of a batch to normalise."""


def trained(name: str, context: DistributedContext) -> dict[str, Any]:
    """Train a case; the metrics, and the weights to keep."""
    settings = params(**{"batch_size": 12, "epochs": 3, "precision": "float64", **CASES[name]})
    model = model_for(settings.network, side=SIDE)
    convert_batch_norms(model.network, context)
    model.set_precision("float64")
    train_set, val_set = random_set(38, side=SIDE), random_set(13, side=SIDE, seed=1)
    fit_first_layer(model.network, lambda: model.normalise(train_set.batch(torch.arange(38))[0]))
    train_state = TrainState(model, recipe_for(settings, train_set), context)
    result = fit(train_state, train_set, val_set, lambda result: None)
    again = evaluate_kept(train_state, result, train_set)
    rows = [list(row.metrics().values()) for row in (*result.history, *result.steps)]
    return {"metrics": [*rows, [again.loss, again.accuracy]], "weights": result.weights}


def normalised(num_images: int, dtype: torch.dtype, momentum: float | None, context: DistributedContext) -> list[Tensor]:
    """Outputs and gradients of this process's images, then the gradients of scale and shift, then the running statistics."""
    generator = torch.Generator().manual_seed(num_images)
    values, wanted = (torch.randn(2, num_images, 3, 4, 5, generator=generator) * 3 + 50).to(dtype)
    network = nn.Sequential(nn.BatchNorm2d(3, momentum=momentum))
    layer = network[0]
    nn.init.normal_(layer.weight, generator=generator)
    nn.init.normal_(layer.bias, generator=generator)
    layer.to(torch.promote_types(dtype, torch.float32))
    convert_batch_norms(network, context)
    rows = context.shard(torch.arange(num_images))
    for _ in range(2):
        network.zero_grad()
        values_N = values[rows].clone().contiguous(memory_format=torch.channels_last).requires_grad_()
        output = network(values_N)
        ((output - 0.02 * wanted[rows]) ** 2).sum().backward()
    parameters = list(network.parameters())
    for parameter in parameters:
        context.all_reduce(parameter.grad)
    assert values_N.grad is not None
    return [output.detach(), values_N.grad, *(parameter.grad for parameter in parameters), *network.state_dict().values()]


def features(context: DistributedContext) -> Tensor:
    """Of 14 images in batches of three, so that the last turns have fewer batches than processes; each has its own folder."""
    with TemporaryDirectory() as folder, patch("classifier.training.features.batch_size", lambda dataset: 3):
        store = FeatureStore(Path(folder), model_for("cnn", side=SIDE), context)
        return torch.from_numpy(store.of(random_set(14, side=SIDE), "train", num_views=2).images_NCHW.copy())


def refusals(context: DistributedContext) -> list[str]:
    """What is said when the processes do not read the same."""
    try:
        context.check_same("same")
        context.check_same(f"digest {2 * context.rank >= context.size}")
    except UserError as error:
        return [str(error)]
    return []


def found(context: DistributedContext) -> dict[str, Any]:
    """All of the above."""
    return {
        "trained": {name: trained(name, context) for name in CASES},
        "again": trained("pyramid", context),
        "features": features(context),
        "normalised": {
            (kind, dtype, momentum): normalised(num_images, dtype, momentum, context)
            for kind, num_images in VALUES.items()
            for dtype in (torch.float32, torch.float64, torch.bfloat16)
            for momentum in (0.4, None)
        },
    }


def main(folder: Path) -> None:
    """As one of several processes."""
    torch.set_num_threads(1)
    with init_distributed(CPU) as context:
        assert context != SINGLE_PROCESS
        told = context.broadcast_object({"rank": context.rank})
        refused = refusals(context)
        torch.save({**found(context), "told": told, "refused": refused}, folder / f"{context.size}-{context.rank}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
