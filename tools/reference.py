"""Write docs/reference/ from the code: every param, stage, command and error. With --check it only compares.

Exit status: 0; 1 with --check when a page is not what the code says now.
"""

import argparse
import ast
import importlib
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Never, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic.fields import FieldInfo

from classifier.common.files import write_text
from classifier.common.graph import GRAPH_FILE, is_code, load_graph, names
from classifier.common.params import PARAMS_FILE
from tools.__main__ import verbs
from tools.check import COMMAND_PARAMS, STAGE_PARAMS
from tools.command import Parser, run_command

FOLDER = Path("docs/reference")
MADE = "Made from the code by `python -m tools.reference`: edit the code, not this page."


def main(arguments: list[str] | None = None) -> int:
    """Write the pages, or compare them; return the exit status."""
    parser = Parser(
        prog="python -m tools.reference",
        description=(__doc__ or "").partition("\n")[0],
        epilog="example: python -m tools.reference --check",
    )
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 when a page is out of date")
    check = parser.parse_args(arguments).check
    outdated = [(path, text) for path, text in pages() if not path.is_file() or path.read_text(encoding="utf-8") != text]
    for path, text in outdated:
        if check:
            print(f"{path}: out of date; run `python -m tools.reference`", file=sys.stderr)
        else:
            path.parent.mkdir(exist_ok=True)
            write_text(path, text)
    return 1 if check and outdated else 0


def pages() -> Iterator[tuple[Path, str]]:
    """The path and the text of each page."""
    parts = {
        "params": ("Params", [*_params("training"), *_params("evaluation"), *_params("machine")]),
        "data_params": ("Params of the data", _params("data")),
        "stages": ("Stages", _stages()),
        "make": ("Targets of make", _targets()),
        "commands": ("Commands", _commands()),
        "errors": ("Errors", _errors()),
    }
    for name, (title, lines) in parts.items():
        yield FOLDER / f"{name}.md", "\n".join([f"# {title}", "", MADE, *lines, ""])


def _params(section: str) -> Iterator[str]:
    """A table of a section of params.yaml, whose comments are the meanings; types and ranges come from the classes."""
    yield from ("", f"## {section.capitalize()}", "", *_head("param", "values", "default", "meaning", "stages"))
    comment: list[str] = []
    text = PARAMS_FILE.read_text(encoding="utf-8").partition(f"# --- {section} ---\n")[2].partition("# ---")[0]
    for line in text.splitlines():
        if line.startswith("#"):
            comment.append(line.lstrip("# "))
        elif line:
            name, _, default = line.partition(": ")
            stages, field = users(name)
            yield _row(f"`{name}`", values(field), f"`{default}`", " ".join(comment), ", ".join(stages))
            comment = []


def users(name: str) -> tuple[list[str], FieldInfo]:
    """The stages that read a param, and its field in the params of the first."""
    classes = [*STAGE_PARAMS.items(), *(("train", model) for model in COMMAND_PARAMS)]
    fields = {stage: model.model_fields[name] for stage, model in classes if name in model.model_fields}
    return list(fields), next(iter(fields.values()))


def values(field: FieldInfo) -> str:
    """Type and range of a param: `whole number, 1 to 20, or null`."""
    low = high = ""
    for rule in field.metadata:
        match rule:
            case Ge(ge=limit):
                low = f", {limit}"
            case Gt(gt=limit):
                low = f", above {limit}"
            case Le(le=limit):
                high = f" to {limit}"
            case Lt(lt=limit):
                high = f" to below {limit}"
    kinds = [f"{kind}{low}{high}" if kind.endswith("number") else kind for kind in _kinds(field.annotation)]
    return ", or ".join(kinds)


def _kinds(annotation: Any) -> list[str]:
    """The type in words; of a union each of its types, null last."""
    parts = get_args(annotation)
    origin = get_origin(annotation)
    if origin in (Union, UnionType):
        null = ["`null`"] if NoneType in parts else []
        return [kind for part in parts if part is not NoneType for kind in _kinds(part)] + null
    if origin is Literal:
        return [", ".join(f"`{choice}`" for choice in parts)]
    if origin is list:
        return [f"list of {kind}" if kind.startswith("`") else f"list of {kind}s" for kind in _kinds(parts[0])]
    if origin is Annotated:
        return _kinds(parts[0])
    return [{bool: "`true`, `false`", int: "whole number", float: "number", str: "text"}[annotation]]


def _stages() -> Iterator[str]:
    """What each stage in dvc.yaml is for, reads and writes."""
    yield "Every stage also reads its own code: `dvc.yaml` lists the folders of `classifier/` that it uses."
    for name, stage in reversed(load_graph(GRAPH_FILE).items()):
        reads = [dep for dep in names(stage["deps"]) if not is_code(Path(dep)) and not dep.endswith(".py")]
        writes = [output for kind in ("outs", "metrics", "plots") for output in names(stage.get(kind, []))]
        yield from ("", f"## {name}", "", f"{stage['desc']}.", "")
        yield from _head("command", f"`{stage['cmd']}`")
        for title, entries in (("reads", reads), ("params", names(stage.get("params", []))), ("writes", writes)):
            yield _row(title, ", ".join(f"`{entry}`" for entry in entries) or "none")


