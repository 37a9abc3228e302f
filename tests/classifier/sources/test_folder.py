"""Which picture belongs to which split and class, for the layouts that people's folders have."""

import os
from pathlib import Path

import pytest

from classifier.common.errors import UserError
from classifier.sources.folder import Listing, list_pictures


def fill(folder: Path, *paths: str, **contents: str) -> Path:
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(b"")
    for name, text in contents.items():
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    return folder


def table(listing: Listing) -> list[tuple[str, str, str]]:
    return [(picture.path, picture.split, picture.class_name) for picture in listing]


def test_folders_of_splits_and_classes(tmp_path: Path) -> None:
    fill(tmp_path, "train/bee/2.JPG", "train/bee/deep/er/1.png", "train/ant/1.jpeg", "test/bee/1.webp", "test/ant/1.bmp")
    listing = list_pictures(tmp_path)
    assert table(listing) == [
        ("test/ant/1.bmp", "test", "ant"),
        ("test/bee/1.webp", "test", "bee"),
        ("train/ant/1.jpeg", "train", "ant"),
        ("train/bee/2.JPG", "train", "bee"),
        ("train/bee/deep/er/1.png", "train", "bee"),
    ]
    assert (listing.classes, listing.notes) == (["ant", "bee"], [])


@pytest.mark.parametrize("val", ["val", "valid", "Validation"])
def test_val_stands_in_for_a_missing_test_and_the_run_says_so(tmp_path: Path, val: str) -> None:
    listing = list_pictures(fill(tmp_path, "train/a/1.jpg", "train/b/1.jpg", f"{val}/a/2.jpg"))
    assert [picture.path for picture in listing if picture.split == "test"] == [f"{val}/a/2.jpg"]
    assert listing.notes == [f"the folder {val} is the test split, as there is no folder test"]


def test_val_joins_train_where_there_is_a_test_and_the_run_says_so(tmp_path: Path) -> None:
    listing = list_pictures(fill(tmp_path, "Training/a/1.jpg", "Training/b/1.jpg", "val/a/2.jpg", "Testing/a/3.jpg"))
    assert {picture.path: picture.split for picture in listing} == {
        "Training/a/1.jpg": "train",
        "Training/b/1.jpg": "train",
        "val/a/2.jpg": "train",
        "Testing/a/3.jpg": "test",
    }
    assert "the pictures of val join those of Training" in listing.notes[0]


def test_folders_of_classes_alone(tmp_path: Path) -> None:
    listing = list_pictures(
        fill(tmp_path, "cat/1.jpg", "dog/1.jpg", "dog/x.jpg/1.png", "cat/notes.txt", ".DS_Store", "cat/._1.jpg")
    )
    assert table(listing) == [("cat/1.jpg", "train", "cat"), ("dog/1.jpg", "train", "dog"), ("dog/x.jpg/1.png", "train", "dog")]
    assert listing.notes == ["left out, as their names are not those of pictures: 'cat/notes.txt'"]


def test_the_class_in_the_name(tmp_path: Path) -> None:
    names = ["cat.0001.jpg", "cat.2.jpg", "great_dane_10.png", "dog-3.jpg", "Ünï cørn 7.jpg"]
    assert [one[2] for one in table(list_pictures(fill(tmp_path, *names)))] == ["cat", "cat", "dog", "great_dane", "Ünï cørn"]


def test_the_class_in_the_name_within_splits(tmp_path: Path) -> None:
    listing = list_pictures(fill(tmp_path, "train/cat.1.jpg", "train/dog.1.jpg", "test/cat.9.jpg"))
    assert table(listing)[0] == ("test/cat.9.jpg", "test", "cat")


