"""The charts of the report: learning curves, and the reliability diagram."""

import pandas as pd

from tools.report.calibration import Bin, Calibration
from tools.report.svg import Axes, chart, dot, line, polyline, ticks

MOST_DOTS = 40
"""Of a curve; more epochs are a line alone."""
_SPLITS = (("train", "training"), ("val", "validation"))
_BAR_HEIGHT = 0.25
"""Of the largest bar of images, as a share of the reliability diagram's height."""


def learning_curve(history: pd.DataFrame, kept_epoch: int | None, measure: str, unit: str) -> str:
    """One measure by epoch, training and validation (where there is one), with the kept epoch marked."""
    curves = {words: history[f"{split}_{measure}"] for split, words in _SPLITS if f"{split}_{measure}" in history}
    low, high = min(float(curve.min()) for curve in curves.values()), max(float(curve.max()) for curve in curves.values())
    margin = 0.05 * (high - low) or 0.05
    epochs = [float(epoch) for epoch in history["epoch"]]
    axes = Axes(min(epochs), max(epochs), low - margin, high + margin)
    parts = [axes.frame("epoch", unit, ticks(axes.x_low, axes.x_high, whole=True), ticks(axes.y_low, axes.y_high))]
    if kept_epoch is not None:
        parts.append(line(axes.at(kept_epoch, axes.y_low), axes.at(kept_epoch, axes.y_high), "kept"))
    for words, curve in curves.items():
        points = [axes.at(epoch, float(figure)) for epoch, figure in zip(epochs, curve, strict=True)]
        parts.append(polyline(points, words))
        parts += [dot(point, words) for point in points] if len(points) <= MOST_DOTS else []
    told = "; ".join(f"{words} {curve.iloc[0]:.4g} to {curve.iloc[-1]:.4g}" for words, curve in curves.items())
    return chart(f"{measure.capitalize()} by epoch, from epoch {epochs[0]:g} to {epochs[-1]:g}: {told}", "".join(parts))


def reliability_diagram(found: Calibration) -> str:
    """Share of right answers by confidence, with bars of the 95 % interval, over a histogram of the confidences."""
    axes = Axes(0, 1, 0, 1)
    most = max(one.num_images for one in found.bins)
    fifths = [0, 0.2, 0.4, 0.6, 0.8, 1]
    parts = [_bar(axes, one, most) for one in found.bins]
    parts += [axes.frame("confidence", "share of images classified right", fifths, fifths)]
    parts += [line(axes.at(0, 0), axes.at(1, 1), "ideal")]
    for one in found.bins:
        parts.append(line(axes.at(one.confidence, one.right.low), axes.at(one.confidence, one.right.high), "whisker"))
        parts.append(dot(axes.at(one.confidence, one.right.estimate), "training", radius=4))
    title = f"Reliability diagram of {len(found.bins)} bins; the expected calibration error is {found.error:.4f}"
    return chart(title, "".join(parts))


def _bar(axes: Axes, one: Bin, most: int) -> str:
    (left, top), (right, bottom) = axes.at(one.low, _BAR_HEIGHT * one.num_images / most), axes.at(one.high, 0)
    return f'<rect class="bar" x="{left:.2f}" y="{top:.2f}" width="{right - left - 1:.2f}" height="{bottom - top:.2f}"/>'
