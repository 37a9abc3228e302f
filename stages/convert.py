"""Stage `convert`: data/raw -> data/csv/{train,test}.csv, data/csv/schema.json."""

from collections.abc import Iterable
from pathlib import Path

from classifier.blocks import Block
from classifier.digits import is_test_row, read_digits
from classifier.files import read_json, replacing_folder, write_json
from classifier.idx import read_idx
from classifier.params.convert import ConvertParams
from classifier.resize import resized
from classifier.schema import RawDescription, TableSchema, TableSplit
from classifier.table_writer import write_table
from stages.runner import run_stage


def main(params: ConvertParams, root: Path = Path()) -> None:
    """Write the tables of both splits, with every image brought to `params.image_size`."""
    raw = root / "data/raw"
    description = read_json(raw / "raw.json", RawDescription)
    shape_CHW = (1, params.image_size, params.image_size)  # all formats so far are grey
    with replacing_folder(root / "data/csv") as folder:
        rows = {
            split: write_table(folder / f"{split}.csv", params.image_size**2, resized(blocks, params.image_size))
            for split, blocks in _read_raw(raw, description).items()
        }
        schema = TableSchema(dataset=description.dataset, classes=description.classes, shape_CHW=shape_CHW, rows=rows)
        write_json(folder / "schema.json", schema.model_dump(mode="json"))


def _read_raw(raw: Path, description: RawDescription) -> dict[TableSplit, Iterable[Block]]:
    """The blocks of each split, at the size they were published in."""
    files, num_classes = description.files, len(description.classes)
    if description.format == "idx":
        return {
            "train": read_idx(raw / files["train_images"], raw / files["train_labels"], num_classes),
            "test": read_idx(raw / files["test_images"], raw / files["test_labels"], num_classes),
        }
    images_NCHW, labels_N = read_digits(raw / files["images"], num_classes)
    test_N = is_test_row(labels_N)
    return {"train": [(images_NCHW[~test_N], labels_N[~test_N])], "test": [(images_NCHW[test_N], labels_N[test_N])]}


if __name__ == "__main__":
    run_stage("convert", main, ConvertParams)
