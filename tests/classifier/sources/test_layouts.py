"""The layouts that people's pictures come in: who is in which split, of which class and group, and what is said of it."""

import json
import os
import re
import tracemalloc
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest

from classifier.common.errors import UserError
from classifier.sources.folder import list_pictures
from classifier.sources.labels import Columns
from classifier.sources.listing import Listing, listing_lines

DIGITS = "0123456789abcdef" * 2


def fill(folder: Path, paths: Iterable[str], **texts: str) -> Path:
    """Empty files at `paths`, and tables: of `a__b_csv` the file a/b.csv."""
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).touch()
    for name, text in texts.items():
        path = folder / (name.replace("__", "/").rpartition("_")[0] + "." + name.rpartition("_")[2])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def names(pattern: str, *numbers: int) -> list[str]:
    return [pattern.format(number) for number in numbers]


def counts(listing: Listing) -> dict[tuple[str, str], int]:
    """Pictures by split and class."""
    return dict(Counter((picture.split, picture.class_name) for picture in listing))


def said(listing: Listing, text: str) -> bool:
    return any(text in note for note in listing.notes)


def test_a_folder_in_each_class_and_a_table_for_val(tmp_path: Path) -> None:
    """As Tiny ImageNet is published."""
    paths = [*names("train/n01/images/{}.JPEG", 0, 1), *names("train/n02/images/{}.JPEG", 2, 3)]
    paths += [*names("val/images/val_{}.JPEG", 0, 1), *names("test/images/test_{}.JPEG", 0, 1, 2)]
    lines = "val_0.JPEG\tn02\t0\t0\t9\t9\nval_1.JPEG\tn01\t0\t0\t9\t9\n"
    listing = list_pictures(fill(tmp_path, paths, val__val_annotations_txt=lines))
    assert counts(listing) == {("train", "n01"): 2, ("train", "n02"): 2, ("test", "n01"): 1, ("test", "n02"): 1}
    assert {one.path: one.class_name for one in listing if one.split == "test"} == {
        "val/images/val_0.JPEG": "n02",
        "val/images/val_1.JPEG": "n01",
    }
    assert said(listing, "left out, as the 3 pictures of 'test/images' have no classes; `python -m tools.predict ")
    assert said(listing, "the folder val is the test split, as test has no labels")
    assert "the table val/val_annotations.txt (lines of a path and a label; 2 pictures)" in listing.layout


def test_names_of_the_folders_by_words_txt(tmp_path: Path) -> None:
    paths = ["n01/1.jpg", "n02/1.jpg", "n03/1.jpg"]
    words = "n01\tcrane\nn02\tgoldfish, Carassius auratus\nn03\tcrane\nn99\tanother\n"
    listing = list_pictures(fill(tmp_path, paths, words_txt=words))
    assert [one.class_name for one in listing] == ["crane (n01)", "goldfish", "crane (n03)"]
    assert said(listing, "words.txt gives the classes their names")


def test_names_of_numbers_by_the_lines_of_classes_txt(tmp_path: Path) -> None:
    listing = list_pictures(fill(tmp_path, ["1/a.jpg", "0/a.jpg"], classes_txt="great ant\nbee\n"))
    assert {one.path: one.class_name for one in listing} == {"0/a.jpg": "great ant", "1/a.jpg": "bee"}


@pytest.mark.parametrize("test", ["test/img_{}.png", "test/{}.png", "test1/{}.png", "test/test/{}.png", "test/unknown/{}.png"])
def test_a_test_split_without_classes_is_left_out(tmp_path: Path, test: str) -> None:
    paths = [*names("train/c0/{}.png", 0, 1), *names("train/c1/{}.png", 0), *names(test, 7, 8)]
    listing = list_pictures(fill(tmp_path, paths))
    assert counts(listing) == {("train", "c0"): 2, ("train", "c1"): 1}
    assert said(listing, "left out, as the 2 pictures of 'test")


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("seg_train/seg_train", "seg_test/seg_test"),
        ("TrainingSet", "TestSet"),
        ("asl_alphabet_train", "asl_alphabet_eval"),
        ("archive/Train", "archive/Dev"),
        ("a/b/TRAIN/images", "a/b/validation"),
        ("training_set/training_set", "test_set/test_set"),
    ],
)
def test_splits_under_the_names_that_people_give(tmp_path: Path, train: str, test: str) -> None:
    paths = [f"{train}/forest/1.jpg", f"{train}/sea/1.jpg", f"{train}/sea/2.jpg", f"{test}/forest/9.jpg", f"{test}/sea/9.jpg"]
    listing = list_pictures(fill(tmp_path, paths))
    assert counts(listing) == {("train", "forest"): 1, ("train", "sea"): 2, ("test", "forest"): 1, ("test", "sea"): 1}