def _targets() -> Iterator[str]:
    """Those of the Makefile, with what `make help` says."""
    yield from ("", *_head("target", "what it does"))
    targets = re.findall(r"^([a-z-]+):.*## (.*)$", Path("Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    yield from (_row(f"`{name}`", line) for name, line in targets)


def _commands() -> Iterator[str]:
    """Every tool with its options."""
    for name, line in verbs().items():
        yield from ("", f"## {name}", "", line)
        if parser := parser_of(name):
            yield from _options(parser)


class _CaughtError(Exception):
    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self.parser = parser


def _catch(parser: argparse.ArgumentParser, *_: object) -> Never:
    raise _CaughtError(parser)


def parser_of(verb: str) -> argparse.ArgumentParser | None:
    """The parser of a tool, caught as the tool begins to parse, so that nothing runs; None for a tool without options."""
    module = importlib.import_module(f"tools.{verb}.__main__" if Path("tools", verb).is_dir() else f"tools.{verb}")
    if not hasattr(module, "Parser"):
        return None
    parse_args = argparse.ArgumentParser.parse_args
    argparse.ArgumentParser.parse_args = _catch  # type: ignore[method-assign, assignment]
    try:
        module.main()
    except _CaughtError as caught:
        return caught.parser
    finally:
        argparse.ArgumentParser.parse_args = parse_args  # type: ignore[method-assign]
    return None


def _options(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Usage and a table of the options; the same of each command below it."""
    actions = [action for action in parser._actions if action.dest != "help"]
    below = [action for action in actions if isinstance(action, argparse._SubParsersAction)]
    needed = [action.required if action.option_strings else action.nargs not in ("?", "*") for action in actions]
    words = [_words(action) if must else f"[{_words(action)}]" for action, must in zip(actions, needed, strict=True)]
    yield from ("", f"`{' '.join([parser.prog, *words])}`")
    if rows := [_row(f"`{_words(action)}`", (action.help or "") % vars(action)) for action in actions if action not in below]:
        yield from ("", *_head("option", "meaning"), *rows)
    if parser.epilog:
        yield from ("", *parser.epilog.strip().splitlines())
    for action in below:
        lines = {one.dest: one.help for one in action._choices_actions}
        for name, command in action.choices.items():
            yield from ("", f"### {parser.prog.split('.')[-1]} {name}", "", f"{lines[name]}", *_options(command))


def _words(action: argparse.Action) -> str:
    """As a person types it: `--seeds SEEDS`, `NAME ...`, `push/pull/status`."""
    choices = "/".join(map(str, action.choices)) if action.choices and action.nargs != argparse.PARSER else ""
    value = str(action.metavar or choices or (action.dest.upper() if action.option_strings else action.dest))
    many = " ..." if action.nargs in ("*", "+") else ""
    return " ".join([*action.option_strings[-1:], *([] if action.nargs == 0 else [value + many])])


def _errors() -> Iterator[str]:
    """The messages of each part of the code, with the stages that use a room of classifier/."""
    yield from ("", "To be searched, not read: `…` stands for a value. Messages that are put together from parts are missing.")
    yield "Each message says what to do; [when something goes wrong](../guide/troubleshooting.md) says more of the common ones."
    graph = load_graph(GRAPH_FILE)
    rooms = sorted(path for folder in ("stages", "classifier", "record", "tools") for path in Path(folder).iterdir())
    for room in rooms:
        files = [room] if room.suffix == ".py" else sorted(room.rglob("*.py"))
        if messages := {message for file in files for message in messages_of(file.read_text(encoding="utf-8"))}:
            stages = [name for name, stage in reversed(graph.items()) if room.as_posix() in names(stage["deps"])]
            by = f" (in {', '.join(stages)})" if room.parts[0] == "classifier" else ""
            yield from ("", f"## {room.as_posix()}{by}", "", *(f"- `` {message} ``" for message in sorted(messages)))


def messages_of(code: str) -> Iterator[str]:
    """What each UserError says, with `…` for values; without those that are next to nothing but values."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "UserError":
            text = re.sub("…{2,}", "…", _literal(node.args[0])).replace("\n", " ")
            if len(re.findall(r"[a-z]{2,}", text)) > 1:
                yield text


def _literal(node: ast.expr) -> str:
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(map(_literal, parts))
        case ast.BinOp(left=left, right=right):
            return _literal(left) + _literal(right)
    return "…"


def _head(*titles: str) -> Iterable[str]:
    return _row(*titles), "|---" * len(titles) + "|"


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    run_command(main)