def test_a_labels_file(tmp_path: Path) -> None:
    fill(tmp_path, "a.jpg", "sub/b.jpg", "c.jpg", labels='path,label\nsub/b.jpg,dog\n./a.jpg,"cat, grey"\n')
    listing = list_pictures(tmp_path)
    assert table(listing) == [("a.jpg", "train", "cat, grey"), ("sub/b.jpg", "train", "dog")]
    assert listing.notes == ["left out, as labels.csv does not name them: 'c.jpg'"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"line 1: needs path,label, found ''"),
        (
            "who,class\na.jpg,x\n",
            r"line 1: needs path,label, found 'who,class'; or say which .*: `dvc .* -S path_column=who -S label_column=class`$",
        ),
        ("path,label\na.jpg\n", r"line 2: needs a path and a label, found 'a.jpg'"),
        ("path,label\na.jpg,\n", r"line 2: needs a path and a label"),
        ("path,label\na.jpg,x\n../a.jpg,y\n", r"line 3: no such file below this folder: '\.\./a\.jpg'"),
        ("path,label\n/etc/passwd,x\n", r"line 2: no such file below this folder: '/etc/passwd'"),
        ("path,label\na.jpg,x\na.jpg,y\n", r"needs each picture once, found 'a\.jpg' again"),
        ('path,label\n"a.jpg,x\n', r"not readable as CSV"),
        ("path,label\n", r"needs pictures to train on, found no line below the header; complete the table, or remove it"),
        ("path,label,split\na.jpg,x,test\nb.jpg,y,test\n", r"needs pictures to train on, found some only to test on"),
        ("path,label,Label\na.jpg,x,y\nb.jpg,y,x\n", r"line 1: needs names of columns that differ, found 'label' twice"),
    ],
)
def test_a_bad_labels_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError, match=rf"labels\.csv: {message}") as caught:
        list_pictures(fill(tmp_path / "in", "a.jpg", "b.jpg", labels=text))
    assert "\n" not in str(caught.value)


def test_class_names_of_any_script_and_both_spellings_of_an_accent(tmp_path: Path) -> None:
    listing = list_pictures(fill(tmp_path, "猫/1.jpg", "собака/1.jpg", "e\u0301te\u0301/1.jpg", "été/2.jpg"))
    assert listing.classes == ["été", "собака", "猫"]


def test_joiners_stand_within_words(tmp_path: Path) -> None:
    """As Persian and Hindi write them: گربه‌ها (cats), क्‍ष."""
    names = ["گربه\u200cها", "क\u094d\u200dष"]
    assert list_pictures(fill(tmp_path, *(f"{name}/1.jpg" for name in names))).classes == sorted(names)


REFUSED = {
    "nothing": ([], r"needs pictures of two classes or more, found none: no \.bmp, \.gif, \.jfif"),
    "one class": (["cat/1.jpg", "cat/2.jpg"], r"needs pictures of two classes or more, found only 'cat'; is it .*cat\?"),
    "one picture": (["cat.1.jpg"], r"found only 'cat'$"),
    "a stray picture": (["cat/1.jpg", "dog/1.jpg", "x.jpg"], r"'x\.jpg' lies beside the folders of the classes"),
    "no class in the name": (
        ["cat.1.jpg", "dog.jpg"],
        r"'dog\.jpg' has no class: needs folders named for the classes, a file labels",
    ),
    "two folders for a split": (["train/a/1.jpg", "Train/b/1.jpg"], r"two folders for train: 'Train' and 'train'"),
    "an empty class": (["a/1.jpg", "b/1.jpg", "c/note.txt"], r"no picture of the class 'c': add some or remove its folder"),
    "nothing to train on": (["train/a/x.txt", "test/a/1.jpg", "test/b/1.jpg"], r"needs pictures to train on"),
    "an empty test split": (
        ["train/a/1.jpg", "train/b/1.jpg", "test/a/1.heic"],
        r"no picture in the folder 'test': add some .*; found are 1 \.heic; read are \.bmp,",
    ),
    "an empty val split": (["train/a/1.jpg", "train/b/1.jpg", "val/note.txt"], r"no picture in the folder 'val': add some"),
    "a space after a class": (["a /1.jpg", "a/1.jpg"], r"the class name 'a ' must be .*, without spaces at its ends"),
    "a line end in a class": (["a\nb/1.jpg", "b/1.jpg"], r"the class name 'a\\nb' must be printable"),
    "a joiner that joins nothing": (["\u200ca/1.jpg", "a/1.jpg"], r"the class name '\\u200ca' must be printable"),
    "a long class": ([f"{'a' * 129}/1.jpg", "b/1.jpg"], r"must be printable and of at most 128 characters, .*; it has 129$"),
}


