"""A remote of DVC, asked object by object: DVC itself remembers what it once saw there, and does not look again."""

import logging
import re
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from dvc.config import ConfigError, NoRemoteError
from dvc.data_cloud import Remote
from dvc.exceptions import NotDvcRepoError
from dvc.fs.callbacks import TqdmCallback
from dvc.lock import LockError
from dvc.repo import Repo
from dvc_data.hashfile.db import HashFileDB
from dvc_data.hashfile.hash_info import HashInfo
from dvc_data.hashfile.transfer import find_tree_by_obj_id

from classifier.common.errors import UserError, short_message
from record.content import cached_path

NO_REMOTE = "DVC has no default remote; `dvc remote add --default storage /path/to/folder` sets one (docs/guide/sharing.md)"
NO_FOLDER = "no such folder; mount the disk, correct the address, or make the folder (docs/guide/sharing.md)"
ADVICE = {"local": "check that the folder is there, may be written and has space"}
OTHER_ADVICE = "check address, network, credentials and rights (docs/guide/sharing.md)"
_PASSWORD = re.compile(r"//[^/@\s]*@")


@dataclass(frozen=True)
class Storage:
    """A remote and what dvc.lock names: `outs` has, by the hash of each file and list of files, the output it belongs to."""

    repo: Repo
    remote: Remote
    url: str
    outs: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """Name and address, without a password."""
        return f"remote {self.remote.name} ({without_password(self.url)})"

    @property
    def odb(self) -> HashFileDB:
        """The objects there."""
        odb: HashFileDB = self.remote.odb
        return odb

    @property
    def advice(self) -> str:
        """What to look at when it does not do what it should."""
        return ADVICE.get(self.odb.fs.protocol, OTHER_ADVICE)

    def names(self, hashes: Iterable[str]) -> str:
        """The outputs that `hashes` belong to."""
        return ", ".join(sorted({self.outs[md5] for md5 in hashes}))

    def sizes(self, hashes: Iterable[str]) -> dict[str, int]:
        """Bytes of those of `hashes` that are there. Raises UserError if it does not answer."""
        wanted = [*hashes]
        with one_line_for(self), ThreadPoolExecutor(self.odb.fs.jobs) as pool:
            self.odb.fs.fs.invalidate_cache()
            found = zip(wanted, pool.map(self._size, wanted), strict=True)
            return {md5: size for md5, size in found if size is not None}

    def _size(self, md5: str) -> int | None:
        try:
            return int(self.odb.fs.info(self.odb.oid_to_path(md5))["size"])
        except FileNotFoundError:
            return None

    def sizes_here(self) -> dict[str, int]:
        """Bytes of the named objects that DVC's own cache has."""
        return {md5: path.stat().st_size for md5 in self.outs if (path := cached_path(self.repo, md5))}

    def transfer(self, hashes: Iterable[str], *, back: bool) -> None:
        """Copy objects there, or back into DVC's cache, where what is damaged is not kept. Raises UserError if it fails.

        `dvc push` would take a folder whose list is there for whole.
        """
        here, there = self.repo.cache.local, self.odb
        objects = {HashInfo("md5", md5) for md5 in hashes}
        source, target = (there, here) if back else (here, there)
        with one_line_for(self), TqdmCallback(desc=f"{self.remote.name}", unit="file", disable=None) as progress:
            done = self.repo.cloud.transfer(source, target, objects, verify=back, callback=progress)
            if done.failed:
                raise OSError(f"{len(done.failed)} of {len(objects)} files failed")


@contextmanager
def open_storage(name: str | None) -> Iterator[Storage]:
    """The remote `name`, or the default one. Raises UserError if there is none, it is not mounted, or nothing to share."""
    try:
        with Repo() as repo:
            name = name or repo.config["core"].get("remote")
            if not name:
                raise UserError(NO_REMOTE)
            settings = repo.config["remote"].get(name.lower(), {})
            storage = Storage(repo, repo.cloud.get_remote(name), settings.get("url", ""))
            _check_no_disk(storage)
            storage.outs.update(_named_by_lock(storage))
            yield storage
    except ImportError as error:
        raise UserError(
            f"remote {name}: {short_message(error)}; `make push` and `make pull` install it for S3 and SSH"
        ) from error
    except (ConfigError, NoRemoteError, NotDvcRepoError) as error:
        raise UserError(
            f"remote {name}: {without_password(short_message(error))}; `dvc remote list` shows what there is"
        ) from error


def _check_no_disk(storage: Storage) -> None:
    """Raise UserError where not even the folder above a folder is there: DVC would make both, on the disk of this machine."""
    above = Path(storage.remote.path).parent
    if storage.odb.fs.protocol == "local" and not above.exists():
        raise UserError(f"{storage}: {above}: {NO_FOLDER}")


def _named_by_lock(storage: Storage) -> dict[str, str]:
    """Every hash of an output in DVC's care, folders with all their files, as far as the list of a folder can be had."""
    outs = [out for out in storage.repo.index.outs if out.use_cache]
    lacking = [str(out) for out in outs if not out.hash_info]
    if lacking:
        raise UserError(f"dvc.lock: does not name {', '.join(lacking)}; `dvc repro` makes what is missing")
    named = {out.hash_info.value: str(out) for out in outs}
    with one_line_for(storage):
        for out in outs:
            tree = find_tree_by_obj_id([storage.repo.cache.local, storage.odb], out.hash_info) if out.hash_info.isdir else None
            named |= {info.value: str(out) for _, _, info in tree or ()}
    return named


@contextmanager
def one_line_for(storage: Storage) -> Iterator[None]:
    """Whatever goes wrong inside becomes a UserError: each kind of storage raises the errors of a library of its own."""
    reasons = _Reasons()
    logging.getLogger().addHandler(reasons)
    try:
        yield
    except UserError:
        raise
    except LockError as error:
        raise UserError("another `dvc` is running in this folder; wait for it") from error
    except Exception as error:
        reason = reasons.errors[0] if reasons.errors else error
        raise UserError(f"{storage}: {reason_of(reason)}; {storage.advice}") from error
    finally:
        logging.getLogger().removeHandler(reasons)


class _Reasons(logging.Handler):
    """Keeps the exceptions that DVC logs: of a failed transfer it raises only the number of files."""

    def __init__(self) -> None:
        super().__init__()
        self.errors: list[Exception] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and isinstance(record.exc_info[1], Exception):
            self.errors.append(record.exc_info[1])


def reason_of(error: Exception) -> str:
    """What an exception says, or its name where it says nothing; on one line, without a password."""
    return without_password(short_message(error) if str(error) else type(error).__name__)


def without_password(text: str) -> str:
    """`text` without what stands before the @ of an address."""
    return _PASSWORD.sub("//", text)
