"""The files of a person's pictures by their paths, be they in a folder or packed in a .zip or .tar, and the bytes of each."""

import bz2
import gzip
import io
import lzma
import os
import stat
import tarfile
import zipfile
import zlib
from abc import ABC, abstractmethod
from array import array
from bisect import bisect_left
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import IO, cast

from classifier.common.dvcignore import inside
from classifier.common.errors import UserError, short_message, short_repr
from classifier.images.picture_pack import LARGEST_PICTURE, SUFFIXES

LEFT_BY_SYSTEMS = {"__macosx", "thumbs.db", "desktop.ini"}
LEFT_BY_DISKS = {"@eadir", "#recycle", "$recycle.bin", "system volume information", "lost+found"}
"""Folders of network storages and of Windows: thumbnails of the pictures beside them, and what was deleted."""
PASSED_OVER = LEFT_BY_SYSTEMS | LEFT_BY_DISKS
HIDING = {".dvc", ".dvcignore"}
"""For DVC, a folder with one of them is another project, or has rules of its own."""
ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
PARQUET = ".parquet"
LARGEST_RATIO = 200
"""Bytes that may come out of an archive for each byte of it: those of pictures hardly shrink."""
SMALL_BYTES = 2**28
"""What may come out of any archive."""
MAX_MEMBERS = 10_000_000
CHUNK = 2**20
LFS_POINTER = b"version https://git-lfs.github.com/spec/"


def is_archive(path: Path) -> bool:
    """Whether the name is that of an archive that can be read."""
    return path.name.lower().endswith(ARCHIVE_SUFFIXES)


def holds_pictures(path: Path) -> bool:
    """Whether the name is that of a file that pictures can be read out of: an archive or a .parquet."""
    return is_archive(path) or path.name.lower().endswith(PARQUET)


def is_picture(path: str) -> bool:
    """Whether the name is that of a picture of a format that is read."""
    return path[path.rfind(".") :].lower() in SUFFIXES


class SourceFiles(ABC):
    """Paths are relative to `source`, with slashes, sorted; what is hidden or left by systems is passed over."""

    def __init__(self, source: Path) -> None:
        self.source = source
        self.pictures: list[str] = []
        self.others: list[str] = []
        self.folders: list[str] = []
        self.hidden: list[str] = []
        """Folders with pictures that are passed over, as their names begin with a dot."""

    def sort(self) -> None:
        for paths in (self.pictures, self.others, self.folders, self.hidden):
            paths.sort()

    def place(self, path: str) -> int:
        """Where `path` stands among the pictures; -1 where it is none of them."""
        found = bisect_left(self.pictures, path)
        return found if found < len(self.pictures) and self.pictures[found] == path else -1

    def read(self, path: str) -> bytes:
        """The bytes of a file, of at most LARGEST_PICTURE. Raises UserError for more, and for a pointer of Git LFS."""
        content = self._read(path, LARGEST_PICTURE + 1)
        if len(content) > LARGEST_PICTURE:
            raise UserError(f"{self.source}: {short_repr(path)}: needs at most {LARGEST_PICTURE} bytes, found more")
        if content.startswith(LFS_POINTER):
            raise UserError(
                f"{self.source}: {short_repr(path)} is a pointer of Git LFS, not the file; run `git lfs pull` in its repository"
            )
        return content

    def offset(self, place: int) -> int:
        """Where a picture lies in an archive that is best read in its order; 0 for all in others."""
        return 0

    def peek(self, path: str, num_bytes: int) -> bytes:
        """The first bytes of a file in a folder; none of an archive's, of which a part may cost as much as all."""
        return b""

    @abstractmethod
    def _read(self, path: str, num_bytes: int) -> bytes: ...


def open_source(source: Path) -> SourceFiles:
    """All files of the folder or archive `source`. Raises UserError for what DVC would not see and for a dishonest archive."""
    if source.is_dir():
        return FolderFiles(source)
    return open_archive(source)


