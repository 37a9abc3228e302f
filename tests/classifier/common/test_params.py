"""Params are read as DVC reads them, and refused by name."""

from pathlib import Path
from typing import Any

import pytest
from dvc.utils.serialize import parse_yaml

from classifier.common.errors import UserError
from classifier.common.params import read_yaml, refusals, unknown_keys, validate
from classifier.splits.params import BuildParams
from classifier.training.params import TrainParams

GOOD: dict[str, Any] = {
    "network": "cnn",
    "pretrained": False,
    "freeze": False,
    "normalize": "standard",
    "loss": "cross_entropy",
    "class_weights": None,
    "optimizer": "adam",
    "lr": 0.001,
    "momentum": None,
    "nesterov": None,
    "weight_decay": 0,
    "schedule": "linear",
    "warmup_fraction": 0.1,
    "batch_size": 256,
    "shuffle": True,
    "drop_last": False,
    "min_steps": 0,
    "epochs": 2,
    "augment": ["flip"],
    "label_smoothing": 0.1,
    "clip_norm": None,
    "ema_decay": None,
    "compile": False,
    "eval_every": None,
    "evaluate_train": False,
    "seed": 0,
    "device": "cpu",
    "threads": 2,
    "precision": "auto",
}
PATH = Path("params.yaml")

