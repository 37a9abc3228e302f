"""Bad input: a person's own folders, pictures, labels and tables, the packs made of them, and the archive of CIFAR-10."""

import csv
import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from stages import build, convert, download
from tests.support.bad_input import Sandbox, cases, damaged, sandbox
from tests.support.cifar_archives import CLASSES, members, write_archive
from tests.support.data_params import build_params, convert_params, download_params

SIDE = 4
OUTPUTS = ("data/raw", "data/csv", "data/dataset", "metrics", "plots")


def png(value: int, mode: str = "L") -> bytes:
    stream = io.BytesIO()
    Image.new(mode, (SIDE, SIDE), value).save(stream, "PNG")
    return stream.getvalue()


def through(box: Sandbox, dataset: str, source: str, **changes: Any) -> str | None:
    """All three stages; the one line of the first that refuses."""

    def run() -> None:
        download.main(download_params(dataset=dataset, source=source), box.root)
        convert.main(convert_params(dataset=dataset, image_size=SIDE, **changes), box.root)
        build.main(build_params(dataset=dataset, val_fraction=0, test_fraction=0.5), box.root)

    # A stage that refuses leaves what the ones before it made.
    return box.refusal(run, outputs=OUTPUTS, names=("own", "data/", "test_fraction"), keeps=("data",))


def rows(box: Sandbox) -> list[tuple[int, ...]]:
    """Label and pixels of all images, sorted."""
    found = []
    for split in ("train", "test"):
        folder = box.root / "data/dataset" / split
        images, labels = np.load(folder / "images.npy"), np.load(folder / "labels.npy")
        found += [(int(label), *image.ravel().tolist()) for image, label in zip(images, labels, strict=True)]
    return sorted(found)


PARTS = st.sampled_from(
    ["a", "b", "train", "test", "val", "x.jpg", "é", "e\u0301", "\n", ".hidden", "c.1", "__MACOSX", "猫", "-", " "]
)
NAMES = st.sampled_from(
    ["1.png", "a.1.png", "b.2.PNG", "a.jpg", "labels.csv", "note.txt", "x\ny.png", ".x.png", "c_7.webp", "9.bmp"]
)


@cases(150)
@given(st.lists(st.tuples(st.lists(PARTS, max_size=3), NAMES, st.integers(0, 3)), max_size=12))
@example([(["a"], "1.png", 0), (["a"], "a.1.png", 0), (["b"], "1.png", 0), (["b"], "a.1.png", 0)])
@example([(["train", "a"], "1.png", 0), (["train", "b"], "1.png", 0), (["test", "a"], "1.png", 0), (["val", "b"], "1.png", 0)])
def test_folders_of_every_shape(entries: list[tuple[list[str], str, int]]) -> None:
    """Whatever the layout: what is taken has the pixels of its files, and nothing is taken twice."""
    with sandbox() as box:
        written = []
        (box.root / "own").mkdir()
        for number, (parts, name, kind) in enumerate(entries):
            path = Path("own", *parts, name)
            if (box.root / path).exists() or any(parent.is_file() for parent in (box.root / path).parents):
                continue
            box.write(str(path), [png(number), png(number), b"junk", b""][kind])
            written.append(number)
        line = through(box, "folder", "own", max_unreadable=0.9)
        if line is None:
            found = [row[1] for row in rows(box)]
            assert len(found) == len(set(found)) > 1
            assert set(found) <= {number for number in written if entries[number][2] < 2}


@cases(150)
@given(
    damaged(png(7), (b"\0\0\0", b"\xff\xff\xff\xff", b"IDAT", b"IHDR", b"tRNS", b"acTL"), most=4),
    st.sampled_from(["L", "RGB", "RGBA"]),
)
@example(b"", "L")
@example(png(7)[:-20], "L")
def test_a_damaged_picture_is_read_or_named(content: bytes, mode: str) -> None:
    with sandbox() as box:
        for label in ("a", "b"):
            for number in range(2):
                box.write(f"own/{label}/{number}.png", png(number, mode))
        box.write("own/b/damaged.png", content)
        line = through(box, "folder", "own", max_unreadable=0.5)
        assert line is None
        (report,) = json.loads((box.root / "metrics/data.json").read_text())["details"]
        assert report["unreadable"] + sum(report["images"].values()) == 5
        assert report.get("unreadable_files", ["b/damaged.png"]) == ["b/damaged.png"]


LABELS = "path,label\n" + "".join(f"{number}.png,{'ab'[number % 2]}\n" for number in range(6))


@cases(150)
@given(damaged(LABELS.encode(), (b",", b"\n", b'"', b"../", b"/", b"\r\n", b"\xff", b"\0", b"c")))
@example(LABELS.encode())
@example(b"\xef\xbb\xbf" + LABELS.replace("\n", "\r\n").encode())
def test_damaged_labels(content: bytes) -> None:
    with sandbox() as box:
        for number in range(6):
            box.write(f"own/{number}.png", png(number))
        box.write("own/labels.csv", content)
        if through(box, "folder", "own") is None:
            table = list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))
            names = sorted({label for _, label in table[1:]})
            expected = sorted((names.index(label), *[int(Path(path).stem)] * SIDE**2) for path, label in table[1:])
            assert rows(box) == expected


