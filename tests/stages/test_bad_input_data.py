"""Bad input of the data stages: the catalogue, raw.json, idx files, gzip streams, the digits, schema.json and CSV tables."""

import csv
import gzip
import hashlib
import json
import math
import re
import struct
import sys
import time
import tracemalloc
import zlib
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from stages import build, convert, download
from tests.support.bad_input import (
    Sandbox,
    are_classes,
    as_yaml,
    cases,
    damaged,
    is_text,
    is_whole,
    misshapen,
    read_by_dvc,
    sandbox,
)
from tests.support.csv_tables import PIECES, read_by_csv_module
from tests.support.data_params import build_params, convert_params, download_params

ROLES = ("train_images", "train_labels", "test_images", "test_labels")


# --- the catalogue ---

CONTENTS = {f"{role}.gz": role.encode() * 10 for role in ROLES}
CATALOGUE: dict[str, Any] = {
    "mine": {
        "title": "Mine",
        "reference": "nobody",
        "format": "idx",
        "classes": ["no", "yes"],
        "hflip_invariant": True,
        "files": {
            role: {
                "name": f"{role}.gz",
                "size": len(CONTENTS[f"{role}.gz"]),
                "md5": hashlib.md5(CONTENTS[f"{role}.gz"]).hexdigest(),
                "urls": [f"http://127.0.0.1:9/{role}.gz"],
            }
            for role in ROLES
        },
    },
    "shipped": {
        "title": "Shipped",
        "reference": "somebody",
        "format": "digits",
        "classes": ["no", "yes"],
        "hflip_invariant": True,
        "files": {"images": {"name": "a.gz", "size": 1, "md5": "0" * 32, "urls": ["package:sklearn/datasets/data/none.gz"]}},
    },
}


def with_file(**changes: Any) -> dict[str, Any]:
    """The second entry with changes to its one file."""
    entry: dict[str, Any] = CATALOGUE["shipped"]
    return entry | {"files": {"images": entry["files"]["images"] | changes}}


@pytest.fixture(scope="module")
def without_network() -> Iterator[None]:
    """No name is looked up, nothing is connected to, nobody waits."""

    def refuse(*arguments: object) -> None:
        raise OSError(113, "No route to host")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("socket.socket.connect", refuse)
        patch.setattr("socket.getaddrinfo", refuse)
        patch.setattr("classifier.sources.transfer.time", SimpleNamespace(sleep=lambda seconds: None, monotonic=time.monotonic))
        patch.setitem(sys.modules, "unspecified", ModuleType("unspecified"))
        patch.delenv("DVC_ROOT", raising=False)
        yield


def fetched(box: Sandbox, content: bytes, name: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes] | None:
    """What `download` puts into data/raw/, with a mirror that has the good files; None when it refuses."""
    monkeypatch.setenv("DATASET_MIRROR", str(box.root / "mirror"))
    for file, bytes_ in CONTENTS.items():
        box.write(f"mirror/mine/{file}", bytes_)
    box.write("catalogue.yaml", content)
    box.write("data/raw/raw.json", b"earlier")
    params = download_params(dataset=name, source="catalogue.yaml")
    line = box.refusal(
        lambda: download.main(params, box.root), outputs=("data/raw",), names=("catalogue.yaml", f"{name}/"), keeps=(".dvc",)
    )
    return None if line else {path.name: path.read_bytes() for path in (box.root / "data/raw").iterdir()}


PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
ADDRESS = re.compile(r"https?://\S+|package:[A-Za-z0-9_]+(/[A-Za-z0-9_][A-Za-z0-9._-]*)+")


def matches(pattern: re.Pattern[str], value: object) -> bool:
    return is_text(value) and pattern.fullmatch(value) is not None


def is_file(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == {"name", "size", "md5", "urls"}
        and matches(PLAIN, value["name"])
        and is_whole(value["size"], 1)
        and matches(re.compile("[0-9a-f]{32}"), value["md5"])
        and isinstance(value["urls"], list)
        and len(value["urls"]) > 0
        and all(matches(ADDRESS, url) for url in value["urls"])
    )


