"""The MD5 of files and folders is DVC's own, and a result is compared with what dvc.lock records."""

import hashlib
from pathlib import Path

from record.content import md5
from record.lock_file import Lock, is_recorded, md5_of_bytes, md5_of_folder


def test_a_folder_has_the_hash_that_dvc_gives_it(tmp_path: Path) -> None:
    contents = {"b.py": b"two", "a.py": b"one", "deep/c.py": b""}
    for name, content in contents.items():
        (tmp_path / "code" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "code" / name).write_bytes(content)
    files = {f"code/{name}": md5_of_bytes(content) for name, content in contents.items()}
    assert files["code/deep/c.py"] == hashlib.md5(b"").hexdigest() == "d41d8cd98f00b204e9800998ecf8427e"
    assert md5_of_folder("code", files) == md5(tmp_path / "code")
    assert md5_of_folder("code", files | {"code/a.py": md5_of_bytes(b"other")}) != md5(tmp_path / "code")


def test_a_result_is_recorded_when_its_bytes_are(tmp_path: Path) -> None:
    outs = [{"path": "plots/a.csv", "md5": hashlib.md5(b"a,b\n").hexdigest()}]
    lock = Lock.model_validate({"stages": {"evaluate": {"cmd": "x", "outs": outs}}})
    assert not is_recorded(lock, "plots/a.csv", tmp_path)
    (tmp_path / "plots").mkdir()
    for content, expected in ((b"a,b\n", True), (b"a,c\n", False)):
        (tmp_path / "plots/a.csv").write_bytes(content)
        assert is_recorded(lock, "plots/a.csv", tmp_path) is expected
    (tmp_path / "plots/other.csv").write_bytes(b"a,b\n")
    assert not is_recorded(lock, "plots/other.csv", tmp_path)
