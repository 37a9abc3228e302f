"""The parts of the page. Every text that comes from a file is escaped. Legend: K classes."""

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np

from classifier.splits.data_check import remarks
from record.lock_file import LOCK_FILE, Lock
from record.metrics import DataMetrics
from record.statistics import Interval, share_interval
from record.verdicts import ACCURACY, LOSS, MACRO_F1
from tools.report.calibration import METHODS, NUM_BINS, Calibration, Figures
from tools.report.charts import learning_curve, reliability_diagram
from tools.report.pipeline import pipeline_picture
from tools.report.run import Run
from tools.review.html import own_text, table
from tools.review.wording import figure, metric_words, percent, stale_stages

MAX_FILES_NAMED = 20
_MEASURES = (("loss", "cross-entropy (nats)"), ("accuracy", "share of images right"))


def section(name: str, title: str, content: str) -> str:
    """A part with a heading that links can lead to."""
    return f'<section id="{name}"><h2>{title}</h2>{content}</section>'


def headline(run: Run, figures: Figures) -> str:
    """The four figures that one looks for first, with their intervals."""
    results, found = run.results, figures.calibration
    accuracy = figures.intervals[ACCURACY]
    bounds = f"{percent(accuracy.low, 2)} to {percent(accuracy.high, 2)}"
    shown = [("test accuracy", percent(accuracy.estimate, 2), f"95 % interval {bounds}")]
    for name in (LOSS, MACRO_F1):
        interval = figures.intervals[name]
        shown.append((metric_words(name), figure(interval.estimate), f"95 % interval {_bounds(interval)}"))
    shown.append(("calibration error", figure(found.error), f"chance alone: up to {figure(found.error_by_chance)}"))
    boxes = "".join(
        f'<div><dt>{name}</dt><dd>{value}<span class="small">{more}</span></dd></div>' for name, value, more in shown
    )
    right = f"{int(results.right_N.sum()):,} of {len(results.right_N):,} test images"
    return f'<p>{right} of {len(results.classes):,} classes are classified right.</p><dl class="figures">{boxes}</dl>'


def notices(run: Run) -> str:
    """What is stale, and what is missing and why."""
    stale = [
        f"<strong>Stale.</strong> {escape(line)}. The figures below are of the earlier one; run <code>dvc repro</code>."
        for line in stale_stages("this folder", run.stale)
    ]
    missing = [f"<strong>Left out.</strong> {escape(line[:1].upper() + line[1:])}." for line in run.missing]
    return "".join(f'<p class="note">{line}</p>' for line in [*stale, *missing])


def metrics(run: Run, figures: Figures) -> str:
    """All metrics, with intervals where something is kept of each image."""
    rows = [[metric_words(name), figure(one.estimate), _bounds(one), METHODS[name]] for name, one in figures.intervals.items()]
    chance = f"up to {figure(figures.calibration.error_by_chance)} by chance alone"
    rows.append(["expected calibration error", figure(figures.calibration.error), "–", chance])
    others = [name for name in run.results.metrics if not name.startswith(tuple(METHODS))]
    rows += [[metric_words(name), figure(run.results.metrics[name]), "–", ""] for name in others]
    return table("Metrics", ["metric", "value", "95 % interval", "how"], rows, "hnnt")


def curves(run: Run) -> str:
    """Loss and accuracy by epoch as charts, and their figures as a table to unfold."""
    history = run.results.history
    kept = run.results.metrics.get("best_epoch")
    kept_epoch = int(kept) if kept is not None and kept in set(history["epoch"]) else None
    charts = "".join(
        f"<figure><figcaption>{measure.capitalize()}</figcaption>{learning_curve(history, kept_epoch, measure, unit)}</figure>"
        for measure, unit in _MEASURES
    )
    keys = ['<span class="stroke"></span> training']
    keys += ['<span class="stroke dashed"></span> validation'] if {"val_loss", "val_accuracy"} & set(history) else []
    keys += [f'<span class="stroke dotted"></span> kept: epoch {kept_epoch}'] if kept_epoch is not None else []
    columns = [str(column) for column in history.columns]
    rows = [[figure(float(value)) for value in row] for row in history.itertuples(index=False)]
    figures = table("Figures by epoch", columns, rows, "n" * len(columns))
    return (
        f'<div class="charts">{charts}</div><p class="legend">{" &ensp; ".join(keys)}</p>'
        f"<details><summary>The figures of each epoch</summary>{figures}</details>"
    )


