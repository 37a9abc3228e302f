"""dvc.yaml says of each stage all that its code reads, and nothing that would rerun it for nothing."""

from pathlib import Path, PurePath

import pytest
import yaml

from classifier.common.graph import is_code, used_keys
from tools.check import COMMAND_PARAMS, STAGE_PARAMS, declared_code, import_closure

REPOSITORY = Path(__file__).parents[3]
GRAPH = yaml.safe_load((REPOSITORY / "dvc.yaml").read_text(encoding="utf-8"))
STAGES = GRAPH["stages"]
VERSIONS = ["constraints.txt", "requirements.txt"]
ROOMS = [path.parent.relative_to(REPOSITORY).as_posix() for path in (REPOSITORY / "classifier").glob("*/__init__.py")]


def names(entries: list[object]) -> list[str]:
    """Paths of a list of outs, metrics or plots, with or without options."""
    return [next(iter(entry)) if isinstance(entry, dict) else str(entry) for entry in entries]


def outputs(stage: str) -> list[str]:
    return names([entry for kind in ("outs", "metrics", "plots") for entry in STAGES[stage].get(kind, [])])


def test_the_stages_are_the_seven_and_the_last_comes_first() -> None:
    """DVC's tables list the metrics by the order of the stages: those of the test split are what one looks for."""
    assert [*reversed(STAGES)] == ["download", "convert", "build", "weights", "train", "evaluate", "plot"] == [*STAGE_PARAMS]


@pytest.mark.parametrize("stage", STAGES)
def test_the_params_are_the_fields_that_the_code_reads(stage: str) -> None:
    assert STAGES[stage].get("params", []) == sorted(STAGE_PARAMS[stage].model_fields)


@pytest.mark.parametrize("stage", STAGES)
def test_what_a_stage_imports_is_listed(stage: str) -> None:
    assert imported_by(stage) <= code_of(stage).keys()


@pytest.mark.parametrize("stage", STAGES)
def test_of_each_entry_the_stage_imports_something(stage: str) -> None:
    """A room may hold a little more than the stage imports; one of which it imports nothing would only rerun it."""
    code = code_of(stage)
    assert {code[file] for file in imported_by(stage)} == set(code.values())


@pytest.mark.parametrize("stage", STAGES)
def test_the_code_dependencies_come_last_and_in_order_and_none_lies_in_another(stage: str) -> None:
    code = code_entries(stage)
    assert STAGES[stage]["deps"][-len(code) :] == sorted(code)
    assert not [dep for dep in code if set(code) & {str(parent) for parent in PurePath(dep).parents}]


@pytest.mark.parametrize("stage", STAGES)
def test_of_classifier_whole_rooms_are_listed(stage: str) -> None:
    """DVC takes time for each entry, and a new module needs none then. Loose in classifier/ lies its __init__.py alone."""
    listed = {dep for dep in code_entries(stage) if dep.startswith("classifier")}
    assert listed <= {"classifier/__init__.py", *ROOMS}


def test_the_entries_of_code_are_few() -> None:
    assert sum(len(code_entries(stage)) for stage in STAGES) <= 60


def test_an_edit_reruns_no_dear_stage_for_nothing() -> None:
    """Drawing, scoring, reading back and tools never train again; training never makes the tables or arrays again."""
    stale = {module: {stage for stage in STAGES if module in code_of(stage)} for module in files_of(*ROOMS, "record", "tools")}
    assert [
        module for module in files_of("classifier/figures", "classifier/scores", "record", "tools") if "train" in stale[module]
    ] == []
    assert [module for module in files_of("classifier/training") if stale[module] != {"train"}] == []
    assert stale["classifier/scores/metrics.py"] == {"evaluate"}
    assert stale["classifier/figures/charts.py"] == {"plot"}


def code_entries(stage: str) -> list[str]:
    """Of the deps those that are code, as dvc.yaml has them."""
    return [dep for dep in STAGES[stage]["deps"] if dep.endswith(".py") or is_code(PurePath(dep)) or dep in ("record", "tools")]


def code_of(stage: str) -> dict[str, str]:
    """Each file of code that the deps stand for, and the entry that does."""
    return declared_code(STAGES[stage]["deps"], REPOSITORY)