def test_what_lies_beside_splits_of_such_names_is_left_out(tmp_path: Path) -> None:
    paths = ["seg_train/a/1.jpg", "seg_train/b/1.jpg", "seg_test/a/2.jpg", "seg_test/b/2.jpg", "seg_pred/seg_pred/3.jpg"]
    listing = list_pictures(fill(tmp_path, paths))
    assert len(listing) == 4
    assert said(listing, "left out, as they are in none of 'seg_train', 'seg_test': 'seg_pred'")


@pytest.mark.parametrize("classes", [["train", "plane", "car"], ["train_station", "bus_stop", "test_tube"], ["dev", "ops"]])
def test_classes_with_the_words_of_splits(tmp_path: Path, classes: list[str]) -> None:
    listing = list_pictures(fill(tmp_path, [f"{name}/1.jpg" for name in classes]))
    assert listing.classes == sorted(classes)


def test_splits_in_the_folders_of_classes(tmp_path: Path) -> None:
    listing = list_pictures(fill(tmp_path, ["a/train/1.jpg", "a/test/2.jpg", "b/train/1.jpg", "b/test/2.jpg", "b/test/3.jpg"]))
    assert counts(listing) == {("train", "a"): 1, ("train", "b"): 1, ("test", "a"): 1, ("test", "b"): 2}


def test_a_test_split_of_other_classes_is_refused_with_both_lists(tmp_path: Path) -> None:
    fill(tmp_path, ["train/s0/1.png", "train/s1/1.png", "test/S0/1.png", "test/S1/1.png"])
    with pytest.raises(UserError, match=r"test has no class of train: it has 'S0', 'S1', train has 's0', 's1'; call the same"):
        list_pictures(tmp_path)


def test_classes_in_test_alone_are_said(tmp_path: Path) -> None:
    listing = list_pictures(fill(tmp_path, ["train/a/1.png", "train/b/1.png", "test/a/1.png", "test/c/1.png"]))
    assert said(listing, "classes of test that train has not: 'c'")


DEEPER = ["animals/cat/1.png", "animals/dog/1.png", "plants/oak/1.png", "plants/rose/1.png"]


@pytest.mark.parametrize("prefix", ["", "wrapper/", "train/"])
def test_deeper_classes_are_refused_with_both_commands_that_work(tmp_path: Path, prefix: str) -> None:
    fill(tmp_path, [prefix + path for path in DEEPER])
    with pytest.raises(
        UserError, match=r"may be 'animals', 'plants', or the folders in them, 'cat', 'dog'.*; say which: "
    ) as caught:
        list_pictures(tmp_path)
    depths = [int(part.partition("`")[0]) for part in str(caught.value).split("class_depth=")[1:]]
    assert [list_pictures(tmp_path, class_depth=depth).classes for depth in depths] == [
        ["animals", "plants"],
        ["cat", "dog", "oak", "rose"],
    ]
    assert f"`dvc exp run -S dataset=folder -S source={tmp_path} -S class_depth={depths[0]}`" in str(caught.value)


def test_deeper_classes_of_one_name_have_those_above_in_theirs(tmp_path: Path) -> None:
    fill(tmp_path, ["cat/old/1.png", "cat/young/1.png", "dog/old/1.png", "dog/young/1.png"])
    assert list_pictures(tmp_path, class_depth=2).classes == ["cat/old", "cat/young", "dog/old", "dog/young"]
    with pytest.raises(UserError, match=r", or to join those of one name `dvc .* -S class_depth=last`$"):
        list_pictures(tmp_path)
    listing = list_pictures(tmp_path, class_depth="last")
    assert [(one.path, one.class_name) for one in listing][:2] == [("cat/old/1.png", "old"), ("cat/young/1.png", "young")]
    assert listing.counts() == {"old": {"train": 2, "test": 0}, "young": {"train": 2, "test": 0}}
    with pytest.raises(UserError, match=r"'1\.png' lies beside|lies above the folders of the classes; class_depth 3 needs"):
        list_pictures(tmp_path, class_depth=3)


def test_a_class_that_begins_with_a_dot_is_said_to_be_passed_over(tmp_path: Path) -> None:
    listing = list_pictures(fill(tmp_path, ["a/1.png", "b/1.png", ".net/1.png", ".cache/note.txt"]))
    assert listing.classes == ["a", "b"]
    assert listing.notes == ["passed over, as the names begin with a dot: '.net'"]


def two(pattern: str, count: int = 8) -> list[str]:
    return [pattern.format(number) for number in range(count)]


def rows(header: str, line: str, count: int = 8) -> str:
    lines = [line.format(number=number, label=("ant", "bee")[number % 2]) for number in range(count)]
    return "\n".join([*([header] if header else []), *lines]) + "\n"


