"""Answers as lines for a person and as JSON for a program."""

from typing import Any

from classifier.common.errors import shown
from classifier.model.file import ModelDescription
from classifier.table.unreadable import Unreadable
from tools.predict.picture_files import shown_path
from tools.predict.predictor import Answer
from tools.predict.settings import Settings


def percent(probability: float) -> str:
    """`97.3 %`. What is not certain is not called 100 %."""
    rounded = f"{probability:.1%}"
    return "> 99.9 %" if rounded == "100.0%" and probability < 1 else rounded.replace("%", " %")


def model_line(description: ModelDescription, settings: Settings) -> str:
    """Which model answers, and how."""
    channels, height, width = description.shape_CHW
    colour = "grey" if channels == 1 else "colour"
    mirrored = "; each picture and its mirror image together (flip_tta)" if settings.mirrors(description) else ""
    return f"{description.network}, trained on {description.dataset}: {height}×{width} pixels in {colour}{mirrored}"


def answer_lines(answer: Answer) -> str:
    """The picture with its likeliest classes, and below what was done to it."""
    top = ", ".join(f"{name} {percent(probability)}" for name, probability in answer.top)
    return f"{shown_path(answer.picture.path)}: {top}\n    {'; '.join(answer.picture.steps) or 'taken as it is'}"


def unreadable_line(one: Unreadable) -> str:
    """Which picture, and why."""
    return f"unreadable: {one.path if one.path.isprintable() else shown(one.path)}: {one.reason}"


def model_entry(description: ModelDescription, settings: Settings) -> dict[str, Any]:
    """The model, for other programs."""
    return {
        "network": description.network,
        "dataset": description.dataset,
        "classes": description.classes,
        "shape_CHW": list(description.shape_CHW),
        "resize": settings.resize,
        "flip_tta": settings.mirrors(description),
    }


def answer_entry(answer: Answer) -> dict[str, Any]:
    """An answer, for other programs; probabilities from 0 to 1."""
    name, probability = answer.top[0]
    return {
        "path": str(answer.picture.path),
        "class": name,
        "probability": probability,
        "top": [{"class": name, "probability": probability} for name, probability in answer.top],
        "inverted": answer.picture.inverted,
        "steps": answer.picture.steps,
    }