def imported_by(stage: str) -> set[str]:
    modules = [f"stages.{stage}", *(["stages.launch"] if stage == "train" else [])]
    return {path.as_posix() for module in modules for path in import_closure(module, REPOSITORY)}


def files_of(*folders: str) -> list[str]:
    found = [path.relative_to(REPOSITORY).as_posix() for folder in folders for path in (REPOSITORY / folder).rglob("*.py")]
    assert len(found) >= len(folders)
    return found


def test_the_stages_whose_bytes_a_library_can_change_depend_on_the_versions() -> None:
    """`download` does not: its files have published checksums."""
    assert [stage for stage in STAGES if [dep for dep in STAGES[stage]["deps"] if dep in VERSIONS] == VERSIONS] == list(STAGES)[
        :-1
    ]


def test_every_data_dependency_is_made_by_an_earlier_stage() -> None:
    made = {"${source}", "${pretrained_source}", *VERSIONS}
    for stage in reversed(STAGES):
        for dep in STAGES[stage]["deps"]:
            assert is_code(PurePath(dep)) or any(dep == out or dep.startswith(f"{out}/") for out in made), (stage, dep)
        made.update(outputs(stage))


def test_the_test_split_has_two_readers_and_only_one_of_them_measures() -> None:
    readers = [
        stage for stage in STAGES if "data/dataset/test" in STAGES[stage]["deps"] or "data/dataset" in STAGES[stage]["deps"]
    ]
    assert readers == ["plot", "evaluate"]


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


def test_no_table_is_drawn_twice_and_no_chart_loses_a_revision_without_validation() -> None:
    """A chart of several columns loses a revision that lacks one: findings/dvc-plots-missing-column.sh."""
    drawn = [(name, options[axis]) for name, options, axis in _charts_of_stages()]
    for entry in GRAPH["plots"]:
        for options in entry.values():
            axis = "x" if isinstance(options["x"], dict) else "y"
            (one,) = options[axis].items()
            drawn.append(one)
    assert len(set(drawn)) == len(drawn)
    assert all(isinstance(column, str) for _, column in drawn)


def test_the_labels_of_charts_are_short_enough_for_vs_code() -> None:
    top = [options for entry in GRAPH["plots"] for options in entry.values()]
    charts = [*(options for _, options, _ in _charts_of_stages()), *top]
    assert all(len(options[label]) <= 9 for options in charts for label in ("x_label", "y_label"))


def _charts_of_stages() -> list[tuple[str, dict[str, str], str]]:
    """Table, options, and the axis of what is drawn of it; the other has classes, epochs or steps."""
    tables = [item for stage in STAGES.values() for entry in stage.get("plots", []) for item in entry.items() if "x" in item[1]]
    return [(name, options, "x" if options["template"] == "bar_horizontal" else "y") for name, options in tables]


def test_every_stage_has_a_description_and_runs_as_a_module() -> None:
    launched = {"train": "python -m stages.launch ${launcher} -m stages.train"}
    assert all(stage["desc"] for stage in STAGES.values())
    assert all(stage["cmd"] == launched.get(name, f"python -m stages.{name}") for name, stage in STAGES.items())


def test_every_param_of_the_file_has_a_comment_above_it() -> None:
    lines = (REPOSITORY / "params.yaml").read_text(encoding="utf-8").splitlines()
    keys = [number for number, line in enumerate(lines) if line and not line.startswith("#")]
    models = (*STAGE_PARAMS.values(), *COMMAND_PARAMS)
    assert len(keys) == len({name for model in models for name in model.model_fields})
    assert all(lines[number - 1].startswith("# ") for number in keys)


def test_keys_that_only_a_stage_of_a_loop_or_a_part_of_them_uses(tmp_path: Path) -> None:
    (tmp_path / "dvc.yaml").write_text(
        "stages:\n"
        "  each: {foreach: '${names}', do: {cmd: 'echo ${item}', params: [lr]}}\n"
        "  plain: {cmd: 'echo', params: [optim.lr, other.json: [width]]}\n"
    )
    assert used_keys(tmp_path / "dvc.yaml") >= {"names", "lr", "optim"}