TABLES = {
    "Hugging Face": (two("train/{}.png"), {"train__metadata_csv": rows("file_name,label,author", "{number}.png,{label},x")}),
    "names without suffix": (two("train/{}.jpg"), {"labels_csv": rows("id,breed", "{number},{label}")}),
    "capitals": (two("pictures/{}.jpg"), {"List_csv": rows("Author,Image Path,Class", "x,pictures/{number}.jpg,{label}")}),
    "semicolons": (two("{}.jpg"), {"mine_csv": rows("filename;target", "{number}.jpg;{label}")}),
    "tabs": (two("{}.jpg"), {"mine_tsv": rows("filename\tcategory", "{number}.jpg\t{label}")}),
    "other folders": (two("a/{}.jpg"), {"meta__all_csv": rows("path,label", "data/a/{number}.jpg,{label}")}),
    "a list": (two("my pictures/{}.jpg"), {"list_txt": rows("", "my pictures/{number}.jpg {label}")}),
    "no header": (two("p/{}.jpg"), {"all_csv": rows("", "p/{number}.jpg,{label}")}),
    "back slashes": (two("p/{}.jpg"), {"labels_csv": rows("path,label", ".\\p\\{number}.jpg,{label}").replace(".\\", "")}),
}


@pytest.mark.parametrize(("paths", "texts"), TABLES.values(), ids=TABLES)
def test_a_table_beside_the_pictures(tmp_path: Path, paths: list[str], texts: dict[str, str]) -> None:
    listing = list_pictures(fill(tmp_path, paths, **texts))
    assert {Path(one.path).stem: one.class_name for one in listing} == {str(k): ("ant", "bee")[k % 2] for k in range(8)}
    assert "the table " in listing.layout
    assert not said(listing, "left out")


def test_lines_of_json(tmp_path: Path) -> None:
    lines = [json.dumps({"label": ("ant", "bee")[number % 2], "file_name": f"{number}.png"}) for number in range(8)]
    listing = list_pictures(fill(tmp_path, two("train/{}.png"), train__metadata_jsonl="\n".join(lines)))
    assert counts(listing) == {("train", "ant"): 4, ("train", "bee"): 4}
    assert "(path is the column file_name, label label; 8 pictures)" in listing.layout


def test_columns_of_other_names_are_named(tmp_path: Path) -> None:
    fill(tmp_path, two("{}.png"), mine_csv=rows("who,what,when", "{number}.png,{label},9"))
    with pytest.raises(UserError, match=r"'0\.png' has no class: .*; no columns of paths and labels were found in 'mine\.csv'"):
        list_pictures(tmp_path)
    assert counts(list_pictures(tmp_path, Columns(path="who", label="what"))) == {("train", "ant"): 4, ("train", "bee"): 4}
    with pytest.raises(UserError, match="needs a table beside the pictures with the column who, where"):
        list_pictures(tmp_path, Columns(path="who", label="where"))


def test_the_command_of_a_table_deep_in_a_project_names_its_folder(tmp_path: Path) -> None:
    """What it names must work: the table beside the pictures is looked for from there."""
    fill(tmp_path, ["code/x.py", "page/plot.png", *two("set/head/00{}.png")])
    fill(tmp_path, [], set__labels_csv=rows("id, bleeds", "{number},{label}"))
    with pytest.raises(UserError, match=rf"source={re.escape(str(tmp_path))}/set -S label_column=bleeds`"):
        list_pictures(tmp_path)
    assert list_pictures(tmp_path / "set", Columns(label="bleeds")).classes == ["ant", "bee"]


def test_two_columns_that_may_be_the_label_are_refused_with_both_commands(tmp_path: Path) -> None:
    fill(tmp_path, two("{}.png"), labels_csv=rows("path,label,category", "{number}.png,{label},{number}"))
    with pytest.raises(UserError, match=r"say which: `dvc exp .* -S label_column=label` or `dvc .*label_column=category`"):
        list_pictures(tmp_path)
    assert list_pictures(tmp_path, Columns(label="label")).classes == ["ant", "bee"]


def test_numbered_folders_are_no_classes_where_a_table_names_their_pictures(tmp_path: Path) -> None:
    """As HAM10000 and ChestX-ray14 are published: pictures in parts, classes in a table with other names of columns."""
    paths = [f"images_{number // 4}/img_{number}.png" for number in range(8)]
    table = rows("Patient,Image Index,Finding", "1,img_{number}.png,{label}")
    fill(tmp_path, paths, entries_csv=table, sample_submission_csv=table)
    told = "the classes may be 'images_0', 'images_1', or stand in entries.csv; say which: `[^`]* -S class_depth=1` or `[^`]*"
    with pytest.raises(UserError, match=told + "path_column='[^`]*Image Index'[^`]*' -S label_column=Finding`") as refused:
        list_pictures(tmp_path)
    assert "Patient" not in str(refused.value)
    listing = list_pictures(tmp_path, Columns(path="Image Index", label="Finding"))
    assert counts(listing) == {("train", "ant"): 4, ("train", "bee"): 4}
    (tmp_path / "entries.csv").write_text("speed,time\n1,2\n3,4\n")
    (tmp_path / "sample_submission.csv").unlink()
    assert list_pictures(tmp_path).classes == ["images_0", "images_1"]


