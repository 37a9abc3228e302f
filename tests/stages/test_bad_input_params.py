"""Bad input: params.yaml. What DVC reads of it is the reference; the rules are those of docs/reference/params.md."""

import json
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dvc.utils.serialize import parse_yaml
from hypothesis import example, given
from hypothesis import strategies as st
from torchvision import models
from torchvision.models import list_models

from classifier.common.errors import UserError
from classifier.common.graph import used_keys
from classifier.common.params import Params, read_yaml, unknown_keys, validate
from tests.support.bad_input import (
    LONGEST_LINE,
    NUMBERS,
    VALUES,
    WORDS,
    Sandbox,
    as_yaml,
    cases,
    damaged,
    is_number,
    is_text,
    is_whole,
    read_by_dvc,
    sandbox,
)
from tools.check import STAGE_PARAMS, problems

SOURCE = Path(__file__).parents[2]
FILE = (SOURCE / "params.yaml").read_bytes()
GOOD: dict[str, Any] = parse_yaml(FILE.decode(), "params.yaml")
USED = used_keys(SOURCE / "dvc.yaml")

AUGMENTATIONS = ("flip", "shift", "crop", "cutout", "cutmix")
RULES: dict[str, Callable[[Any], bool]] = {
    "dataset": lambda value: is_text(value, 1),
    "source": lambda value: is_text(value, 1) and not value.startswith("~") and ".." not in value.split("/"),
    "class_depth": lambda value: value is None or value == "last" or is_whole(value, 1, 20),
    "label_column": lambda value: value is None or is_text(value, 1),
    "path_column": lambda value: value is None or is_text(value, 1),
    "split_column": lambda value: value is None or is_text(value, 1),
    "pixel_max": lambda value: value is None or is_whole(value, 1, 2**32 - 1),
    "group_column": lambda value: value is None or is_text(value, 1),
    "group_pattern": lambda value: value is None or (is_text(value, 1) and _num_groups(value) > 0),
    "image_size": lambda value: is_whole(value, 1, 1024),
    "resize": lambda value: value in ("crop", "pad", "stretch"),
    "color": lambda value: value in ("auto", "rgb", "grey"),
    "image_shape": lambda value: (
        value is None or (isinstance(value, list) and len(value) == 3 and all(is_whole(side, 1) for side in value))
    ),
    "max_unreadable": lambda value: value is None or (is_number(value) and 0 <= value < 1),
    "test_fraction": lambda value: value is None or (is_number(value) and 0 < value < 1),
    "val_fraction": lambda value: is_number(value) and 0 <= value < 1,
    "seed": lambda value: is_whole(value, 0, 4294967295),
    "network": lambda value: (
        value in ("softmax", "mlp", "cnn", "mnist_cnn", "cifar_cnn", "pyramid", "half_pyramid", *list_models(module=models))
    ),
    "pretrained": lambda value: isinstance(value, bool),
    "pretrained_source": lambda value: is_text(value, 1) and not value.startswith("~") and ".." not in value.split("/"),
    "freeze": lambda value: isinstance(value, bool),
    "normalize": lambda value: value in ("standard", "half", "unit", "none", "imagenet"),
    "loss": lambda value: value in ("cross_entropy", "mse"),
    "class_weights": lambda value: (
        value is None
        or value == "balanced"
        or (isinstance(value, list) and len(value) > 1 and all(is_number(one) and 1e-6 <= one <= 1e6 for one in value))
    ),
    "nesterov": lambda value: value is None or isinstance(value, bool),
    "shuffle": lambda value: isinstance(value, bool),
    "drop_last": lambda value: isinstance(value, bool),
    "min_steps": lambda value: is_whole(value, 0, 100_000),
    "eval_every": lambda value: value is None or is_whole(value, 1, 10**9),
    "evaluate_train": lambda value: isinstance(value, bool),
    "optimizer": lambda value: value in ("auto", "sgd", "adam", "adamw", "muon"),
    "lr": lambda value: is_number(value) and 0 < value <= 1000,
    "momentum": lambda value: value is None or (is_number(value) and 0 <= value < 1),
    "weight_decay": lambda value: is_number(value) and 0 <= value <= 1,
    "schedule": lambda value: value in ("constant", "linear", "cosine", "onecycle"),
    "warmup_fraction": lambda value: is_number(value) and 0 <= value < 1,
    "augment": lambda value: value == "auto" or (isinstance(value, list) and all(name in AUGMENTATIONS for name in value)),
    "label_smoothing": lambda value: is_number(value) and 0 <= value < 1,
    "clip_norm": lambda value: value is None or (is_number(value) and value > 0),
    "ema_decay": lambda value: value is None or (is_number(value) and 0 < value < 1),
    "compile": lambda value: isinstance(value, bool),
    "flip_tta": lambda value: value == "auto" or isinstance(value, bool),
    "precision": lambda value: value in ("auto", "float32", "bfloat16", "float64"),
    "batch_size": lambda value: is_whole(value, 1, 2**20),
    "epochs": lambda value: is_whole(value, 1, 100_000),
    "device": lambda value: value in ("auto", "cpu", "cuda", "mps"),
    "threads": lambda value: is_whole(value, 1, 1024),
}


