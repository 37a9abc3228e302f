"""What a revision holds: a commit, branch, tag or experiment by its content in git, or the files of the workspace."""

import hashlib
import platform
import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path, PurePosixPath

from classifier.common.errors import UserError
from classifier.common.files import naming
from classifier.common.graph import GRAPH_FILE, counts, with_modules
from record.git import run_git
from record.lock_file import CONFLICTS, LOCK_FILE, has_conflicts

WORKSPACE = "workspace"
_EXPERIMENTS = "refs/exps"
_EXPERIMENT = re.compile(r"(?P<commit>\w+) refs/exps/(?P<start>[0-9a-f]{2})/(?P<rest>[0-9a-f]{38})/(?P<name>[^/]+)")
"""As DVC names an experiment: below the commit that it started from."""


@dataclass(frozen=True)
class Revision:
    """One side of a review."""

    name: str
    commit: str | None
    """None for the workspace."""

    @property
    def short_commit(self) -> str | None:
        """Seven digits of the commit; None for the workspace."""
        return self.commit and self.commit[:7]

    def files(self, paths: list[str]) -> dict[str, bytes]:
        """Content of those of `paths`, relative to the project's folder, that are files here."""
        return _committed(self.commit, paths) if self.commit else _of_workspace(paths)

    def check_conflicts(self, results: list[str], edited: Iterable[str] = ()) -> None:
        """Raise UserError for a file that git could not merge: one of `results` or, with the lines of both sides, of `edited`.

        Results have the lines of one side after it (.gitattributes), and only git's index tells.
        """
        marked = {path for path, content in self.files([*results, *edited]).items() if has_conflicts(content)}
        for path in sorted(marked | self._unmerged(results)):
            raise UserError(f"{self.name}:{path}: {CONFLICTS}")

    def _unmerged(self, paths: list[str]) -> set[str]:
        listed = b"" if self.commit else run_git("ls-files", "--unmerged", "-z", "--", *paths).output  # none without git
        return {entry.partition(b"\t")[2].decode(errors="surrogateescape") for entry in listed.split(b"\0") if entry}

    def modules(self, folders: Iterable[str]) -> dict[str, list[str]]:
        """By each of `folders`, which hold code, the paths of its modules; one that has none here is left out."""
        asked = list(folders)
        names = _committed_names(self.commit, asked) if self.commit else _names_of_workspace(asked)
        found = {folder: [name for name in names if name.startswith(f"{folder}/")] for folder in asked}
        return {folder: inside for folder, inside in found.items() if inside}

    def graph_files(self) -> list[str]:
        """Every dvc.yaml from the project's folder on."""
        pattern = f":(glob)**/{GRAPH_FILE}"
        options = ["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", pattern]
        if self.commit:  # ls-tree knows no patterns
            options = ["ls-tree", "-r", "-z", "--name-only", self.commit]
        listed = run_git(*options).output.decode(errors="surrogateescape").split("\0")
        return sorted(path for path in listed if PurePosixPath(path).name == str(GRAPH_FILE))

    @contextmanager
    def unpacked(self, paths: list[str]) -> Iterator[Path]:
        """A temporary folder that has those of `paths` that are files here; errors about one say `main:params.yaml`."""
        with tempfile.TemporaryDirectory(prefix="revision-") as name, self.naming(Path(name)):
            folder = Path(name)
            with naming(folder):
                for path, content in self.files(paths).items():
                    (folder / path).parent.mkdir(parents=True, exist_ok=True)
                    (folder / path).write_bytes(content)
            yield folder

    @contextmanager
    def naming(self, folder: Path) -> Iterator[None]:
        """Say `main:params.yaml` in errors, in place of the path of a copy in `folder`."""
        try:
            yield
        except UserError as error:
            raise UserError(str(error).replace(f"{folder}/", f"{self.name}:")) from None


@dataclass(frozen=True)
class Experiment:
    """An experiment that has ended well, as git holds it."""

    name: str
    baseline: str
    """The commit that it began from."""
    commit: str

    @property
    def revision(self) -> Revision:
        """What it holds."""
        return Revision(self.name, self.commit)


def finished_experiments() -> list[Experiment]:
    """All of them, sorted by where git keeps them."""
    lines = _git("for-each-ref", "--format=%(objectname) %(refname)", _EXPERIMENTS).decode(errors="replace").splitlines()
    matches = map(_EXPERIMENT.fullmatch, lines)
    return [Experiment(match["name"], match["start"] + match["rest"], match["commit"]) for match in matches if match]


