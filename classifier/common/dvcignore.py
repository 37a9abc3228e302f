"""What `.dvcignore` may hide from DVC: all but modules in the folders of code, and nothing else that stages read or write.

A file that is hidden may change, and DVC records and says nothing of it. So the rules are judged by what they might mean.
"""

import os
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path, PurePath

from classifier.common.errors import UserError, short_repr
from classifier.common.graph import PACKAGES

IGNORE_FILE = ".dvcignore"
CODE_RULES = [
    rule.format(package)
    for package in PACKAGES
    for rule in ("/{}/**", "!/{}/**/", "!/{}/**/*.py", "/{}/**/__pycache__/", "/{}/**/.*")
]
"""They say what `counts` says, in classifier/common/graph.py."""
HARMLESS = {"*.pyc", "__pycache__", "__pycache__/", ".DS_Store", "Thumbs.db", "desktop.ini", "__MACOSX", "__MACOSX/"}
"""About files that no stage looks at."""


def ignore_problems(root: Path, declared: Iterable[str]) -> list[str]:
    """What is wrong with the rules of the project in `root`, one line each; `declared` is what stages read and write."""
    problems = list(_hiding(root, declared))
    if not problems and not _rules_for_code(root):
        problems.append(_needs_rules_for_code(root))
    return problems


def check_not_ignored(root: Path, declared: Iterable[str]) -> None:
    """Raise UserError where a rule may hide one of `declared`. That files which do not count are seen is no matter here."""
    for problem in _hiding(root, declared):
        raise UserError(problem)


def inside(root: Path, name: str) -> PurePath:
    """`name` as DVC records it, from `root`; without parts for `root` itself and what lies outside: no rule reaches that."""
    path = PurePath(os.path.relpath(root / name, root))
    return PurePath() if path.parts[:1] == ("..",) else path


def _hiding(root: Path, declared: Iterable[str]) -> Iterator[str]:
    file = root / IGNORE_FILE
    paths = [path for path in (inside(root, name) for name in declared) if path.parts]
    tops = {*PACKAGES, *(path.parts[0] for path in paths)}
    for rule in _rules(file):
        if rule not in CODE_RULES and rule not in HARMLESS and any(_may_mean(rule, top) for top in tops):
            yield (
                f"{file}: the rule {short_repr(rule)} may hide from DVC what stages read or write; remove it, or bind it to "
                "another folder, as /runs/ is"
            )
    if _rules_for_code(root) not in ([], CODE_RULES):
        yield _needs_rules_for_code(root)
    folders = {parent for path in paths if path.parts[0] not in PACKAGES for parent in path.parents if parent.parts}
    for other in sorted(root / folder / IGNORE_FILE for folder in folders):
        if other.exists():
            yield f"{short_repr(str(other))}: DVC obeys it, and the stages do not; remove it"


def _rules(file: Path) -> list[str]:
    """As DVC reads them: it strips each line. Raises UserError for what is no text."""
    try:
        lines = file.read_text(encoding="utf-8").split("\n") if file.exists() else []
    except UnicodeDecodeError as error:
        raise UserError(f"{file}: needs UTF-8; {error}") from None
    return [line for line in map(str.strip, lines) if line and not line.startswith("#")]


def _rules_for_code(root: Path) -> list[str]:
    return [rule for rule in _rules(root / IGNORE_FILE) if rule in CODE_RULES]


def _needs_rules_for_code(root: Path) -> str:
    return f"{root / IGNORE_FILE}: needs these rules for the folders of code, in this order: {' '.join(CODE_RULES)}"


def _may_mean(rule: str, top: str) -> bool:
    """Whether `rule` may reach `top`, a file or folder beside `.dvcignore`, or what is in it.

    False only for a rule that is bound to another name there.
    """
    rule = rule.removeprefix("!")
    first, _, rest = rule.removeprefix("/").partition("/")
    is_bound = rule.startswith("/") or bool(rest)
    is_plain = "**" not in first and "[" not in first and "\\" not in first
    return not (is_bound and is_plain) or fnmatchcase(top, first)