TABLE = "label,p0,p1,p2,p3\n" + "".join(f"{[3, 'x'][number % 2]},{number},0,9,255\n" for number in range(6))


@cases(200)
@given(damaged(TABLE.encode(), (b",", b"\n", b'"', b"-1", b"256", b"3", b"x", b" ", b"\r\n", b"\xff", b"label")))
@example(TABLE.encode())
@example(TABLE.replace("3,", "x,").encode())
@example(TABLE.partition("\n")[0].encode())
def test_damaged_tables(content: bytes) -> None:
    with sandbox() as box:
        box.write("own.csv", content)
        if through(box, "csv", "own.csv", resize="stretch") is None:
            lines = content.decode("utf-8-sig", errors="replace").replace("\r\n", "\n").removesuffix("\n").split("\n")
            table = [line.split(",") for line in lines]
            width = len(table[0])
            assert math.isqrt(width - 1) ** 2 == width - 1 or math.isqrt((width - 1) // 3) ** 2 * 3 == width - 1
            assert all(len(row) == width and all(0 <= int(cell) <= 255 for cell in row[1:]) for row in table[1:])
            assert len(rows(box)) == len(table) - 1


ROWS = ["a.png,train,0", "b.png,train,1", "c.png,test,0", "d.png,test,1"]
PACK = "path,split,label,size\n" + "".join(f"{row},{len(png(value))}\n" for value, row in enumerate(ROWS))
FILES = {"contents": "pictures.bin", "list": "pictures.csv"}
RAW = {"dataset": "folder", "format": "pictures", "classes": ["a", "b"], "hflip_invariant": True, "files": FILES}


@cases(150)
@given(
    damaged(PACK.encode(), (b",", b"\n", b'"', b"train", b"test", b"-1", b"9999999999", b"\xd9\xa3", b"\0")), st.integers(-2, 2)
)
@example(PACK.encode(), 0)
@example(b"path,split,label,size\n", 0)
def test_damaged_packs(listed: bytes, longer: int) -> None:
    contents = b"".join(png(value) for value in range(4))
    with sandbox() as box:
        box.write("data/raw/raw.json", json.dumps(RAW).encode())
        box.write("data/raw/pictures.csv", listed)
        box.write("data/raw/pictures.bin", contents + bytes(longer) if longer >= 0 else contents[:longer])
        box.write("data/csv/earlier", b"earlier")
        params = convert_params(dataset="folder", image_size=SIDE, max_unreadable=0.5)
        line = box.refusal(lambda: convert.main(params, box.root), outputs=("data/csv",), names=("data/raw",))
        if longer or listed == b"path,split,label,size\n":
            assert line is not None
        elif listed == PACK.encode():
            assert line is None


CIFAR = {
    "dataset": "cifar10",
    "format": "cifar",
    "classes": CLASSES,
    "hflip_invariant": True,
    "files": {"archive": "a.tar.gz"},
}


@cases(60)
@given(st.data())
def test_damaged_archives(data: st.DataObject) -> None:
    with sandbox() as box:
        path = box.write("data/raw/a.tar.gz", b"")
        good = write_archive(path, members()).read_bytes()
        path.write_bytes(content := data.draw(damaged(good, (b"\0" * 8, b"\x1f\x8b", b"../", b"\xff" * 8))))
        box.write("data/raw/raw.json", json.dumps(CIFAR).encode())
        params = convert_params(dataset="cifar10", image_size=SIDE)
        line = box.refusal(lambda: convert.main(params, box.root), outputs=("data/csv",), names=("data/raw/a.tar.gz",))
        if content == good:
            assert line is None


PACKED_SCHEMA = {
    "dataset": "mine",
    "classes": ["a", "b"],
    "shape_CHW": [1, 2, 2],
    "hflip_invariant": True,
    "packed_pixels": True,
    "rows": {"train": 3, "test": 2},
}


@cases(150)
@given(st.sampled_from(["train.csv", "train.npy", "test.npy", "schema.json", "unreadable.csv"]), st.data())
def test_damaged_packed_tables(name: str, data: st.DataObject) -> None:
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 1, 2, 2)
    arrays = {}
    for split, array in (("train", pixels), ("test", pixels[:2])):
        stream = io.BytesIO()
        np.save(stream, array)
        arrays[f"{split}.npy"] = stream.getvalue()
    good = {
        **arrays,
        "train.csv": b"row,label\n0,0\n1,1\n2,0\n",
        "test.csv": b"row,label\n0,0\n1,1\n",
        "schema.json": json.dumps(PACKED_SCHEMA).encode(),
        "unreadable.csv": b"path,reason\nx.png,broken\n",
    }
    with sandbox() as box:
        content = data.draw(damaged(good[name], (b",", b"\n", b"0", b"1", b"(", b"'", b"\xff", b"true", b"null")))
        for file, bytes_ in {**good, name: content}.items():
            box.write(f"data/csv/{file}", bytes_)
        line = box.refusal(
            lambda: build.main(build_params(val_fraction=0), box.root),
            outputs=("data/dataset", "metrics", "plots"),
            names=tuple(good),
        )
        if line is None and name != "unreadable.csv":
            found = np.load(box.root / "data/dataset/train/images.npy")
            assert found.shape[0] == len(np.load(box.root / "data/dataset/train/labels.npy")) == 3
        if content == good[name]:
            assert line is None