def is_entry(value: Any) -> bool:
    if not isinstance(value, dict) or value.keys() != CATALOGUE["mine"].keys():
        return False
    roles = {"idx": ROLES, "digits": ("images",)}.get(value["format"], ()) if is_text(value["format"]) else ()
    files = value["files"]
    if not isinstance(files, dict) or not roles or files.keys() != set(roles) or not all(map(is_file, files.values())):
        return False
    names = [file["name"].lower() for file in files.values()]
    return (
        len({"raw.json", *names}) == len(names) + 1
        and are_classes(value["classes"])
        and isinstance(value["hflip_invariant"], bool)
        and all(is_text(value[key], 1) for key in ("title", "reference"))
    )


def expect_fetched(found: dict[str, bytes] | None, catalogue: Any) -> None:
    """The work is done just when every entry keeps the rules and the mirror has what `mine` asks for."""
    well_formed = isinstance(catalogue, dict) and all(matches(PLAIN, key) for key in catalogue)
    if not well_formed or "mine" not in catalogue or not all(map(is_entry, catalogue.values())):
        assert found is None
        return
    entry = catalogue["mine"]
    files = {role: file["name"] for role, file in entry["files"].items()}
    served = all(
        not file["urls"][0].startswith("package:")
        and hashlib.md5(CONTENTS.get(file["name"], b"")).hexdigest() == file["md5"]
        and len(CONTENTS[file["name"]]) == file["size"]
        for file in entry["files"].values()
    )
    if served:
        taken = {"classes": entry["classes"], "hflip_invariant": entry["hflip_invariant"]}
        description = {"dataset": "mine", "format": "idx", "files": files} | taken
        assert found is not None
        assert json.loads(found.pop("raw.json")) == description
        assert found == {name: CONTENTS[name] for name in files.values()}
    else:
        assert found is None


@cases(200)
@given(misshapen(CATALOGUE), st.sampled_from(["mine", "mine", "mine", "shipped", "a\nb", "x" * 5000]))
@example(CATALOGUE, "mine")
@example({"mine": CATALOGUE["mine"] | {"extra": 1}}, "mine")
@example(CATALOGUE | {"../mine": CATALOGUE["mine"]}, "mine")
@example(CATALOGUE | {"shipped": with_file(md5="A" * 32)}, "mine")
@example(CATALOGUE | {"shipped": with_file(extra=1)}, "mine")
@example(CATALOGUE | {"shipped": with_file(name="../neighbour")}, "mine")
@example(CATALOGUE | {"shipped": with_file(size=1.0)}, "mine")
@example(CATALOGUE, "shipped")
@pytest.mark.usefixtures("without_network")
def test_misshapen_catalogues(monkeypatch: pytest.MonkeyPatch, catalogue: Any, name: str) -> None:
    with sandbox() as box:
        found = fetched(box, as_yaml(catalogue).encode(), name, monkeypatch)
        expect_fetched(found, catalogue) if name == "mine" else None
        assert found is None or name == "mine"


TOKENS = (
    b"\n",
    b": ",
    b"- ",
    b"&a ",
    b"*a",
    b"package:__main__/x",
    b"package:sys/x",
    b"http://[::1",
    b"http://a:99999/",
    b"!!bool x",
)