def test_a_column_of_splits(tmp_path: Path) -> None:
    text = rows("path,label,split", "{number}.png,{label},TRAIN", 6) + "6.png,ant,test\n7.png,bee,test\n"
    listing = list_pictures(fill(tmp_path, two("{}.png"), labels_csv=text))
    assert counts(listing) == {("train", "ant"): 3, ("train", "bee"): 3, ("test", "ant"): 1, ("test", "bee"): 1}
    assert "split split" in listing.layout
    fill(tmp_path, [], labels_csv=rows("path,label,split", "{number}.png,{label},night", 8))
    listing = list_pictures(tmp_path)
    assert counts(listing) == {("train", "ant"): 4, ("train", "bee"): 4}
    assert said(listing, "the column split has 'night', which is no split; it is not looked at")
    with pytest.raises(UserError, match="the column split has 'night'; needs train, val or test"):
        list_pictures(tmp_path, Columns(split="split"))
    for odd in ("night", ""):  # else the test pictures would be some to train on
        fill(tmp_path, [], labels_csv=text.replace("7.png,bee,test", f"7.png,bee,{odd}"))
        with pytest.raises(UserError, match=f"the column split has '{odd}'; needs train, val or test in each line"):
            list_pictures(tmp_path)


def test_a_column_for_each_class(tmp_path: Path) -> None:
    """As Plant Pathology 2020 and ISIC 2018 are published, with a table of the pictures to be predicted."""
    paths = [*names("images/Train_{}.jpg", *range(3)), *names("images/Test_{}.jpg", *range(2))]
    table = "image_id,rust,scab\nTrain_0,0,1\nTrain_1,1.0,0.0\nTrain_2,0,1\n"
    fill(tmp_path, paths, train_csv=table, test_csv="image_id\nTest_0\nTest_1\n")
    listing = list_pictures(tmp_path)
    assert [one.class_name for one in listing] == ["scab", "rust", "scab"]
    assert "label the columns of the classes" in listing.layout
    fill(tmp_path, [], train_csv=table.replace("Train_2,0,1", "Train_2,1,1"))
    with pytest.raises(UserError, match="say splits"):
        list_pictures(tmp_path)


def test_a_table_names_pictures_of_its_own_split_first(tmp_path: Path) -> None:
    """Where those to be predicted have the same numbers."""
    paths = [*names("train_images/{}.png", *range(3)), *names("test_images/{}.png", *range(3))]
    fill(tmp_path, paths, train_csv="id,label\n0,a\n1,b\n2,b\n", test_csv="id\n0\n1\n2\n")
    assert {one.path: one.class_name for one in list_pictures(tmp_path)} == {
        "train_images/0.png": "a",
        "train_images/1.png": "b",
        "train_images/2.png": "b",
    }


@pytest.mark.parametrize(
    "cells, note",
    [("img/{}.jpg", "another suffix"), ("{}.jpeg", "another suffix"), ("{}.png", ""), ("{}", "zeros before them")],
)
def test_names_that_are_not_quite_those_of_the_pictures(tmp_path: Path, cells: str, note: str) -> None:
    fill(tmp_path, ["img/07.PNG", "img/08.PNG", "img/10.PNG"])
    numbers = (7, 8, 10) if cells == "{}" else ("07", "08", "10")
    lines = "".join(f"{cells.format(number)},{label}\n" for number, label in zip(numbers, "aba", strict=True))
    listing = list_pictures(fill(tmp_path, [], labels_csv="image,label\n" + lines))
    assert [one.class_name for one in listing] == ["a", "b", "a"]
    assert said(listing, note or "another suffix")


def test_pictures_that_a_table_names_and_that_are_not_there_are_counted(tmp_path: Path) -> None:
    fill(tmp_path, ["a/1.png", "b/1.png", "a/2.png"], labels_csv="path,label\na/1.png,x\nc/5.png,y\na/3.png,x\na/2.png,y\n")
    with pytest.raises(UserError, match=r"line 3: no such file .* 'c/5.png'; so it is in 2 of 4 lines; add .*, or remove"):
        list_pictures(tmp_path)
    fill(tmp_path, [], labels_csv="path,label\n1,x\n2,y\n")
    with pytest.raises(
        UserError, match=r"line 2: two pictures of this name: '1' may be 'a/1.png' and 'b/1.png'; write the path"
    ):
        list_pictures(tmp_path)