def calibration(found: Calibration) -> str:
    """The reliability diagram, what the error is, and the bins as a table to unfold."""
    heads = ["confidence above", "up to", "images", "mean confidence", "share right", "95 % interval"]
    rows = []
    for one in found.bins:
        shares = [figure(one.confidence), figure(one.right.estimate), _bounds(one.right)]
        rows.append([f"{one.low:.3f}", f"{one.high:.3f}", f"{one.num_images:,}", *shares])
    by_chance = "more" if found.error > found.error_by_chance else "no more"
    return (
        f"<p>The expected calibration error is <strong>{found.error:.4f}</strong>, {by_chance} than chance explains. For it, "
        f"the test images are put into {NUM_BINS} bins of equal width by the probability that the model gives to the class it "
        "chooses; in each bin the distance between the mean of these probabilities and the share of right answers is taken, "
        "and averaged over the bins by their images (Guo et al. 2017). A perfectly calibrated model with the same confidences "
        f"on as many images would show up to {found.error_by_chance:.4f} in 95 of 100 cases.</p>"
        f"<figure>{reliability_diagram(found)}<figcaption>Points on the dashed line are right as often as they say; above it "
        "the model is too modest, below it too sure. Upright lines are 95 % intervals (Wilson); the bars are the images of "
        f"each bin, {max(one.num_images for one in found.bins):,} in the fullest.</figcaption></figure>"
        f"<details><summary>The figures of each bin</summary>{table('Figures by bin', heads, rows, 'nnnnnn')}</details>"
    )


def classes(run: Run) -> str:
    """A row a class: recall and precision with intervals, F1, and how many images there are of it."""
    results, num_classes = run.results, len(run.results.classes)
    actual_K, predicted_K = (np.bincount(of_N, minlength=num_classes) for of_N in (results.actual_N, results.predicted_N))
    right_K = np.bincount(results.actual_N[results.right_N], minlength=num_classes)
    counts = {split: count for split, count in (run.class_counts or {}).items() if split != "test"}
    rows = []
    for label, name in enumerate(results.classes):
        right, actual, predicted = (int(count_K[label]) for count_K in (right_K, actual_K, predicted_K))
        f1 = 2 * right / (actual + predicted) if actual + predicted else None
        shares = [*_share(right, actual), *_share(right, predicted), figure(f1)]
        rows.append([name, f"{actual:,}", *shares, *(f"{count[label]:,}" for count in counts.values())])
    heads = ["class", "test images", "recall", "95 % interval", "precision", "95 % interval", "F1"]
    heads += [f"{split} images" for split in counts]
    return table("By class", heads, rows, "h" + "n" * (len(heads) - 1))


def data(report: DataMetrics) -> str:
    """What is odd about the data, in sentences and by split."""
    found = list(remarks(report.model_dump()))
    found += [f"pictures that could not be read and were left out: {report.unreadable:,}"] if report.unreadable else []
    odd = "".join(f"<li>{escape(line)}</li>" for line in found)
    named = "".join(f"<li>{own_text(name)}</li>" for name in report.unreadable_files)
    rows = [
        [split, *(f"{counts[split]:,}" for counts in (report.images, report.classes_missing, report.repeated, report.constant))]
        for split in report.images
    ]
    heads = ["split", "images", "classes without any", "copies of another", "of one colour"]
    leaked = [[name.replace("_", " "), f"{count:,}"] for name, count in report.leaked.items()]
    return (
        (f"<ul>{odd}</ul>" if odd else "<p>Nothing odd was found.</p>")
        + "<h3>Images by split</h3>"
        + table("Images by split", heads, rows, "hnnnn")
        + (
            "<h3>Copies across splits</h3>" + table("Copies across splits", ["the same pixels", "images"], leaked, "hn")
            if leaked
            else ""
        )
        + f"<p>Images of the largest class of train for each one of the smallest: {report.imbalance:g}. "
        + f"Images that occur with more than one label: {report.label_conflicts:,}.</p>"
        + (f"<details><summary>Unreadable files</summary><ul>{named}</ul></details>" if named else "")
    )


