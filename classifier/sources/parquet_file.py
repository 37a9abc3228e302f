"""Pictures in .parquet files, as Hugging Face's `datasets` writes them: a row has the bytes of a picture and its label.

The split stands in the name, as train-00000-of-00001.parquet, or in the folder, as train/0000.parquet. Names of classes are
those of the ClassLabel in the schema. Read in batches of some megabytes, never a file whole. Needs pyarrow, which is optional.
"""

import json
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from classifier.common.errors import UserError, short_message, short_repr
from classifier.images.schema import FOLDER, DatasetSplit
from classifier.sources.files import PARQUET, SourceFiles, check_no_pointer
from classifier.sources.labels import LABEL_NAMES, SPLIT_COLUMNS, Columns, plain_name, split_in_words, split_of_word
from classifier.sources.listing import command, shown

PICTURE_NAMES = ("image", "img", "picture", "photo")
BATCH_BYTES = 2**23
MAX_BATCH = 64
LABEL_ROWS = 2**16
BUFFER_BYTES = 2**20
UNLABELLED = -1
"""What Hugging Face writes for a picture without a label."""


@dataclass
class Shard:
    """A file: the columns that are used, and its rows."""

    name: str
    """Its path from the source, with slashes."""
    path: Path
    split: DatasetSplit
    picture: str
    is_struct: bool
    """Whether a picture is a struct of `bytes`, mostly with a `path`."""
    has_paths: bool
    label: str | None
    class_names: list[str] | None
    split_column: str | None
    num_rows: int
    batch_rows: int


@dataclass
class _Found:
    """Columns of the labels, splits and groups, a number for each picture."""

    class_of: "array[int]" = field(default_factory=lambda: array("i"))
    splits: list[DatasetSplit] = field(default_factory=list)
    group_of: "array[int]" = field(default_factory=lambda: array("i"))