@cases(150)
@given(damaged(as_yaml(CATALOGUE).replace("\\U0000002e", ".").encode(), TOKENS))
@pytest.mark.usefixtures("without_network")
def test_damaged_catalogue_files(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    with sandbox() as box:
        found = fetched(box, content, "mine", monkeypatch)
        expect_fetched(found, read_by_dvc(content))


URLS = (
    "package:__main__/x",
    "package:unspecified/x",
    "package:sys/x",
    "package:builtins/x",
    "package:no_such/x",
    "package:sklearn/__init__.py",
)
ODD = (
    "http://[::1",
    "http://a:99999/",
    "http://%zz/",
    "http://\udcff/",
    "http://.example/",
    "https://" + "a" * 100,
    "http://\x00/",
    "http://xn--/",
)


@cases(60)
@example(["package:unspecified/x"])
@given(st.lists(st.sampled_from(URLS + ODD) | st.text(max_size=9).map("http://{}".format), min_size=1, max_size=3))
@pytest.mark.usefixtures("without_network")
def test_odd_addresses(monkeypatch: pytest.MonkeyPatch, urls: list[str]) -> None:
    catalogue = {
        "other": CATALOGUE["shipped"] | {"files": {"images": CATALOGUE["shipped"]["files"]["images"] | {"urls": urls}}}
    }
    with sandbox() as box:
        assert fetched(box, as_yaml(catalogue).encode(), "other", monkeypatch) is None


@cases(60)
@given(st.sampled_from(ROLES), st.data())
@pytest.mark.usefixtures("without_network")
def test_damaged_files_in_the_store(monkeypatch: pytest.MonkeyPatch, role: str, data: st.DataObject) -> None:
    """Of an earlier download, whole or broken off, only what is right is used."""
    name = f"{role}.gz"
    content, partial = [data.draw(damaged(CONTENTS[name]) | st.none()) for _ in range(2)]
    with sandbox() as box:
        folder = f".dvc/tmp/downloads/mine/{hashlib.md5(CONTENTS[name]).hexdigest()}"
        for path, found in ((name, content), (f"{name}.partial", partial)):
            if found is not None:
                box.write(f"{folder}/{path}", found)
        expect_fetched(fetched(box, as_yaml(CATALOGUE).encode(), "mine", monkeypatch), CATALOGUE)
        assert (box.root / folder / name).read_bytes() == CONTENTS[name]


# --- raw.json, idx files and gzip streams ---

CLASSES = ["cat", "dog", "fish"]
RAW: dict[str, Any] = {
    "dataset": "mine",
    "format": "idx",
    "classes": CLASSES,
    "hflip_invariant": True,
    "files": {role: role for role in ROLES},
}
SIDE = 2


def idx(array: NDArray[np.uint8]) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


RNG = np.random.default_rng(0)
FILES = {
    "train_images": idx(RNG.integers(0, 256, (3, SIDE, SIDE), dtype=np.uint8)),
    "train_labels": idx(np.array([0, 2, 1], dtype=np.uint8)),
    "test_images": idx(RNG.integers(0, 256, (2, SIDE, SIDE), dtype=np.uint8)),
    "test_labels": idx(np.array([1, 0], dtype=np.uint8)),
}


def converted(box: Sandbox, raw: dict[str, bytes], description: bytes) -> dict[str, list[list[int]]] | None:
    """The rows of both tables that `convert` makes, label first; None when it refuses."""
    box.write("data/raw/raw.json", description)
    for name, content in raw.items():
        box.write(f"data/raw/{name}", content)
    box.write("data/csv/earlier.csv", b"earlier")
    line = box.refusal(
        lambda: convert.main(convert_params(image_size=SIDE, resize="stretch"), box.root),
        outputs=("data/csv",),
        names=("data/raw/",),
    )
    if line is not None:
        return None
    assert {path.name for path in (box.root / "data/csv").iterdir()} == {"train.csv", "test.csv", "schema.json"}
    tables = {}
    for split in ("train", "test"):
        header, *rows = csv.reader((box.root / f"data/csv/{split}.csv").open(newline=""))
        assert header == ["label", "pixel1", "pixel2", "pixel3", "pixel4"]
        tables[split] = [[int(cell) for cell in row] for row in rows]
    rows_said = json.loads((box.root / "data/csv/schema.json").read_bytes())["rows"]
    assert rows_said == {split: len(rows) for split, rows in tables.items()}
    return tables


def unpacked(content: bytes) -> bytes | None:
    """What gzip members one after the other hold, with zeros after the last, by zlib; other content is as it is."""
    if not content.startswith(b"\x1f\x8b"):
        return content
    found = b""
    while content.strip(b"\0"):
        content = content.lstrip(b"\0") if found else content
        member = zlib.decompressobj(wbits=31)
        try:
            # Python's gzip, unlike zlib, passes over the flags that have no meaning yet.
            found += member.decompress(content[:3] + bytes(one & 0x1F for one in content[3:4]) + content[4:])
        except zlib.error:
            return None
        if not member.eof:
            return None
        content = member.unused_data
    return found


def read_by_numpy(content: bytes, num_dims: int) -> NDArray[np.uint8] | None:
    """The array of an idx file; None where the header and the length do not agree with one of unsigned bytes."""
    whole = unpacked(content)
    if whole is None or len(whole) < 4 + 4 * num_dims or whole[:4] != bytes([0, 0, 8, num_dims]):
        return None
    shape = [int(number) for number in np.frombuffer(whole, ">u4", num_dims, offset=4)]
    if math.prod(shape) == 0 or math.prod(shape) != len(whole) - 4 - 4 * num_dims:
        return None
    return np.frombuffer(whole, np.uint8, offset=4 + 4 * num_dims).reshape(shape)


def rows_of(images: NDArray[np.uint8] | None, labels: NDArray[np.uint8] | None) -> list[list[int]] | None:
    if images is None or labels is None or len(images) != len(labels) or labels.max() >= len(CLASSES):
        return None
    resized = [Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.BILINEAR) for image in images]
    return [[int(label), *np.asarray(image).ravel().tolist()] for label, image in zip(labels, resized, strict=True)]


