"""The charts of the report as SVG, with colours from the page by class: learning curves, the reliability diagram."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import pandas as pd

from tools.report.run import Bin, Calibration

WIDTH, HEIGHT = 400, 290
"""Of a chart, in its own units: about a pixel on a small screen, less than two on a large one."""
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 12, 12, 42
MAX_TICKS = 6

Point = tuple[float, float]


def ticks(low: float, high: float, whole: bool = False) -> list[float]:
    """Round numbers, 1, 2 or 5 times a power of ten apart, MAX_TICKS at most, from `low` or just above it to `high`.

    `whole` leaves out fractions.
    """
    if not high > low:
        return [low]
    step = 10.0 ** math.floor(math.log10((high - low) / (MAX_TICKS - 1)))
    step *= next(factor for factor in (1, 2, 5, 10) if (high - low) / (step * factor) <= MAX_TICKS - 1 + 1e-9)
    step = max(1.0, step) if whole else step
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [index * step for index in range(first, last + 1)] or [low]


@dataclass(frozen=True)
class Axes:
    """A chart's area, from `x_low`, `y_low` at its lower left to `x_high`, `y_high`."""

    x_low: float
    x_high: float
    y_low: float
    y_high: float

    def at(self, x: float, y: float) -> Point:
        """Where a value stands, in units of the chart."""
        return (
            _LEFT + _share(x, self.x_low, self.x_high) * (WIDTH - _LEFT - _RIGHT),
            HEIGHT - _BOTTOM - _share(y, self.y_low, self.y_high) * (HEIGHT - _TOP - _BOTTOM),
        )

    def frame(self, x_label: str, y_label: str, x_ticks: Sequence[float], y_ticks: Sequence[float]) -> list[str]:
        """Grid, figures at the ticks, and what the axes are of."""
        parts = []
        for y in y_ticks:
            height = self.at(self.x_low, y)[1]
            parts.append(line((_LEFT, height), (WIDTH - _RIGHT, height), "grid"))
            parts.append(text((_LEFT - 6, height + 4), f"{y:.6g}", "end"))
        for x in x_ticks:
            parts.append(text((self.at(x, 0)[0], HEIGHT - _BOTTOM + 17), f"{x:.6g}", "middle"))
        parts.append(line((_LEFT, HEIGHT - _BOTTOM), (WIDTH - _RIGHT, HEIGHT - _BOTTOM), "axis"))
        parts.append(text(((_LEFT + WIDTH - _RIGHT) / 2, HEIGHT - 6), x_label, "middle"))
        middle = (_TOP + HEIGHT - _BOTTOM) / 2
        turned = f'transform="rotate(-90 13 {middle:g})"'
        return [*parts, f'<text x="13" y="{middle:g}" text-anchor="middle" {turned}>{escape(y_label)}</text>']


def _share(value: float, low: float, high: float) -> float:
    return (value - low) / (high - low) if high > low else 0.5


def chart(title: str, parts: Sequence[str]) -> str:
    """A picture that is read out as `title`."""
    lines = [f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">', *parts, "</svg>"]
    return "\n".join(lines)


def line(start: Point, end: Point, kind: str) -> str:
    """From `start` to `end`."""
    return f'<path class="{kind}" d="M{_place(start)}L{_place(end)}"/>'


def polyline(points: Sequence[Point], kind: str) -> str:
    """Through all points."""
    return f'<path class="{kind}" d="M{"L".join(_place(point) for point in points)}"/>'


def dot(centre: Point, kind: str, radius: float = 3.5) -> str:
    """A filled circle."""
    x, y = centre
    return f'<circle class="{kind}" cx="{x:.2f}" cy="{y:.2f}" r="{radius:g}"/>'


def text(place: Point, words: str, anchor: str, kind: str = "") -> str:
    """Words that start, are centred, or end at `place`."""
    x, y = place
    named = f' class="{kind}"' if kind else ""
    return f'<text{named} x="{x:.2f}" y="{y:.2f}" text-anchor="{anchor}">{escape(words)}</text>'


def _place(point: Point) -> str:
    return f"{point[0]:.2f} {point[1]:.2f}"


MAX_DOTS = 40
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
    top = min(1, high + margin) if measure == "accuracy" else high + margin
    axes = Axes(min(epochs), max(epochs), max(0, low - margin), top)
    parts = axes.frame("epoch", unit, ticks(axes.x_low, axes.x_high, whole=True), ticks(axes.y_low, axes.y_high))
    if kept_epoch is not None:
        parts.append(line(axes.at(kept_epoch, axes.y_low), axes.at(kept_epoch, axes.y_high), "kept"))
    for words, curve in curves.items():
        points = [axes.at(epoch, float(figure)) for epoch, figure in zip(epochs, curve, strict=True)]
        parts.append(polyline(points, words))
        parts += [dot(point, words) for point in points] if len(points) <= MAX_DOTS else []
    if len(epochs) == 1:
        values = "; ".join(f"{words} {curve.iloc[0]:.4g}" for words, curve in curves.items())
        return chart(f"{measure.capitalize()} of epoch {epochs[0]:g}: {values}", parts)
    values = "; ".join(f"{words} {curve.iloc[0]:.4g} to {curve.iloc[-1]:.4g}" for words, curve in curves.items())
    return chart(f"{measure.capitalize()} by epoch, from epoch {epochs[0]:g} to {epochs[-1]:g}: {values}", parts)


def reliability_diagram(found: Calibration) -> str:
    """Share of right answers by confidence, with bars of the 95 % interval, over a histogram of the confidences."""
    axes = Axes(0, 1, 0, 1)
    most = max(one.num_images for one in found.bins)
    fifths = [0, 0.2, 0.4, 0.6, 0.8, 1]
    parts = [_bar(axes, one, most) for one in found.bins]
    parts += axes.frame("confidence", "share of images classified right", fifths, fifths)
    parts += [line(axes.at(0, 0), axes.at(1, 1), "ideal")]
    for one in found.bins:
        parts.append(line(axes.at(one.confidence, one.right.low), axes.at(one.confidence, one.right.high), "whisker"))
        parts.append(dot(axes.at(one.confidence, one.right.estimate), "training", radius=4))
    title = f"Reliability diagram of {len(found.bins)} bins; the expected calibration error is {found.error:.4f}"
    return chart(title, parts)


def _bar(axes: Axes, one: Bin, most: int) -> str:
    (left, top), (right, bottom) = axes.at(one.low, _BAR_HEIGHT * one.num_images / most), axes.at(one.high, 0)
    return f'<rect class="bar" x="{left:.2f}" y="{top:.2f}" width="{right - left - 1:.2f}" height="{bottom - top:.2f}"/>'
