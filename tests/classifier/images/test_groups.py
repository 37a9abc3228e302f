"""The groups of the rows to train on, beside their table."""

from pathlib import Path

import pytest

from classifier.common.errors import UserError
from classifier.images.groups import GROUPS_FILE, read_groups, write_groups


def test_they_are_read_as_written_and_numbered_as_they_come(tmp_path: Path) -> None:
    write_groups(tmp_path, ['a,"b', "c\nd", "é"], [2, 0, 2, 1])
    groups_N = read_groups(tmp_path, 4)
    assert groups_N is not None
    assert groups_N.tolist() == [0, 1, 0, 2]


def test_without_the_file_there_are_none(tmp_path: Path) -> None:
    assert read_groups(tmp_path, 4) is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"line 1: needs group"),
        (b"groups\na\n", r"line 1: needs group"),
        (b"group\na\n", r"needs the 2 rows of train\.csv, found 1"),
        (b"group\na\nb\nc\n", r"needs the 2 rows of train\.csv, found 3"),
        (b"group\na\nb,c\n", r"line 3: needs one group, found 'b,c'"),
        (b'group\n"a\nb\n', r"not readable as CSV"),
        (b"group\n\xff\nb\n", r"not readable as CSV"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / GROUPS_FILE).write_bytes(content)
    with pytest.raises(UserError, match=rf"groups\.csv: {message}"):
        read_groups(tmp_path, 2)