def params(lock: Lock) -> str:
    """What the stages ran with, as dvc.lock records it."""
    read_by: dict[tuple[str, str], list[str]] = {}
    for stage_name, stage in lock.stages.items():
        for name, value in stage.param_values.items():
            read_by.setdefault((name, _as_yaml(value)), []).append(stage_name)
    rows = [[name, value, ", ".join(stages)] for (name, value), stages in read_by.items()]
    return table("Params", ["param", "value", "read by"], rows, "htt")


def pipeline(lock: Lock) -> str:
    """The stages as a picture."""
    picture = f'<div class="wide" tabindex="0" role="region" aria-label="Pipeline">{pipeline_picture(lock)}</div>'
    caption = "Each box is a stage with its params; below its name stand the files that it makes."
    return f"<figure>{picture}<figcaption>{caption}</figcaption></figure>"


def provenance(run: Run) -> str:
    """Commit, versions and device, and the hash of all that the stages made."""
    origin = run.provenance
    if origin.commit is None:
        git = f"<p>No commit is known: {escape(origin.no_commit or '')}.</p>"
    elif origin.changed:
        git = f"<p>Commit <code>{origin.commit}</code>, with uncommitted changes in {_listed(origin.changed)}.</p>"
    else:
        git = f"<p>Commit <code>{origin.commit}</code>, without uncommitted changes.</p>"
    heads = ["stage", "made", "MD5 in dvc.lock"]
    made = [[name, out.path, out.md5] for name, stage in run.results.lock.stages.items() for out in stage.outs]
    return (
        f"{git}<p>SHA-256 of {LOCK_FILE}: <code>{origin.lock_sha256}</code>. A folder's MD5 ends in <code>.dir</code>.</p>"
        f"{_model(run)}<h3>What the stages made</h3>{table('What the stages made', heads, made, 'htt')}"
    )


def _model(run: Run) -> str:
    if run.model is None:
        return ""
    channels, height, width = run.model.shape_CHW
    rows = [
        ["network", run.model.network],
        ["parameters", f"{run.model.num_parameters:,}"],
        ["image", f"{height} × {width} pixels, {channels} channel{'s' if channels > 1 else ''}"],
        ["kept epoch", str(run.model.kept_epoch)],
        *([name, str(value)] for name, value in run.model.computed_with.items()),
    ]
    return f"<h3>Model, versions and device</h3>{table('Model, versions and device', ['model', 'made with'], rows, 'ht')}"


def _bounds(interval: Interval) -> str:
    return f"{figure(interval.low)} to {figure(interval.high)}"


def _share(count: int, num_images: int) -> list[str]:
    """A share and its interval; dashes of nothing."""
    if not num_images:
        return ["–", "–"]
    interval = share_interval(count, num_images)
    return [figure(interval.estimate), _bounds(interval)]


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(f"<code>{escape(name)}</code>" for name in names[:MAX_FILES_NAMED])
    return shown + (f" and {len(names) - MAX_FILES_NAMED:,} more files" if len(names) > MAX_FILES_NAMED else "")


def _as_yaml(value: Any) -> str:
    """A param as params.yaml has it."""
    if isinstance(value, list):
        return f"[{', '.join(_as_yaml(each) for each in value)}]"
    words = {None: "null", True: "true", False: "false"}
    return words[value] if value is None or isinstance(value, bool) else str(value)