def _num_groups(pattern: str) -> int:
    """Parts in brackets; 0 where it is no regular expression."""
    try:
        with warnings.catch_warnings(action="ignore"):
            return re.compile(pattern).groups
    except re.error:
        return 0


OF_OWN_IMAGES = {
    "class_depth": ("folder",),
    "label_column": ("folder", "csv"),
    "path_column": ("folder",),
    "split_column": ("folder", "csv"),
    "pixel_max": ("csv",),
    "group_column": ("folder",),
    "group_pattern": ("folder",),
    "image_shape": ("csv",),
    "max_unreadable": ("folder",),
    "test_fraction": ("folder", "csv"),
}


def allowed(model: type[Params], values: dict[str, Any]) -> bool:
    """Whether a stage with the params `model` may start with `values`."""
    fields = model.model_fields
    if "pretrained_source" in fields and not _has_weights(values):
        return False
    for name, datasets in OF_OWN_IMAGES.items():
        if name in fields and values.get(name) is not None and values.get("dataset") not in datasets:
            return False
    if "class_depth" in fields and _says_twice(values):
        return False
    return all(name in values and RULES[name](values[name]) for name in fields) and not (
        "optimizer" in fields and _has_no_effect(values)
    )


def _has_weights(values: dict[str, Any]) -> bool:
    """A file of one's own only with `pretrained`; published weights only of torchvision's networks."""
    if values.get("pretrained_source") != "catalogue.yaml":
        return values.get("pretrained") is True
    return values.get("pretrained") is not True or values.get("network") in list_models(module=models)


def _says_twice(values: dict[str, Any]) -> bool:
    """Groups, or classes, that two params would both give."""
    columns = [values.get(name) for name in ("label_column", "path_column", "split_column", "group_column")]
    both_groups = values.get("group_column") is not None and values.get("group_pattern") is not None
    return both_groups or (values.get("class_depth") is not None and any(column is not None for column in columns))


def _has_no_effect(values: dict[str, Any]) -> bool:
    augment = [] if values["augment"] == "auto" else values["augment"]
    plain = values["network"] in ("softmax", "mlp") or values["freeze"]
    adam = values["optimizer"] in ("adam", "adamw") or (values["optimizer"] == "auto" and plain)
    return (
        (values["momentum"] is not None and adam)
        or (values["nesterov"] is not None and (values["momentum"] == 0 or adam))
        or (values["loss"] == "mse" and (values["label_smoothing"] > 0 or values["class_weights"] is not None))
        or (isinstance(values["class_weights"], list) and len(set(values["class_weights"])) == 1)
        or (values["optimizer"] == "muon" and values["network"] in ("softmax", "mlp"))
        or (values["freeze"] and (not values["pretrained"] or values["optimizer"] == "muon"))
        or len(set(augment)) < len(augment)
        or {"shift", "crop"} <= set(augment)
        or (values["schedule"] == "onecycle" and values["warmup_fraction"] == 0)
    )


