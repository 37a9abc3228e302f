"""A .zip or .tar as the source: the same listing as of the folder in it, and nothing taken from one that is not honest."""

import io
import json
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from classifier.common.errors import UserError
from classifier.sources.files import open_source
from classifier.sources.folder import list_pictures
from stages import download
from tests.support.data_params import download_params

JUNK = {"__MACOSX/data/p/._0.png": b"junk", "data/.DS_Store": b"junk"}
FILES = {
    "data/labels.csv": b"path,label\np/1.png,bee\np/0.png,ant\np/2.png,ant\n",
    "data/p/2.png": b"two",
    "data/p/0.png": b"zero",
    "data/p/1.png": b"one",
    **JUNK,
}


def write_zip(path: Path, files: dict[str, bytes] = FILES) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def write_tar(path: Path, files: dict[str, bytes] = FILES) -> Path:
    mode = {".tar": "w", ".gz": "w:gz", ".tgz": "w:gz", ".bz2": "w:bz2", ".xz": "w:xz"}[path.suffix]
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.tgz", "a.tar.bz2", "a.tar.xz"])
def test_an_archive_is_read_like_the_folder_in_it(tmp_path: Path, name: str) -> None:
    path = (write_zip if name == "a.zip" else write_tar)(tmp_path / name)
    listing = list_pictures(path)
    assert [(one.path, one.class_name) for one in listing] == [
        ("data/p/0.png", "ant"),
        ("data/p/1.png", "bee"),
        ("data/p/2.png", "ant"),
    ]
    assert [listing.files.read(one.path) for one in listing] == [b"zero", b"one", b"two"]
    order = sorted(range(3), key=lambda number: listing.files.offset(listing.places[number]))
    assert order == ([0, 1, 2] if name == "a.zip" else [2, 0, 1])  # of a tar as they lie in it
    assert list(tmp_path.iterdir()) == [path]


OUTSIDE = ["/etc/a.png", "../a.png", "a/../../b.png", "a\\b.png"]


@pytest.mark.parametrize("name", OUTSIDE)
@pytest.mark.parametrize("write", [write_zip, write_tar])
def test_paths_out_of_the_archive_are_refused(tmp_path: Path, write: Callable[..., Path], name: str) -> None:
    path = write(tmp_path / ("a.zip" if write is write_zip else "a.tar"), {**FILES, name: b"x"})
    with pytest.raises(UserError, match=r"a\.(zip|tar): needs paths that stay within the archive, found "):
        open_source(path)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_refused(tmp_path: Path, kind: bytes) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        member = tarfile.TarInfo("a/1.png")
        member.type, member.linkname = kind, "2.png"
        archive.addfile(member)
    with pytest.raises(UserError, match=r"needs plain files, found a link or a device: 'a/1\.png'"):
        open_source(tmp_path / "a.tar")


def test_a_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    member = zipfile.ZipInfo("a/1.png")
    member.create_system, member.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(member, "2.png")
    with pytest.raises(UserError, match="needs plain files, found a link or a device"):
        open_source(tmp_path / "a.zip")


