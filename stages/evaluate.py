"""Stage `evaluate`: models/, data/dataset/test -> metrics/test.json, plots/{predictions,classes}.csv."""

import math
from pathlib import Path

from classifier.common.csv_file import write_csv
from classifier.common.errors import UserError
from classifier.common.files import together, write_json
from classifier.compute.device import set_up_compute
from classifier.model.dataset import ImageDataset
from classifier.model.file import load_model
from classifier.model.image_classifier import resolve_precision
from classifier.model.inference import predict
from classifier.scores.baseline import no_better_than_guessing
from classifier.scores.metrics import classes_table, predictions_table, summary_metrics
from classifier.scores.params import EvaluateParams, resolve_flip_tta
from stages.runner import run_stage


def main(params: EvaluateParams, root: Path = Path()) -> None:
    """Measure the kept model on the official test split, once. No other stage measures anything on that split.

    Precision "auto" is the one that the model was trained in.
    """
    device = set_up_compute(params.device, params.threads)
    model, description = load_model(root / "models")
    test_set = ImageDataset.from_folder(root / "data/dataset/test", description)
    if not len(test_set):
        raise UserError(f"{root / 'data/dataset/test'}: needs an image at least, found none; run `dvc repro`")
    if params.precision != "auto":
        model.set_precision(resolve_precision(params.precision, description.network, device))
    flip_tta = resolve_flip_tta(params.flip_tta, description.hflip_invariant)
    predictions = predict(model.to(device), test_set, flip_tta=flip_tta)
    if not math.isfinite(predictions.loss):
        weights = root / "models/model.safetensors"
        raise UserError(f"{weights}: needs weights of a finite loss, found a test loss of {predictions.loss}; run `dvc repro`")
    metrics = summary_metrics(predictions)
    with together():
        write_csv(root / "plots/predictions.csv", predictions_table(predictions, description.classes))
        write_csv(root / "plots/classes.csv", classes_table(predictions, description.classes))
        write_json(root / "metrics/test.json", metrics)
    print("  ".join(f"{name} {value:.4f}" for name, value in metrics.items()))
    of_accuracy = (metrics[f"test_{name}"] for name in ("accuracy", "accuracy_low", "accuracy_high", "baseline_accuracy"))
    if remark := no_better_than_guessing(*of_accuracy):
        print(remark)


if __name__ == "__main__":
    run_stage("evaluate", main, EvaluateParams)
