"""CIFAR-10's binary archive, made up in the official layout: the real file is not at hand here."""

import gzip
import tarfile
from pathlib import Path

import numpy as np
import pytest
from torchvision.datasets import CIFAR10

from classifier.common.errors import UserError
from classifier.decoding.cifar import FOLDER, read_cifar
from classifier.sources.catalogue import load_dataset
from tests.support.cifar_archives import CLASSES, batch, members, write_archive


def read(path: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    found = {}
    for split, blocks in read_cifar(path, CLASSES).items():
        images, labels = zip(*blocks, strict=True)
        found[split] = (np.concatenate(images), np.concatenate(labels))
    return found


def test_batches_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    found = read(write_archive(tmp_path / "a.tar.gz", members()))
    assert {split: images.shape for split, (images, _) in found.items()} == {"train": (20, 3, 32, 32), "test": (4, 3, 32, 32)}
    train = b"".join(batch(f"data_batch_{number}") for number in range(1, 6))
    for split, content in (("train", train), ("test", batch("test_batch"))):
        images, labels = found[split]
        for index in range(len(labels)):
            record = content[3073 * index : 3073 * (index + 1)]
            assert labels[index] == record[0]
            red, green, blue = (np.frombuffer(record[1 + 1024 * c : 1025 + 1024 * c], np.uint8) for c in range(3))
            # row by row: pixel (y, x) of a colour is byte 32 y + x of its 1,024
            assert images[index, :, 7, 3].tolist() == [red[227], green[227], blue[227]]
            np.testing.assert_array_equal(images[index].reshape(3, 1024), [red, green, blue])


def test_the_address_is_beside_that_of_torchvision_and_the_names_are_the_official_ones() -> None:
    assert (
        CIFAR10.url.removesuffix("cifar-10-python.tar.gz") + "cifar-10-binary.tar.gz"
        == (load_dataset(Path(__file__).parents[3] / "catalogue.yaml", "cifar10").files["archive"].urls[0])
    )
    assert CLASSES == ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


def link(kind: bytes, name: str, target: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize(
    "info",
    [
        link(tarfile.SYMTYPE, f"{FOLDER}/data_batch_1.bin", "/etc/passwd"),
        link(tarfile.LNKTYPE, f"{FOLDER}/data_batch_1.bin", "../../etc/passwd"),
        link(tarfile.FIFOTYPE, f"{FOLDER}/readme.html", ""),
        tarfile.TarInfo("/etc/cron.d/evil"),
        tarfile.TarInfo("../evil"),
        tarfile.TarInfo(f"{FOLDER}/../../evil"),
        tarfile.TarInfo("other/data_batch_1.bin"),
        tarfile.TarInfo(f"{FOLDER}/two\nlines/../x"),
    ],
    ids=lambda info: repr(info.name),
)
def test_a_hostile_member_is_refused(tmp_path: Path, info: tarfile.TarInfo) -> None:
    path = write_archive(tmp_path / "a.tar.gz", members(), info)
    with pytest.raises(UserError, match=r"a\.tar\.gz: needs plain files in cifar-10-batches-bin, found '") as caught:
        read(path)
    assert "\n" not in str(caught.value)
    assert [file.name for file in tmp_path.rglob("*")] == ["a.tar.gz"]


BAD = {
    "a batch is missing": ({"data_batch_4.bin": None}, r"needs cifar-10-batches-bin/data_batch_4\.bin, found none"),
    "the names are missing": ({"batches.meta.txt": None}, r"needs cifar-10-batches-bin/batches\.meta\.txt, found none"),
    "a batch is short": (
        {"test_batch.bin": bytes(3072)},
        r"test_batch\.bin: needs 1 to 10000 records of 3073 bytes, found 3072",
    ),
    "a batch is empty": ({"test_batch.bin": b""}, r"test_batch\.bin: needs .*, found 0 bytes"),
    "a batch is long": ({"test_batch.bin": bytes(3073 * 10_001)}, r"test_batch\.bin: needs .*, found 30733073 bytes"),
    "a label is no class": (
        {"data_batch_2.bin": bytes(3073) + b"\x0a" + bytes(3072)},
        r"data_batch_2\.bin: the label of record 2 must be from 0 to 9, found 10",
    ),
    "other classes": ({"batches.meta.txt": b"cat\ndog\n"}, r"batches\.meta\.txt: needs airplane, .*, found 'cat dog'"),
}


@pytest.mark.parametrize(("change", "message"), BAD.values(), ids=BAD)
def test_what_is_refused(tmp_path: Path, change: dict[str, bytes | None], message: str) -> None:
    files = {name: change.get(name.partition("/")[2], content) for name, content in members().items()}
    path = write_archive(tmp_path / "a.tar.gz", {name: content for name, content in files.items() if content is not None})
    with pytest.raises(UserError, match=message):
        read(path)


def test_damage_anywhere_is_one_line(tmp_path: Path) -> None:
    whole = write_archive(tmp_path / "a.tar.gz", members()).read_bytes()
    unpacked = gzip.decompress(whole)
    rng = np.random.default_rng(0)
    path = tmp_path / "damaged.tar.gz"
    cases = [whole[: len(whole) * part // 12] for part in range(12)]
    cases += [unpacked[: 512 * block + 100] for block in (0, 1, 2, 9, 60)]
    for _ in range(60):
        content = bytearray(unpacked[:4096] if rng.random() < 0.5 else whole)
        content[rng.integers(len(content))] ^= 1 << rng.integers(8)
        cases.append(bytes(content))
    refused = 0
    for content in cases:
        path.write_bytes(content)
        try:
            read(path)
        except UserError as error:
            refused += 1
            assert str(error).startswith(f"{path}: ")
            assert len(str(error).splitlines()) == 1
    assert refused > 40


def test_an_archive_that_unpacks_to_gigabytes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("classifier.decoding.cifar.MAX_BYTES", 2**22)
    info = tarfile.TarInfo(f"{FOLDER}/readme.html")
    info.size = 2**33
    header = info.tobuf(tarfile.GNU_FORMAT)
    path = tmp_path / "bomb.tar.gz"
    path.write_bytes(gzip.compress(header, 1) + gzip.compress(bytes(2**22), 9) * 20)
    with pytest.raises(UserError, match=r"bomb\.tar\.gz: needs at most 4194304 bytes when unpacked, found more"):
        read(path)
