"""The training loop: seeded, in memory, a batch at a time. Legend: N images of a batch, K classes."""

import copy
import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from tqdm import tqdm

from classifier.common.errors import UserError, short_message
from classifier.compute.device import parameter_dtype
from classifier.model.dataset import ImageDataset
from classifier.model.image_classifier import ImageClassifier
from classifier.networks.layers import DropoutKeys
from classifier.training.distributed import SINGLE_PROCESS, DistributedContext
from classifier.training.history import (
    Epoch,
    MetricAccumulator,
    Metrics,
    MetricSums,
    Result,
    StepHistory,
    evaluate,
    first_result,
    row_metrics,
)
from classifier.training.loader import Batches, EpochInput, steps_of_epoch
from classifier.training.losses import Gradients, build_loss
from classifier.training.optim import build_optimizers, lr_factor
from classifier.training.recipe import Recipe
from classifier.training.stall import StallNotice


class TrainState:
    """What a training run changes: `model`, its running `average` if asked for, the `optimizers`, and the `result` so far.

    `model` must be on its device already. The processes of `context` begin with the same state, and keep it the same.
    """

    def __init__(self, model: ImageClassifier, recipe: Recipe, context: DistributedContext = SINGLE_PROCESS) -> None:
        self.model = model
        self.recipe = recipe
        self.context = context
        self.optimizers = build_optimizers(model.network, recipe)
        self.average = copy.deepcopy(model) if recipe.ema_decay else None
        self.result: Result | None = None
        self.num_steps = 0

    @property
    def eval_model(self) -> ImageClassifier:
        """What is validated and kept: the average where there is one."""
        return self.average or self.model

    def step(self, number: int) -> None:
        """Take the step `number` of the run, counted from 0: move the weights by their gradients, and the average after them.

        The gradients' joint norm is first brought to `clip_norm` at most. The average is short in the first steps, so that the
        first weights fade: its decay is (1 + number) / (10 + number) at most.
        """
        self.num_steps = number + 1
        recipe = self.recipe
        if recipe.clip_norm < math.inf:
            nn.utils.clip_grad_norm_(self.model.parameters(), recipe.clip_norm)
        lr = recipe.lr * lr_factor(recipe.schedule, number, recipe.num_steps, recipe.warmup_fraction)
        for optimizer in self.optimizers:
            optimizer.step(lr)
            optimizer.zero_grad()
        if self.average:
            decay = min(recipe.ema_decay, (1 + number) / (10 + number))
            _move_average(self.average.network.state_dict(), self.model.network.state_dict(), decay)


def _move_average(average: dict[str, Tensor], weights: dict[str, Tensor], decay: float) -> None:
    """average = decay · average + (1 - decay) · weights, of the statistics of batch normalisation too; counts are copied."""
    for name, mean in average.items():
        if mean.is_floating_point():
            mean.lerp_(weights[name], 1 - decay)
        else:
            mean.copy_(weights[name])


def fit(
    train_state: TrainState,
    train_set: ImageDataset,
    val_set: ImageDataset,
    after_epoch: Callable[[Result], None],
) -> Result:
    """Minimise the loss on `train_set`; call `after_epoch` after each epoch; return the history and the kept weights.

    It goes on from the result in `train_state`, if there is one, and puts each epoch's there. An empty `val_set` means no
    validation. All processes share each batch, and return the same. Raises UserError when a metric stops being finite.
    """
    recipe, model, context = train_state.recipe, train_state.model, train_state.context
    assert len(train_set) == recipe.num_images, "the recipe is for these images"
    _check_lone_images(model, recipe)
    batches = Batches(train_set, model.device)
    forward = compile_network(model.logits) if recipe.compile else model.logits
    weights_K = None
    if recipe.class_weights:
        weights_K = torch.tensor(recipe.class_weights, dtype=parameter_dtype(model.precision), device=model.device)
    loss = build_loss(recipe, weights_K, "mean" if context.size == 1 else "sum")
    backward = Gradients(loss, weights_K, model.parameters(), context)

    eval_model, result = train_state.eval_model, train_state.result

    def validate() -> Metrics | None:
        return evaluate(eval_model, val_set, context) if len(val_set) else None

    steps = StepHistory(recipe.eval_every, validate, result)
    notice: AbstractContextManager[object] = nullcontext()
    if context.is_main_process:
        notice = StallNotice(lambda: train_state.num_steps)
    with notice:
        for number in range(len(result.history) + 1 if result else 1, recipe.epochs + 1):
            sums = _train_epoch(train_state, forward, backward, batches, number, steps)
            epoch = Epoch(**row_metrics(sums, validate()), epoch=number)
            epoch.check_finite(f"epoch {number}")
            result = result.with_epoch(epoch, eval_model) if result else first_result(epoch, eval_model)
            result = replace(result, steps=tuple(steps.rows), since_row=steps.since_row).with_processes(context.size)
            train_state.result = result
            after_epoch(result)
    assert result, "a recipe has epochs >= 1"
    return result