def expect_converted(box: Sandbox, raw: dict[str, bytes]) -> None:
    """Two tables as numpy, zlib and Pillow make them, or a refusal where they cannot."""
    found = converted(box, raw, json.dumps(RAW).encode())
    expected = {
        split: rows_of(read_by_numpy(raw[f"{split}_images"], 3), read_by_numpy(raw[f"{split}_labels"], 1))
        for split in ("train", "test")
    }
    assert found == (None if None in expected.values() else expected)


DIMENSION = st.sampled_from([0, 1, 2, 3, 4, 255, 256, 2**16, 2**31 - 1, 2**31, 2**32 - 1])


@cases(200)
@given(
    st.sampled_from(ROLES),
    st.tuples(st.integers(0, 3) | st.integers(0, 255), st.integers(0, 255)),
    st.lists(DIMENSION, max_size=3),
    st.integers(-3, 3),
)
@example("train_images", (0, 0), [], 1)
@example("train_images", (0, 0), [2**32 - 1, 2**32 - 1, 2**32 - 1], 0)
@example("test_labels", (0, 0), [2**32 - 1], 0)
def test_every_field_of_an_idx_header(role: str, byte: tuple[int, int], dimensions: list[int], longer: int) -> None:
    """One byte of the magic number, the dimensions from the first on, and the length."""
    content = bytearray(FILES[role])
    place, value = byte
    if place < 4 and value < 16:
        content[place] = value
    for number, dimension in enumerate(dimensions[: FILES[role][3]]):
        content[4 + 4 * number : 8 + 4 * number] = struct.pack(">I", dimension)
    content = content + bytes(longer) if longer >= 0 else content[:longer]
    with sandbox() as box:
        expect_converted(box, FILES | {role: bytes(content)})


@cases(250)
@given(st.sampled_from(ROLES), st.booleans(), st.data())
def test_an_idx_file_that_ends_anywhere(role: str, packed: bool, data: st.DataObject) -> None:
    whole = gzip.compress(FILES[role], mtime=0) if packed else FILES[role]
    end = data.draw(st.integers(0, len(whole) + 3))
    with sandbox() as box:
        expect_converted(box, FILES | {role: (whole + b"\0\0\1")[:end]})


@cases(250)
@given(st.sampled_from(ROLES), st.integers(0, 30), st.sampled_from([0, 1, 9]), st.data())
@example("train_images", 30, 9, None)
def test_damaged_gzip_streams(role: str, cut: int, level: int, data: st.DataObject | None) -> None:
    """One file as two members, of which any byte of header, data, checksum and length may be wrong."""
    members = [gzip.compress(part, level, mtime=0) for part in (FILES[role][:cut], FILES[role][cut:]) if part]
    content = data.draw(damaged(b"".join(members), (b"\x1f\x8b", b"\0\0\0", b"\xff"))) if data else b"".join(members)
    with sandbox() as box:
        expect_converted(box, FILES | {role: content})


MEMBER_BYTES = 2**24
MEMBER = gzip.compress(bytes(MEMBER_BYTES), mtime=0)


@cases(12)
@given(
    st.sampled_from((*ROLES, "images")), st.integers(1, 30), st.sampled_from([b"", FILES["train_images"], FILES["test_labels"]])
)
@example("images", 60, b"")
@example("train_images", 60, FILES["train_images"])
@example("train_images", 60, struct.pack(">4I", 0x803, 3, 2**16, 2**16))
@example("test_labels", 60, struct.pack(">2I", 0x801, 2**30))
def test_a_small_file_that_unpacks_to_a_gigabyte(role: str, num_members: int, start: bytes) -> None:
    with sandbox() as box:
        raw = FILES | {role: gzip.compress(start) + MEMBER * num_members}
        description = RAW if role != "images" else RAW | {"format": "digits", "files": {"images": "images"}}
        tracemalloc.start()
        try:
            assert converted(box, raw, json.dumps(description).encode()) is None
            assert tracemalloc.get_traced_memory()[1] < 200 * 2**20
        finally:
            tracemalloc.stop()


