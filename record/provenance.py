"""Of which commit the current folder is, which dvc.lock it holds, and what this machine computes with."""

import hashlib
import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from classifier.common.errors import UserError
from record.lock_file import LOCK_FILE
from record.revisions import find_revision, uncommitted_changes


@dataclass(frozen=True)
class Provenance:
    """`commit` is None in a folder without git or without a commit; `no_commit` then says which."""

    commit: str | None
    no_commit: str | None
    changed: list[str]
    """Files that are not as in the commit."""
    lock_sha256: str
    versions: dict[str, str] = field(default_factory=dict)
    """Of the packages that were asked for, without the build of torch."""


def read_provenance(packages: Sequence[str] = (), *, with_untracked: bool = False) -> Provenance:
    """Without `with_untracked`, files that git does not know are left out: a page kept beside the code changes none."""
    lock_sha256 = hashlib.sha256(Path(LOCK_FILE).read_bytes()).hexdigest()
    versions = {name: version(name).partition("+")[0] for name in packages}
    try:
        commit = find_revision("HEAD").commit
    except UserError as error:
        return Provenance(None, str(error), [], lock_sha256, versions)
    return Provenance(commit, None, uncommitted_changes(with_untracked=with_untracked), lock_sha256, versions)


def processor_name() -> str:
    """Of the first processor, as Linux names it; elsewhere what Python knows."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
