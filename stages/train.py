"""Stage `train`: data/dataset/{train,val}, pretrained.safetensors -> models/, metrics/train.json, plots/{history,steps}.csv."""

import hashlib
import math
import os
from pathlib import Path

import torch

from classifier.common.csv_file import write_csv
from classifier.common.errors import UserError
from classifier.common.files import read_json, state_folder, together, write_json
from classifier.compute.device import all_facts, compute_facts, processes_fact, set_up_compute
from classifier.images.schema import DatasetInfo
from classifier.model.dataset import ImageDataset
from classifier.model.description import WEIGHTS, ModelDescription
from classifier.model.file import save_model
from classifier.model.image_classifier import ImageClassifier, resolve_precision
from classifier.networks.own import build_network, count_parameters
from classifier.networks.pretrained import load_pretrained
from classifier.networks.whitening import fit_first_layer, rows_to_fit
from classifier.training.checkpoint import CheckpointStore
from classifier.training.distributed import DistributedContext, convert_batch_norms, init_distributed
from classifier.training.features import FeatureStore, head_model, needs_pixels, with_head
from classifier.training.history import TRAIN_EPOCH, Result, empty_table, epoch_line, history_table, steps_table, train_metrics
from classifier.training.loop import TrainState, evaluate_kept, fit
from classifier.training.params import TrainParams
from classifier.training.recipe import Recipe, resolve
from stages.runner import run_stage


def main(params: TrainParams, root: Path = Path(), resume: Path | None = None, inputs: str = "") -> None:
    """Train `params.network`; rewrite metrics and history after every epoch, write the kept weights at the end.

    `resume` is the start of the checkpoint's path; None keeps none. `inputs` is a digest of all files that are declared; with
    it the features of a frozen network are kept for the next run. Where torchrun started several processes, all train, and the
    main process writes.
    """
    device = set_up_compute(params.device, params.threads)
    with init_distributed(device) as context:
        _train(params, root, resume, inputs, device, context)


def _train(
    params: TrainParams, root: Path, resume: Path | None, inputs: str, device: torch.device, context: DistributedContext
) -> None:
    precision = resolve_precision(params.precision, params.network, device)
    facts = compute_facts(device, params.threads, precision)
    context.check_same(f"{resume.name if resume else ''} {facts['torch']} {facts['device']} {precision}")
    info = read_json(root / "data/dataset/dataset.json", DatasetInfo)
    train_set = ImageDataset.from_folder(root / "data/dataset/train", info)
    val_set = ImageDataset.from_folder(root / "data/dataset/val", info)
    if not len(train_set):
        raise UserError(
            f"{root / 'data/dataset/train'}: needs an image at least, found none; lower `val_fraction` and run `dvc repro`"
        )
    recipe = resolve(params, info, train_set.labels_N, precision, context.size)
    shared = f", {context.size} processes" if context.size > 1 else ""
    chosen = f"optimizer: {recipe.optimizer}, augment: [{', '.join(recipe.augment)}]"
    print(f"training {recipe.network} in {precision} on {device.type}{shared}, {chosen}", flush=True)
    if recipe.epochs > params.epochs:
        why = f"{len(train_set)} images need so many for min_steps {params.min_steps}"
        print(f"{recipe.epochs} epochs in place of {params.epochs}: {why}")

    model = _build_model(recipe, root, info, train_set, context).to(device)
    context.broadcast(model.state_dict().values())
    trained = model
    if recipe.freeze and (reason := needs_pixels(recipe, model)):
        print(f"the frozen backbone is computed anew in every epoch: {reason}")
    elif recipe.freeze and inputs:
        trained = head_model(model, info.shape_CHW)
        depends_on = inputs, all_facts(facts), recipe.network, recipe.mean, recipe.std
        features = FeatureStore(state_folder(root) / "features", model, context, *depends_on)
        train_set = features.of(train_set, "train", num_views=2 if "flip" in recipe.augment else 1)
        val_set = features.of(val_set, "val", num_views=1)
    train_state = TrainState(trained, recipe, context)
    store = CheckpointStore.of_run(resume, all_facts(facts)) if resume else None
    if store and store.restore(train_state) and train_state.result:
        done = len(train_state.result.history)
        if done < recipe.epochs:
            print(f"going on after epoch {done} of {recipe.epochs}, where this run was broken off", flush=True)
        else:
            print(f"all {done} epochs were trained before, but not recorded: writing what they gave", flush=True)
        if context.is_main_process:
            _write_progress(root, train_state.result)
    elif context.is_main_process:
        _write_start(root, with_validation=len(val_set) > 0)

    def after_epoch(result: Result) -> None:
        print(epoch_line(result, recipe.epochs), flush=True)
        if context.is_main_process:
            if store:
                store.save(train_state)
            _write_progress(root, result)

    result = fit(train_state, train_set, val_set, after_epoch)
    again = evaluate_kept(train_state, result, train_set) if recipe.evaluate_train else None
    if not context.is_main_process:
        return
    description = ModelDescription(
        dataset=info.dataset,
        classes=info.classes,
        shape_CHW=info.shape_CHW,
        hflip_invariant=info.hflip_invariant,
        pixel_max=info.pixel_max,
        mean=recipe.mean,
        std=recipe.std,
        network=recipe.network,
        optimizer=recipe.optimizer,
        precision=precision,
        num_parameters=count_parameters(model.network),
        kept_epoch=result.kept.epoch,
        computed_with=facts | processes_fact(result.processes),
    )
    weights = result.weights if trained is model else with_head(model, result.weights)
    with together():
        if again:
            write_json(root / "metrics/train.json", train_metrics(result, again))
        save_model(root / "models", weights, description)
    if store and "DVC_STAGE" in os.environ:  # which has yet to record them
        content = (root / "models" / WEIGHTS).read_bytes()
        store.finish(hashlib.md5(content, usedforsecurity=False).hexdigest())
    elif store:
        store.discard()


def _build_model(
    recipe: Recipe, root: Path, info: DatasetInfo, train_set: ImageDataset, context: DistributedContext
) -> ImageClassifier:
    """The network with its first weights; those that are fitted to images only in the main process."""
    network = build_network(recipe.network, info.shape_CHW, len(info.classes), recipe.seed)
    if recipe.pretrained:
        load_pretrained(network, root / "models/pretrained.safetensors")
    convert_batch_norms(network, context)
    model = ImageClassifier(network, recipe.mean, recipe.std, recipe.precision)
    if recipe.freeze:
        model.freeze()
    rows = rows_to_fit(len(train_set), math.prod(info.shape_CHW))
    if context.is_main_process and not recipe.pretrained:
        fit_first_layer(network, lambda: model.normalise(train_set.batch(rows)[0]))
    return model


def _write_start(root: Path, with_validation: bool) -> None:
    """Before the first epoch ends: who looks meanwhile, as `dvc exp show` and VS Code do, takes a missing file for an error."""
    write_csv(root / "plots/history.csv", empty_table("epoch", with_validation))
    write_csv(root / "plots/steps.csv", empty_table("step", with_validation))
    write_json(root / "metrics/train.json", {TRAIN_EPOCH: 0})


def _write_progress(root: Path, result: Result) -> None:
    write_csv(root / "plots/history.csv", history_table(result))
    write_csv(root / "plots/steps.csv", steps_table(result))
    write_json(root / "metrics/train.json", train_metrics(result))


if __name__ == "__main__":
    run_stage("train", main, TrainParams, resumable=True)