def is_description(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == RAW.keys()
        and is_text(value["dataset"])
        and value["format"] == "idx"
        and are_classes(value["classes"])
        and isinstance(value["hflip_invariant"], bool)
        and isinstance(value["files"], dict)
        and value["files"].keys() == set(ROLES)
    )


@cases(200)
@given(misshapen(RAW))
@example(RAW)
@example(RAW | {"files": RAW["files"] | {"train_images": "../../../neighbour"}})
@example(RAW | {"files": RAW["files"] | {"train_images": "a\0b"}})
@example(RAW | {"files": RAW["files"] | {"train_images": "a\nb"}})
@example(RAW | {"files": RAW["files"] | {"train_images": "x" * 2000}})
def test_misshapen_raw_json(description: Any) -> None:
    with sandbox() as box:
        found = converted(box, FILES, json.dumps(description).encode())
        if is_description(description) and all(name in ROLES for name in description["files"].values()):
            content = {role: FILES[name] for role, name in description["files"].items()}
            expected = {
                split: rows_of(read_by_numpy(content[f"{split}_images"], 3), read_by_numpy(content[f"{split}_labels"], 1))
                for split in ("train", "test")
            }
            fits = len(description["classes"]) >= len(CLASSES)
            assert found == (None if None in expected.values() or not fits else expected)
        else:
            assert found is None


@cases(100)
@given(damaged(json.dumps(RAW).encode(), (b"{", b"}", b"[", b"]", b'"', b",", b"\\u0000", b"\\ud800", b"NaN", b"\xff")))
@example(b"[" * 100_000)
@example(b'{"a":' * 100_000)
@example(b'{"dataset": ' + b"9" * 100_000 + b"}")
@example(json.dumps(RAW | {"x" * 100_000: 1}).encode())
@example(b"\xef\xbb\xbf" + json.dumps(RAW).encode())
@example(json.dumps(RAW).encode("utf-16"))
def test_damaged_raw_json(content: bytes) -> None:
    with sandbox() as box:
        found = converted(box, FILES, content)
        if found is not None:
            assert is_description(json.loads(content.decode()))


# --- the digits ---

LINES = b"".join(
    b",".join(str((row * 7 + column) % 17).encode() for column in range(64)) + b",%d\n" % (row % 3) for row in range(12)
)
DIGITS = RAW | {"format": "digits", "files": {"images": "images"}}


def digit_rows(content: bytes) -> list[list[int]] | None:
    """What numpy reads of the lines, label first; None where not every cell is a whole number in its range."""
    whole = unpacked(content)
    if not whole or re.fullmatch(rb"(?:(?:[0-9]{1,9},){64}[0-9]{1,9}\r?(?:\n|\r|$))+", whole.replace(b"\r\n", b"\n")) is None:
        return None
    table = np.loadtxt(whole.decode().splitlines(), delimiter=",", dtype=np.int64, ndmin=2)
    if table[:, :64].max() > 16 or table[:, 64].max() >= len(CLASSES):
        return None
    return [[int(row[-1]), *row[:-1].tolist()] for row in table]