def loaded(box: Sandbox, content: bytes) -> dict[str, dict[str, Any]]:
    """What each stage gets of params.yaml; stages that are refused are left out."""
    path = box.write("params.yaml", content)
    values: dict[str, Any] = {}
    found: dict[str, dict[str, Any]] = {}

    def read() -> None:
        values.update(read_yaml(path))
        if unknown := unknown_keys(path, values, USED):
            raise UserError(unknown[0])

    if box.refusal(read, names=("params.yaml",)) is None:
        for stage, model in STAGE_PARAMS.items():

            def take(stage: str = stage, model: type[Params] = model) -> None:
                found[stage] = validate(path, values, model).model_dump()

            box.refusal(take, names=("params.yaml",))
    return found


def expect(found: dict[str, dict[str, Any]], values: object) -> None:
    """Each stage has the very values, or was refused where a rule is broken or a key is nobody's."""
    for stage, model in STAGE_PARAMS.items():
        if isinstance(values, dict) and values.keys() <= GOOD.keys() and allowed(model, values):
            assert found[stage] == {name: values[name] for name in model.model_fields}
        else:
            assert stage not in found


EDGES: list[Any] = [
    None,
    True,
    False,
    "",
    "1",
    "0.5",
    "null",
    "CPU",
    "cpu",
    "auto",
    ["auto"],
    "flip",
    "sgd",
    "mlp",
    [1],
    {"a": 1},
    [],
    ["flip"],
    ["flip", "crop"],
    ["crop", "shift"],
    ["flip", "flip"],
    "balanced",
    [1, 2.5],
    [1, 1],
    [0.0000009, 1],
    "mse",
]
LIMITS = [0, 1, 1000, 1024, 100_000, 2**20, 2**32 - 1]
EDGES += [edge for limit in LIMITS for edge in (limit - 1, limit, limit + 1, float(limit))]
CHANGES = [(key, edge) for key in GOOD for edge in EDGES]


@cases(len(CHANGES))
@given(st.sampled_from(CHANGES))
def test_params_at_their_limits(change: tuple[str, Any]) -> None:
    key, value = change
    values = GOOD | {"optimizer": "sgd", key: value}
    with sandbox() as box:
        expect(loaded(box, json.dumps(values).encode()), values)


@cases(300)
@given(st.dictionaries(st.sampled_from(sorted(GOOD)), st.one_of(NUMBERS, WORDS, VALUES), max_size=2))
@example({"optimizer": "sgd", "momentum": 0.5})
@example({"optimizer": "auto", "network": "mlp"})
@example({"optimizer": "auto", "network": "mlp", "momentum": 0.5})
@example({"optimizer": "auto", "network": "cnn", "nesterov": False})
@example({"optimizer": "adamw", "momentum": None, "lr": 1000, "val_fraction": 0})
def test_params_of_every_type_and_size(changes: dict[str, Any]) -> None:
    values = GOOD | changes
    with sandbox() as box:
        content = "\n".join(f"{key}: {as_yaml(value)}" for key, value in values.items()).encode()
        expect(loaded(box, content), values if read_by_dvc(content) else None)


TOKENS = (
    b"\n",
    b": ",
    b"#",
    b"- ",
    b"\t",
    b"'",
    b'"',
    b"[",
    b"]",
    b"{",
    b"}",
    b"&a ",
    b"*a",
    b"!!int ",
    b"!!bool ",
    b"|\n",
    b"~",
)


@cases(300)
@given(damaged(FILE, TOKENS))
@example(FILE + FILE[-12:])
@example(b"\xef\xbb\xbf" + FILE)
@example(FILE.decode().encode("utf-16"))
@example(FILE.replace(b"\n", b"\r\n"))
@example(FILE.replace(b"\nlr: ", b"\nlr:\t ").replace(b"\nepochs:", b"\t\nepochs:"))
def test_damaged_params_files(content: bytes) -> None:
    with sandbox() as box:
        expect(loaded(box, content), read_by_dvc(content))