def open_archive(source: Path) -> "ArchiveFiles":
    """All files of an archive. Raises UserError for a dishonest one, and for a pointer of Git LFS."""
    check_no_pointer(source)
    return ZipFiles(source) if source.suffix.lower() == ".zip" else TarFiles(source)


def check_no_pointer(path: Path) -> None:
    """Raise UserError for a pointer of Git LFS in place of the file."""
    with path.open("rb") as file:
        if file.read(len(LFS_POINTER)) == LFS_POINTER:
            raise UserError(f"{path}: is a pointer of Git LFS, not the file; run `git lfs pull` in its repository")


class FolderFiles(SourceFiles):
    """Those below a folder."""

    def __init__(self, source: Path) -> None:
        super().__init__(source)
        self._walk(source, "")
        self.sort()

    def _walk(self, folder: Path, prefix: str) -> None:
        """Refuses what DVC would not see, or what would be no file."""
        with os.scandir(folder) as entries:
            for entry in entries:
                path = prefix + entry.name
                if entry.name in HIDING and inside(Path(), entry.path).parts:
                    raise self._error(path, "with it there DVC would not see all pictures; remove it")
                if entry.name.startswith(".") or entry.name.lower() in PASSED_OVER:
                    if entry.name.startswith(".") and entry.is_dir(follow_symlinks=False) and _holds_pictures(entry.path):
                        self.hidden.append(path)
                    continue
                if not entry.name.isascii() and not _is_unicode(entry.name):
                    raise self._error(path, "the name is not UTF-8; rename it")
                if entry.is_dir(follow_symlinks=False):
                    self.folders.append(path)
                    self._walk(Path(entry.path), f"{path}/")
                elif entry.is_file(follow_symlinks=False) or Path(entry.path).is_file():  # a link may lead to itself
                    (self.pictures if is_picture(entry.name) else self.others).append(path)
                elif Path(entry.path).is_dir():
                    raise self._error(path, "a link to a folder, into which DVC does not look; put the folder itself there")
                else:
                    raise self._error(path, "neither a file nor a folder, or a link that leads nowhere; remove it")

    def _error(self, path: str, reason: str) -> UserError:
        return UserError(f"{self.source}: {short_repr(path)}: {reason}")

    def peek(self, path: str, num_bytes: int) -> bytes:
        return self._read(path, num_bytes)

    def _read(self, path: str, num_bytes: int) -> bytes:
        with (self.source / path).open("rb") as file:
            size = os.fstat(file.fileno()).st_size  # a buffer of `num_bytes` would be made before anything is read
            return file.read(min(num_bytes, size + 1))


def _holds_pictures(folder: str) -> bool:
    try:
        with os.scandir(folder) as entries:
            return any(is_picture(entry.name) for entry in entries)
    except OSError:
        return False


def _is_unicode(name: str) -> bool:
    return not any("\ud800" <= letter <= "\udfff" for letter in name)


