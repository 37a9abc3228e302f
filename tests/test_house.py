"""The plan of the code: which package may import which, no cycles, rooms that load nothing heavy."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
PACKAGES = ["classifier", "record", "stages", "tools", "benchmarks"]
MAY_IMPORT = {
    "classifier": {"classifier"},
    "record": {"classifier", "record"},
    "stages": {"classifier", "stages"},
    "tools": {"classifier", "record", "stages", "tools"},
    "benchmarks": {"classifier", "record", "stages", "tools", "benchmarks"},
}
ROOMS = sorted(path.parent for path in (REPOSITORY / "classifier").glob("*/__init__.py"))


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__")


def modules_of(*folders: str) -> dict[str, Path]:
    return {module_name(path): path for folder in folders for path in sorted((REPOSITORY / folder).rglob("*.py"))}


OURS = modules_of(*PACKAGES)


def imported(source: str) -> set[str]:
    """Dotted names that a module imports, inside functions too; of `from a import b` both a and a.b."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found.update(name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, "a relative import"
            found.add(node.module)
            found.update(f"{node.module}.{name.name}" for name in node.names)
    return found


IMPORTS = {name: imported(path.read_text(encoding="utf-8")) & OURS.keys() - {name} for name, path in OURS.items()}


def cycle(graph: Mapping[str, Iterable[str]]) -> list[str]:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_imports_are_found_wherever_they_stand() -> None:
    source = "import a.b as c\nfrom d import e\ndef f():\n    from g.h import i\n"
    assert imported(source) == {"a.b", "d", "d.e", "g.h", "g.h.i"}
    assert cycle({"a": {"b"}, "b": {"c"}, "c": {"a"}})
    assert not cycle({"a": {"b", "c"}, "b": {"c"}})


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_imports_only_those_below_it(package: str) -> None:
    wrong = {
        name: sorted(other for other in others if other.split(".")[0] not in MAY_IMPORT[package])
        for name, others in IMPORTS.items()
        if name.split(".")[0] == package
    }
    assert wrong, "no modules"
    assert {name: others for name, others in wrong.items() if others} == {}


def test_a_stage_imports_no_stage() -> None:
    found = {
        name: {other for other in IMPORTS[name] if room_of(other) == "stages"} for name in OURS if room_of(name) == "stages"
    }
    assert set(found) > {"stages.runner", "stages.train"}
    assert {name: others for name, others in found.items() if others - {"stages", "stages.runner"}} == {}


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert cycle(IMPORTS) == []


def test_no_rooms_import_each_other_in_a_circle() -> None:
    """Rooms are the folders of classifier/ and of tools/, and what lies beside these folders."""
    rooms: dict[str, set[str]] = {}
    for name, others in IMPORTS.items():
        room = room_of(name)
        rooms.setdefault(room, set()).update(room_of(other) for other in others if room_of(other) != room)
    assert len(rooms) > 20
    assert cycle(rooms) == []


def room_of(module: str) -> str:
    parts = module.split(".")
    if parts[0] in ("classifier", "tools") and len(parts) > 1:
        return ".".join(parts[:2])
    return parts[0]


def test_nothing_lies_loose_in_classifier() -> None:
    folder = REPOSITORY / "classifier"
    assert [path.name for path in folder.iterdir() if path.is_file()] == ["__init__.py"]
    assert {path for path in folder.iterdir() if path.is_dir() and path.name != "__pycache__"} == set(ROOMS)


def test_entering_a_room_or_reading_its_params_loads_neither_torch_nor_pandas() -> None:
    """One process for all: what is loaded after all of them was loaded by none."""
    params = sorted(path for path in (REPOSITORY / "classifier").glob("*/params.py"))
    assert len(params) >= 6
    modules = [module_name(path) for path in [*(room / "__init__.py" for room in ROOMS), *params]]
    program = f"import sys, {', '.join(modules)}\nsys.exit(', '.join({{'torch', 'pandas'}} & sys.modules.keys()) or None)"
    done = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_no_test_file_imports_another() -> None:
    """Nor does a program that it hands to another process. What they share lies in tests/support/."""
    found: dict[str, set[str]] = {}
    for name, path in modules_of("tests").items():
        source = path.read_text(encoding="utf-8")
        names = imported(source) | set(re.findall(r"^\s*(?:from|import) (tests[\w.]*)", source, re.MULTILINE))
        found[name] = {one for one in names if one.split(".")[0] == "tests" and not one.startswith("tests.support")}
    assert len(found) > 50
    assert {name: others for name, others in found.items() if others} == {}