def test_the_splits_of_the_folders_are_kept(tmp_path: Path) -> None:
    paths = ["train/a/1.png", "train/b/2.png", "test/a/3.png", "test/b/4.png"]
    table = "path,label\n" + "".join(f"{path},{path.split('/')[1]}\n" for path in paths)
    listing = list_pictures(fill(tmp_path, paths, labels_csv=table))
    assert {one.path: (one.split, one.class_name) for one in listing} == {
        "train/a/1.png": ("train", "a"),
        "train/b/2.png": ("train", "b"),
        "test/a/3.png": ("test", "a"),
        "test/b/4.png": ("test", "b"),
    }


def test_a_table_a_split(tmp_path: Path) -> None:
    train, test = rows("image,label", "{number}.png,{label}", 6), "image,label\n6.png,ant\n7.png,bee\n"
    listing = list_pictures(fill(tmp_path, two("pictures/{}.png"), train_csv=train, test_csv=test))
    assert counts(listing) == {("train", "ant"): 3, ("train", "bee"): 3, ("test", "ant"): 1, ("test", "bee"): 1}


def test_two_tables_of_the_same_pictures_are_refused(tmp_path: Path) -> None:
    table = rows("path,label", "{number}.png,{label}")
    fill(tmp_path, two("{}.png"), one_csv=table, two_csv=table, sample_submission_csv=table)
    with pytest.raises(UserError, match=r"two tables name pictures and labels: 'one\.csv', 'two\.csv'; keep one, or call"):
        list_pictures(tmp_path)
    (tmp_path / "one.csv").rename(tmp_path / "labels.csv")
    assert said(list_pictures(tmp_path), "not looked at, as labels.csv says the classes: 'two.csv'")


def test_a_table_of_a_few_pictures_in_folders_of_classes_is_refused_with_both_commands(tmp_path: Path) -> None:
    fill(tmp_path, two("a/{}.png") + two("b/b{}.png"), odd_csv="path,label\na/0.png,dark\nb/b1.png,light\n")
    with pytest.raises(
        UserError, match=r"odd\.csv names 2 of 16 pictures, .*: `dvc .*class_depth=1` or `dvc .*label_column=label`"
    ):
        list_pictures(tmp_path)
    assert list_pictures(tmp_path, class_depth=1).classes == ["a", "b"]
    assert list_pictures(tmp_path, Columns(label="label")).classes == ["dark", "light"]


def test_a_table_that_names_two_pictures_of_one_name_is_refused(tmp_path: Path) -> None:
    fill(tmp_path, ["p/a/1.png", "p/b/1.png", "p/c/2.png"], all_csv="file,label\n2.png,x\n1.png,y\n")
    with pytest.raises(UserError, match=r"all\.csv: line 3: two pictures of this name: '1\.png'"):
        list_pictures(tmp_path)


def roboflow(number: int) -> str:
    """Three copies of each picture."""
    return f"flag-{number // 3}_jpg.rf.{DIGITS[:24]}{number:08}.jpg"


def test_annotations_of_roboflow_and_its_copies_are_groups(tmp_path: Path) -> None:
    header = "filename,width,height,class,xmin,ymin,xmax,ymax\n"
    texts = {}
    for split, numbers in (("train", range(12)), ("valid", range(30, 34)), ("test", range(60, 64))):
        fill(tmp_path, [f"{split}/{roboflow(number)}" for number in numbers])
        lines = [f"{roboflow(number)},9,9,{('ant', 'bee')[number % 2]},1,1,5,5\n" for number in numbers]
        texts[f"{split}___annotations_csv"] = header + "".join(lines)
    listing = list_pictures(fill(tmp_path, [], **texts))
    assert counts(listing) == {("train", "ant"): 8, ("train", "bee"): 8, ("test", "ant"): 2, ("test", "bee"): 2}
    assert {one.group for one in listing if one.split == "train"} == {
        f"flag-{number}_jpg"[:-4] for number in (0, 1, 2, 3, 10, 11)
    }
    assert said(listing, "copies that Roboflow made of one picture (NAME.rf.HASH) are one group")
    several = texts["train___annotations_csv"] + f"{roboflow(0)},9,9,ant,1,1,5,5\n"
    with pytest.raises(
        UserError, match=r"needs each picture once, found .* again; a line for each object is no class of the pict"
    ):
        list_pictures(fill(tmp_path, [], train___annotations_csv=several))


def test_one_hot_classes_of_roboflow(tmp_path: Path) -> None:
    text = "filename, ant, bee\n" + "".join(f"{number}.jpg, {1 - number % 2}, {number % 2}\n" for number in range(8))
    assert counts(list_pictures(fill(tmp_path, two("train/{}.jpg"), train___classes_csv=text))) == {
        ("train", "ant"): 4,
        ("train", "bee"): 4,
    }
    with pytest.raises(UserError, match=r"line 9: needs one class of the picture, found 2: 'ant', 'bee'"):
        list_pictures(fill(tmp_path, [], train___classes_csv=text.replace("7.jpg, 0, 1", "7.jpg, 1, 1")))