@pytest.mark.parametrize("write", [write_zip, write_tar])
def test_more_than_an_archive_of_pictures_can_hold_is_refused(
    tmp_path: Path, write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("classifier.sources.files.SMALL_BYTES", 1000)
    monkeypatch.setattr("classifier.sources.files.LARGEST_RATIO", 0)
    path = write(tmp_path / ("a.zip" if write is write_zip else "a.tar"), {"a/1.png": bytes(600), "b/1.png": bytes(600)})
    with pytest.raises(UserError, match=r"needs at most 1000 bytes in 10000000 members when unpacked, found more; unpack it"):
        open_source(path)


def test_a_picture_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("classifier.sources.files.LARGEST_PICTURE", 2000)
    for path in (
        write_zip(tmp_path / "a.zip", {"a/1.png": bytes(2001)}),
        write_tar(tmp_path / "a.tar", {"a/1.png": bytes(2001)}),
    ):
        with pytest.raises(UserError, match=r"'a/1\.png': needs at most 2000 bytes, found more"):
            open_source(path).read("a/1.png")


def test_a_name_twice_is_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for _ in range(2):
            archive.addfile(tarfile.TarInfo("a/1.png"))
    with pytest.raises(UserError, match=r"needs each file once, found 'a/1\.png' again"):
        open_source(tmp_path / "a.tar")


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.tar.bz2", "a.tar.xz"])
def test_damaged_archives_are_refused_on_one_line(tmp_path: Path, name: str) -> None:
    path = (write_zip if name == "a.zip" else write_tar)(tmp_path / name)
    good = path.read_bytes()
    for content in (b"", b"no archive at all", good[: len(good) // 2]):
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"a\.\S+: ") as caught:
            for one in list_pictures(path):
                open_source(path).read(one.path)
        assert len(str(caught.value).splitlines()) == 1
    flipped = bytearray(good)
    flipped[good.find(b"data/p/1.png") + 13 if name == "a.zip" else len(good) // 2] ^= 0xFF
    path.write_bytes(flipped)
    if name != "a.tar":  # which has no checksum of its files' content
        with pytest.raises(UserError, match="not a whole archive"):
            [list_pictures(path).files.read(one) for one in FILES if not one.startswith(("__", "data/."))]


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_damaged_member_of_a_zip_is_named(tmp_path: Path, method: int) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("p/1.png", bytes(range(256)) * 4)
        start = archive.infolist()[0].header_offset + 30 + len("p/1.png")
        size = archive.infolist()[0].compress_size
    content = bytearray(path.read_bytes())
    content[start + size // 2 : start + size] = bytes(size - size // 2)
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"a\.zip: 'p/1\.png': not a whole archive"):
        open_source(path).read("p/1.png")


def test_a_zip_whose_paths_begin_with_a_dot(tmp_path: Path) -> None:
    listing = list_pictures(write_zip(tmp_path / "a.zip", {f"./{name}": content for name, content in FILES.items()}))
    assert [listing.files.read(one.path) for one in listing] == [b"zero", b"one", b"two"]


def test_a_pointer_of_git_lfs_in_place_of_an_archive(tmp_path: Path) -> None:
    for name in ("a.zip", "a.tar.gz"):
        (tmp_path / name).write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
        with pytest.raises(UserError, match=r"a\.\S+: is a pointer of Git LFS, not the file; run `git lfs pull`"):
            open_source(tmp_path / name)


def test_an_archive_in_an_archive_is_to_be_unpacked(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"'inner\.zip': unpack a\.zip, and name that$"):
        list_pictures(write_zip(tmp_path / "a.zip", {"inner.zip": b"x"}))


def test_an_archive_of_tables_of_pixels_holds_no_pictures(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"of tables of pixels, say -S dataset=csv$"):
        list_pictures(write_zip(tmp_path / "a.zip", {"train.csv": b"label,pixel1\n0,1\n"}))


HEADER = b"label," + b",".join(b"pixel%d" % number for number in range(1, 17)) + b"\n"
LINE = b"".join(b",%d" % pixel for pixel in range(100, 116)) + b"\n"


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz"])
def test_tables_are_taken_out_of_an_archive_as_they_are(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    tables = {"train.csv": HEADER + b"cat" + LINE + b"dog" + LINE, "test.csv": HEADER[len(b"label,") :] + LINE[1:]}
    files = {f"digits/{table}": content for table, content in tables.items()} | {"digits/readme.txt": b"hello", **JUNK}
    path = (write_zip if name == "a.zip" else write_tar)(tmp_path / name, files)
    download.main(download_params(dataset="csv", source=str(path)), tmp_path)
    assert (tmp_path / "data/raw/train.csv").read_bytes() == tables["train.csv"]
    assert json.loads((tmp_path / "data/raw/raw.json").read_text())["classes"] == ["cat", "dog"]
    assert f"{path}/test.csv: left out, because it has no column `label`\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"train.csv": HEADER + b"cat" + LINE[:-2] + b"x\n"}, r"a\.zip/train\.csv: line 2"),
        ({"a/train.csv": b"", "b/test.csv": b""}, r"a\.zip: needs tables of pixels .* in one folder, found them in 'a', 'b'$"),
        ({"a.txt": b""}, r"a\.zip: needs tables of pixels \(\.csv, \.csv\.gz, \.npz\) in one folder, found none$"),
    ],
)
def test_what_is_wrong_with_tables_in_an_archive_is_said_of_the_archive(
    files: dict[str, bytes], message: str, tmp_path: Path
) -> None:
    path = write_zip(tmp_path / "a.zip", files)
    with pytest.raises(UserError, match=message):
        download.main(download_params(dataset="csv", source=str(path)), tmp_path)
    assert not (tmp_path / "data/raw").exists()
