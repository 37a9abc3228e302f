"""Which of the repository's own files a module imports, directly or through others, and which ones a stage declares.

DVC does not see imports; this does.
"""

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

from classifier.common.modules import is_code, with_modules


def declared_code(deps: Iterable[str], root: Path) -> dict[str, str]:
    """Each file of code under `root` that `deps`, of a stage, stand for, and the one that does: the file or a folder of it."""
    paths = {dep: Path(dep) for dep in deps}
    code = {dep: path for dep, path in paths.items() if is_code(path) or path.suffix == ".py"}
    return {file.as_posix(): dep for dep, path in code.items() for file in with_modules([path], root)}


def import_closure(module: str, root: Path) -> set[Path]:
    """Files under `root`, relative to it, that `module` and all it imports consist of, packages' `__init__.py` included.

    Read from the source, so imports inside functions count too. Names that are not files under `root` are left out.
    """
    found: set[Path] = set()
    waiting = [module]
    while waiting:
        for file in _files_of(waiting.pop(), root):
            if file not in found:
                found.add(file)
                waiting.extend(_imported_names((root / file).read_text(encoding="utf-8"), file))
    return found


def _files_of(module: str, root: Path) -> Iterator[Path]:
    """The file of `module`, if it is ours, and those of the packages it lies in. Python takes a package before a module."""
    parts = module.split(".")
    for depth in range(1, len(parts) + 1):
        folder = Path(*parts[:depth])
        candidates = (folder / "__init__.py", folder.with_suffix(".py"))
        yield from [file for file in candidates if (root / file).is_file()][:1]


def _imported_names(source: str, file: Path) -> Iterator[str]:
    """Dotted names that `source` imports: of `from a import b` both `a` and `a.b`, since b may be a module."""
    package = file.parent.parts
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join((*start, *(node.module.split(".") if node.module else ())))
            yield base
            yield from (f"{base}.{name.name}" for name in node.names)
