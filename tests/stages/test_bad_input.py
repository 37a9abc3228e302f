"""What bad_input.py holds every case against is seen, how many cases there are, and that our code runs no data."""

import ast
import pickle
import re
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from classifier.common.errors import UserError
from tests.support.bad_input import Hang, Sandbox, Touch, sandbox

ROOT = Path(__file__).parents[2]
PROPERTIES = sorted(Path(__file__).parent.glob("test_bad_input_*.py"))


def numbers_of_cases(source: str) -> Iterator[int]:
    """The number of each `@cases(number)` in a file of properties."""
    for node in ast.walk(ast.parse(source)):
        for decorator in node.decorator_list if isinstance(node, ast.FunctionDef) else ():
            if found := re.fullmatch(r"cases\((\d+)\)", ast.unparse(decorator)):
                yield int(found[1])


def test_there_are_two_thousand_cases() -> None:
    numbers = [list(numbers_of_cases(path.read_text(encoding="utf-8"))) for path in PROPERTIES]
    assert len(numbers) == 4
    assert all(numbers)
    assert sum(map(sum, numbers)) >= 2000


def refuse(text: str) -> None:
    raise UserError(text)


def refuse_after_writing(box: Sandbox) -> None:
    box.write("out/a", b"half")
    refuse("input: no")


def refuse_after_warning(text: str) -> None:
    warnings.warn("the library has its doubts", stacklevel=1)
    refuse(text)


def write_and_take_back(path: Path) -> None:
    path.write_bytes(b"")
    path.unlink()


def busy() -> None:
    while True:
        pass


BAD: dict[str, Callable[[Sandbox], object]] = {
    "another exception": lambda box: [][0],
    "no text": lambda box: refuse(""),
    "names nothing": lambda box: refuse("something is wrong"),
    "a long line": lambda box: refuse("input " + "x" * 2000),
    "a library's warning beside the line": lambda box: refuse_after_warning("input: no"),
    "a half-written output": refuse_after_writing,
    "a file beside the outputs": lambda box: box.write("other", b""),
    "a file outside": lambda box: (box.around / "other").write_bytes(b""),
    "a changed file outside": lambda box: (box.around / "neighbour").write_bytes(b""),
    "a file outside that is gone again": lambda box: write_and_take_back(Path("/tmp") / f"{box.around.name}.gone"),
    "a temporary file that stays": lambda box: box.write("out/.a.partial", b""),
    "an unpickled object": lambda box: pickle.loads(pickle.dumps(Touch(box.root / "out/b"))),
    "an executed pickle": lambda box: pickle.loads(pickle.dumps(Touch(box.marker))),
    "a process": lambda box: subprocess.run([sys.executable, "-c", ""], check=True),
    "gigabytes": lambda box: np.ones(2**30),
}


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere new memory cannot be limited")
@pytest.mark.parametrize("name", BAD)
def test_what_must_not_happen_is_seen(name: str) -> None:
    with sandbox() as box:
        (box.root / "out").mkdir()
        with pytest.raises((AssertionError, IndexError, MemoryError)):
            box.refusal(lambda: BAD[name](box), outputs=("out",), names=("input",))


@pytest.mark.parametrize(("limit", "hang"), [("MAX_SECONDS", busy), ("MAX_SECONDS_WAITING", lambda: time.sleep(30))])
def test_a_hang_is_seen(monkeypatch: pytest.MonkeyPatch, limit: str, hang: Callable[[], None]) -> None:
    monkeypatch.setattr(f"tests.support.bad_input.{limit}", 0.1)
    with sandbox() as box, pytest.raises(Hang):
        box.refusal(hang)


def test_good_work_and_a_good_refusal_pass() -> None:
    with sandbox() as box:
        assert box.refusal(lambda: box.write("out/a", b""), outputs=("out",)) is None
        assert box.refusal(lambda: refuse("input:\n no"), names=("input",)) == "input: no"


def test_an_error_of_the_system_is_one_line() -> None:
    with sandbox() as box:
        line = box.refusal(lambda: (box.root / "two\nlines").read_bytes(), names=("two lines",))
        assert line == f"{box.root}/two lines: No such file or directory"


# --- nothing unpickles, nothing is executed ---

RUNS_DATA = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "code", "codeop"}
CALLS = {
    "eval",
    "exec",
    "compile",
    "__import__",
    "torch.load",
    "torch.jit.load",
    "torch.hub.load",
    "yaml.load",
    "pd.read_pickle",
}
LOADERS = {
    "load",
    "load_all",
    "full_load",
    "full_load_all",
    "unsafe_load",
    "unsafe_load_all",
    "UnsafeLoader",
    "FullLoader",
    "Loader",
}


def loads_weights_only(call: ast.Call) -> bool:
    given = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
    return ast.unparse(call.func) == "torch.load" and given.get("weights_only") == "True"


def dangers(source: str) -> Iterator[str]:
    """Whatever in `source` could run what a file holds. torch.load may read tensors alone."""
    tree = ast.parse(source)
    safe = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call) and loads_weights_only(node)]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] in RUNS_DATA)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            names = {alias.name for alias in node.names}
            if (module.split(".")[0] in RUNS_DATA and names != {"UnpicklingError"}) or (
                module in ("torch", "yaml", "torch.serialization") and names & LOADERS
            ):
                yield module
        elif (
            isinstance(node, ast.Attribute)
            and node not in safe
            and ast.unparse(node) in CALLS | {f"yaml.{name}" for name in LOADERS}
        ):
            yield ast.unparse(node)
        elif isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name) and node.func.id in CALLS:
                yield node.func.id
            for keyword in node.keywords:
                allowed = {"allow_pickle": False, "weights_only": True, "shell": False}.get(keyword.arg or "")
                if allowed is not None and ast.unparse(keyword.value) != str(allowed):
                    yield f"{keyword.arg}={ast.unparse(keyword.value)}"
                if keyword.arg == "typ" and ast.unparse(keyword.value) == "'unsafe'":
                    yield "typ='unsafe'"


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "def f():\n    from pickle import loads",
        "import joblib.numpy_pickle as j",
        "torch.load(path)",
        "torch.load(path, weights_only=trusted)",
        "from pickle import UnpicklingError, loads",
        "reader = torch.load",
        "from torch import load",
        "np.load(path, allow_pickle=True)",
        "np.load(path, allow_pickle=trusted)",
        "torch.jit.load(path)",
        "yaml.load(text, Loader=yaml.Loader)",
        "yaml.unsafe_load(text)",
        "from yaml import full_load",
        "YAML(typ='unsafe')",
        "eval(text)",
        "exec(text)",
        "subprocess.run(text, shell=True)",
    ],
)
def test_what_runs_data_is_found(source: str) -> None:
    assert list(dangers(source))


@pytest.mark.parametrize("folder", ["stages", "classifier", "record", "tools", "benchmarks"])
def test_our_code_runs_no_data(folder: str) -> None:
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files
    found = {str(file): list(dangers(file.read_text(encoding="utf-8"))) for file in files}
    assert {file: names for file, names in found.items() if names} == {}
