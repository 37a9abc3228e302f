"""The model card: what the file is, how to use it, what it was made from and how good it is. Same inputs, same bytes."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from classifier.decoding.resize import Fit
from classifier.images.schema import OWN
from classifier.sources.catalogue import CataloguedDataset, load_dataset
from classifier.splits.data_check import remarks
from classifier.training.recipe import resolve_augment
from record.lock_file import LOCK_FILE
from record.results import EVALUATE, TEST_SPLIT
from record.revisions import WORKSPACE, Provenance, Revision
from record.staleness import stale_inputs
from record.statistics import Interval, share_interval
from record.verdicts import ACCURACY, MACRO_F1, SEEDS_FILE, commonest_mistakes, metric_intervals, read_spread
from tools.export.onnx_file import CLASSES, INPUT, OLDEST_RUNTIME, OUTPUT, Agreement
from tools.export.origin import Origin
from tools.export.quantised import Quantised
from tools.review.markdown import code, table, text
from tools.review.wording import metric_words

_PROGRAM = '''\
import json
import sys

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

SIDE = {side}


def prepared(path):
    """The picture as uint8 (C, H, W)."""
    with Image.open(path) as image:
        picture = ImageOps.exif_transpose(image)
    if picture.mode.startswith("I"):  # of 16 bits the upper eight
        picture = Image.fromarray((np.asarray(picture).astype(np.uint32) >> 8).clip(0, 255).astype(np.uint8))
    if picture.has_transparency_data:
        ground = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(ground, picture.convert("RGBA")).convert("RGB")
    picture = picture.convert("{mode}")
{fit}
{array}


session = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
classes = json.loads(session.get_modelmeta().custom_metadata_map["classes"])
images = np.stack([prepared(path) for path in sys.argv[1:]])
(probabilities,) = session.run(None, {{"images": images}})
for path, row in zip(sys.argv[1:], probabilities, strict=True):
    best = row.argsort()[::-1][:3]
    print(path, *(f"{{classes[label]}} {{row[label]:.1%}}" for label in best), sep="  ")
'''
_FITS: dict[Fit, str] = {
    "crop": """\
    width, height = picture.size
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    picture = picture.resize((SIDE, SIDE), Image.Resampling.BILINEAR, box=(left, top, left + side, top + side))""",
    "pad": """\
    longest = max(picture.size)
    inner = tuple(max(1, round(SIDE * length / longest)) for length in picture.size)
    ground = Image.new(picture.mode, (SIDE, SIDE))
    ground.paste(picture.resize(inner, Image.Resampling.BILINEAR), ((SIDE - inner[0]) // 2, (SIDE - inner[1]) // 2))
    picture = ground""",
    "stretch": """\
    picture = picture.resize((SIDE, SIDE), Image.Resampling.BILINEAR)""",
}
_ARRAYS = {
    1: "    return np.asarray(picture)[np.newaxis]",
    3: "    return np.asarray(picture).transpose(2, 0, 1)",
}


def program(shape_CHW: tuple[int, int, int], fit: Fit) -> str:
    """Python source that prints the three likeliest classes of each picture named on its command line."""
    channels, side, _ = shape_CHW
    return _PROGRAM.format(side=side, mode="L" if channels == 1 else "RGB", fit=_FITS[fit], array=_ARRAYS[channels])


SURE = 0.9
"""Confidence of a mistake that its reader would not expect."""
MAX_NAMED = 20
MAX_MISTAKES = 3
_PERCENT = (ACCURACY,)
_OF_MACHINE = ("device", "threads", "compile", "source", "pretrained_source")
"""Params that say where things lie or run; the sources may be paths of a person's machine."""


@dataclass(frozen=True)
class Export:
    """All that the card tells of."""

    origin: Origin
    provenance: Provenance
    agreement: Agreement
    content: bytes
    """Of the ONNX file."""
    int8: Quantised | None
    opset: int
    license: str | None
    """Of the model, as the person names it."""


def model_card(export: Export) -> str:
    """The card as Markdown."""
    parts = [_front_matter, _head, _use, _data, _training, _quality, _limits, _provenance]
    return "\n\n".join(block for part in parts for block in part(export)) + "\n"


def _front_matter(export: Export) -> Iterator[str]:
    """What model hubs read: https://huggingface.co/docs/hub/model-cards."""
    origin = export.origin
    described, dataset = origin.description, origin.dataset
    entry = _catalogued(origin)
    intervals = metric_intervals(origin.results)
    metrics = [
        {
            "type": kind,
            "value": intervals[name].estimate,
            "name": f"{metric_words(name)} (95 % interval {_bounds(name, intervals[name])})",
        }
        for name, kind in _HUB_METRICS.items()
    ]
    task = {"type": _TASK, "name": "Image Classification"}
    result = {"task": task, "dataset": {"type": dataset, "name": entry.title if entry else dataset, "split": "test"}}
    facts: dict[str, Any] = {"license": export.license} if export.license else {}
    facts |= {"library_name": "onnx", "pipeline_tag": _TASK, "tags": ["onnx", _TASK, described.network]}
    facts |= {"datasets": [dataset]} if entry else {}
    facts |= {"metrics": list(_HUB_METRICS.values())}
    facts |= {"model-index": [{"name": f"{described.network} on {dataset}", "results": [result | {"metrics": metrics}]}]}
    yield f"---\n{yaml.safe_dump(facts, sort_keys=False, allow_unicode=True, width=1000)}---"


_TASK = "image-classification"
_HUB_METRICS = {ACCURACY: "accuracy", MACRO_F1: "f1"}


def _head(export: Export) -> Iterator[str]:
    described = export.origin.description
    channels, height, width = described.shape_CHW
    num_classes = len(described.classes)
    kind = "grey" if channels == 1 else "colour (red, green, blue)"
    yield f"# {text(described.network)} for {text(export.origin.dataset)}"
    yield (
        f"`model.onnx` gives an image of {height}×{width} pixels in {kind} one of {num_classes} classes. Normalisation"
        f"{', averaging with the mirror image' if export.origin.flip_tta else ''} and softmax are inside. "
        "If you quantise it yourself, leave the softmax out: in eight bits most small probabilities become 0."
    )
    shape = ", ".join(map(str, described.shape_CHW))
    rows = [
        [f"input `{INPUT}`", f"uint8, (N, {shape}), any N from 1; 0 black to 255 white"],
        [f"output `{OUTPUT}`", f"float32, (N, {num_classes}), each row sums to 1; computed in float32"],
        [f"metadata `{CLASSES}`", "names of the classes in the order of the output, a JSON list"],
        ["size", f"{described.num_parameters:,} parameters, {len(export.content):,} bytes"],
        ["format", f"ONNX opset {export.opset}; onnxruntime {OLDEST_RUNTIME[export.opset]} was seen to run such a file"],
        ["SHA-256", code(hashlib.sha256(export.content).hexdigest())],
    ]
    if export.int8:
        digest = code(hashlib.sha256(export.int8.content).hexdigest())
        rows.append(["`model.int8.onnx`", f"the same in eight bits: {len(export.int8.content):,} bytes, SHA-256 {digest}"])
    yield table(["", "model.onnx"], rows, "ll")


def _use(export: Export) -> Iterator[str]:
    described, fit = export.origin.description, export.origin.param("convert", "resize")
    yield "## How to use it"
    yield (
        "With Python alone; save it as `classify.py` beside `model.onnx` and name pictures: `python classify.py picture.png`. "
        "It prepares a picture as those that the model was tested on were prepared."
    )
    yield f"```bash\npip install onnxruntime=={version('onnxruntime')} pillow=={version('pillow')}\n```"
    yield f"```python\n{program(described.shape_CHW, fit)}```"
    mean = float(np.mean(described.mean))
    yield (
        f"The pixels that it was trained on have a mean of {mean:.2f}, where 0 is black and 1 is white. "
        "It does not know pictures of another kind, such as dark on light where those were light on dark."
    )


def _data(export: Export) -> Iterator[str]:
    origin = export.origin
    yield "## Data"
    images, hashes = origin.data.images, origin.lock.out_hashes
    counted = ", ".join(f"{number:,} {_SPLIT_WORDS[split]}" for split, number in images.items())
    yield f"{_dataset_words(origin)}. Images: {counted}."
    recorded = [[code(path), code(hashes[path])] for path in ("data/raw", "data/dataset") if path in hashes]
    recorded.append([code(TEST_SPLIT), code(origin.results.test_hash)])
    yield table(["data", f"hash in {LOCK_FILE} (MD5)"], recorded, "ll")
    found = list(remarks(origin.data.model_dump(exclude_unset=True)))
    yield f"The data check found: {'; '.join(map(text, found))}." if found else "The data check found nothing odd in them."


_SPLIT_WORDS = {"train": "to train on", "val": "to choose the epoch on", "test": "to test on"}


def _dataset_words(origin: Origin) -> str:
    entry = _catalogued(origin)
    if entry is None:
        return f"A person's own images ({text(origin.dataset)})"
    licence = f"; licence {code(entry.license)}" if entry.license else ""
    return f"{text(entry.title)} ({_long(entry.reference)}{licence})"


def _catalogued(origin: Origin) -> CataloguedDataset | None:
    """The entry of the catalogue; None of a person's own images."""
    dataset = origin.description.dataset
    return None if dataset in OWN else load_dataset(Path(origin.param("download", "source")), dataset)


def _long(sentence: str) -> str:
    """As `text`, which shortens, without an end."""
    return " ".join(text(word) for word in sentence.split())


def _training(export: Export) -> Iterator[str]:
    origin = export.origin
    yield "## Training"
    best = ", chosen by the validation images" if "val_accuracy" in origin.results.metrics else ""
    yield f"The weights are those after epoch {origin.description.kept_epoch} of {len(origin.results.history)}{best}."
    rows = [[text(name), _params(stage.param_values)] for name, stage in origin.lock.stages.items() if stage.param_values]
    yield table(["stage", "params"], rows, "ll")
    yield from _meant_by_auto(origin)


def _meant_by_auto(origin: Origin) -> Iterator[str]:
    """Of the params that go by whether a mirror image of an image shows the same class."""
    hflip_invariant = origin.description.hflip_invariant
    meanings = {("train", "augment"): resolve_augment("auto", hflip_invariant), (EVALUATE, "flip_tta"): origin.flip_tta}
    for (stage, name), meaning in meanings.items():
        if origin.param(stage, name) == "auto":
            same = "shows the same class" if hflip_invariant else "need not show the same class"
            auto = code(f'{name}: "auto"')
            yield f"{auto} means {code(json.dumps(meaning))} here: the mirror image of an image {same}."


def _params(values: dict[str, Any]) -> str:
    return ", ".join(code(f"{name}: {json.dumps(value)}") for name, value in sorted(values.items()) if name not in _OF_MACHINE)


def _quality(export: Export) -> Iterator[str]:
    origin, agreement = export.origin, export.agreement
    results = origin.results
    yield "## How good it is"
    num_images = len(results.right_N)
    yield (
        f"Measured once, on the {num_images:,} test images, in {origin.measured_precision}, the precision of the pipeline. "
        "The intervals cover the draw of the test images (Wilson; for the loss, bootstrap-t)."
    )
    rows = [
        [metric_words(name), _figure(name, interval.estimate), _bounds(name, interval)]
        for name, interval in metric_intervals(results).items()
    ]
    yield table(["metric", "value", "95 % interval"], rows, "lrl")
    yield _agreement_words(agreement, num_images)
    own = share_interval(int((agreement.predicted_N == results.actual_N).sum()), num_images)
    num_other = int((agreement.predicted_N != results.predicted_N).sum())
    yield (
        f"The exported file itself, in float32, gives {num_other:,} of these images another class than the pipeline recorded; "
        f"its test accuracy is {own.estimate:.2%} ({own.low:.2%} to {own.high:.2%})."
    )
    if export.int8:
        yield _int8_words(export.int8)
    yield _table_of_classes(export)


def _int8_words(int8: Quantised) -> str:
    low, high = (f"{100 * bound:+.2f}".replace("-", "−") for bound in (int8.interval.low, int8.interval.high))
    return (
        f"`model.int8.onnx` gives {int8.agreement:.2%} of the test images the same class as `model.onnx`; its test accuracy is "
        f"{int8.accuracy:.2%}. Verdict of the paired test: {int8.verdict} "
        f"(95 % interval of the difference {low} to {high} points)."
    )


def _agreement_words(agreement: Agreement, num_images: int) -> str:
    same = f"the same class to each of the {num_images:,} test images"
    if agreement.num_ties:
        ties = f"the other {agreement.num_ties:,} are ties between two classes"
        same = f"the same class to {num_images - agreement.num_ties:,} of the {num_images:,} test images ({ties})"
    apart = f"its probabilities lie at most {agreement.largest_difference:.1e} apart"
    return f"Checked when it was made: onnxruntime gives {same} as PyTorch does in float32, and {apart}."


def _table_of_classes(export: Export) -> str:
    results, images = export.origin.results, export.origin.images_of_classes
    num_train = dict(zip(images["class"], images["train"], strict=True))
    rows = []
    for label, name in enumerate(results.classes):
        of_class_N, is_said_N = results.actual_N == label, results.predicted_N == label
        num_images = int(of_class_N.sum())
        recall = share_interval(int(results.right_N[of_class_N].sum()), num_images) if num_images else None
        rows.append(
            [
                text(name),
                f"{num_train.get(name, 0):,}",
                f"{num_images:,}",
                f"{recall.estimate:.1%}" if recall else "–",
                f"{recall.low:.1%} to {recall.high:.1%}" if recall else "–",
                f"{results.right_N[is_said_N].mean():.1%}" if is_said_N.any() else "–",
            ]
        )
    heads = [
        "class",
        "trained on",
        "tested on",
        "found (recall)",
        "95 % interval",
        "right where it says so (precision)",
    ]
    return table(heads, rows, "lrrrlr")


def _limits(export: Export) -> Iterator[str]:
    yield "## Limits"
    yield "\n".join(f"- {line}" for line in _limit_lines(export.origin))


def _limit_lines(origin: Origin) -> Iterator[str]:
    results = origin.results
    yield f"It always answers with one of the {len(results.classes)} classes, also for a picture of something else."
    yield "Test and training images come from one source: expect less accuracy on pictures from elsewhere."
    wrong = np.flatnonzero(~results.right_N)
    confidence_N = results.predictions["confidence"].to_numpy(dtype=np.float64)
    yield (
        f"In the mean of the test images its confidence is {confidence_N.mean():.1%}, its accuracy "
        f"{results.right_N.mean():.1%}; mistakes with a confidence above {SURE:.0%}: "
        f"{int((confidence_N[wrong] > SURE).sum()):,} of {len(wrong):,}."
    )
    if len(wrong):
        named = commonest_mistakes(wrong, results, MAX_MISTAKES)
        listed = "; ".join(f"{text(actual)} taken for {text(predicted)} ({count:,})" for actual, predicted, count in named)
        yield f"Its commonest mistakes: {listed}."
    spread = read_spread(Revision(WORKSPACE, None), origin.lock)
    if spread:
        yield (
            f"The intervals leave the seed out. By {spread.num_seeds} seeds of the setting in {code(SEEDS_FILE)}, on the same "
            f"data set, the accuracies of two runs lie up to {100 * spread.bounds[ACCURACY]:.2f} points apart "
            "in 95 of 100 pairs."
        )
    else:
        yield "The intervals leave the seed out: the same training with another seed gives other weights and other figures."


def _provenance(export: Export) -> Iterator[str]:
    origin, provenance = export.origin, export.provenance
    yield "## Where it comes from"
    rows = [["commit", code(str(provenance.commit)) + _state_words(provenance)]]
    rows += [[code(path), code(md5)] for path, md5 in _hashes(origin)]
    rows.append(["trained with", _listed(origin.description.computed_with)])
    rows.append(["exported with", _listed(provenance.versions)])
    yield table(["", f"git; hashes in {LOCK_FILE} (MD5); versions"], rows, "ll")
    stale = stale_inputs(Revision(WORKSPACE, None), origin.lock)
    for stage, names in stale.items():
        yield f"Changed since stage {text(stage)} ran, so not what this model was made with: {_named(names)}."


def _state_words(provenance: Provenance) -> str:
    if not provenance.changed:
        return ", nothing changed since"
    return f", with changes that are not committed: {_named(provenance.changed)}"


def _named(names: list[str]) -> str:
    left = len(names) - MAX_NAMED
    return ", ".join(code(name) for name in names[:MAX_NAMED]) + (f" and {left} more" if left > 0 else "")


def _hashes(origin: Origin) -> Iterator[tuple[str, str]]:
    wanted = ("models/", "metrics/", "plots/predictions.csv")
    for path, md5 in origin.lock.out_hashes.items():
        if path.startswith(wanted):
            yield path, md5


def _listed(facts: dict[str, Any]) -> str:
    return ", ".join(f"{text(name)} {text(str(value))}" for name, value in facts.items())


def _figure(name: str, value: float) -> str:
    return f"{value:.2%}" if name in _PERCENT else f"{value:.4f}"


def _bounds(name: str, interval: Interval) -> str:
    return f"{_figure(name, interval.low)} to {_figure(name, interval.high)}"