class ParquetFiles(SourceFiles):
    """The pictures of all rows that have a label: their paths are FILE/ROW/NAME, where the row has a name."""

    def __init__(self, source: Path, names: list[str], columns: Columns) -> None:
        """`names` are paths from `source`; for a file that is the source itself, the empty one."""
        super().__init__(source)
        self.notes: list[str] = []
        self.class_numbers: dict[str, int] = {}
        self.group_numbers: dict[str, int] = {}
        self.columns = columns
        self.shards = self._opened(names)
        self.found = _Found()
        for shard in self.shards:
            self._take(shard)
        self._current: Shard | None = None
        self._batches: Iterator[list[bytes | None]] = iter(())
        self._batch: list[bytes | None] = []
        self._start = 0
        """The row at which `_batch` begins."""

    @property
    def layout(self) -> str:
        """In words, what was taken for what."""
        first = self.shards[0]
        parts = [f"pictures are the column {first.picture}, labels {first.label}"]
        parts += [f"split {first.split_column}"] if first.split_column else []
        parts += [f"group {self.columns.group}"] if self.columns.group else []
        number = f"{len(self.shards)} .parquet files" if len(self.shards) > 1 else "a .parquet file"
        return f"{number} ({', '.join(parts)})"

    # --- columns ---

    def _opened(self, names: list[str]) -> list[Shard]:
        splits = {name: split_of_file(name) for name in names}
        if any(splits.values()):
            left = [name for name, split in splits.items() if split is None]
            if left:
                self.notes.append(f"left out, as their names have no split (train, validation, test): {shown(left)}")
            names = [name for name in names if splits[name]]
        folders = sorted({_set_folder(name) for name in names if splits[name] in (None, "train")})
        if len(folders) > 1:
            commands = " or ".join(f"`{command(FOLDER, self.source / folder, {})}`" for folder in folders[:3])
            raise UserError(f"{self.source}: {shown(folders)} may be data sets of their own; say which: {commands}")
        shards = [self._shard(name, splits[name] or "train") for name in names]
        unlabelled = [shard.name for shard in shards if shard.label is None]
        if unlabelled:
            self.notes.append(f"left out, as they have no column of labels: {shown(unlabelled)}")
        return [shard for shard in shards if shard.label is not None]

    def _shard(self, name: str, split: DatasetSplit) -> Shard:
        path = self.source / name if name else self.source
        check_no_pointer(path)
        with _reading(path), _pyarrow(path).parquet.ParquetFile(path) as file:
            schema, metadata = file.schema_arrow, file.metadata
            features = _features(schema.metadata)
            picture = self._picture_column(path, schema, features)
            label = self._label_column(path, schema, features, split)
            size = sum(metadata.row_group(number).total_byte_size for number in range(metadata.num_row_groups))
            num_rows = metadata.num_rows
        for given in (self.columns.split, self.columns.group):
            if given is not None and given not in schema.names:
                raise UserError(f"{path}: needs the column {short_repr(given)}, found {shown(schema.names, 8)}")
        split_column = self.columns.split
        if split_column is None and split_of_file(name or path.name) is None:
            split_column = next((one for one in schema.names if plain_name(one) in SPLIT_COLUMNS), None)
        return Shard(
            name or path.name,
            path,
            split,
            picture,
            _is_struct(schema.field(picture).type),
            _is_struct(schema.field(picture).type) and any(one.name == "path" for one in schema.field(picture).type),
            label,
            _class_names(features, label),
            split_column,
            num_rows,
            max(1, min(MAX_BATCH, BATCH_BYTES * num_rows // max(size, 1))),
        )

    def _picture_column(self, path: Path, schema: Any, features: dict[str, Any]) -> str:
        held: list[str] = [one.name for one in schema if _is_struct(one.type) or _is_binary(one.type)]
        if self.columns.path is not None:
            if self.columns.path in held:
                return self.columns.path
            raise UserError(
                f"{path}: path_column {short_repr(self.columns.path)} needs to hold the bytes of pictures, as "
                f"{shown(held) or 'no column does'}"
            )
        for some in (
            [name for name in held if _kind(features, name) == "Image"],
            [name for name in held if plain_name(name) in PICTURE_NAMES],
            held,
        ):
            if len(some) == 1:
                return some[0]
            if some:
                raise self._two_readings(path, "pictures", "path_column", some)
        lists = [name for name in schema.names if _kind(features, name) in ("Sequence", "List", "Video")]
        several = f"; {shown(lists)}: several pictures a row are not supported" if lists else ""
        raise UserError(
            f"{path}: needs a column with the bytes of pictures (binary, or a struct with `bytes`), found "
            f"{shown(schema.names, 8)}{several}"
        )

    def _label_column(self, path: Path, schema: Any, features: dict[str, Any], split: DatasetSplit) -> str | None:
        labelled: list[str] = [one.name for one in schema if _is_label(one.type)]
        asked = self.columns.label
        known: list[str] = [name for name in schema.names if plain_name(name) in LABEL_NAMES]
        several = [name for name in ([asked] if asked else known) if name in schema.names and name not in labelled]
        if several:
            raise UserError(
                f"{path}: {short_repr(several[0])}: needs one whole number or name a picture, found "
                f"{schema.field(several[0]).type}: several labels a picture are not supported"
            )
        if asked is not None and asked in labelled:
            return asked
        if asked is None:
            for some in ([name for name in labelled if _kind(features, name) == "ClassLabel"], known):
                if len(some) == 1:
                    return some[0]
                if some:
                    raise self._two_readings(path, "labels", "label_column", some)
        if split != "train":
            return None
        found = f"found {shown(schema.names, 8)}"
        if asked is not None:
            raise UserError(f"{path}: needs the column {short_repr(asked)}, {found}")
        raise UserError(f"{path}: needs a column of labels, {found}; say which: `-S label_column=…`")

    def _two_readings(self, path: Path, what: str, param: str, names: list[str]) -> UserError:
        commands = " or ".join(f"`{command(FOLDER, self.source, {param: name})}`" for name in names[:3])
        return UserError(f"{path}: {shown(names)} may be the {what}; say which: {commands}")

    # --- rows ---

    def _take(self, shard: Shard) -> None:
        """Add the rows of `shard` that have a label. Raises UserError for others to train on."""
        assert shard.label is not None
        name_column = f"{shard.picture}.path" if shard.has_paths else None
        wanted = [shard.label, name_column, shard.split_column, self.columns.group]
        digits, row, num_unlabelled = len(str(shard.num_rows)), 0, 0
        with _reading(shard.path), _pyarrow(shard.path).parquet.ParquetFile(shard.path, buffer_size=BUFFER_BYTES) as file:
            for batch in file.iter_batches(LABEL_ROWS, columns=[name for name in wanted if name], use_threads=False):
                values = {name: batch.column(name).to_pylist() for name in batch.schema.names}
                empty = [None] * batch.num_rows
                structs = values[shard.picture] if shard.has_paths else empty
                for label, struct, split, group in zip(
                    values[shard.label],
                    structs,
                    values[shard.split_column] if shard.split_column else empty,
                    values[self.columns.group] if self.columns.group else empty,
                    strict=True,
                ):
                    row += 1
                    one = self._split_of(shard, row, split)
                    name = self._class_name(shard, row, label)
                    if name is None and one == "train":
                        raise UserError(f"{shard.path}: row {row}: needs a label to train on, found {short_repr(label)}")
                    if name is None:
                        num_unlabelled += 1
                        continue
                    given = PurePosixPath(str((struct or {}).get("path") or "").replace("\\", "/")).name
                    self.pictures.append(f"{shard.name}/{row:0{digits}}" + (f"/{given}" if given else ""))
                    self.found.class_of.append(self.class_numbers.setdefault(name, len(self.class_numbers)))
                    self.found.splits.append(one)
                    number = -1 if group in (None, "") else self.group_numbers.setdefault(str(group), len(self.group_numbers))
                    self.found.group_of.append(number)
        if num_unlabelled:
            self.notes.append(f"{shard.name}: {num_unlabelled} pictures without a label are left out")

    def _split_of(self, shard: Shard, row: int, cell: object) -> DatasetSplit:
        if shard.split_column is None:
            return shard.split
        split = split_of_word(str(cell))
        if split is None:
            raise UserError(
                f"{shard.path}: row {row}, column {shard.split_column}: needs train, val or test, found {short_repr(cell)}"
            )
        return split

    def _class_name(self, shard: Shard, row: int, label: object) -> str | None:
        if label is None or (label == UNLABELLED and shard.class_names):
            return None
        if not shard.class_names:
            return str(label)
        if not isinstance(label, int) or not 0 <= label < len(shard.class_names):
            raise UserError(
                f"{shard.path}: row {row}: needs a label below {len(shard.class_names)}, as the schema has so many names, "
                f"found {short_repr(label)}"
            )
        return shard.class_names[label]

    # --- bytes ---

    def _read(self, path: str, num_bytes: int) -> bytes:
        """Rows come in their order, so that each batch is read once."""
        shard = self._current
        if shard is None or not path.startswith(f"{shard.name}/"):
            shard = next(one for one in self.shards if path.startswith(f"{one.name}/"))
        row = int(path[len(shard.name) + 1 :].partition("/")[0]) - 1
        if shard is not self._current or row < self._start:
            self._current, self._batches, self._batch, self._start = shard, _contents(shard), [], 0
        while row >= self._start + len(self._batch):
            self._start += len(self._batch)
            self._batch = next(self._batches)
        content = self._batch[row - self._start]
        if content is None:
            raise UserError(
                f"{shard.path}: row {row + 1}: needs the bytes of a picture, found none; a path alone leads to a file elsewhere"
            )
        return content[:num_bytes]


def _contents(shard: Shard) -> Iterator[list[bytes | None]]:
    """The bytes of the pictures, batch by batch."""
    column = f"{shard.picture}.bytes" if shard.is_struct else shard.picture
    with (
        _reading(shard.path),
        _pyarrow(shard.path).parquet.ParquetFile(shard.path, buffer_size=BUFFER_BYTES, pre_buffer=False) as file,
    ):
        for batch in file.iter_batches(shard.batch_rows, columns=[column], use_threads=False):
            held = batch.column(0)
            yield (held.field(0) if shard.is_struct else held).to_pylist()


def parquet_names(files: SourceFiles) -> list[str]:
    """Paths of the .parquet files in a folder without pictures; none where there are pictures."""
    return [] if files.pictures else [path for path in files.others if path.lower().endswith(PARQUET)]


def split_of_file(name: str) -> DatasetSplit | None:
    """By the file's name, or by its folder."""
    path = PurePosixPath(name)
    parsed = split_in_words(path.stem)
    return parsed[0] if parsed else split_of_word(path.parent.name)


def _set_folder(name: str) -> str:
    """The folder of the files of one data set, without that of a split."""
    parent = PurePosixPath(name).parent
    return str(parent.parent if split_of_word(parent.name) else parent)


def _pyarrow(path: Path) -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise UserError(
            f"{path}: .parquet needs pyarrow, which is not installed; `sh tools/setup.sh parquet` installs it from "
            "requirements-parquet.txt"
        ) from None
    return pyarrow


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Raise UserError for a file that is damaged."""
    pyarrow = _pyarrow(path)
    try:
        yield
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not a whole .parquet file: {short_message(error)}") from None


def _features(metadata: dict[bytes, bytes] | None) -> dict[str, Any]:
    """What Hugging Face says of each column; empty where nothing is said."""
    try:
        features = json.loads((metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return {}
    return features if isinstance(features, dict) else {}


def _kind(features: dict[str, Any], name: str) -> str | None:
    feature = features.get(name)
    kind = feature.get("_type") if isinstance(feature, dict) else None
    return kind if isinstance(kind, str) else None


def _class_names(features: dict[str, Any], label: str | None) -> list[str] | None:
    if label is None or _kind(features, label) != "ClassLabel":
        return None
    names = features[label].get("names")
    return names if isinstance(names, list) and all(isinstance(name, str) for name in names) else None


def _types() -> Any:
    import pyarrow

    return pyarrow.types


def _is_binary(kind: Any) -> bool:
    return bool(_types().is_binary(kind) or _types().is_large_binary(kind))


def _is_struct(kind: Any) -> bool:
    """Of `bytes`, and maybe a path."""
    return bool(_types().is_struct(kind)) and any(one.name == "bytes" and _is_binary(one.type) for one in kind)


def _is_label(kind: Any) -> bool:
    types = _types()
    kind = kind.value_type if types.is_dictionary(kind) else kind
    return bool(types.is_integer(kind) or types.is_string(kind) or types.is_large_string(kind) or types.is_boolean(kind))