def test_groups_by_a_column(tmp_path: Path) -> None:
    text = "path,label,patient\n" + "".join(f"{number}.png,{'ab'[number % 2]},p{number // 2}\n" for number in range(8))
    listing = list_pictures(fill(tmp_path, two("{}.png"), labels_csv=text), Columns(group="patient"))
    assert [one.group for one in listing] == ["p0", "p0", "p1", "p1", "p2", "p2", "p3", "p3"]
    with pytest.raises(UserError, match=r"needs the column 'doctor', found 'path, label, patient'"):
        list_pictures(tmp_path, Columns(group="doctor"))


def test_a_picture_without_a_group_is_one_by_itself(tmp_path: Path) -> None:
    text = "path,label,patient\n" + "".join(f"{number}.png,{'ab'[number % 2]},{'p' * (number < 2)}\n" for number in range(8))
    listing = list_pictures(fill(tmp_path, two("{}.png"), labels_csv=text), Columns(group="patient"))
    assert [one.group for one in listing] == ["p", "p", *(f"{number}.png" for number in range(2, 8))]
    assert said(listing, "7 groups, none of which is divided when a split is cut; 6 pictures are each a group of their own")


def test_groups_by_a_pattern_and_names_that_look_like_tracks(tmp_path: Path) -> None:
    paths = [f"{name}/{track:05}_{number:05}.jpg" for name in "ab" for track in range(3) for number in range(4)]
    plain = list_pictures(fill(tmp_path, [*paths, "a/other.jpg"]))
    assert plain.group_of is None
    assert said(plain, "the names look like 6 tracks or series, such as 'a/00000' with 4 pictures; if so, ")
    (note,) = [one for one in plain.notes if "tracks" in one]
    pattern = note.partition("group_pattern='")[2].partition("'")[0]
    listing = list_pictures(tmp_path, group_pattern=pattern)
    assert Counter(one.group for one in listing) == {f"{name}/{track:05}": 4 for name in "ab" for track in range(3)} | {
        "a/other.jpg": 1
    }
    assert said(listing, "7 groups, none of which is divided when a split is cut; 1 pictures are each a group of their own")
    with pytest.raises(UserError, match=r"group_pattern '\(x\+\)y' is found in no path"):
        list_pictures(tmp_path, group_pattern="(x+)y")


def test_a_group_on_both_sides_of_given_splits_is_said(tmp_path: Path) -> None:
    paths = ["train/a/1_1.png", "train/b/2_1.png", "test/a/1_2.png", "test/b/3_1.png"]
    listing = list_pictures(fill(tmp_path, paths), group_pattern="/([0-9])_")
    assert said(listing, "1 groups have pictures to train on and to test on, such as '1'")


def test_pointers_of_git_lfs_are_named(tmp_path: Path) -> None:
    for path in ("a/1.jpg", "b/1.jpg"):
        fill(tmp_path, [path])
        (tmp_path / path).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12345\n")
    with pytest.raises(UserError, match=r"'a/1\.jpg' is a pointer of Git LFS, not the picture; run `git lfs pull` in its"):
        list_pictures(tmp_path)


def test_formats_that_are_not_read_are_named_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"no picture of the class 'b': .*; found are 2 \.heic, 1 \.xml; read are \.bmp, \.gif, \.jf"
    ):
        list_pictures(fill(tmp_path / "one", ["a/1.png", "b/1.heic", "b/2.HEIC", "b/1.xml"]))
    with pytest.raises(UserError, match=r"found none: .*'train\.zip': unpack it, or name it, as `-S source=.*/two/train\.zip`"):
        list_pictures(fill(tmp_path / "two", ["train.zip", "note.txt"]))
    assert (
        len(list_pictures(fill(tmp_path / "three", [f"{name}/1.{end}" for name in "ab" for end in ("pgm", "TIF", "gif")]))) == 6
    )


@pytest.mark.parametrize("with_table", [False, True])
def test_a_listing_holds_at_most_300_bytes_a_picture(tmp_path: Path, with_table: bool) -> None:
    """Of 20,000, with names of 38 characters, at the peak; some 60 of them are the name."""
    paths = [f"train/class_{number % 50:03}/picture_{number:07}_{number:05}.jpg" for number in range(20_000)]
    for path in paths[:50]:
        (tmp_path / path).parent.mkdir(parents=True)
    for path in paths:
        os.close(os.open(tmp_path / path, os.O_CREAT))
    if with_table:
        lines = [f"{path},{path[6:15]}\n" for path in paths]
        (tmp_path / "labels.csv").write_text("path,label\n" + "".join(lines))
        del lines
    tracemalloc.start()
    try:
        listing = list_pictures(tmp_path)
        assert sum(1 for _ in listing) == 20_000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 300 * 20_000


