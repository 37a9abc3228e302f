"""dvc.yaml says of each stage exactly what its code reads, and the layers of the code point one way."""

import re
from pathlib import Path, PurePath

import pytest
import yaml

from classifier.common.graph import is_code, with_modules
from tools.check import COMMAND_PARAMS, STAGE_PARAMS, declared_code, import_closure

REPOSITORY = Path(__file__).parents[3]
GRAPH = yaml.safe_load((REPOSITORY / "dvc.yaml").read_text(encoding="utf-8"))
STAGES = GRAPH["stages"]
VERSIONS = ["constraints.txt", "requirements.txt"]
FOLDERS = [path.parent.relative_to(REPOSITORY) for path in sorted((REPOSITORY / "classifier").glob("*/__init__.py"))]
CODE = [
    path for folder in ("stages", "classifier", "tools", "benchmarks") for path in sorted((REPOSITORY / folder).rglob("*.py"))
]


def names(entries: list[object]) -> list[str]:
    """Paths of a list of outs, metrics or plots, with or without options."""
    return [next(iter(entry)) if isinstance(entry, dict) else str(entry) for entry in entries]


def outputs(stage: str) -> list[str]:
    return names([entry for kind in ("outs", "metrics", "plots") for entry in STAGES[stage].get(kind, [])])


def test_the_stages_are_the_seven_in_order() -> None:
    assert list(STAGES) == ["download", "convert", "build", "weights", "train", "evaluate", "plot"] == list(STAGE_PARAMS)


@pytest.mark.parametrize("stage", STAGES)
def test_the_params_are_the_fields_that_the_code_reads(stage: str) -> None:
    assert STAGES[stage].get("params", []) == sorted(STAGE_PARAMS[stage].model_fields)


