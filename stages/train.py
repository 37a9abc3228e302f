"""Stage `train`: data/dataset/{train,val} -> models/, metrics/train.json, plots/history.csv."""

from pathlib import Path

import torch

from classifier.compute import compute_facts, set_up_compute
from classifier.csv_file import write_table
from classifier.dataset import ImageDataset
from classifier.files import read_json, write_json
from classifier.history import epoch_line, history_table, train_metrics
from classifier.model import ImageClassifier
from classifier.model_file import ModelDescription, save_model
from classifier.networks import build_network, count_parameters
from classifier.params.train import TrainParams
from classifier.schema import DatasetInfo
from classifier.training import Result, fit
from stages.runner import run_stage


def main(params: TrainParams, root: Path = Path()) -> None:
    """Train `params.network`; rewrite metrics and history after every epoch, write the kept weights at the end."""
    device = set_up_compute(params.device, params.threads)
    info = read_json(root / "data/dataset/dataset.json", DatasetInfo)
    train_set = ImageDataset.from_folder(root / "data/dataset/train")
    val_set = ImageDataset.from_folder(root / "data/dataset/val")
    network = build_network(params.network, info.shape_CHW, len(info.classes), params.seed)
    model = ImageClassifier(network, info.mean, info.std).to(device)
    model.to(memory_format=torch.channels_last)

    def record(result: Result) -> None:
        print(epoch_line(result, params.epochs), flush=True)
        write_table(root / "plots/history.csv", history_table(result))
        write_json(root / "metrics/train.json", train_metrics(result))

    result = fit(model, train_set, val_set, params, device, record)
    description = ModelDescription(
        dataset=info.dataset,
        classes=info.classes,
        shape_CHW=info.shape_CHW,
        mean=info.mean,
        std=info.std,
        network=params.network,
        num_parameters=count_parameters(network),
        kept_epoch=result.kept.epoch,
        computed_with=compute_facts(device, params.threads),
    )
    save_model(root / "models", result.weights, description)


if __name__ == "__main__":
    run_stage(main, TrainParams)