def evaluate_kept(train_state: TrainState, result: Result, train_set: ImageDataset) -> Metrics:
    """What the kept weights of `result`, put back into `train_state`, say of the images to train on, without augmentation.

    Raises UserError when their loss is not finite.
    """
    train_state.eval_model.network.load_state_dict(result.weights)
    again = evaluate(train_state.eval_model, train_set, train_state.context)
    if not math.isfinite(again.loss):
        raise UserError(f"training diverged in epoch {result.kept.epoch}: kept_train_loss is {again.loss}; try a lower `lr`")
    return again


def _train_epoch(
    train_state: TrainState,
    forward: Callable[[Tensor], Tensor],
    backward: Gradients,
    batches: Batches,
    number: int,
    history: StepHistory,
) -> MetricSums:
    """One pass over the training images; return the sums over them."""
    recipe, model, context = train_state.recipe, train_state.model, train_state.context
    model.train()
    steps = [context.shard(batch_N) for batch_N in steps_of_epoch(recipe, number, batches.rows_device)]
    dropout = DropoutKeys(model, recipe.num_images, recipe.seed, number, batches.device)
    inputs = EpochInput(batches, recipe, number, model.normalise).of_steps(steps)
    accumulator, sums = MetricAccumulator(batches.device), MetricSums()
    title = f"epoch {number}/{recipe.epochs}"
    with tqdm(inputs, title, len(steps), unit="step", leave=False, disable=None if context.is_main_process else True) as bar:
        for step, (rows_N, images_NCHW, labels_N, mixture) in enumerate(bar, start=len(steps) * (number - 1)):
            dropout.choose(rows_N)
            logits_NK = forward(images_NCHW)
            backward(logits_NK, mixture.targets(labels_N, logits_NK) if mixture else labels_N)
            train_state.step(step)
            if accumulator.add(logits_NK.detach(), labels_N) and not bar.disable:
                means = accumulator.read().means()  # of this process's share
                bar.set_postfix(loss=f"{means.loss:.4f}", accuracy=f"{means.accuracy:.4f}")
            if history.is_due(step + 1):
                since_row = accumulator.take().all_reduce(context)
                sums += since_row
                history.add_row(step + 1, since_row)
                model.train()
    since_row = accumulator.take().all_reduce(context)
    history.carry_over(since_row)
    return sums + since_row


def compile_network(logits: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """`logits` of images_NCHW, compiled for each shape of its own: a kernel for any would depend on which batches came before.

    The first call raises UserError where nothing can be compiled, as without a C++ compiler.
    """
    from torch._dynamo.exc import BackendCompilerFailed  # torch.compile imports it too, in a second

    forward = torch.compile(logits, dynamic=False)

    def call(images_NCHW: Tensor) -> Tensor:
        try:
            logits_NK: Tensor = forward(images_NCHW)
        except BackendCompilerFailed as error:
            raise UserError(
                f"compile: torch could not compile the network ({short_message(error)}); write `compile: false`, or install a "
                "compiler"
            ) from None
        return logits_NK

    return call


def _check_lone_images(model: nn.Module, recipe: Recipe) -> None:
    """Raise UserError when a batch of one image would be normalised over itself alone."""
    if recipe.smallest_batch > 1:
        return
    if any(isinstance(layer, _BatchNorm) and layer.training for layer in model.train().modules()):
        if recipe.num_images == 1:
            raise UserError(f"network {recipe.network!r} needs two training images or more, found 1; add some")
        raise UserError(
            f"batch_size: network {recipe.network!r} needs batches of two images or more, but {recipe.num_images} training "
            f"images in batches of {recipe.batch_size} leave one alone; choose another batch_size"
        )
