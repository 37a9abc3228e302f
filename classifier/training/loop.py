"""The training loop: seeded, in memory, a batch at a time. Legend: N images of a batch, K classes."""

import copy
import math
from collections.abc import Callable
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
from classifier.training.distributed import SINGLE_PROCESS, DistributedContext, Gradients
from classifier.training.history import (
    Epoch,
    Measured,
    MetricAccumulator,
    MetricSums,
    Result,
    StepHistory,
    begun,
    measured,
    row_figures,
)
from classifier.training.loader import (
    Batches,
    EpochInput,
    check_batch_size,
    check_steps,
    order_of_epoch,
    steps_of_epoch,
)
from classifier.training.losses import build_loss
from classifier.training.optim import build_optimizers, lr_factor
from classifier.training.params import TrainParams


def compiled(logits: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
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


class TrainState:
    """What a training run changes: `model`, the state of its `optimizers`, and the running average of the model, if asked for.

    `model` must be on its device already.
    """

    def __init__(self, model: ImageClassifier, params: TrainParams) -> None:
        self.model = model
        self.optimizers = build_optimizers(model.network, params)
        self.peak_lr = params.lr
        self.clip_norm, self.ema_decay = params.clip_norm, params.ema_decay
        self.average = None if params.ema_decay is None else copy.deepcopy(model)

    @property
    def judged(self) -> ImageClassifier:
        """What is validated and kept: the average where there is one."""
        return self.average or self.model

    def step(self, number: int, factor: float) -> None:
        """Take the step `number` of the run, counted from 0: move the weights by their gradients, and the average after them.

        The learning rate is `factor` times its peak. The gradients' joint norm is first brought to `clip_norm` at most. The
        average is short in the first steps, so that the first weights fade: its decay is (1 + number) / (10 + number) at most.
        """
        if self.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.clip_norm)
        for optimizer in self.optimizers:
            optimizer.step(self.peak_lr * factor)
            optimizer.zero_grad()
        if self.average and self.ema_decay:
            decay = min(self.ema_decay, (1 + number) / (10 + number))
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
    params: TrainParams,
    device: torch.device,
    after_epoch: Callable[[Result], None],
    so_far: Result | None = None,
    class_weights: list[float] | None = None,
    context: DistributedContext = SINGLE_PROCESS,
) -> Result:
    """Minimise the loss on `train_set`; call `after_epoch` after each epoch; return the history and the kept weights.

    `so_far` is what a run that was broken off had reached, with `trainee` as it was then. An empty `val_set` means no
    validation. `class_weights` are those of the cross-entropy, one a class. The processes of `world` begin with the same
    trainee, share each batch, and return the same. Raises UserError when a figure stops being finite.
    """
    check_steps(len(train_set), params)
    check_batch_size(params.batch_size, context.size)
    _check_lone_images(train_state.model, len(train_set), params)
    batches = Batches(train_set, device)
    forward = compiled(train_state.model.logits) if params.compile else train_state.model.logits
    weights_K = _placed_weights(class_weights, train_state.model, device)
    loss = build_loss(params, weights_K, "mean" if context.size == 1 else "sum")
    backward = Gradients(loss, weights_K, train_state.model.parameters(), context)

    def validate() -> Measured | None:
        return measured(train_state.judged, val_set, device, context) if len(val_set) else None

    steps = StepHistory(params.eval_every, validate, so_far)
    result = so_far
    for number in range(len(result.history) + 1 if result else 1, params.epochs + 1):
        trained = _train_epoch(train_state, forward, backward, batches, params, number, steps)
        epoch = Epoch(**row_figures(trained, validate()), epoch=number)
        epoch.check_finite(f"epoch {number}")
        result = result.extended(epoch, train_state.judged) if result else begun(epoch, train_state.judged)
        result = replace(result, steps=tuple(steps.rows), since_row=steps.since_row).computed_by(context.size)
        after_epoch(result)
    assert result, "TrainParams has epochs >= 1"
    return result


def evaluate_kept(
    train_state: TrainState,
    result: Result,
    train_set: ImageDataset,
    device: torch.device,
    context: DistributedContext = SINGLE_PROCESS,
) -> Measured:
    """What the kept weights, put back into `trainee`, say of the images to train on, as they are: without augmentation.

    Raises UserError when their loss is not finite.
    """
    train_state.judged.network.load_state_dict(result.weights)
    again = measured(train_state.judged, train_set, device, context)
    if not math.isfinite(again.loss):
        raise UserError(f"training diverged in epoch {result.kept.epoch}: kept_train_loss is {again.loss}; try a lower `lr`")
    return again


def _train_epoch(
    train_state: TrainState,
    forward: Callable[[Tensor], Tensor],
    backward: Gradients,
    batches: Batches,
    params: TrainParams,
    number: int,
    history: StepHistory,
) -> MetricSums:
    """One pass; return the sums over its images."""
    context = backward.context
    train_state.model.train()
    num_images = len(batches.dataset)
    batches_N = steps_of_epoch(order_of_epoch(num_images, params, number).to(batches.rows_device), params)
    steps = [context.shard(batch_N) for batch_N in batches_N]
    dropout = DropoutKeys(train_state.model, num_images, params.seed, number, batches.device)
    inputs = EpochInput(batches, params, number, train_state.model.normalised).of_steps(steps)
    accumulator, sums = MetricAccumulator(batches.device), MetricSums()
    num_steps = len(steps) * params.epochs
    title = f"epoch {number}/{params.epochs}"
    with tqdm(inputs, title, len(steps), unit="step", leave=False, disable=None if context.is_main_process else True) as bar:
        for step, (rows_N, images_NCHW, labels_N, mixture) in enumerate(bar, start=len(steps) * (number - 1)):
            dropout.choose(rows_N)
            logits_NK = forward(images_NCHW)
            backward(logits_NK, mixture.targets(labels_N, logits_NK) if mixture else labels_N)
            train_state.step(step, lr_factor(params.schedule, step, num_steps, params.warmup_fraction))
            if accumulator.add(logits_NK.detach(), labels_N) and not bar.disable:
                mean, accuracy = accumulator.read().means()  # of this process's share
                bar.set_postfix(loss=f"{mean:.4f}", accuracy=f"{accuracy:.4f}")
            if history.is_due(step + 1):
                taken = accumulator.take().all_reduced(context)
                sums += taken
                history.add_row(step + 1, taken)
                train_state.model.train()
    taken = accumulator.take().all_reduced(context)
    history.carry_over(taken)
    return sums + taken


def _placed_weights(class_weights: list[float] | None, model: ImageClassifier, device: torch.device) -> Tensor | None:
    if class_weights is None:
        return None
    return torch.tensor(class_weights, dtype=parameter_dtype(model.precision), device=device)


def _check_lone_images(model: nn.Module, num_images: int, params: TrainParams) -> None:
    """Raise UserError when a batch of one image would be normalised over itself alone."""
    sizes = {params.batch_size} if params.drop_last else {min(num_images, params.batch_size), num_images % params.batch_size}
    if 1 in sizes and any(isinstance(layer, _BatchNorm) and layer.training for layer in model.train().modules()):
        if num_images == 1:
            raise UserError(f"network {params.network!r} needs two training images or more, found 1; add some")
        raise UserError(
            f"batch_size: network {params.network!r} needs batches of two images or more, but {num_images} training images in "
            f"batches of {params.batch_size} leave one alone; choose another batch_size"
        )