def find_revision(name: str) -> Revision:
    """What git, or else DVC's experiments, know as `name`; `workspace` is the files in the current folder.

    Raises UserError for an unknown or ambiguous name, in a folder without git, and for the workspace of a bare repository.
    """
    bare = _git("rev-parse", "--is-bare-repository") == b"true\n"
    if name == WORKSPACE:
        if bare:
            raise UserError(
                f"{WORKSPACE}: a bare repository has none; name two revisions, as in: python -m tools.review BASE HEAD"
            )
        return Revision(name, None)
    _check_one_meaning(name)
    commit = _commit(name) or _experiment(name)
    if commit is None:
        hint = "see `git branch --all` and `dvc exp list --all`; a shallow clone needs `git fetch --unshallow` first"
        raise UserError(f"{name}: git knows no such revision and DVC no such experiment; {hint}")
    return Revision(name, commit)


def uncommitted_changes(*, with_untracked: bool = False) -> list[str]:
    """Paths, from the top of the repository, of tracked files that are not as in HEAD.

    `with_untracked`, of all files of the current folder that are not and that git does not ignore.
    """
    if with_untracked:
        listed = _git("status", "--porcelain", "-z", "--no-renames", "--", ".").split(b"\0")
        return sorted(entry[3:].decode(errors="replace") for entry in listed if entry)
    listed = _git("diff", "--name-only", "--no-renames", "--no-ext-diff", "-z", "HEAD", "--").split(b"\0")
    return sorted(path.decode(errors="replace") for path in listed if path)


def _check_one_meaning(name: str) -> None:
    """Raise UserError where a branch, a tag and an experiment of this name are not the same commit."""
    refs = {kind: f"refs/{folder}/{name}" for kind, folder in (("branch", "heads"), ("tag", "tags"))}
    meanings = {f"the {kind} {ref}": commit for kind, ref in refs.items() if (commit := _commit(ref))}
    if meanings:
        meanings |= {f"the experiment {one.commit[:7]}": one.commit for one in finished_experiments() if one.name == name}
    if len(set(meanings.values())) > 1:
        longer = " or ".join(meaning.rpartition(" ")[2] for meaning in meanings)
        raise UserError(f"{name}: may be {' or '.join(meanings)}; write {longer}")


def _commit(name: str) -> str | None:
    return run_git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}").text or None


def _experiment(name: str) -> str | None:
    """The commit of an experiment; where several have the name, of the one that started from HEAD."""
    found = {one.baseline: one.commit for one in finished_experiments() if one.name == name}
    if len(found) > 1:
        here = found.get(_commit("HEAD") or "")
        if here is None:
            several = ", ".join(commit[:7] for commit in found.values())
            raise UserError(f"{name}: {len(found)} experiments have this name; name one by its commit: {several}")
        return here
    return next(iter(found.values()), None)


def _committed(commit: str, paths: list[str]) -> dict[str, bytes]:
    """Read blobs from git in one go."""
    prefix = _git("rev-parse", "--show-prefix").decode().rstrip("\n")
    asked = [path for path in paths if "\n" not in path]
    request = "".join(f"{commit}:{prefix}{path}\n" for path in asked).encode(errors="surrogateescape")
    answer = _git("cat-file", "--batch", request=request)
    found, position = {}, 0
    for path in asked:
        end = answer.index(b"\n", position)
        header, position = answer[position:end].split(b" "), end + 1
        if header[-1] in (b"missing", b"ambiguous") or not header[-1].isdigit():
            continue
        size = int(header[-1])
        if header[-2] == b"blob":
            found[path] = answer[position : position + size]
        position += size + 1
    return found


def _committed_names(commit: str, folders: list[str]) -> list[str]:
    listed = _git("ls-tree", "-r", "-z", "--name-only", commit, "--", *folders) if folders else b""
    names = (name.decode(errors="surrogateescape") for name in listed.split(b"\0"))
    return [name for name in names if counts(PurePosixPath(name))]


def _names_of_workspace(folders: list[str]) -> list[str]:
    return [path.as_posix() for path in with_modules(map(Path, folders))]


def _of_workspace(paths: list[str]) -> dict[str, bytes]:
    return {path: Path(path).read_bytes() for path in paths if Path(path).is_file()}


def _git(*arguments: str, request: bytes | None = None) -> bytes:
    """What git prints. Raises UserError with its words when it fails."""
    answer = run_git(*arguments, request=request)
    return answer.checked("; run this in a folder of the project's repository", "a review compares what git holds").output


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
