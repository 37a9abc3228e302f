"""Stage `train`: data/dataset/{train,val}, pretrained.safetensors -> models/, metrics/train.json, plots/{history,steps}.csv."""

import math
from pathlib import Path

import torch

from classifier.common.csv_file import write_table
from classifier.common.errors import UserError
from classifier.common.files import read_json, write_json
from classifier.compute.device import compute_facts, processes_fact, set_up_compute
from classifier.compute.params import Precision
from classifier.images.schema import DatasetInfo
from classifier.model.dataset import ImageDataset
from classifier.model.file import ModelDescription, save_model
from classifier.model.image_classifier import ImageClassifier, resolve_precision
from classifier.networks.own import build_network, count_parameters
from classifier.networks.pretrained import load_pretrained
from classifier.networks.whitening import fit_first_layer, rows_to_fit
from classifier.training.checkpoint import CheckpointStore
from classifier.training.distributed import DistributedContext, convert_batch_norms, init_distributed
from classifier.training.history import Result, epoch_line, history_table, steps_table, train_metrics
from classifier.training.loader import num_epochs
from classifier.training.loop import TrainState, evaluate_kept, fit
from classifier.training.losses import class_weights
from classifier.training.normalisation import normalisation
from classifier.training.params import TrainParams, resolve_augment
from stages.runner import run_stage


def main(params: TrainParams, root: Path = Path(), resume: Path | None = None) -> None:
    """Train `params.network`; rewrite metrics and history after every epoch, write the kept weights at the end.

    `resume` is the start of the path of the training state; None keeps none. Where torchrun started several processes, all
    train, and the first one writes.
    """
    device = set_up_compute(params.device, params.threads)
    with init_distributed(device) as context:
        _train(params, root, resume, device, context)


def _train(params: TrainParams, root: Path, resume: Path | None, device: torch.device, context: DistributedContext) -> None:
    precision = resolve_precision(params.precision, params.network, device)
    facts = compute_facts(device, params.threads, precision)
    context.check_same(f"{resume.name if resume else ''} {facts['torch']} {facts['device']} {precision}")
    together = f", {context.size} processes" if context.size > 1 else ""
    info = read_json(root / "data/dataset/dataset.json", DatasetInfo)
    augment = resolve_augment(params.augment, info.hflip_invariant)
    augmented = f"augment: [{', '.join(augment)}]"
    print(f"training {params.network} in {precision} on {device.type}{together}, {augmented}", flush=True)
    train_set = ImageDataset.from_folder(root / "data/dataset/train", info)
    val_set = ImageDataset.from_folder(root / "data/dataset/val", info)
    if not len(train_set):
        raise UserError(
            f"{root / 'data/dataset/train'}: needs an image at least, found none; lower `val_fraction` and run `dvc repro`"
        )
    params = _with_enough_epochs(params.model_copy(update={"augment": augment}), len(train_set))
    mean, std = normalisation(params.normalize, info)
    weights_K = class_weights(params.class_weights, train_set.labels_N, info.classes)
    model = _untrained(params, root, info, train_set, precision, context).to(device)
    context.broadcast(model.state_dict().values())
    train_state = TrainState(model, params)
    point = CheckpointStore.of_run(resume, facts) if resume else None

    def after_epoch(result: Result) -> None:
        print(epoch_line(result, params.epochs), flush=True)
        if context.is_main_process:
            if point:
                point.save(train_state, result)
            _write_progress(root, result)

    so_far = point.restore(train_state, context) if point else None
    if so_far:
        print(f"going on after epoch {len(so_far.history)} of {params.epochs}, where this run was broken off", flush=True)
        if context.is_main_process:
            _write_progress(root, so_far)
    result = fit(train_state, train_set, val_set, params, device, after_epoch, so_far, weights_K, context)
    again = evaluate_kept(train_state, result, train_set, device, context) if params.evaluate_train else None
    if not context.is_main_process:
        return
    if again:
        write_json(root / "metrics/train.json", train_metrics(result, again))
    description = ModelDescription(
        dataset=info.dataset,
        classes=info.classes,
        shape_CHW=info.shape_CHW,
        hflip_invariant=info.hflip_invariant,
        pixel_max=info.pixel_max,
        mean=mean,
        std=std,
        network=params.network,
        precision=precision,
        num_parameters=count_parameters(model.network),
        kept_epoch=result.kept.epoch,
        computed_with=facts | processes_fact(result.processes),
    )
    save_model(root / "models", result.weights, description)
    if point:
        point.discard()


def _untrained(
    params: TrainParams,
    root: Path,
    info: DatasetInfo,
    train_set: ImageDataset,
    precision: Precision,
    context: DistributedContext,
) -> ImageClassifier:
    """The network with its first weights; those that are fitted to images only in the first process."""
    network = build_network(params.network, info.shape_CHW, len(info.classes), params.seed)
    if params.pretrained:
        load_pretrained(network, root / "models/pretrained.safetensors", freeze=params.freeze)
    convert_batch_norms(network, context)
    model = ImageClassifier(network, *normalisation(params.normalize, info), precision)
    rows = rows_to_fit(len(train_set), math.prod(info.shape_CHW))
    if context.is_main_process:
        fit_first_layer(network, lambda: model.normalised(train_set.batch(rows)[0]))
    return model


def _write_progress(root: Path, result: Result) -> None:
    write_table(root / "plots/history.csv", history_table(result))
    write_table(root / "plots/steps.csv", steps_table(result))
    write_json(root / "metrics/train.json", train_metrics(result))


def _with_enough_epochs(params: TrainParams, num_images: int) -> TrainParams:
    epochs = num_epochs(num_images, params)
    if epochs > params.epochs:
        print(f"{epochs} epochs in place of {params.epochs}: {num_images} images need so many for min_steps {params.min_steps}")
    return params.model_copy(update={"epochs": epochs})


if __name__ == "__main__":
    run_stage("train", main, TrainParams, resumable=True)