@cases(200)
@given(
    damaged(LINES, (b",", b"\n", b"\r\n", b"\x0c", b"\x1c", b"\xc2\x85", b"-1", b"17", b"16", b"+", b" ", b"3", b"\xd9\xa3")),
    st.booleans(),
)
@example(LINES.replace(b"\n", b"\x1c"), True)
def test_damaged_digits(lines: bytes, packed: bool) -> None:
    with sandbox() as box:
        expected = digit_rows(lines)
        found = converted(box, {"images": gzip.compress(lines) if packed else lines}, json.dumps(DIGITS).encode())
        assert (found is None) == (expected is None)
        if found is not None and expected is not None:
            assert sorted(row[0] for row in found["train"] + found["test"]) == sorted(row[0] for row in expected)
            assert len(found["test"]) == sum(np.bincount([row[0] for row in expected]) // 5)


# --- schema.json and the tables ---

SCHEMA: dict[str, Any] = {
    "dataset": "mine",
    "classes": CLASSES,
    "shape_CHW": [1, 1, 2],
    "hflip_invariant": False,
    "pixel_order": "CHW",
    "rows": {"train": 4, "test": 2},
}
TRAIN = b"label,pixel1,pixel2\n0,1,2\n1,255,0\n2,30,99\n1,100,7\n"
TEST = b"label,pixel1,pixel2\n2,0,0\n0,10,200\n"


def built(box: Sandbox, schema: bytes, train: bytes = TRAIN) -> dict[str, tuple[list[Any], list[int]]] | None:
    """Images and labels of the splits that `build` makes without validation; None when it refuses."""
    box.write("data/csv/schema.json", schema)
    box.write("data/csv/train.csv", train)
    box.write("data/csv/test.csv", TEST)
    box.write("data/dataset/earlier", b"earlier")
    line = box.refusal(
        lambda: build.main(build_params(val_fraction=0), box.root),
        outputs=("data/dataset", "metrics", "plots"),
        names=("schema.json", "train.csv", "test.csv"),
    )
    if line is not None:
        return None
    folder = box.root / "data/dataset"
    assert {path.name for path in folder.iterdir()} == {"dataset.json", "near_copies.csv", "train", "val", "test"}
    return {
        split: (np.load(folder / split / "images.npy").tolist(), np.load(folder / split / "labels.npy").tolist())
        for split in ("train", "val", "test")
    }


def shaped(table: tuple[list[list[int]], list[int]], shape: list[int]) -> tuple[list[Any], list[int]]:
    return np.reshape(table[0], (len(table[1]), *shape)).tolist(), table[1]


@cases(250)
@given(damaged(TRAIN, tuple(PIECES)))
@example(TRAIN)
@example(TRAIN.replace(b"255,0", b"00,"))  # a leading zero makes up for an empty cell
@example(TRAIN.replace(b"255,0\n", b"255\n0,"))
@example(TRAIN.replace(b"100", b"300"))
@example(TRAIN.decode().encode("utf-16"))
@example(TRAIN.decode().encode("utf-32"))
@example(TRAIN.replace(b"\n", b"\r\n"))
@example(b"\xef\xbb\xbf" + TRAIN)
@example(TRAIN + b"0,1," * 500_000)
@example(TRAIN.replace(b"30", b"\0" * 1_000_000))
@example(b"label," * 200_000)
@example(b"\n" * 1_000_000)
def test_damaged_tables(train: bytes) -> None:
    with sandbox() as box:
        found = built(box, json.dumps(SCHEMA).encode(), train)
        usual = csv.field_size_limit(10**8)
        table = read_by_csv_module(train, num_pixels=2, num_classes=3) if train else None
        csv.field_size_limit(usual)
        if table is None or len(table[1]) != 4:
            assert found is None
        else:
            assert found is not None
            assert found["train"] == shaped(table, [1, 1, 2])


def is_schema(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and {"pixel_order": "CHW", **value}.keys() == SCHEMA.keys()
        and is_text(value["dataset"])
        and are_classes(value["classes"])
        and isinstance(value["shape_CHW"], list)
        and len(value["shape_CHW"]) == 3
        and all(is_whole(side, 1) for side in value["shape_CHW"])
        and isinstance(value["hflip_invariant"], bool)
        and value.get("pixel_order", "CHW") == "CHW"
        and isinstance(value["rows"], dict)
        and value["rows"].keys() == {"train", "test"}
        and all(is_whole(number, 0) for number in value["rows"].values())
    )


@cases(250)
@given(misshapen(SCHEMA))
@example(SCHEMA)
@example({key: value for key, value in SCHEMA.items() if key != "pixel_order"})
@example(SCHEMA | {"shape_CHW": [2, 1, 1]})
@example(SCHEMA | {"shape_CHW": [1, 10**9, 10**9]})
@example(SCHEMA | {"shape_CHW": [10**400, 1, 2]})
@example(SCHEMA | {"rows": {"train": 10**400, "test": 2}})
@example(SCHEMA | {"classes": ["a", "b"]})
def test_misshapen_schema_json(schema: Any) -> None:
    with sandbox() as box:
        found = built(box, json.dumps(schema).encode())
        fits = (
            is_schema(schema)
            and math.prod(schema["shape_CHW"]) == 2
            and schema["rows"] == {"train": 4, "test": 2}
            and len(schema["classes"]) >= 3
        )
        if not fits:
            assert found is None
        else:
            assert found is not None
            for split, text in (("train", TRAIN), ("test", TEST)):
                table = read_by_csv_module(text, num_pixels=2, num_classes=3)
                assert table is not None
                assert found[split] == shaped(table, schema["shape_CHW"])
