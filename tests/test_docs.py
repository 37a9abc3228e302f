"""The pages are short, their links lead somewhere, and their commands can be typed."""

import ast
import json
import logging
import re
import shlex
from pathlib import Path

import pytest

from tools.reference import parser_of

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = sorted([ROOT / "README.md", ROOT / "README.zh-CN.md", *(ROOT / "docs").rglob("*.md")])
ERRORS = ROOT / "docs/reference/errors.md"
"""A list of messages to be searched, not read."""
SHORT = [page for page in PAGES if page.parent.name in ("guide", "explain", "reference") and page != ERRORS]
TYPED = [ROOT / "README.md", *(ROOT / "docs/guide").glob("*.md")]
TARGETS = re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


def prose(page: Path) -> str:
    """Without blocks of code."""
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings."""
    titles = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def broken_links(page: Path) -> list[str]:
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        if "://" not in link and not (target.is_file() and (not anchor or anchor in anchors(target))):
            broken.append(link)
    return broken


def commands(text: str) -> list[str]:
    """The lines of the blocks of shell code, without comments; a program that a page shows is none of them."""
    blocks = re.findall(r"^```bash\n(?!#!)(.*?)^```$", text.replace("\\\n", " "), re.DOTALL | re.MULTILINE)
    lines = [re.sub(r"(^|\s)#.*", "", line).strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line]


def test_readme_is_short() -> None:
    assert len(README.encode()) <= 9216
    assert README.partition("\n## Read on\n")[2].count("](") == 6


@pytest.mark.parametrize("page", SHORT, ids=lambda page: f"{page.parent.name}/{page.name}")
def test_a_page_is_short(page: Path) -> None:
    assert len(page.read_text(encoding="utf-8").split()) <= 1500


def test_there_are_pages_to_look_at() -> None:
    assert {page.parent.name for page in SHORT} == {"guide", "explain", "reference"}
    assert len(SHORT) > 15


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    assert broken_links(page) == []


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A title, of sorts\n[a](#a-title-of-sorts) [b](#b) [c](page.md#c) [d](gone.md) [e](https://example.org/e)\n"
    )
    assert broken_links(page) == ["#b", "page.md#c", "gone.md"]


@pytest.mark.parametrize("folder", ["guide", "explain", "reference", "decisions"])
def test_each_page_is_in_the_index(folder: str) -> None:
    index = ROOT / "docs/decisions/README.md" if folder == "decisions" else ROOT / "docs/README.md"
    linked = {(index.parent / link).resolve() for link in re.findall(r"\]\(([^)#]+)\)", index.read_text(encoding="utf-8"))}
    assert set((ROOT / "docs" / folder).glob("*.md")) - linked <= {index}


def test_the_accuracy_in_readme_is_that_of_the_run() -> None:
    metrics = json.loads((ROOT / "metrics/test.json").read_text(encoding="utf-8"))
    low, accuracy, high = (f"{100 * metrics[f'test_accuracy{end}']:.1f}" for end in ("_low", "", "_high"))
    assert f"{accuracy} % of the 10,000 test images" in README
    assert f"(95 % interval {low} to {high} %)" in README


def test_the_tree_in_readme_names_what_is_there() -> None:
    (tree,) = re.findall(r"^```\n(dvc\.yaml .*?)^```$", README, re.DOTALL | re.MULTILINE)
    for line in tree.splitlines():
        names = re.match(r" *((?:\S+  ?)+)", line)
        assert names
        for name in names[1].split():
            where = ROOT / "classifier" / name if line.startswith(" ") else ROOT / name
            assert where.is_dir() if name.endswith("/") else where.is_file(), name
    assert {f"{folder.name}/" for folder in ROOT.iterdir() if (folder / "__init__.py").is_file()} <= set(tree.split())


OF_OTHERS = (
    *("No space left on device", "python: command not found", "Address already in use"),
    *(
        "Unable to acquire lock",
        "is busy, it is being blocked by",
        "'./dvc.lock' validation failed",
        "Unable to read RWLock-file",
    ),
    *("dvc exp run --temp", "Worker status: 0 active", ".git/index.lock", "std::bad_alloc", "OpenBLAS error"),
)
"""What the system, the shell and DVC say, or a person sees."""


def said_by_the_code() -> str:
    """Every text in the code, a line each."""
    texts = []
    for folder in ("classifier", "record", "stages", "tools"):
        for path in (ROOT / folder).rglob("*.py"):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            texts += [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return "\n".join(texts)


def test_the_messages_in_troubleshooting_are_those_of_the_code() -> None:
    table = (ROOT / "docs/guide/troubleshooting.md").read_text(encoding="utf-8")
    cells = [line.split(" | ")[0] for line in table.splitlines() if line.startswith("| ") and not line.startswith("| you see")]
    messages = [double or single for cell in cells for double, single in re.findall(r"``(.+?)``(?!`)|`([^`]+)`", cell)]
    assert len(messages) > 25
    known = said_by_the_code()
    unknown = [
        message
        for message in messages
        if not any(words in message for words in OF_OTHERS) and not any(words in known for words in three_words(message))
    ]
    assert unknown == []


def three_words(message: str) -> list[str]:
    """Each three words in a row: the code fills in values, so no text of it has a whole message."""
    rows = [part.split() for part in message.split("…")]
    return [" ".join(row[start : start + 3]) for row in rows for start in range(max(1, len(row) - 2)) if row]


def check_command(words: list[str]) -> None:
    """Fail for a target, a tool or an option that does not exist."""
    match words:
        case ["make", target, *settings]:
            assert target in TARGETS
            options = [shlex.split(value.removeprefix("ARGS=")) for value in settings if value.startswith("ARGS=")]
            if options and target not in ("test", "test-slow", "repro", "bench"):
                check_tool({"push": "share", "pull": "share", "search": "experiments"}.get(target, target), [
                    *([target] if target in ("push", "pull", "search") else []), *options[0]])  # fmt: skip
        case ["python", "-m", module, *options] if module.startswith("tools."):
            check_tool(module.removeprefix("tools."), options)
        case ["python", "-m", "stages.launch" | "benchmarks.calibration", *_] | ["python3", "-m", "venv", _]:
            pass
        case ["dvc", *options]:
            from dvc.cli import DvcParserError, parse_args

            try:
                parse_args(options)
            except DvcParserError as error:
                raise SystemExit from error
        case ["git" | "source" | "export" | ".venv/bin/pip" | "rm" | "cp" | "sh", *_]:
            pass
        case _:
            raise AssertionError(f"what is {words}?")


def check_tool(verb: str, options: list[str]) -> None:
    parser = parser_of(verb)
    if parser is None:
        assert options == []
    else:
        parser.parse_args(options)


@pytest.mark.parametrize("page", TYPED, ids=lambda page: page.name)
def test_the_commands_of_a_page_can_be_typed(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is parsed by the program that it calls. tests/stages/test_pipeline.py runs those of README.md."""
    monkeypatch.chdir(ROOT)
    for line in commands(page.read_text(encoding="utf-8")):
        for command in re.split(r"&&|\|\|", line):
            try:
                check_command(shlex.split(command))
            except SystemExit:
                pytest.fail(f"{page.name}: {command}")


@pytest.mark.parametrize(
    "line", ["make quickstrat", "python -m tools.review --htlm x", "dvc exp rnu", "make review ARGS=--bad", "frobnicate"]
)
def test_a_wrong_command_is_found(line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(ROOT)
    # DVC's log may hold the closed standard error of an earlier test.
    monkeypatch.setattr(logging.getLogger("dvc.cli.parser"), "disabled", True)
    with pytest.raises((AssertionError, SystemExit)):
        check_command(shlex.split(line))
    capsys.readouterr()


def test_readme_has_the_commands_that_it_promises() -> None:
    found = commands(README)
    assert found[:3] == ["make quickstart", "make test", "source .venv/bin/activate"]
    assert [line.split(" -S")[0] for line in found[2:8]] == [
        *("source .venv/bin/activate", "dvc exp run", "dvc exp show", "dvc metrics diff", "dvc plots diff", "make review")
    ]
    assert len(found) == 9
    assert found[8].startswith("dvc exp run -S dataset=folder -S source=")
