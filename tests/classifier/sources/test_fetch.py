import errno
import hashlib
import os
import random
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from classifier.common.errors import UserError
from classifier.sources.catalogue import RemoteFile, load_dataset
from classifier.sources.fetch import UnreachableError, fetch_all
from classifier.sources.transfer import Patience
from tests.support.file_server import BLOCK_BYTES, FileServer, file_server

ROOT = Path(__file__).parents[3]
CONTENT = b"\x1f\x8b" + random.Random(0).randbytes(999_998)
QUICK = Patience(connect_s=5, silence_s=5, tries=2, pause_s=0.01)
HASTY = Patience(connect_s=5, silence_s=0.3, tries=2, pause_s=0.01)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with file_server() as running:
        running.files = {"/a/file.gz": CONTENT, "/b/file.gz": CONTENT}
        yield running


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


def entry(*urls: str, content: bytes = CONTENT) -> RemoteFile:
    return RemoteFile(name="file.gz", size=len(content), md5=hashlib.md5(content).hexdigest(), urls=list(urls))


def fetch(file: RemoteFile, store: Path, mirror: str | None = None, patience: Patience = QUICK) -> Path:
    return fetch_all("mine", {"images": file}, store, mirror, patience)["images"]


def partial_of(file: RemoteFile, store: Path) -> Path:
    path = store / "mine" / file.md5 / "file.gz.partial"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def test_a_second_fetch_costs_no_request(server: FileServer, store: Path) -> None:
    file = entry(f"{server.address}/a/file.gz")
    assert fetch(file, store).read_bytes() == CONTENT
    assert fetch(file, store).read_bytes() == CONTENT
    assert len(server.log) == 1


