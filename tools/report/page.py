"""What the report's page shows, from the run. Its sentences are in report.html. Legend: N images, K classes."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from classifier.model.description import ModelDescription
from classifier.splits.data_check import remarks
from record.lock_file import Lock
from record.metrics import DataMetrics
from record.statistics import Interval, share_interval
from tools.page import render
from tools.report.charts import learning_curve, reliability_diagram
from tools.report.confusions import (
    LONGEST_SIDE,
    MAX_BYTES,
    MAX_CLASSES,
    MAX_IMAGES,
    MAX_PER_CELL,
    SHADE_WORDS,
    data_address,
    fair_order,
    find_cells,
    surest_mistakes,
    thumbnails,
)
from tools.report.pipeline import pipeline_picture
from tools.report.run import METHODS, NUM_BINS, Calibration, Figures, Run, work_out
from tools.review.changes import as_yaml
from tools.review.wording import figure, guessing_remark, metric_words, percent, stale_stages

MAX_FILES_NAMED = 20
UNBALANCED = 1.5
"""The largest class of the test images against the smallest; from there on accuracy alone says too little."""
MAX_ROWS = 60
"""Of classes; of more, those of the lowest F1 come first, and all are folded."""
COARSE_SIDE = 48
"""Images up to this many pixels are enlarged with sharp edges."""
_MEASURES = {"loss": "cross-entropy (nats)", "accuracy": "share of images right"}
_BYTES_PER_MIB = 2**20

Rows = list[list[str]]


def as_page(run: Run) -> str:
    """The page; the same run gives the same text."""
    results = run.results
    cells, mistakes = find_cells(results), surest_mistakes(results).tolist()
    pictures = None if run.images_NCHW is None else thumbnails(run.images_NCHW, [*mistakes, *fair_order(cells)])
    figures = work_out(results)
    kept = results.metrics.get("train_best_epoch", results.metrics.get("best_epoch"))
    kept_epoch = int(kept) if kept is not None and len(results.history) > 1 and kept in set(results.history["epoch"]) else None
    class_heads, class_rows, lowest = _classes(run)
    images_K = np.unique(results.actual_N, return_counts=True)[1]
    return render(
        "report/report",
        title=run.title,
        run=run,
        stale=stale_stages("this folder", run.stale),
        classes=results.classes,
        actual=list(results.predictions["actual"]),
        predicted=list(results.predictions["predicted"]),
        confidence=list(results.predictions["confidence"]),
        guessing=guessing_remark(results),
        unbalanced=images_K.max() >= UNBALANCED * images_K.min(),
        num_tested=len(images_K),
        num_right=int(results.right_N.sum()),
        intervals=figures.intervals,
        calibration=figures.calibration,
        num_bins=NUM_BINS,
        most_images=max(one.num_images for one in figures.calibration.bins),
        reliability=reliability_diagram(figures.calibration),
        curves={measure: learning_curve(results.history, kept_epoch, measure, unit) for measure, unit in _MEASURES.items()},
        has_validation=bool({"val_loss", "val_accuracy"} & set(results.history)),
        kept_epoch=kept_epoch,
        cells=cells,
        cells_by_place={(cell.actual, cell.predicted): cell for cell in cells} if len(results.classes) <= MAX_CLASSES else None,
        shade_words=SHADE_WORDS,
        max_per_cell=MAX_PER_CELL,
        mistakes=mistakes,
        pictures=pictures,
        coarse=run.images_NCHW is not None and max(run.images_NCHW.shape[2:]) <= COARSE_SIDE,
        max_bytes=MAX_BYTES,
        max_images=MAX_IMAGES,
        longest_side=LONGEST_SIDE,
        data=run.data_report,
        remarks=_remarks(run.data_report) if run.data_report else [],
        pipeline=pipeline_picture(results.lock),
        max_files_named=MAX_FILES_NAMED,
        class_heads=class_heads,
        rows={
            "metrics": _metrics(run, figures),
            "epochs": [[figure(value) for value in row] for row in results.history.itertuples(index=False)],
            "bins": _bins(figures.calibration),
            "classes": class_rows,
            "lowest": lowest if len(class_rows) > MAX_ROWS else [],
            "splits": _splits(run.data_report) if run.data_report else [],
            "leaked": _leaked(run.data_report) if run.data_report else [],
            "params": _params(results.lock),
            "model": _model(run.model) if run.model else [],
            "made": [[name, out.path, out.md5] for name, stage in results.lock.stages.items() for out in stage.outs],
        },
        bounds=_bounds,
        data_address=data_address,
        figure=figure,
        metric_words=metric_words,
        mib=lambda num_bytes: num_bytes / _BYTES_PER_MIB,
        percent=percent,
    )


def _metrics(run: Run, figures: Figures) -> Rows:
    """All metrics, with intervals where something is kept of each image."""
    found = figures.calibration
    rows = [[metric_words(name), figure(one.estimate), _bounds(one), METHODS[name]] for name, one in figures.intervals.items()]
    by_chance = f"up to {figure(found.error_by_chance)} by chance alone"
    rows.append(["expected calibration error", figure(found.error), "–", by_chance])
    others = [name for name in run.results.metrics if not name.startswith(tuple(METHODS))]
    return rows + [[metric_words(name), figure(run.results.metrics[name]), "–", ""] for name in others]


def _bins(found: Calibration) -> Rows:
    rows = []
    for one in found.bins:
        shares = [figure(one.confidence), figure(one.right.estimate), _bounds(one.right)]
        rows.append([f"{one.low:.3f}", f"{one.high:.3f}", f"{one.num_images:,}", *shares])
    return rows


def _classes(run: Run) -> tuple[list[str], Rows, Rows]:
    """Heads, and a row a class: recall and precision with intervals, F1, and how many images there are of it.

    Behind them the MAX_ROWS of the lowest F1, which a class has that was there or was predicted.
    """
    results, num_classes = run.results, len(run.results.classes)
    actual_K, predicted_K = (np.bincount(of_N, minlength=num_classes) for of_N in (results.actual_N, results.predicted_N))
    right_K = np.bincount(results.actual_N[results.right_N], minlength=num_classes)
    counts = {split: count for split, count in (run.class_counts or {}).items() if split != "test"}
    rows, f1s = [], []
    for label, name in enumerate(results.classes):
        right, actual, predicted = (int(count_K[label]) for count_K in (right_K, actual_K, predicted_K))
        f1 = 2 * right / (actual + predicted) if actual + predicted else None
        f1s.append(math.inf if f1 is None else f1)
        shares = [*_share(right, actual), *_share(right, predicted), figure(f1)]
        rows.append([name, f"{actual:,}", *shares, *(f"{count[label]:,}" for count in counts.values())])
    heads = ["class", "test images", "recall", "95 % interval", "precision", "95 % interval", "F1"]
    lowest = [rows[label] for label in sorted(range(len(rows)), key=f1s.__getitem__)[:MAX_ROWS]]
    return heads + [f"{split} images" for split in counts], rows, lowest


def _remarks(report: DataMetrics) -> list[str]:
    found = list(remarks(report.model_dump(exclude_unset=True)))
    return found + [f"pictures that could not be read and were left out: {report.unreadable:,}"] * bool(report.unreadable)


def _splits(report: DataMetrics) -> Rows:
    columns: list[Mapping[Any, int]] = [report.images, report.classes_missing, report.repeated, report.constant]
    return [[split, *(f"{counts[split]:,}" for counts in columns)] for split in report.images]


def _leaked(report: DataMetrics) -> Rows:
    return [[name.replace("_", " "), f"{count:,}"] for name, count in report.leaked.items()]


def _params(lock: Lock) -> Rows:
    """What the stages ran with, as dvc.lock records it."""
    read_by: dict[tuple[str, str], list[str]] = {}
    for stage_name, stage in lock.stages.items():
        for name, value in stage.param_values.items():
            read_by.setdefault((name, as_yaml(value)), []).append(stage_name)
    return [[name, value, ", ".join(stages)] for (name, value), stages in read_by.items()]


def _model(model: ModelDescription) -> Rows:
    channels, height, width = model.shape_CHW
    return [
        ["network", model.network],
        ["optimizer", model.optimizer or "not recorded"],
        ["parameters", f"{model.num_parameters:,}"],
        ["image", f"{height} × {width} pixels, {channels} channel{'s' if channels > 1 else ''}"],
        ["kept epoch", str(model.kept_epoch)],
        *([name, str(value)] for name, value in model.computed_with.items()),
    ]


def _bounds(interval: Interval) -> str:
    return f"{figure(interval.low)} to {figure(interval.high)}"


def _share(count: int, num_images: int) -> list[str]:
    """A share and its interval; dashes of nothing."""
    if not num_images:
        return ["–", "–"]
    interval = share_interval(count, num_images)
    return [figure(interval.estimate), _bounds(interval)]