SPELLINGS = [
    "1",
    "-1",
    "+1",
    "010",
    "0o10",
    "0x1F",
    "1_000",
    "1.5",
    ".5",
    "1.",
    "1e-05",
    "1e5",
    "1E+3",
    ".inf",
    ".nan",
    "true",
    "True",
    "TRUE",
    "yes",
    "no",
    "on",
    "off",
    "null",
    "~",
    "Null",
    "1:30",
    "2001-01-01",
    '"3"',
    "'1e-05'",
    "1e",
    "abc",
    "-.5",
    "0.0",
    "00.5",
]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_scalar_reads_as_dvc_reads_it(tmp_path: Path, spelling: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(f"key: {spelling}\n")
    ours = read_yaml(path)["key"]
    theirs = parse_yaml(path.read_text(), str(path))["key"]
    assert (repr(ours), type(ours)) == (repr(theirs), type(theirs))


def test_yaml_1_2_is_what_we_say_it_is(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("a: 1e-05\nb: no\nc: 010\n")
    assert read_yaml(path) == {"a": 1e-05, "b": "no", "c": 10}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lr": -0.1}, r"^params\.yaml: lr must be greater than 0, got -0\.1$"),
        ({"lr": "1e-3x"}, r"^params\.yaml: lr must be a valid number, got '1e-3x'$"),
        ({"lr": float("nan")}, r"^params\.yaml: lr must be a finite number, got nan$"),
        ({"lr": float("inf")}, r"^params\.yaml: lr must be"),
        ({"lr": True}, r"^params\.yaml: lr must be a valid number, got True$"),
        ({"epochs": 0}, r"^params\.yaml: epochs must be greater than or equal to 1, got 0$"),
        ({"epochs": 1.5}, r"^params\.yaml: epochs must be a valid integer, got 1\.5$"),
        ({"epochs": True}, r"^params\.yaml: epochs must be a valid integer, got True$"),
        ({"batch_size": [256]}, r"^params\.yaml: batch_size must be a valid integer, got \[256\]$"),
        ({"seed": 2**32}, r"^params\.yaml: seed must be less than or equal to 4294967295, got 4294967296$"),
        (
            {"network": "cmn"},
            r"^params\.yaml: network must be one of softmax, mlp, cnn, .*, or of torchvision's, got 'cmn'; did you mean 'cnn'",
        ),
        ({"network": "resnet"}, r"got 'resnet'; did you mean 'resnet50' or 'resnet34' or 'resnet18'\?$"),
        ({"network": "§"}, r"got '§'; such as 'resnet18' or 'vgg16'$"),
        ({"network": 18}, r"^params\.yaml: network must be a valid string, got 18$"),
        ({"freeze": True, "network": "resnet18"}, r"^params\.yaml: freeze keeps pretrained weights, and there are none; write"),
        (
            {"freeze": True, "network": "resnet18", "pretrained": True, "optimizer": "muon"},
            r"^params\.yaml: optimizer 'muon' moves convolutions, and `freeze: true` trains none; write `optimizer: auto`$",
        ),
        ({"normalize": "imagnet"}, r"^params\.yaml: normalize must be 'standard', 'half', 'unit', 'none' or 'imagenet', got"),
        ({"device": "gpu"}, r"^params\.yaml: device must be 'auto', 'cpu', 'cuda' or 'mps', got 'gpu'$"),
        ({"momentum": 0.9}, r"^params\.yaml: momentum has no effect with optimizer 'adam'; write `momentum: null`.*got 0\.9$"),
        (
            {"augment": ["flip", "spin"]},
            r"^params\.yaml: augment must be 'auto' or a list of any of flip, shift, .*, cutmix, got \['flip', 'spin'\]$",
        ),
        ({"augment": "flip"}, r"^params\.yaml: augment must be 'auto' or a list of .*, got 'flip'$"),
        ({"augment": ["auto"]}, r"^params\.yaml: augment must be 'auto' or a list of .*, got \['auto'\]$"),
        ({"augment": None}, r"^params\.yaml: augment must be 'auto' or a list of .*, got None$"),
        ({"augment": True}, r"^params\.yaml: augment must be 'auto' or a list of .*, got True$"),
        (
            {"optimizer": "muon", "network": "mlp"},
            r"^params\.yaml: optimizer 'muon' moves convolutions, and network 'mlp' has none; write `optimizer: auto`$",
        ),
        (
            {"optimizer": "auto", "network": "mlp", "momentum": 0.9},
            r"^params\.yaml: momentum has no effect with optimizer 'adamw', which is `auto` here; write `momentum: null` or",
        ),
        (
            {"optimizer": "auto", "network": "mlp", "nesterov": True},
            r"^params\.yaml: nesterov has no effect with optimizer 'adamw', which is `auto` here; write `nesterov: null`,",
        ),
        ({"optimizer": "rmsprop"}, r"^params\.yaml: optimizer must be 'auto', 'sgd', 'adam', 'adamw' or 'muon', got"),
        ({"augment": ["flip", "flip"]}, r"^params\.yaml: augment must name each augmentation once, got 'flip' twice$"),
        ({"augment": ["cutmix"], "class_weights": "balanced"}, r"^params\.yaml: augment: cutmix mixes classes, .*got both$"),
        ({"augment": ["crop", "shift"]}, r"^params\.yaml: augment: shift has no effect of its own beside crop; .*got both$"),
        ({"schedule": "onecycle", "warmup_fraction": 0}, r"^params\.yaml: schedule 'onecycle' needs a warmup_fraction above 0"),
        ({"label_smoothing": 1}, r"^params\.yaml: label_smoothing must be less than 1, got 1$"),
        ({"clip_norm": 0}, r"^params\.yaml: clip_norm must be greater than 0, got 0$"),
        ({"ema_decay": 1.0}, r"^params\.yaml: ema_decay must be less than 1, got 1\.0$"),
        ({"compile": "yes"}, r"^params\.yaml: compile must be a valid boolean, got 'yes'$"),
        ({"loss": "brier"}, r"^params\.yaml: loss must be 'cross_entropy' or 'mse', got 'brier'$"),
        (
            {"loss": "mse"},
            r"^params\.yaml: label_smoothing has no effect with loss 'mse'; write .* got 0\.1$",
        ),
        (
            {"loss": "mse", "label_smoothing": 0, "class_weights": "balanced"},
            r"^params\.yaml: class_weights has no effect with loss 'mse'; write `class_weights: null` or `loss: ",
        ),
        (
            {"class_weights": "even"},
            r"^params\.yaml: class_weights must be null, 'balanced' or a number for each class, ",
        ),
        ({"class_weights": [1]}, r"^params\.yaml: class_weights must be null,.* 0\.000001 to 1000000, got \[1\]$"),
        ({"class_weights": [1, 0]}, r"^params\.yaml: class_weights must be null, .*got \[1, 0\]$"),
        ({"class_weights": [1, True]}, r"^params\.yaml: class_weights must be null, .*got \[1, True\]$"),
        ({"class_weights": [1, float("nan")]}, r"^params\.yaml: class_weights must be null, .*got \[1, nan\]$"),
        ({"class_weights": [2, 2.0]}, r"^params\.yaml: class_weights has no effect when all are the same; write"),
        ({"nesterov": True}, r"^params\.yaml: nesterov has no effect with optimizer 'adam'; write `nesterov: null`, got True$"),
        (
            {"optimizer": "sgd", "momentum": 0, "nesterov": False},
            r"^params\.yaml: nesterov has no effect with momentum 0; write `nesterov: null`, got False$",
        ),
        ({"shuffle": None}, r"^params\.yaml: shuffle must be a valid boolean, got None$"),
        ({"eval_every": 0}, r"^params\.yaml: eval_every must be greater than or equal to 1, got 0$"),
        (
            {"precision": "float16"},
            r"^params\.yaml: precision must be 'auto', 'float32', 'bfloat16' or 'float64', got 'float16'$",
        ),
        ({"momentum": 1}, r"^params\.yaml: momentum must be less than 1, got 1$"),
    ],
)
def test_a_bad_value_is_refused_with_its_key_and_rule(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        validate(PATH, GOOD | change, TrainParams)


def test_a_missing_key_is_named() -> None:
    with pytest.raises(UserError, match=r"^params\.yaml: the key 'lr' is missing$"):
        validate(PATH, {key: value for key, value in GOOD.items() if key != "lr"}, TrainParams)


def test_every_refusal_is_listed() -> None:
    assert len(refusals(PATH, GOOD | {"lr": 0, "epochs": 0, "device": "x"}, TrainParams)) == 3


def test_good_values_pass_and_keys_of_other_stages_do_not_matter() -> None:
    assert validate(PATH, GOOD | {"val_fraction": "junk"}, TrainParams).weight_decay == 0.0
    assert validate(PATH, GOOD | {"optimizer": "sgd", "momentum": 0}, TrainParams).momentum == 0
    assert validate(PATH, GOOD | {"class_weights": [1, 0.5]}, TrainParams).class_weights == [1, 0.5]


@pytest.mark.parametrize("fraction", [-0.01, 1, 1.5, "0.1", None])
def test_val_fraction_is_bounded(fraction: object) -> None:
    with pytest.raises(UserError, match="val_fraction must be"):
        validate(PATH, {"dataset": "digits", "val_fraction": fraction, "test_fraction": None, "seed": 0}, BuildParams)


def test_an_unknown_key_comes_with_the_nearest_known_one() -> None:
    known = {"lr", "momentum", "val_fraction"}
    assert unknown_keys(PATH, {"lr": 1, "momentun": 2}, known) == [
        "params.yaml: no stage in dvc.yaml uses the key 'momentun'; did you mean 'momentum'?"
    ]
    assert unknown_keys(PATH, {7: 1}, known) == [
        "params.yaml: no stage in dvc.yaml uses the key 7; it uses lr, momentum, val_fraction"
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "needs `key: value` lines, got NoneType"),
        (b"- 1\n", "needs `key: value` lines, got list"),
        (b"a: [1\n", "not readable as YAML"),
        (b"a: 1\na: 2\n", "not readable as YAML: .*duplicate key"),
        (b"a: \xff\xfe\n", "not readable as YAML"),
        (b"a: !!python/object/apply:os.system ['touch pwned']\n", "not readable as YAML"),
    ],
)
def test_a_broken_file_is_refused_on_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        read_yaml(path)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"params\.yaml: no such file"):
        read_yaml(tmp_path / "params.yaml")
