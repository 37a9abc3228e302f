"""A person's own images, which stand in no catalogue: what `dataset` is called then, and what `source` must be."""

from pathlib import Path

from classifier.common.errors import UserError, shown

FOLDER = "folder"
CSV = "csv"
OWN = (FOLDER, CSV)
MIRRORED = {FOLDER: True, CSV: False}
"""Whether a mirror image is taken to show the same class: so of photographs, not of the digits and letters most tables hold."""


def refuse_mismatch(source: Path, dataset: str) -> None:
    """Raise UserError unless `source` is what `dataset` needs: a folder, a table or a folder of tables, or a catalogue."""
    is_folder, is_table = source.is_dir(), source.suffix.lower() == ".csv"
    if dataset == FOLDER and not is_folder:
        needed = "a folder of pictures, such as -S source=/path/to/pictures"
    elif dataset == CSV and not is_folder and not (is_table and source.is_file()):
        needed = "a CSV file, or a folder that has train.csv, such as -S source=/path/to/tables"
    elif dataset not in OWN and is_folder:
        needed = f"the catalogue, such as -S source=catalogue.yaml, or for your own images -S dataset={FOLDER}"
    elif dataset not in OWN and is_table:
        needed = f"the catalogue, such as -S source=catalogue.yaml, or for your own table -S dataset={CSV}"
    else:
        return
    found = "a folder" if is_folder else "a file" if source.is_file() else "nothing there"
    raise UserError(f"{source}: found {found}; dataset {shown(dataset)} needs as source {needed}")


def refuse_in_vain(dataset: str, needed: tuple[str, ...], **values: object) -> None:
    """Raise ValueError for the first of `values` that is set although `dataset` is not one of the `needed`."""
    for name, value in values.items():
        if value is not None and dataset not in needed:
            wanted = " or ".join(f"`dataset: {one}`" for one in needed)
            raise ValueError(
                f"{name} has no effect with dataset {shown(dataset)}; write `{name}: null` or {wanted}, got {value}"
            )
