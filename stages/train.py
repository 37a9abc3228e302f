"""Stage `train`: data/dataset/{train,val}, pretrained.safetensors -> models/, metrics/train.json, plots/{history,steps}.csv."""

import math
from pathlib import Path

import torch

from classifier.common.errors import UserError
from classifier.common.files import read_json, write_json
from classifier.csv_file import write_table
from classifier.model.compute import compute_facts, processes_fact, set_up_compute
from classifier.model.dataset import ImageDataset
from classifier.model.file import ModelDescription, save_model
from classifier.model.image_classifier import ImageClassifier
from classifier.model.networks import build_network, count_parameters
from classifier.model.precision import resolve_precision
from classifier.model.whitening import fit_first_layer, rows_to_fit
from classifier.params.compute import Precision
from classifier.params.train import TrainParams, resolve_augment
from classifier.schema import DatasetInfo
from classifier.training.global_batch_norm import with_global_batch_norms
from classifier.training.history import epoch_line, history_table, steps_table, train_metrics
from classifier.training.loop import Trainee, fit, measured_again
from classifier.training.losses import class_weights
from classifier.training.normalisation import normalisation
from classifier.training.pretrained import load_pretrained
from classifier.training.progress import Result
from classifier.training.resume import ResumePoint
from classifier.training.steps import num_epochs
from classifier.training.world import World, joined
from stages.runner import run_stage


def main(params: TrainParams, root: Path = Path(), resume: Path | None = None) -> None:
    """Train `params.network`; rewrite metrics and history after every epoch, write the kept weights at the end.

    `resume` is the start of the path of the training state; None keeps none. Where torchrun started several processes, all
    train, and the first one writes.
    """
    device = set_up_compute(params.device, params.threads)
    with joined(device) as world:
        _train(params, root, resume, device, world)


def _train(params: TrainParams, root: Path, resume: Path | None, device: torch.device, world: World) -> None:
    precision = resolve_precision(params.precision, params.network, device)
    facts = compute_facts(device, params.threads, precision)
    world.refuse_differences(f"{resume.name if resume else ''} {facts['torch']} {facts['device']} {precision}")
    together = f", {world.size} processes" if world.size > 1 else ""
    info = read_json(root / "data/dataset/dataset.json", DatasetInfo)
    augment = resolve_augment(params.augment, info.mirrored)
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
    model = _untrained(params, root, info, train_set, precision, world).to(device)
    world.copy_first(model.state_dict().values())
    trainee = Trainee(model, params)
    point = ResumePoint.of_run(resume, facts) if resume else None

    def after_epoch(result: Result) -> None:
        print(epoch_line(result, params.epochs), flush=True)
        if world.is_first:
            if point:
                point.save(trainee, result)
            _write_progress(root, result)

    so_far = point.restore(trainee, world) if point else None
    if so_far:
        print(f"going on after epoch {len(so_far.history)} of {params.epochs}, where this run was broken off", flush=True)
        if world.is_first:
            _write_progress(root, so_far)
    result = fit(trainee, train_set, val_set, params, device, after_epoch, so_far, weights_K, world)
    again = measured_again(trainee, result, train_set, device, world) if params.evaluate_train else None
    if not world.is_first:
        return
    if again:
        write_json(root / "metrics/train.json", train_metrics(result, again))
    description = ModelDescription(
        dataset=info.dataset,
        classes=info.classes,
        shape_CHW=info.shape_CHW,
        mirrored=info.mirrored,
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
    params: TrainParams, root: Path, info: DatasetInfo, train_set: ImageDataset, precision: Precision, world: World
) -> ImageClassifier:
    """The network with its first weights; those that are fitted to images only in the first process."""
    network = build_network(params.network, info.shape_CHW, len(info.classes), params.seed)
    if params.pretrained:
        load_pretrained(network, root / "models/pretrained.safetensors", freeze=params.freeze)
    with_global_batch_norms(network, world)
    model = ImageClassifier(network, *normalisation(params.normalize, info), precision)
    rows = rows_to_fit(len(train_set), math.prod(info.shape_CHW))
    if world.is_first:
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
