"""Of which commit the current folder is, which dvc.lock it holds, and what this machine computes with."""

import hashlib
import platform
from dataclasses import dataclass
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
    """Tracked files that are not as in the commit."""
    lock_sha256: str


def read_provenance() -> Provenance:
    """Files that git does not track are left out: a report kept beside the code must not change the next one."""
    lock_sha256 = hashlib.sha256(Path(LOCK_FILE).read_bytes()).hexdigest()
    try:
        commit = find_revision("HEAD").commit
    except UserError as error:
        return Provenance(None, str(error), [], lock_sha256)
    return Provenance(commit, None, uncommitted_changes(), lock_sha256)


def processor_name() -> str:
    """Of the first processor, as Linux names it; elsewhere what Python knows."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