@pytest.mark.parametrize(("paths", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(tmp_path: Path, paths: list[str], message: str) -> None:
    (tmp_path / "in").mkdir()
    with pytest.raises(UserError, match=message) as caught:
        list_pictures(fill(tmp_path / "in", *paths))
    assert len(str(caught.value).splitlines()) == 1


def test_an_empty_class_of_one_split_passes(tmp_path: Path) -> None:
    fill(tmp_path, "train/a/1.jpg", "train/b/1.jpg", "test/a/1.jpg", "test/b/.hidden.jpg")
    assert len(list_pictures(tmp_path)) == 3


def test_what_lies_beside_the_splits_is_told(tmp_path: Path) -> None:
    listing = list_pictures(fill(tmp_path, "train/a/1.jpg", "train/b/1.jpg", "more/a/1.jpg", "x.jpg"))
    assert len(listing) == 2
    assert listing.notes == ["left out, as they are in none of 'train': 'more', 'x.jpg'"]


@pytest.mark.parametrize("name", ["cat/.dvcignore", ".dvcignore", "cat/.dvc/config"])
def test_what_would_hide_pictures_from_dvc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """In a folder of the project alone: outside of it DVC has no rules."""
    fill(tmp_path, "pictures/cat/1.jpg", "pictures/cat/2.jpg", "pictures/dog/1.jpg", f"pictures/{name}")
    found = table(list_pictures(tmp_path / "pictures"))
    monkeypatch.chdir(tmp_path)
    for folder in (Path("pictures"), tmp_path / "pictures"):
        with pytest.raises(UserError, match=r"'.*\.dvc(ignore)?': with it there DVC would not see all pictures; remove it$"):
            list_pictures(folder)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert table(list_pictures(tmp_path / "pictures")) == found


def test_links(tmp_path: Path) -> None:
    folder = fill(tmp_path / "in", "a/1.jpg", "b/1.jpg")
    (folder / "b/2.jpg").symlink_to(folder / "a/1.jpg")
    assert [picture.class_name for picture in list_pictures(folder)] == ["a", "b", "b"]
    for name, target, message in [
        ("loop", "loop", r"'b/loop': neither a file nor a folder, or a link that leads nowhere"),
        ("gone.jpg", "nowhere", r"'b/gone\.jpg': neither a file nor a folder, or a link that leads nowhere"),
        ("up", "..", r"'b/up': a link to a folder, into which DVC does not look"),
    ]:
        (folder / "b" / name).symlink_to(target)
        with pytest.raises(UserError, match=message):
            list_pictures(folder)
        (folder / "b" / name).unlink()


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    folder = fill(tmp_path / "in", "a/1.jpg", "b/1.jpg")
    os.mkfifo(folder / "a/2.jpg")
    with pytest.raises(UserError, match=r"'a/2\.jpg': neither a file nor a folder"):
        list_pictures(folder)


def test_names_with_line_ends_pass_and_names_that_are_no_text_do_not(tmp_path: Path) -> None:
    folder = fill(tmp_path / "in", "a/1\n2.jpg", "b/1.jpg")
    assert table(list_pictures(folder))[0][0] == "a/1\n2.jpg"
    (Path(os.fsdecode(os.fsencode(folder) + b"/b/\xff.jpg"))).touch()
    with pytest.raises(UserError, match=r"the name is not UTF-8; rename it"):
        list_pictures(folder)


def test_a_table_of_test_pictures_alone_does_not_make_them_some_to_train_on(tmp_path: Path) -> None:
    text = "path,label,split\ncat/1.jpg,x,test\ndog/1.jpg,y,test\n"
    with pytest.raises(UserError, match=r"labels\.csv: needs pictures to train on, found some only to test on"):
        list_pictures(fill(tmp_path, "cat/1.jpg", "dog/1.jpg", labels=text))


def test_empty_lines_of_a_labels_file_say_nothing(tmp_path: Path) -> None:
    listing = list_pictures(fill(tmp_path, "a.jpg", "b.jpg", labels="path,label\na.jpg,x\n\nb.jpg,y\n\n\n"))
    assert table(listing) == [("a.jpg", "train", "x"), ("b.jpg", "train", "y")]


@pytest.mark.parametrize(("labels", "classes"), [("0.0 1.0", ["0.0", "1.0"]), ("false true", ["false", "true"])])
def test_labels_of_json_that_are_floats_or_truths(tmp_path: Path, labels: str, classes: list[str]) -> None:
    lines = (f'{{"file_name": "{name}.jpg", "label": {label}}}\n' for name, label in zip("ab", labels.split(), strict=True))
    fill(tmp_path, "a.jpg", "b.jpg")
    (tmp_path / "metadata.jsonl").write_text("".join(lines))
    assert list_pictures(tmp_path).classes == classes


@pytest.mark.parametrize(
    ("encoding", "found"), [("utf-16", "needs UTF-8, found UTF-16"), ("latin-1", "needs UTF-8, found the byte 0xe9")]
)
def test_a_labels_file_of_another_encoding_is_named(tmp_path: Path, encoding: str, found: str) -> None:
    fill(tmp_path, "a.jpg", "b.jpg")
    (tmp_path / "labels.csv").write_bytes("path,label\na.jpg,\u00e9t\u00e9\nb.jpg,x\n".encode(encoding))
    with pytest.raises(UserError, match=rf"labels\.csv: not readable as CSV: {found}; save it as UTF-8"):
        list_pictures(tmp_path)


def test_what_network_storages_and_windows_leave_is_passed_over(tmp_path: Path) -> None:
    left = ["cat/@eaDir/1.jpg/SYNOPHOTO_THUMB_M.jpg", "#recycle/3.jpg", "$RECYCLE.BIN/4.jpg", "System Volume Information/5.jpg"]
    assert len(list_pictures(fill(tmp_path, "cat/1.jpg", "dog/1.jpg", *left))) == 2


def test_tables_of_unknown_columns_are_told(tmp_path: Path) -> None:
    """As HAM10000's, whose pictures lie in two folders that are no classes."""
    fill(tmp_path, "part_1/a.jpg", "part_2/b.jpg", metadata="image_id,dx\na,nv\nb,mel\n")
    with pytest.raises(
        UserError, match=r"'part_1', 'part_2', or stand in metadata.csv; .* -S class_depth=1` or `.* -S label_column=dx`"
    ):
        list_pictures(tmp_path)
    told = "no columns of paths and labels were found in 'metadata.csv'"
    notes = list_pictures(fill(tmp_path / "two", "part/a.jpg", "rest/b.jpg", metadata="image_id,dx\na,nv\nb,mel\n")).notes
    assert any(told in note and "-S label_column=" in note for note in notes)
    fill(tmp_path / "one", "part_1/a.jpg", "part_1/b.jpg", metadata="image_id,dx\na,nv\nb,mel\n")
    with pytest.raises(UserError, match=rf"found only 'part_1'; {told}; `-S path_column="):
        list_pictures(tmp_path / "one")


def test_a_table_of_a_kind_that_is_not_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"found only 'img'; not read: 'labels\.xlsx'; save it as labels\.csv with `path,label`"
    ):
        list_pictures(fill(tmp_path, "img/a.jpg", "img/b.jpg", "labels.xlsx"))


def test_a_picture_in_the_tables_of_two_splits_is_refused(tmp_path: Path) -> None:
    """And not silently taken for that of the later one."""
    fill(tmp_path, "im/a.jpg", "im/b.jpg", "im/c.jpg")
    fill(tmp_path, test="path,label\nim/b.jpg,x\n", train="path,label\nim/a.jpg,x\nim/b.jpg,y\nim/c.jpg,y\n")
    with pytest.raises(UserError, match=r"train\.csv: needs pictures that no table of another split names, found 'im/b\.jpg'"):
        list_pictures(tmp_path)