def test_a_damaged_file_of_the_store_is_fetched_anew(
    server: FileServer, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = entry(f"{server.address}/a/file.gz")
    path = fetch(file, store)
    path.write_bytes(b"x" * len(CONTENT))
    assert fetch(file, store).read_bytes() == CONTENT
    assert f"{path}: has MD5 {hashlib.md5(b'x' * len(CONTENT)).hexdigest()}" in capsys.readouterr().err


BAD_NETWORK = {
    "404": r"HTTP 404",
    "500": r"HTTP 500",
    "html": r"an HTML page came in place of the file",
    "html chunked": r"an HTML page came in place of the file",
    "drop": r"the connection broke",
    "hold": r"timed out",
    "redirect /a/file.gz": r"Exceeded 30 redirects",
}
BAD_BYTES = {
    "corrupt": rf"has MD5 [0-9a-f]{{32}}, {hashlib.md5(CONTENT).hexdigest()} needed",
    "short": r"has 999999 bytes, 1000000 needed",
    "short chunked": r"ends after 999999 of 1000000 bytes",
    "long": r"sends more than 1000000 bytes",
}


@pytest.mark.parametrize("behaviour", BAD_NETWORK | BAD_BYTES)
def test_the_next_source_is_tried(server: FileServer, store: Path, behaviour: str, capsys: pytest.CaptureFixture[str]) -> None:
    server.script["/a/file.gz"] = [behaviour]
    file = entry(f"{server.address}/a/file.gz", f"{server.address}/b/file.gz")
    assert fetch(file, store, patience=HASTY).read_bytes() == CONTENT
    assert f"trying {server.address}/b/file.gz" in capsys.readouterr().err


@pytest.mark.parametrize(("behaviour", "reason"), BAD_NETWORK.items())
def test_no_source_answers(server: FileServer, store: Path, behaviour: str, reason: str) -> None:
    server.script["/a/file.gz"] = [behaviour]
    file = entry(f"{server.address}/a/file.gz")
    expected = rf"^mine/file\.gz: no source gave the right file: {server.address}/a/file\.gz \({reason}.*\); check the network"
    with pytest.raises(UnreachableError, match=expected):
        fetch(file, store, patience=HASTY)
    assert not (store / "mine" / file.md5 / "file.gz").exists()


@pytest.mark.parametrize(("behaviour", "reason"), BAD_BYTES.items())
def test_a_source_has_other_bytes(server: FileServer, store: Path, behaviour: str, reason: str) -> None:
    server.script["/a/file.gz"] = [behaviour]
    server.script["/b/file.gz"] = ["404"]
    file = entry(f"{server.address}/a/file.gz", f"{server.address}/b/file.gz")
    with pytest.raises(UserError, match=rf"a/file\.gz \({reason}\), .*b/file\.gz \(HTTP 404\)") as caught:
        fetch(file, store)
    assert not isinstance(caught.value, UnreachableError)
    assert not (store / "mine" / file.md5 / "file.gz").exists()
    # What is wrong must not stand in the way once the source is mended.
    server.script = {}
    assert fetch(file, store).read_bytes() == CONTENT


def test_a_body_without_end_is_not_read_to_its_end(server: FileServer, store: Path) -> None:
    server.script["/a/file.gz"] = ["long"]
    with pytest.raises(UserError, match="sends more than 1000000 bytes"):
        fetch(entry(f"{server.address}/a/file.gz"), store)
    assert server.log[0].sent < 30_000_000


@pytest.mark.parametrize(("status", "requests"), [("404", 1), ("403", 1), ("500", 2), ("503", 2), ("429", 2)])
def test_only_what_may_pass_is_tried_again(server: FileServer, store: Path, status: str, requests: int) -> None:
    server.script["/a/file.gz"] = [status]
    with pytest.raises(UnreachableError, match=f"HTTP {status}"):
        fetch(entry(f"{server.address}/a/file.gz"), store)
    assert len(server.log) == requests


def test_the_pauses_double(server: FileServer, store: Path) -> None:
    server.script["/a/file.gz"] = ["500"]
    start = time.monotonic()
    with pytest.raises(UnreachableError):
        fetch(entry(f"{server.address}/a/file.gz"), store, patience=Patience(tries=3, pause_s=0.1))
    assert len(server.log) == 3
    assert time.monotonic() - start >= 0.1 + 0.2


def test_an_error_that_passes(server: FileServer, store: Path) -> None:
    server.script["/a/file.gz"] = ["500", "ok"]
    assert fetch(entry(f"{server.address}/a/file.gz"), store).read_bytes() == CONTENT


@pytest.mark.parametrize("behaviour", ["drip", "drip headers"])
def test_a_byte_now_and_then_is_too_slow(
    server: FileServer, store: Path, behaviour: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each byte ends a silence, so that no limit of silence is met; what came stays, and the next source goes on there."""
    server.script["/a/file.gz"] = [behaviour]
    file = entry(f"{server.address}/a/file.gz", f"{server.address}/b/file.gz")
    patience = Patience(connect_s=5, silence_s=5, tries=2, pause_s=0.01, window_s=0.8, least_bytes=1000, report_s=0.1)
    assert fetch(file, store, patience=patience).read_bytes() == CONTENT
    told = capsys.readouterr().err
    came = re.search(r"a/file\.gz \(too slow: (\d+) bytes in 0\.8 seconds\); trying .*/b/file\.gz", told)
    assert came, told
    ranges = [(request.path, request.range) for request in server.log]
    if behaviour == "drip":
        assert re.search(r"^file\.gz: \d+ of 1,000,000 bytes are here$", told, re.MULTILINE)
        assert ranges == [("/a/file.gz", None), ("/b/file.gz", f"bytes={came[1]}-")]
    else:
        assert ranges == [("/a/file.gz", None), ("/b/file.gz", None)]


@pytest.mark.parametrize("behaviour", ["truncate", "stall", "reset"])
def test_a_broken_transfer_goes_on_where_it_stopped(server: FileServer, store: Path, behaviour: str) -> None:
    server.script["/a/file.gz"] = [behaviour, "ok"]
    assert fetch(entry(f"{server.address}/a/file.gz"), store, patience=HASTY).read_bytes() == CONTENT
    assert [request.range is not None for request in server.log] == [False, True]
    assert sum(request.sent for request in server.log) <= len(CONTENT) + BLOCK_BYTES


def test_it_goes_on_as_long_as_every_try_brings_something(server: FileServer, store: Path) -> None:
    server.script["/a/file.gz"] = ["truncate"]
    assert fetch(entry(f"{server.address}/a/file.gz"), store).read_bytes() == CONTENT
    assert len(server.log) > QUICK.tries


def test_another_source_continues_what_the_first_one_began(server: FileServer, store: Path) -> None:
    server.script["/a/file.gz"] = ["truncate", "404"]
    file = entry(f"{server.address}/a/file.gz", f"{server.address}/b/file.gz")
    assert fetch(file, store).read_bytes() == CONTENT
    assert server.log[2].path == "/b/file.gz"
    assert server.log[2].range is not None


@pytest.mark.parametrize("answer", ["wrong range", "416"])
def test_a_server_that_cannot_resume_is_asked_for_the_whole(server: FileServer, store: Path, answer: str) -> None:
    server.script["/a/file.gz"] = ["truncate", answer, "ok"]
    assert fetch(entry(f"{server.address}/a/file.gz"), store).read_bytes() == CONTENT
    assert [request.range is not None for request in server.log] == [False, True, False]


def test_a_server_may_ignore_the_range(server: FileServer, store: Path) -> None:
    server.script["/a/file.gz"] = ["truncate", "ignore range"]
    assert fetch(entry(f"{server.address}/a/file.gz"), store).read_bytes() == CONTENT


def test_a_server_that_breaks_and_ignores_the_range_is_given_up(server: FileServer, store: Path) -> None:
    server.script["/a/file.gz"] = ["truncate ignore range"]
    with pytest.raises(UnreachableError, match="the connection broke with"):
        fetch(entry(f"{server.address}/a/file.gz"), store)
    assert len(server.log) == QUICK.tries


@pytest.mark.parametrize("size", [500_000, 1_000_000, 1_000_001])
def test_wrong_bytes_of_an_earlier_run_are_not_kept(server: FileServer, store: Path, size: int) -> None:
    file = entry(f"{server.address}/a/file.gz")
    partial_of(file, store).write_bytes(b"x" * size)
    assert fetch(file, store).read_bytes() == CONTENT


def test_a_login_page_does_not_cost_the_part_that_is_there(server: FileServer, store: Path) -> None:
    server.script["/a/file.gz"] = ["html"]
    file = entry(f"{server.address}/a/file.gz")
    partial_of(file, store).write_bytes(CONTENT[:500_000])
    with pytest.raises(UnreachableError, match="an HTML page"):
        fetch(file, store)
    assert partial_of(file, store).read_bytes() == CONTENT[:500_000]


def test_a_body_that_is_said_to_be_gzip_encoded_is_not_unpacked(server: FileServer, store: Path) -> None:
    server.script["/a/file.gz"] = ["encoded"]
    assert fetch(entry(f"{server.address}/a/file.gz"), store).read_bytes() == CONTENT


def test_a_server_that_compresses_what_it_sends_is_asked_not_to(server: FileServer, store: Path) -> None:
    server.script["/a/file.gz"] = ["compress"]
    assert fetch(entry(f"{server.address}/a/file.gz"), store).read_bytes() == CONTENT


def test_redirects_are_followed(server: FileServer, store: Path) -> None:
    server.script["/a/file.gz"] = ["redirect /b/file.gz"]
    assert fetch(entry(f"{server.address}/a/file.gz"), store).read_bytes() == CONTENT


def test_a_port_where_nobody_listens(store: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        port = taken.getsockname()[1]
        with pytest.raises(UnreachableError, match=rf"127\.0\.0\.1:{port}/file\.gz \(Connection refused\)"):
            fetch(entry(f"http://127.0.0.1:{port}/file.gz"), store)


def test_a_host_that_does_not_exist(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    # No test may depend on a name server, so the resolver is the one part that is not real here.
    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(UnreachableError, match=r"https://host\.invalid/file\.gz \(Name or service not known\)"):
        fetch(entry("https://host.invalid/file.gz"), store)


def test_a_host_that_swallows_the_connection_is_asked_once(store: Path) -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        with socket.create_connection(full.getsockname()), pytest.raises(UnreachableError, match="timed out"):
            start = time.monotonic()
            fetch(
                entry(f"http://127.0.0.1:{full.getsockname()[1]}/file.gz"), store, patience=Patience(connect_s=0.3, pause_s=30)
            )
    assert time.monotonic() - start < 20


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_named(server: FileServer, store: Path) -> None:
    file = entry(f"{server.address}/a/file.gz")
    partial_of(file, store).symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left on device") as caught:
        fetch(file, store)
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(partial_of(file, store)))


def mirror_folder(folder: Path, content: bytes = CONTENT) -> Path:
    (folder / "mine").mkdir(parents=True)
    (folder / "mine/file.gz").write_bytes(content)
    return folder


@pytest.mark.parametrize("prefix", ["", "file://"])
def test_a_mirror_folder_comes_first(server: FileServer, store: Path, tmp_path: Path, prefix: str) -> None:
    mirror = mirror_folder(tmp_path / "a mirror")
    assert fetch(entry(f"{server.address}/a/file.gz"), store, f"{prefix}{mirror}").read_bytes() == CONTENT
    assert server.log == []


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_mirror_address_comes_first(server: FileServer, store: Path, slash: str) -> None:
    server.files["/base/mine/file.gz"] = CONTENT
    assert fetch(entry(f"{server.address}/a/file.gz"), store, f"{server.address}/base{slash}").read_bytes() == CONTENT
    assert [request.path for request in server.log] == ["/base/mine/file.gz"]


@pytest.mark.parametrize(
    ("content", "reason"), [(CONTENT[:-1], "has 999999 bytes"), (CONTENT[:-1] + b"\0", "has MD5"), (None, "no such file")]
)
def test_a_mirror_folder_without_the_right_file(
    server: FileServer, store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, reason: str
) -> None:
    mirror = mirror_folder(tmp_path / "mirror", content or b"")
    if content is None:
        (mirror / "mine/file.gz").unlink()
    assert fetch(entry(f"{server.address}/a/file.gz"), store, str(mirror)).read_bytes() == CONTENT
    assert f"file.gz: {mirror}/mine/file.gz ({reason}" in capsys.readouterr().err


def test_a_mirror_folder_that_does_not_exist_is_refused(server: FileServer, store: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^DATASET_MIRROR: must be a folder .*, got '.*/none', and there is no such folder"):
        fetch(entry(f"{server.address}/a/file.gz"), store, str(tmp_path / "none"))
    assert server.log == []


def test_a_password_in_the_mirror_address_is_not_shown(server: FileServer, store: Path) -> None:
    mirror = server.address.replace("//", "//me:secret@")
    with pytest.raises(UnreachableError, match=f"{server.address}/mine/file.gz") as caught:
        fetch(entry(f"{server.address}/none"), store, mirror)
    assert "secret" not in str(caught.value)


def test_the_digits_come_from_the_package_and_not_from_the_mirror(store: Path, tmp_path: Path) -> None:
    files = load_dataset(ROOT / "catalogue.yaml", "digits").files
    path = fetch_all("digits", files, store, str(tmp_path / "none"))["images"]
    assert hashlib.md5(path.read_bytes()).hexdigest() == files["images"].md5


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("package:no_such_package/file.gz", "the package no_such_package is not installed"),
        ("package:classifier/none.gz", "no such file"),
        ("package:classifier/common/errors.py", r"has \d+ bytes, 1000000 needed"),
    ],
)
def test_a_package_without_the_right_file(store: Path, url: str, reason: str) -> None:
    with pytest.raises(UserError, match=rf"{url} \({reason}\); install the versions in requirements\.txt") as caught:
        fetch(entry(url), store)
    assert not isinstance(caught.value, UnreachableError)


def test_a_terminal_gets_a_progress_bar(
    server: FileServer, store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fetch(entry(f"{server.address}/a/file.gz"), store / "plain")
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    fetch(entry(f"{server.address}/a/file.gz"), store / "terminal")
    assert "file.gz: " in capsys.readouterr().err


def start_fetching(file: RemoteFile, store: Path, said: Path) -> "subprocess.Popen[bytes]":
    """A process of its own that fetches `file`; `said` gets its standard error."""
    code = (
        "import sys; from pathlib import Path\n"
        "from classifier.sources.catalogue import RemoteFile; from classifier.sources.fetch import fetch_all\n"
        "fetch_all('mine', {'images': RemoteFile.model_validate_json(sys.argv[1])}, Path(sys.argv[2]), None)"
    )
    command = [sys.executable, "-c", code, file.model_dump_json(), str(store)]
    with said.open("w") as stderr:
        return subprocess.Popen(command, cwd=ROOT, env=os.environ | {"NO_PROXY": "127.0.0.1"}, stderr=stderr)


def wait_until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_killed_fetch_is_continued(server: FileServer, store: Path, tmp_path: Path) -> None:
    content = CONTENT * 4
    server.files["/a/file.gz"] = content
    server.script["/a/file.gz"] = ["slow", "ok"]
    file = entry(f"{server.address}/a/file.gz", content=content)
    process = start_fetching(file, store, tmp_path / "said")
    partial = partial_of(file, store)
    wait_until(lambda: partial.exists() and partial.stat().st_size >= 1_000_000)
    process.kill()
    process.wait()
    kept = partial.stat().st_size
    assert fetch(file, store).read_bytes() == content
    _, second = server.log
    assert second.range == f"bytes={kept}-"
    assert second.sent == len(content) - kept


def test_two_processes_fetch_a_file_once(server: FileServer, store: Path, tmp_path: Path) -> None:
    server.script["/a/file.gz"] = ["hold"]
    file = entry(f"{server.address}/a/file.gz")
    said = [tmp_path / "0", tmp_path / "1"]
    processes = [start_fetching(file, store, path) for path in said]
    wait_until(lambda: any(path.read_text() for path in said))
    server.stop.set()
    assert [process.wait() for process in processes] == [0, 0]
    assert sorted(path.read_text() for path in said) == ["", "file.gz: another process is fetching it; waiting\n"]
    assert len(server.log) == 1
    assert (store / "mine" / file.md5 / "file.gz").read_bytes() == CONTENT