class ArchiveFiles(SourceFiles):
    """What both kinds of archives refuse: paths out of their folder, links, encrypted or huge content."""

    def __init__(self, source: Path) -> None:
        super().__init__(source)
        self._most_bytes = max(SMALL_BYTES, LARGEST_RATIO * source.stat().st_size)
        self._num_bytes = self._num_members = 0

    def _take(self, name: str, size: int) -> str | None:
        """The path of a member that counts. Raises UserError for a name or a size that no honest archive has."""
        path = PurePosixPath(name)
        self._num_bytes += size
        self._num_members += 1
        if not _is_unicode(name) or "\\" in name or "\0" in name or path.is_absolute() or ".." in path.parts:
            advice = "; it is of Windows: unpack it, and name the folder" if "\\" in name else ""
            raise UserError(f"{self.source}: needs paths that stay within the archive, found {short_repr(name)}{advice}")
        if self._num_bytes > self._most_bytes or size < 0 or self._num_members > MAX_MEMBERS:
            raise UserError(
                f"{self.source}: needs at most {self._most_bytes} bytes in {MAX_MEMBERS} members when unpacked, found more; "
                "unpack it yourself if you trust it, and name the folder"
            )
        for number, part in enumerate(path.parts):
            if part.startswith(".") or part.lower() in PASSED_OVER:
                hidden = "/".join(path.parts[: number + 1])
                if part.startswith(".") and is_picture(name) and number + 1 < len(path.parts) and hidden not in self.hidden:
                    self.hidden.append(hidden)
                return None
        return "/".join(path.parts) or None

    def unpack(self, path: str, target: Path) -> None:
        """Write a file of any length to `target`."""
        with target.open("wb") as file:
            file.writelines(self._chunks(path))

    @abstractmethod
    def _chunks(self, path: str) -> Iterator[bytes]: ...

    def _add(self, path: str) -> None:
        (self.pictures if is_picture(path) else self.others).append(path)

    def _finish(self) -> None:
        paths = [*self.pictures, *self.others]
        known = set(self.folders)
        for path in paths:
            while "/" in path:
                path = path.rpartition("/")[0]
                if path in known:
                    break
                known.add(path)
        self.folders = list(known)
        self.sort()
        for files in (self.pictures, self.others):
            twice = next((path for path, after in pairwise(files) if path == after), None)
            if twice is not None:
                raise UserError(f"{self.source}: needs each file once, found {short_repr(twice)} again")

    def _not_readable(self, error: Exception, path: str | None = None) -> UserError:
        """`path` is the member in which the damage was met."""
        where = f"{self.source}: " + (f"{short_repr(path)}: " if path is not None else "")
        return UserError(f"{where}not a whole archive (.zip or .tar): {short_message(error) or type(error).__name__}")


class ZipFiles(ArchiveFiles):
    """Those of a .zip."""

    def __init__(self, source: Path) -> None:
        super().__init__(source)
        self._names: dict[str, str] = {}
        """In the archive, of those whose paths are written otherwise there, as `./a.png`."""
        try:
            self._archive = zipfile.ZipFile(source)
        except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
            raise self._not_readable(error) from None
        for member in self._archive.infolist():
            mode = member.external_attr >> 16
            if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise UserError(f"{source}: needs plain files, found a link or a device: {short_repr(member.filename)}")
            path = self._take(member.filename, member.file_size)
            if path is not None and member.is_dir():
                self.folders.append(path)
            elif path is not None:
                if member.flag_bits & 1:
                    raise UserError(f"{source}: {short_repr(path)} is encrypted; unpack the archive, and name the folder")
                if path != member.filename:
                    self._names[path] = member.filename
                self._add(path)
        self._finish()

    def _read(self, path: str, num_bytes: int) -> bytes:
        return next(self._chunks(path, num_bytes), b"")

    def _chunks(self, path: str, num_bytes: int = CHUNK) -> Iterator[bytes]:
        try:
            with self._archive.open(self._names.get(path, path)) as file:
                while chunk := file.read(num_bytes):
                    yield chunk
        except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, ValueError, NotImplementedError) as error:
            raise self._not_readable(error, path) from None


