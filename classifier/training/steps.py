"""Which images each step of training takes. Legend: N images."""

import torch
from torch import Tensor

from classifier.common.errors import UserError
from classifier.model.randomness import generator
from classifier.params.train import TrainParams

MOST_ROWS = 10_000
"""Of the history by step: the training state carries it, and git keeps it."""


def order_of_epoch(num_images: int, params: TrainParams, epoch: int) -> Tensor:
    """The rows as they are stored, or with `shuffle` in an order drawn for this epoch."""
    if not params.shuffle:
        return torch.arange(num_images)
    return torch.randperm(num_images, generator=generator(params.seed, "shuffle", epoch))


def steps_of_epoch(order_N: Tensor, params: TrainParams) -> tuple[Tensor, ...]:
    """The rows of each step; with `drop_last` the last ones are left out where they fill no batch."""
    num_used = _num_steps(len(order_N), params) * params.batch_size
    steps: tuple[Tensor, ...] = order_N[:num_used].split(params.batch_size)
    return steps


def num_epochs(num_images: int, params: TrainParams) -> int:
    """`epochs`, or as many more as `min_steps` need: passes over a small data set have few steps."""
    return max(params.epochs, -(-params.min_steps // max(_num_steps(num_images, params), 1)))


def refuse_bad_steps(num_images: int, params: TrainParams) -> None:
    """Raise UserError when an epoch would have no step, and when `eval_every` would make no row or more than MOST_ROWS."""
    num_steps = _num_steps(num_images, params) * params.epochs
    if num_steps == 0:
        raise UserError(
            f"drop_last: {num_images} training images do not fill a batch of {params.batch_size}; lower batch_size or write "
            "`drop_last: false`"
        )
    if params.eval_every is None:
        return
    num_rows = num_steps // params.eval_every
    if num_rows == 0:
        raise UserError(
            f"eval_every {params.eval_every} has no effect on a run of {num_steps} steps; write {num_steps} or less, or "
            "`eval_every: null`"
        )
    if num_rows > MOST_ROWS:
        raise UserError(
            f"eval_every {params.eval_every} makes {num_rows} rows of {num_steps} steps; plots/steps.csv takes {MOST_ROWS}; "
            f"write {-(-num_steps // MOST_ROWS)} or more"
        )


def refuse_uneven_batches(batch_size: int, num_processes: int) -> None:
    """Raise UserError when `batch_size`, the images that all processes take together in a step, is not dealt out evenly."""
    if batch_size % num_processes:
        lower = batch_size // num_processes * num_processes
        nearest = lower if lower and batch_size - lower <= num_processes / 2 else lower + num_processes
        raise UserError(
            f"batch_size is that of all processes together and must be a multiple of {num_processes}, their number, "
            f"got {batch_size}; the nearest is {nearest}"
        )


def _num_steps(num_images: int, params: TrainParams) -> int:
    """Of an epoch."""
    return num_images // params.batch_size if params.drop_last else -(-num_images // params.batch_size)
