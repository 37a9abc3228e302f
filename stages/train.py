"""Stage `train`: data/dataset/{train,val}, pretrained.safetensors -> models/, metrics/train.json, plots/{history,steps}.csv."""

import math
from pathlib import Path

from classifier.compute import compute_facts, set_up_compute
from classifier.csv_file import write_table
from classifier.dataset import ImageDataset
from classifier.errors import UserError
from classifier.files import read_json, write_json
from classifier.history import epoch_line, history_table, steps_table, train_metrics
from classifier.losses import class_weights
from classifier.model import ImageClassifier
from classifier.model_file import ModelDescription, save_model
from classifier.networks import build_network, count_parameters
from classifier.normalisation import normalisation
from classifier.params.train import TrainParams
from classifier.precision import resolve_precision
from classifier.pretrained import load_pretrained
from classifier.progress import Result
from classifier.resume import ResumePoint
from classifier.schema import DatasetInfo
from classifier.steps import num_epochs
from classifier.training import Trainee, fit, measured_again
from classifier.whitening import fit_first_layer, rows_to_fit
from stages.runner import run_stage


def main(params: TrainParams, root: Path = Path(), resume: Path | None = None) -> None:
    """Train `params.network`; rewrite metrics and history after every epoch, write the kept weights at the end.

    `resume` is the start of the path of the training state; None keeps none.
    """
    device = set_up_compute(params.device, params.threads)
    precision = resolve_precision(params.precision, params.network, device)
    facts = compute_facts(device, params.threads, precision)
    print(f"training {params.network} in {precision} on {device.type}", flush=True)
    info = read_json(root / "data/dataset/dataset.json", DatasetInfo)
    train_set = ImageDataset.from_folder(root / "data/dataset/train", info)
    val_set = ImageDataset.from_folder(root / "data/dataset/val", info)
    if not len(train_set):
        raise UserError(
            f"{root / 'data/dataset/train'}: needs an image at least, found none; lower `val_fraction` and run `dvc repro`"
        )
    params = _with_enough_epochs(params, len(train_set))
    weights_K = class_weights(params.class_weights, train_set.labels_N, info.classes)
    network = build_network(params.network, info.shape_CHW, len(info.classes), params.seed)
    if params.pretrained:
        load_pretrained(network, root / "models/pretrained.safetensors", freeze=params.freeze)
    mean, std = normalisation(params.normalize, info)
    model = ImageClassifier(network, mean, std, precision)
    rows = rows_to_fit(len(train_set), math.prod(info.shape_CHW))
    fit_first_layer(network, lambda: model.normalised(train_set.batch(rows)[0]))
    trainee = Trainee(model.to(device), params, device)
    point = ResumePoint.of_run(resume, facts) if resume else None

    def write_progress(result: Result) -> None:
        write_table(root / "plots/history.csv", history_table(result))
        write_table(root / "plots/steps.csv", steps_table(result))
        write_json(root / "metrics/train.json", train_metrics(result))

    def after_epoch(result: Result) -> None:
        print(epoch_line(result, params.epochs), flush=True)
        if point:
            point.save(trainee, result)
        write_progress(result)

    so_far = point.restore(trainee) if point else None
    if so_far:
        print(f"going on after epoch {len(so_far.history)} of {params.epochs}, where this run was broken off", flush=True)
        write_progress(so_far)
    result = fit(trainee, train_set, val_set, params, device, after_epoch, so_far, weights_K)
    if params.evaluate_train:
        write_json(root / "metrics/train.json", train_metrics(result, measured_again(trainee, result, train_set, device)))
    description = ModelDescription(
        dataset=info.dataset,
        classes=info.classes,
        shape_CHW=info.shape_CHW,
        mean=mean,
        std=std,
        network=params.network,
        precision=precision,
        num_parameters=count_parameters(network),
        kept_epoch=result.kept.epoch,
        computed_with=facts,
    )
    save_model(root / "models", result.weights, description)
    if point:
        point.discard()


def _with_enough_epochs(params: TrainParams, num_images: int) -> TrainParams:
    epochs = num_epochs(num_images, params)
    if epochs > params.epochs:
        print(f"{epochs} epochs in place of {params.epochs}: {num_images} images need so many for min_steps {params.min_steps}")
    return params.model_copy(update={"epochs": epochs})


if __name__ == "__main__":
    run_stage("train", main, TrainParams, resumable=True)