FRAGMENTS = (
    *(
        "a",
        "lr",
        "1",
        "-",
        "- ",
        "? ",
        ": ",
        "\n",
        "\n  ",
        " ",
        "\t",
        "[",
        "]",
        "{",
        "}",
        ", ",
        "'",
        '"',
        "\\x4",
        "\\U00110000",
        "#",
    ),
    *(
        "&a ",
        "*a",
        "<<: *a",
        "<<: [*a, *a]",
        "|\n",
        ">9\n",
        "---\n",
        "...\n",
        "%YAML 1.1\n",
        "%TAG ! x\n",
        "!",
        "!!str ",
        "!!int ",
        "!!float ",
    ),
    *(
        "!!bool ",
        "!!null ",
        "!!timestamp ",
        "!!binary ",
        "!!set ",
        "!!omap ",
        "!!pairs ",
        "!!map ",
        "!!seq ",
        "!<tag:yaml.org,2002:int> ",
    ),
    *(
        "2001-01-01",
        "2001-99-99",
        "23:59",
        ".inf",
        "-.nan",
        "0x_",
        "0b",
        "0o8",
        "1_",
        "+",
        "1e999",
        "9" * 4301,
        "0x" + "f" * 5000,
    ),
    *("!!python/object/apply:os.system ['touch EXECUTED']", "!!python/name:os.system", "!!python/object/new:type [a, [], {}]"),
)
LAUGHS = "l0: &l0 [a, a]\n" + "".join(f"l{n}: &l{n} [{f'*l{n - 1}, ' * 9}]\n" for n in range(1, 31))
MERGES = "m0: &m0 {a: 1}\n" + "".join(f"m{n}: &m{n} {{<<: [*m{n - 1}, *m{n - 1}]}}\n" for n in range(1, 18))


@cases(400)
@given(st.lists(st.sampled_from(FRAGMENTS), max_size=6).map("".join), st.sampled_from(["lr: ", "lr:\n  ", "? ", ""]))
@example("!!python/object/apply:os.system ['touch EXECUTED']", "lr: ")
@example("&a |\n? &a ", "lr: ")
@example("x", "lr: !!bool ")
@example("''", "lr: !!int ")
@example('"\\UFFFFFFFF"', "dataset: ")
@example("[" * 200, "lr: ")
@example("{a: " * 200, "lr: ")
@example("0x" + "f" * 5000, "seed: ")
@example("0x" + "f" * 5000 + "\n: 1", "? ")
@example("[*l30]\n" + LAUGHS, "lr: ")
@example("*l30\n", LAUGHS + "lr: ")
@example(": 1\n" + LAUGHS, "? [*l30]\n")
@example(MERGES, "")
@example("k" * 100_000 + "\n: 1", "? ")
@example("v" * 100_000, "lr: ")
@example("lr\n  two lines\n: 1", "? |\n  ")
def test_what_only_yaml_can_say(text: str, start: str) -> None:
    whole = (start + text).encode()
    with sandbox() as box:
        good = {key: value for key, value in GOOD.items() if f"{key}:" not in start}
        content = whole + b"\n" + "\n".join(f"{key}: {as_yaml(value)}" for key, value in good.items()).encode()
        found = loaded(box, content)
        assert all(allowed(STAGE_PARAMS[stage], values) for stage, values in found.items())


@cases(60)
@given(damaged(FILE, TOKENS))
def test_the_check_has_lines_for_what_a_stage_refuses(content: bytes) -> None:
    with sandbox() as box:
        found = loaded(box, content)
        for name in ("dvc.yaml", "catalogue.yaml"):
            box.write(name, (SOURCE / name).read_bytes())
        lines: list[str] = []
        assert box.refusal(lambda: lines.extend(problems(box.root)), programs=("git",)) is None
        assert all(len(line.splitlines()) == 1 and len(line) < LONGEST_LINE for line in lines)
        assert len(found) == len(STAGE_PARAMS) or any("params.yaml" in line for line in lines)
