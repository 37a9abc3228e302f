"""requirements*.txt and constraints.txt pin all that is used, and stand in nobody's way."""

import ast
import re
import sys
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

SOURCE = Path(__file__).parents[1]
PARTS = {"pydantic-core", "urllib3", "scmrepo"}
"""Parts of the interfaces of pydantic, requests and DVC, each in a package of its own; those three choose the version."""
PLATFORM = re.compile(r"nvidia-|cuda-|triton$")


def pins(name: str) -> dict[str, str]:
    lines = (SOURCE / name).read_text(encoding="utf-8").splitlines()
    requirements = [Requirement(line.partition("#")[0]) for line in lines if line and line[0] not in "#-"]
    return {canonicalize_name(each.name): str(each.specifier) for each in requirements}


RUNTIME, TOOLS, OTHERS = pins("requirements.txt"), pins("requirements-dev.txt"), pins("constraints.txt")
TENSORBOARD, EXPORT = pins("requirements-tensorboard.txt"), pins("requirements-export.txt")
S3, SSH = pins("requirements-s3.txt"), pins("requirements-ssh.txt")
SEARCH, PARQUET = pins("requirements-search.txt"), pins("requirements-parquet.txt")
FILES = RUNTIME, TOOLS, OTHERS, TENSORBOARD, EXPORT, S3, SSH, SEARCH, PARQUET
ALL = RUNTIME | TOOLS | OTHERS | TENSORBOARD | EXPORT | S3 | SSH | SEARCH | PARQUET
MLFLOW = pins("requirements-mlflow.txt")
"""Not installed for the tests: one of them makes an environment of its own for it."""
SHARED = {"protobuf"}
"""Needed by TensorBoard and by an export, which are installed without each other: pinned in both files, to one version."""


def test_each_package_is_pinned_to_one_version_in_one_place() -> None:
    assert all(re.fullmatch(r"==[\w.]+", pin) for pin in ALL.values())
    assert TENSORBOARD.keys() & EXPORT.keys() == SHARED
    assert all(TENSORBOARD[name] == EXPORT[name] for name in SHARED)
    assert len(ALL) + len(SHARED) == sum(map(len, FILES))
    assert MLFLOW.keys() & ALL.keys() == SHARED and all(MLFLOW[name] == ALL[name] for name in SHARED)


OPTIONAL = [f"requirements-{kind}.txt" for kind in ("tensorboard", "export", "s3", "ssh", "search", "parquet")]
NAMES = ["requirements.txt", "requirements-dev.txt", *OPTIONAL]


@pytest.mark.parametrize("name", NAMES)
def test_each_file_brings_the_constraints_with_it(name: str) -> None:
    assert "-c constraints.txt\n" in (SOURCE / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("build", ["+cpu", "+cu126", "+rocm6.4"])
def test_another_build_of_torch_satisfies_its_pin(build: str) -> None:
    assert SpecifierSet(RUNTIME["torch"]).contains(RUNTIME["torch"].removeprefix("==") + build)


def test_no_platform_package_is_pinned() -> None:
    """torch 2.14.1+cu126 needs another cuda-bindings than 2.14.1 does; a pin would refuse it."""
    assert [name for name in ALL if PLATFORM.match(name)] == []


def test_all_that_the_requirements_need_in_turn_is_pinned() -> None:
    seen = needed_by([*RUNTIME, *TOOLS])
    assert len(seen) > 100
    assert sorted(name for name in seen - ALL.keys() if not PLATFORM.match(name)) == []
    assert needed_by([*RUNTIME]) - (RUNTIME | OTHERS).keys() == {name for name in needed_by([*RUNTIME]) if PLATFORM.match(name)}


@pytest.mark.parametrize("name", OPTIONAL)
def test_all_that_an_optional_part_needs_in_turn_is_pinned_beside_it(name: str) -> None:
    """In constraints.txt, on which every stage depends, a new version of it would rerun the pipeline."""
    assert needed_by([*pins(name)]) - (RUNTIME | OTHERS).keys() == pins(name).keys()


@pytest.mark.parametrize(
    ("first", "needed"),
    [
        ("tensorboard", TENSORBOARD),
        ("dvc-s3", S3),
        ("optuna", SEARCH),
        ("pyarrow", PARQUET),
        ("dvc-ssh", {name: pin for name, pin in SSH.items() if name != "bcrypt"}),
    ],
)
def test_an_optional_part_pins_no_more_than_it_needs(first: str, needed: dict[str, str]) -> None:
    """bcrypt comes with an extra of sshfs, and those are not followed here."""
    assert needed_by([first]) >= needed.keys()


def test_a_server_of_the_tests_changes_with_what_it_serves() -> None:
    """aiobotocore allows three releases of botocore."""
    assert TOOLS["boto3"] == S3["botocore"]


@pytest.mark.parametrize("name", OPTIONAL)
def test_the_tests_need_the_optional_packages_too(name: str) -> None:
    assert f"-r {name}\n" in (SOURCE / "requirements-dev.txt").read_text(encoding="utf-8")


def needed_by(names: list[str]) -> set[str]:
    """The packages `names` and all that they need in turn."""
    waiting, seen = [*names], set[str]()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        try:
            needs = [Requirement(text) for text in distribution(name).requires or []]
        except PackageNotFoundError:  # of another platform or Python
            continue
        here = [need for need in needs if need.marker is None or need.marker.evaluate({"extra": ""})]
        waiting += [canonicalize_name(need.name) for need in here]
    return seen


CODE = ("stages", "classifier", "record", "tools", "benchmarks")


def test_what_the_code_imports_is_a_requirement_of_its_own() -> None:
    """And not only there because another package needs it."""
    paths = {path for folder in CODE for path in (SOURCE / folder).rglob("*.py")}
    paths -= {path for path in paths if path.read_text(encoding="utf-8").startswith("# /// script")}  # these pin their own
    of_export = {path for path in paths if path.is_relative_to(SOURCE / "tools/export")}
    of_search = {SOURCE / "tools/experiments/search.py"}
    of_parquet = {SOURCE / "classifier/sources/parquet_file.py"}
    of_mlflow = {SOURCE / "tools/experiments/mlflow_store.py"}
    foreign = _imported(paths - of_export - of_search - of_parquet - of_mlflow)
    assert {"torch", "pydantic", "tqdm"} < foreign
    assert foreign - RUNTIME.keys() - PARTS == set()
    assert _imported(of_export) - RUNTIME.keys() == {"onnx", "onnxruntime"} < EXPORT.keys()
    assert _imported(of_search) - RUNTIME.keys() == {"optuna", "sqlalchemy"} < SEARCH.keys()
    assert _imported(of_parquet) - RUNTIME.keys() == {"pyarrow"} == PARQUET.keys()


def _imported(paths: set[Path]) -> set[str]:
    """The packages of others that the code in `paths` imports."""
    imported = {
        name.partition(".")[0]
        for path in paths
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        for name in _names(node)
    }
    ours = {*CODE, "tests", "_typeshed"}  # the last is mypy's own
    distributions = packages_distributions()
    return {canonicalize_name(distributions[name][0]) for name in imported - ours - set(sys.stdlib_module_names)}


def _names(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module] if isinstance(node, ast.ImportFrom) and node.module and not node.level else []