def test_classes_of_few_pictures_are_named_before_anything_is_cut(tmp_path: Path) -> None:
    fill(
        tmp_path, [*names("train/a/{}.png", *range(3)), *names("train/b/{}.png", *range(2)), *names("test/b/{}.png", *range(9))]
    )
    lines = [line for line in listing_lines(list_pictures(tmp_path), "x") if "fewer than" in line]
    assert lines == [
        "fewer than 3 pictures to train on, maybe too few to cut a split from: 'b (2)'; add some, or set val_fraction to 0"
    ]


def test_a_class_of_one_picture_is_named_where_a_test_split_must_be_cut(tmp_path: Path) -> None:
    fill(tmp_path, [*names("a/{}.png", *range(9)), *names("b/{}.png", *range(9)), "c/0.png"])
    lines = [line for line in listing_lines(list_pictures(tmp_path), "x") if "one picture" in line or "fewer" in line]
    assert len(lines) == 1
    assert "only one picture, which cannot be both trained on and tested on, in 'c'" in lines[0]


def test_files_called_after_splits_are_no_classes(tmp_path: Path) -> None:
    """As those of Plant Pathology 2020, whose classes are in a table."""
    fill(tmp_path, [*names("images/Train_{}.jpg", *range(4)), *names("images/Test_{}.jpg", *range(2))])
    with pytest.raises(UserError, match=r"in 'images' say splits \('Test', 'Train'\) and no classes; needs folders"):
        list_pictures(tmp_path)


@pytest.mark.parametrize(
    "paths",
    ["images/{}.png masks/{}.png", "train/Images/{}.png train/GT/{}_mask.png", "data/image/{}.jpg data/ground_truth/{}.png"],
)
def test_pictures_and_their_masks_are_no_classes(tmp_path: Path, paths: str) -> None:
    """As sets to find outlines are published. Faces with and without a mask are classes."""
    fill(tmp_path / "a", [path for pattern in paths.split() for path in names(pattern, *range(3))])
    with pytest.raises(UserError, match=r"look like pictures and their masks.* say `.*class_depth=[12]`"):
        list_pictures(tmp_path / "a")
    fill(tmp_path / "b", [*names("with_mask/{}.png", 0, 1), *names("without_mask/{}.png", 0)])
    assert list_pictures(tmp_path / "b").classes == ["with_mask", "without_mask"]


def test_masks_that_are_a_class_after_all(tmp_path: Path) -> None:
    fill(tmp_path, [*names("images/{}.png", *range(3)), *names("masks/{}.png", *range(3))])
    assert list_pictures(tmp_path, class_depth=1).classes == ["images", "masks"]


def test_one_class_to_train_on_is_refused(tmp_path: Path) -> None:
    """As in MVTec AD, where only the test split has defects."""
    fill(tmp_path, ["train/good/0.png", "train/good/1.png", "test/good/2.png", "test/broken/3.png"])
    with pytest.raises(UserError, match="needs pictures of two classes or more to train on, found only 'good' there"):
        list_pictures(tmp_path)


def test_classes_that_may_be_the_same_or_several_are_said(tmp_path: Path) -> None:
    """Capital and small letters of an alphabet are classes; `A/B test` is a name."""
    table = "path,label\n0.png,Cat\n1.png,cat\n2.png,dog\n3.png,cat|dog\n4.png,a\n5.png,A\n6.png,A/B test\n"
    listing = list_pictures(fill(tmp_path, names("{}.png", *range(7)), labels_csv=table))
    assert len(listing.classes) == 7
    assert said(listing, "'Cat' and 'cat' are two classes here (1 such)")
    assert said(listing, "'cat|dog' is a class of its own here (1 such)")


def test_names_that_windows_numbers(tmp_path: Path) -> None:
    listing = list_pictures(fill(tmp_path, ["cat (1).jpg", "cat (2).jpg", "tom cat(1).jpg", "dog (10).jpg"]))
    assert counts(listing) == {("train", "cat"): 2, ("train", "tom cat"): 1, ("train", "dog"): 1}


def test_a_page_s_pictures_beside_the_classes_are_left_out_and_said(tmp_path: Path) -> None:
    """As in a repository with a drawing beside its data; where they are many, each may be a picture that lacks its class."""
    fill(tmp_path, [*names("a/{}.png", *range(100)), *names("b/{}.png", *range(99)), "plot.jpg"])
    listing = list_pictures(tmp_path)
    assert counts(listing) == {("train", "a"): 100, ("train", "b"): 99}
    assert said(listing, "left out, as they lie beside the folders of the classes: 'plot.jpg'")
    fill(tmp_path, ["1.png", "2.png"])
    with pytest.raises(UserError, match=r"'1\.png' lies beside the folders of the classes, so it has none \(3 such\)"):
        list_pictures(tmp_path)