class TarFiles(ArchiveFiles):
    """Those of a .tar, plain or compressed: where each begins and its length, without the module's list of objects."""

    def __init__(self, source: Path) -> None:
        super().__init__(source)
        self._stream = _Limited(source, self._most_bytes)
        found: list[tuple[str, int, int]] = []
        try:
            with tarfile.open(fileobj=self._stream, mode="r:") as archive:
                for member in archive:
                    setattr(archive, "members", [])  # noqa: B010 - it would keep an object of a kilobyte for each
                    if not (member.isreg() or member.isdir()) or member.issparse():
                        raise UserError(f"{source}: needs plain files, found a link or a device: {short_repr(member.name)}")
                    path = self._take(member.name, member.size)
                    if path is not None and member.isdir():
                        self.folders.append(path)
                    elif path is not None:
                        found.append((path, member.offset_data, member.size))
                end = archive.offset
            self._stream.seek(end)
            if self._stream.read(tarfile.BLOCKSIZE) != tarfile.NUL * tarfile.BLOCKSIZE:
                raise tarfile.ReadError("it ends early")
        except UserError:
            raise
        except (tarfile.TarError, EOFError, OSError, ValueError, OverflowError, zlib.error, lzma.LZMAError) as error:
            raise self._not_readable(error) from None
        found.sort()
        self._starts, self._sizes = array("q"), array("q")
        self._tables: dict[str, tuple[int, int]] = {}
        for path, start, size in found:
            self._add(path)
            if is_picture(path):
                self._starts.append(start)
                self._sizes.append(size)
            else:
                self._tables[path] = (start, size)
        self._finish()

    def offset(self, place: int) -> int:
        return self._starts[place]

    def _read(self, path: str, num_bytes: int) -> bytes:
        return next(self._chunks(path, num_bytes), b"")

    def _chunks(self, path: str, num_bytes: int = CHUNK) -> Iterator[bytes]:
        place = self.place(path)
        start, size = self._tables[path] if place < 0 else (self._starts[place], self._sizes[place])
        try:
            self._stream.seek(start)
            for begin in range(0, size, num_bytes):
                wanted = min(size - begin, num_bytes)
                content = self._stream.read(wanted)
                if len(content) != wanted:
                    raise UserError(f"{self.source}: {short_repr(path)}: needs {size} bytes, found {begin + len(content)}")
                yield content
        except (EOFError, OSError, ValueError, zlib.error, lzma.LZMAError) as error:
            if isinstance(error, UserError):
                raise
            raise self._not_readable(error, path) from None


class _Limited(io.RawIOBase):
    """What tarfile reads from: no more at once than a picture may have, and not beyond `most_bytes` of the unpacked archive."""

    def __init__(self, path: Path, most_bytes: int) -> None:
        self._path = path
        self._most_bytes = most_bytes + MAX_MEMBERS * 2 * tarfile.BLOCKSIZE
        file = path.open("rb")
        start = file.read(6)
        file.seek(0)
        self._file: IO[bytes] = file
        self._raw = file
        if start.startswith(b"\x1f\x8b"):
            self._file = cast(IO[bytes], gzip.GzipFile(fileobj=file))
        elif start.startswith(b"BZh"):
            self._file = bz2.BZ2File(file)
        elif start.startswith(b"\xfd7zXZ"):
            self._file = lzma.LZMAFile(file)  # noqa: SIM115 - as long as the archive is

    def read(self, num_bytes: int = -1, /) -> bytes:
        if not 0 <= num_bytes <= LARGEST_PICTURE + 1:
            raise UserError(f"{self._path}: needs members of at most {LARGEST_PICTURE} bytes, found a larger one")
        return self._file.read(num_bytes)

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        if offset > self._most_bytes:
            raise UserError(f"{self._path}: needs at most {self._most_bytes} bytes when unpacked, found more")
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        """When nobody holds it any more: the pictures are read after the list."""
        self._file.close()
        self._raw.close()
        super().close()


def read_lines(files: SourceFiles, path: str) -> Iterator[str]:
    """The lines of a text with their ends. Raises UserError for one that is not UTF-8."""
    try:
        yield from io.TextIOWrapper(io.BytesIO(files.read(path)), encoding="utf-8-sig", newline="")
    except UnicodeDecodeError as error:
        found = "UTF-16" if error.object[:2] in (b"\xff\xfe", b"\xfe\xff") else f"the byte {error.object[error.start]:#04x}"
        raise UserError(f"{files.source / path}: not readable as CSV: needs UTF-8, found {found}; save it as UTF-8") from None
