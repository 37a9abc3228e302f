"""docs/reference/: it is what the code says now, and says of each param, stage and tool what the code knows."""

from pathlib import Path
from typing import Annotated, Literal

import pytest
import yaml
from pydantic import Field

from classifier.common.params import Params
from tools.reference import main, messages_of, parser_of, values

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs/reference"


@pytest.fixture(autouse=True)
def in_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def test_the_pages_are_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    """`python -m tools.reference` writes them."""
    assert (main(["--check"]), capsys.readouterr()) == (0, ("", ""))


def test_an_outdated_page_is_named_and_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tools.reference.FOLDER", tmp_path / "pages")
    assert main([]) == 0
    (tmp_path / "pages/stages.md").write_text("old")
    assert main(["--check"]) == 1
    assert capsys.readouterr().err == f"{tmp_path}/pages/stages.md: out of date; run `python -m tools.reference`\n"
    assert main([]) == 0
    assert (tmp_path / "pages/stages.md").read_text() == (FOLDER / "stages.md").read_text()


class Example(Params):
    """One field of each kind."""

    share: float = Field(ge=0, lt=1)
    limit: float | None = Field(gt=0)
    count: int = Field(ge=1, le=20)
    shape: list[Annotated[int, Field(ge=1)]] | None
    names: list[Literal["a", "b"]] | Literal["auto"]
    switch: bool
    word: str


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("share", "number, 0 to below 1"),
        ("limit", "number, above 0, or `null`"),
        ("count", "whole number, 1 to 20"),
        ("shape", "list of whole numbers, or `null`"),
        ("names", "list of `a`, `b`, or `auto`"),
        ("switch", "`true`, `false`"),
        ("word", "text"),
    ],
)
def test_type_and_range(name: str, said: str) -> None:
    assert values(Example.model_fields[name]) == said


def test_every_param_and_every_stage_has_its_place() -> None:
    params = "".join((FOLDER / name).read_text(encoding="utf-8") for name in ("params.md", "data_params.md"))
    in_file = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    rows = [line.split(" | ") for line in params.splitlines() if line.startswith("| `")]
    assert sorted(row[0].strip("| `") for row in rows) == sorted(in_file)
    assert all(len(row[3]) > 10 for row in rows), "a param without a meaning"
    (lr,) = (row for row in rows if row[0] == "| `lr`")
    assert lr == ["| `lr`", "number, above 0 to 1000", f"`{in_file['lr']}`", "learning rate at its peak", "train |"]
    stages = (FOLDER / "stages.md").read_text(encoding="utf-8")
    assert all(
        f"\n## {stage}\n" in stages for stage in yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    )


def test_the_parser_of_a_tool_is_had_without_running_it(capsys: pytest.CaptureFixture[str]) -> None:
    parser = parser_of("verify")
    assert parser is not None
    assert parser.parse_args(["--no-train"]).train is False
    assert (parser := parser_of("doctor")) and parser.epilog == "example: python -m tools.doctor"
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ('"lr: must be above 0"', ["lr: must be above 0"]),
        ('f"{path}: needs {number} images"', ["…: needs … images"]),
        ('f"{path}{line}: needs a " f"label" + why', ["…: needs a label…"]),
        ('f"needs one line,\\nfound {2}"', ["needs one line, found …"]),
        ('f"{path}: {error}"', []),
        ("problem", []),
    ],
)
def test_messages_of_the_code(argument: str, expected: list[str]) -> None:
    assert list(messages_of(f"def check():\n    raise UserError({argument}) from None\n")) == expected


def test_the_page_of_errors_says_who_prints_a_message() -> None:
    page = (FOLDER / "errors.md").read_text(encoding="utf-8")
    (section,) = [part for part in page.split("\n## ") if "needs UTF-8, found other bytes from line" in part]
    assert section.startswith("classifier/sources (in download, weights)\n")


def test_the_page_of_commands_has_no_placeholder_of_argparse() -> None:
    assert "%(" not in (FOLDER / "commands.md").read_text(encoding="utf-8")
