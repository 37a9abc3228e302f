"""What `.dvcignore` hides from DVC: all but modules in the folders of code, and nothing that a stage reads or writes.

A file that is hidden may change, and `dvc status` and dvc.lock say nothing of it. The rules themselves are judged: which files
they would mean is not known before the stages have run.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePath

from classifier.common.errors import shown
from classifier.common.modules import PACKAGES
from classifier.image_folder import LEFT_BY_SYSTEMS

IGNORE_FILE = ".dvcignore"
CODE_RULES = [
    rule.format(package)
    for package in PACKAGES
    for rule in ("/{}/**", "!/{}/**/", "!/{}/**/*.py", "/{}/**/__pycache__/", "/{}/**/.*")
]
"""They say what `counts` of classifier/common/modules.py says."""
_WILD = re.compile(r"[*?\[\\]")


def ignore_problems(root: Path, declared: Iterable[str]) -> Iterator[str]:
    """One line for each rule, and each file of rules, that hides the wrong things; `declared` are read or written by stages."""
    paths = [PurePath(path) for path in declared]
    file = root / IGNORE_FILE
    rules = _rules(file)
    if [rule for rule in rules if _top(rule) in PACKAGES] != CODE_RULES:
        yield f"{file}: needs these rules for the folders of code, in this order and no others: {' '.join(CODE_RULES)}"
    tops = {path.parts[0] for path in paths if not path.is_absolute()}
    for rule in rules:
        if rule not in CODE_RULES and not _is_left_by_systems(rule) and (_top(rule) in tops or _top(rule) is None):
            yield (
                f"{file}: the rule {shown(rule)} may hide from DVC what stages read or write; remove it, or bind it to another "
                "folder, as /runs/ is"
            )
    parents = {parent for path in paths for parent in path.parents if parent.parts and not path.is_absolute()}
    inside = (found for package in PACKAGES for found in (root / package).rglob(IGNORE_FILE))
    for other in sorted({*inside, *(root / parent / IGNORE_FILE for parent in parents)}):
        if other.exists():
            yield f"{other}: DVC obeys it, and the stages do not; remove it"


def _rules(file: Path) -> list[str]:
    """As DVC reads them: it strips each line."""
    lines = [line.strip() for line in file.read_text(encoding="utf-8", errors="replace").splitlines()] if file.exists() else []
    return [line for line in lines if line and not line.startswith("#")]


def _top(rule: str) -> str | None:
    """The file or folder beside `.dvcignore` that a rule is bound to; None for a rule that may mean several."""
    rule = rule.removeprefix("!")
    first, _, rest = rule.removeprefix("/").partition("/")
    bound = (rule.startswith("/") or rest) and not _WILD.search(first)
    return first if bound else None


def _is_left_by_systems(rule: str) -> bool:
    """Whether it means only what the stages pass over as well: hidden files and those that file managers leave."""
    last = rule.rstrip("/").rpartition("/")[2]
    return last.startswith(".") or last.lower() in LEFT_BY_SYSTEMS