def section(title: str) -> str:
    """Of README.md."""
    return (REPOSITORY / "README.md").read_text(encoding="utf-8").partition(f"\n## {title}\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize("stage", ["download", "convert", "build", "weights"])
def test_the_readme_names_the_params_of_the_stages_that_have_few(stage: str) -> None:
    (row,) = re.findall(rf"^\| `{stage}` \|.*$", section("Stages"), re.MULTILINE)
    assert sorted(re.findall("`(.+?)`", row.split("|")[3])) == STAGES[stage]["params"]


def test_the_readme_has_a_line_for_each_param() -> None:
    values = yaml.safe_load((REPOSITORY / "params.yaml").read_text(encoding="utf-8"))
    assert sorted(re.findall(r"^\| `(\w+)` \|", section("Params"), re.MULTILINE)) == sorted(values)


@pytest.mark.parametrize("stage", STAGES)
def test_the_code_dependencies_are_the_import_closure(stage: str) -> None:
    modules = [f"stages.{stage}", *(["stages.launch"] if stage == "train" else [])]
    imported = sorted({path.as_posix() for module in modules for path in import_closure(module, REPOSITORY)})
    assert sorted(code_of(stage)) == imported


@pytest.mark.parametrize("stage", STAGES)
def test_the_code_dependencies_come_last_and_in_order_and_none_lies_in_another(stage: str) -> None:
    code = [dep for dep in STAGES[stage]["deps"] if is_code(PurePath(dep))]
    assert STAGES[stage]["deps"][-len(code) :] == sorted(code)
    assert not [dep for dep in code if set(code) & {str(parent) for parent in PurePath(dep).parents}]


@pytest.mark.parametrize("stage", STAGES)
def test_a_folder_of_which_a_stage_imports_all_is_one_dependency(stage: str) -> None:
    """DVC takes time for each, and a new module needs no entry then."""
    code = code_of(stage)
    whole = [folder for folder in FOLDERS if {file.as_posix() for file in with_modules([folder], REPOSITORY)} <= code.keys()]
    assert {str(folder) for folder in whole} == {listed for file, listed in code.items() if listed != file}


def code_of(stage: str) -> dict[str, str]:
    return declared_code(STAGES[stage]["deps"], REPOSITORY)


@pytest.mark.parametrize("stage", STAGES)
def test_no_stage_lists_a_file_of_a_folder_that_another_lists(stage: str) -> None:
    """A folder holds what exactly the same stages import, or an edit in it would rerun stages that do not read it."""
    folders = {dep for other in STAGES.values() for dep in other["deps"] if (REPOSITORY / dep / "__init__.py").is_file()}
    assert len(folders) == 6
    assert not [dep for dep in STAGES[stage]["deps"] if str(Path(dep).parent) in folders]


@pytest.mark.parametrize("stage", STAGES)
def test_the_params_of_a_stage_are_imported_by_no_other(stage: str) -> None:
    own = f"classifier/params/{stage}.py"
    assert own in STAGES[stage]["deps"]
    assert not [other for other in STAGES if other != stage and own in STAGES[other]["deps"]]


def test_the_stages_whose_bytes_a_library_can_change_depend_on_the_versions() -> None:
    """`download` does not: its files have published checksums."""
    assert [stage for stage in STAGES if [dep for dep in STAGES[stage]["deps"] if dep in VERSIONS] == VERSIONS] == list(STAGES)[
        1:
    ]


def test_every_data_dependency_is_made_by_an_earlier_stage() -> None:
    made = {"${source}", *VERSIONS}
    for stage in STAGES:
        for dep in STAGES[stage]["deps"]:
            assert is_code(PurePath(dep)) or any(dep == out or dep.startswith(f"{out}/") for out in made), (stage, dep)
        made.update(outputs(stage))


def test_the_test_split_has_two_readers_and_only_one_of_them_measures() -> None:
    readers = [
        stage for stage in STAGES if "data/dataset/test" in STAGES[stage]["deps"] or "data/dataset" in STAGES[stage]["deps"]
    ]
    assert readers == ["evaluate", "plot"]


def test_metrics_and_plots_are_in_git_and_everything_else_is_cached() -> None:
    for stage in STAGES.values():
        assert all(
            entry[name]["cache"] is False for kind in ("metrics", "plots") for entry in stage.get(kind, []) for name in entry
        )
        assert all(isinstance(entry, str) for entry in stage.get("outs", [])), (
            "persist and plain uncached outs switch the run-cache off"
        )


def test_each_plotted_table_has_its_own_template_axes_and_title() -> None:
    tables = {
        name: entry[name]
        for stage in STAGES.values()
        for entry in stage.get("plots", [])
        for name in entry
        if name.endswith(".csv")
    }
    assert tables.keys() == {
        "plots/data.csv",
        "plots/history.csv",
        "plots/steps.csv",
        "plots/predictions.csv",
        "plots/classes.csv",
    }
    assert all({"template", "x", "y", "title"} <= options.keys() for options in tables.values())


def test_every_stage_has_a_description_and_runs_as_a_module() -> None:
    launched = {"train": "python -m stages.launch ${launcher} -m stages.train"}
    assert all(stage["desc"] for stage in STAGES.values())
    assert all(stage["cmd"] == launched.get(name, f"python -m stages.{name}") for name, stage in STAGES.items())


@pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_the_layers_point_one_way(path: Path) -> None:
    """classifier imports neither stages nor tools; a stage imports no stage and no tool; nothing imports benchmarks."""
    relative = path.relative_to(REPOSITORY)
    module = ".".join(relative.with_suffix("").parts)
    reached = {file.as_posix() for file in import_closure(module, REPOSITORY)} - {relative.as_posix()}
    top = relative.parts[0]
    forbidden = {
        "classifier": ("stages/", "tools/", "benchmarks/"),
        "stages": ("tools/", "benchmarks/"),
        "tools": ("benchmarks/",),
    }
    assert not [file for file in reached if file.startswith(forbidden.get(top, ()))]
    if top == "stages":
        assert {file for file in reached if file.startswith("stages/")} <= {"stages/__init__.py", "stages/runner.py"}


def test_every_param_of_the_file_has_a_comment_above_it() -> None:
    lines = (REPOSITORY / "params.yaml").read_text(encoding="utf-8").splitlines()
    keys = [number for number, line in enumerate(lines) if line and not line.startswith("#")]
    models = (*STAGE_PARAMS.values(), *COMMAND_PARAMS)
    assert len(keys) == len({name for model in models for name in model.model_fields})
    assert all(lines[number - 1].startswith("# ") for number in keys)
