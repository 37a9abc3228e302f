"""Stage `download`: the catalogue -> data/raw/ (the files of one data set, every byte checked, and raw.json)."""

import os
import shutil
from pathlib import Path

from classifier.catalogue import CataloguedDataset, load_dataset
from classifier.fetch import MIRROR_VARIABLE, fetch_all
from classifier.files import replacing_folder, write_json
from classifier.params.download import DownloadParams
from classifier.schema import RawDescription
from stages.runner import run_stage


def main(params: DownloadParams, root: Path = Path()) -> None:
    """Fetch what the store lacks, then fill data/raw/ whole."""
    dataset = load_dataset(root / params.source, params.dataset)
    paths = fetch(params.dataset, dataset, root)
    with replacing_folder(root / "data/raw") as folder:
        for role, file in dataset.files.items():
            # A copy, not a link: DVC may make the files of data/raw/ read-only, or replace them.
            with paths[role].open("rb") as stored, (folder / file.name).open("wb") as raw:
                shutil.copyfileobj(stored, raw)
        description = RawDescription(
            dataset=params.dataset,
            format=dataset.format,
            classes=dataset.classes,
            files={role: file.name for role, file in dataset.files.items()},
        )
        write_json(folder / "raw.json", description.model_dump())


def fetch(name: str, dataset: CataloguedDataset, root: Path) -> dict[str, Path]:
    """Bring the files of the data set `name` into the store; return their paths by role.

    The store is in the state folder of DVC, because DVC empties data/raw/ before each attempt. $DVC_ROOT is the repository also
    when an experiment runs in a temporary copy of it.
    """
    store = Path(os.environ.get("DVC_ROOT") or root) / ".dvc/tmp/downloads"
    return fetch_all(name, dataset.files, store, os.environ.get(MIRROR_VARIABLE))


if __name__ == "__main__":
    run_stage("download", main, DownloadParams)
