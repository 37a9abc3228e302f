"""Stage `build`: data/csv -> data/dataset/{train,val,test}/{images,labels}.npy, data/dataset/dataset.json."""

import shutil
from pathlib import Path

from classifier.arrays import load_split, take_rows, write_split
from classifier.channel_statistics import channel_statistics
from classifier.files import read_json, replacing_folder, write_json
from classifier.params.build import BuildParams
from classifier.schema import DatasetInfo, TableSchema
from classifier.table_reader import read_table
from classifier.validation_split import split_rows
from stages.runner import run_stage


def main(params: BuildParams, root: Path = Path()) -> None:
    """Turn the tables into arrays; cut validation from train; measure what is left of train."""
    tables = root / "data/csv"
    schema = read_json(tables / "schema.json", TableSchema)
    with replacing_folder(root / "data/dataset") as folder:
        _build_split(tables / "test.csv", schema, schema.rows["test"], folder / "test")
        _build_split(tables / "train.csv", schema, schema.rows["train"], folder / "uncut")
        images_NCHW, labels_N = load_split(folder / "uncut")
        train_rows, val_rows = split_rows(labels_N, params.val_fraction, params.seed)
        write_split(folder / "train", len(train_rows), schema.shape_CHW, take_rows(images_NCHW, labels_N, train_rows))
        write_split(folder / "val", len(val_rows), schema.shape_CHW, take_rows(images_NCHW, labels_N, val_rows))
        shutil.rmtree(folder / "uncut")
        mean, std = channel_statistics(load_split(folder / "train")[0])
        info = DatasetInfo(
            dataset=schema.dataset,
            classes=schema.classes,
            shape_CHW=schema.shape_CHW,
            rows={"train": len(train_rows), "val": len(val_rows), "test": schema.rows["test"]},
            mean=mean,
            std=std,
        )
        write_json(folder / "dataset.json", info.model_dump(mode="json"))


def _build_split(table: Path, schema: TableSchema, num_rows: int, folder: Path) -> None:
    blocks = read_table(table, schema.num_pixels, len(schema.classes), num_rows)
    write_split(folder, num_rows, schema.shape_CHW, blocks)


if __name__ == "__main__":
    run_stage("build", main, BuildParams)