def test_classes_in_one_folder_beside_another_with_pictures_are_refused(tmp_path: Path) -> None:
    """Data/0 … Data/9 beside Examples/1.png: taken as they lie, there would be two classes, Data and Examples."""
    fill(tmp_path, [*names("Data/{}/1.png", *range(10)), "Examples/1.png", "Examples/2.png"])
    with pytest.raises(UserError, match=r"the classes may be 'Data', 'Examples', or the folders in 'Data', '0', '1'") as caught:
        list_pictures(tmp_path)
    assert str(caught.value).endswith(f"-S class_depth=1` or `dvc exp run -S dataset=folder -S source={tmp_path}/Data`")
    assert len(list_pictures(tmp_path, class_depth=1).classes) == 2
    assert len(list_pictures(tmp_path / "Data").classes) == 10


def test_a_folder_of_code_is_no_class_and_the_data_are_pointed_at(tmp_path: Path) -> None:
    paths = [f"data/{split}/{name}/{number}.png" for split in ("train", "test") for name in "ab" for number in range(2)]
    fill(tmp_path, [*paths, "code/run.py"])
    with pytest.raises(UserError, match=rf"found pictures only in 'data'; is it `dvc exp run .*source={tmp_path}/data`\?$"):
        list_pictures(tmp_path)
    fill(tmp_path, ["web/1.png", "web/2.png"])
    with pytest.raises(UserError, match=rf"or the folders in 'data', .* or `dvc exp run .*source={tmp_path}/data`$"):
        list_pictures(tmp_path)
    assert len(list_pictures(tmp_path / "data").classes) == 2


def test_a_table_that_names_pictures_but_no_known_label_is_shown_with_its_columns(tmp_path: Path) -> None:
    lines = "".join(f"{number % 3},{number}.png,{['sad', 'glad'][number % 2]},{number}\n" for number in range(12))
    fill(tmp_path, names("pictures/{}.png", *range(12)), data__legend_csv="user,image,mood,note\n" + lines)
    fill(tmp_path, ["code/run.py"])
    with pytest.raises(
        UserError, match=r" say them: data/legend\.csv names pictures, whose class may be `.*=user` or `.*=mood`$"
    ):
        list_pictures(tmp_path)
    assert list_pictures(tmp_path, Columns(label="mood")).classes == ["glad", "sad"]


def test_a_list_of_three_cells_with_spaces_between_them(tmp_path: Path) -> None:
    """A path, a probability and a kind, as of solar cells: which is the class, only the person knows."""
    lines = "".join(f"p/{number}.png   {number % 2}.0   {['mono', 'poly'][number // 4]}\n" for number in range(8))
    fill(tmp_path, names("p/{}.png", *range(8)), labels_csv=lines)
    with pytest.raises(UserError, match=r"labels\.csv: line 1: needs path,label, .* `.*column 2'.*` or `.*column 3'.*`$"):
        list_pictures(tmp_path)
    assert counts(list_pictures(tmp_path, Columns(label="column 3"))) == {("train", "mono"): 4, ("train", "poly"): 4}
    assert list_pictures(tmp_path, Columns(label="column 2")).classes == ["0.0", "1.0"]


def test_masks_beside_the_pictures_are_said(tmp_path: Path) -> None:
    fill(tmp_path, [f"{name}/{number}.{suffix}" for name in "ab" for number in range(3) for suffix in ("jpg", "png")])
    assert said(list_pictures(tmp_path), "6 names occur with two suffixes, as 'a/0.jpg' and 'a/0.png'; if one is a mask")


def test_deep_classes_of_one_name_are_called_by_their_folders_without_the_wrapper(tmp_path: Path) -> None:
    fill(tmp_path, ["set/Greek/c1/1.png", "set/Latin/c1/1.png", "set/Latin/c2/1.png"])
    assert list_pictures(tmp_path, class_depth=3).classes == ["Greek/c1", "Latin/c1", "Latin/c2"]


def test_cells_with_blanks_around_them(tmp_path: Path) -> None:
    table = 'path , label, split\n0.png, cat , train\n 1.png ,dog,train\n2.png, "cat", test \n'
    listing = list_pictures(fill(tmp_path, names("{}.png", 0, 1, 2), labels_csv=table))
    assert [(one.class_name, one.split) for one in listing] == [("cat", "train"), ("dog", "train"), ("cat", "test")]


def test_a_table_that_is_not_utf_8_is_named_where_its_columns_are_given(tmp_path: Path) -> None:
    (fill(tmp_path, names("{}.png", 0, 1)) / "t.csv").write_bytes("where,what\n0.png,caf\xe9\n1.png,bar\n".encode("latin-1"))
    with pytest.raises(UserError, match=r"t\.csv: not readable as CSV: needs UTF-8, found the byte 0xe9; save it as UTF-8"):
        list_pictures(tmp_path, Columns(path="where", label="what"))
