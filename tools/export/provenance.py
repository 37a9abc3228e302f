"""Of which commit the workspace is, and with which versions the export is made."""

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from classifier.common.errors import UserError
from classifier.common.versions import differing_versions
from record.git import git

REQUIREMENTS = Path("requirements-export.txt")
PACKAGES = ("torch", "onnx", "onnxscript", "onnxruntime")


@dataclass(frozen=True)
class Provenance:
    """What git and the package manager say."""

    commit: str
    changed: list[str]
    """Paths of the project that are not as in that commit; empty for a clean tree."""
    versions: dict[str, str]


def read_provenance() -> Provenance:
    """Of the current folder. Raises UserError where there is no commit."""
    try:
        commit = git("rev-parse", "--verify", "HEAD^{commit}")
    except UserError:
        raise UserError("git: the model card names a commit, and here is none; `git commit` the project first") from None
    entries = git("status", "--porcelain", "-z", "--no-renames", "--", ".").split("\0")
    return Provenance(
        commit,
        sorted(entry[3:] for entry in entries if entry),
        {name: version(name).partition("+")[0] for name in PACKAGES},
    )


def check_packages() -> str | None:
    """Raise UserError unless all that an export needs is installed; return a line on versions other than the pinned ones."""
    differing = differing_versions(REQUIREMENTS)
    missing = [name for name, (installed, _) in differing.items() if installed == "none"]
    if missing:
        raise UserError(
            f"{', '.join(missing)}: not installed; `make export` installs what an export needs, by hand "
            f"`pip install -r {REQUIREMENTS}`"
        )
    listed = ", ".join(f"{name} {installed} (pinned {pinned})" for name, (installed, pinned) in differing.items())
    return f"versions differ from {REQUIREMENTS}, so bytes may too: {listed}" if differing else None
