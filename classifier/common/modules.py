"""What counts of a folder of code that a stage declares to read: its modules. `.dvcignore` says the same to DVC."""

from collections.abc import Iterable
from pathlib import Path, PurePath

PACKAGES = ("classifier", "stages")


def is_code(path: PurePath) -> bool:
    """Whether `path`, relative to the project's folder, is or lies in one of the packages whose modules stages declare."""
    return path.parts[:1] in [(package,) for package in PACKAGES] and ".." not in path.parts


def counts(file: PurePath) -> bool:
    """Whether a file of the project counts. Of a package only modules do: nothing compiled, no copy that an editor left."""
    hidden = any(part.startswith(".") or part == "__pycache__" for part in file.parts)
    return not is_code(file) or (file.suffix == ".py" and not hidden)


def with_modules(paths: Iterable[Path], root: Path = Path()) -> list[Path]:
    """`paths`, relative to `root`, with the modules of each folder of code in place of the folder."""
    return [file for path in paths for file in (_modules(path, root) if is_code(path) else [path])]


def _modules(path: Path, root: Path) -> list[Path]:
    if not (root / path).is_dir():
        return [path]
    files = (file.relative_to(root) for file in (root / path).rglob("*.py") if file.is_file())
    return sorted(file for file in files if counts(file))
