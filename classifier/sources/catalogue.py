"""The catalogue of known data sets: for each file its name, size, checksum and addresses."""

import difflib
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from classifier.common.errors import MAX_SHOWN, UserError, short_repr
from classifier.common.params import read_yaml
from classifier.images.schema import OWN, ClassNames, PlainName, PublishedFormat, check_roles

Address = Annotated[str, Field(pattern=r"^(https?://[^\s]+|package:[A-Za-z0-9_]+(/[A-Za-z0-9_][A-Za-z0-9._-]*)+)$")]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


class RemoteFile(_Strict):
    """One file and where it can be had: `urls` in order of preference, `size` in bytes, `md5` in lower-case hexadecimal."""

    name: PlainName
    size: int = Field(ge=1)
    md5: str = Field(pattern=r"^[0-9a-f]{32}$")
    urls: list[Address] = Field(min_length=1)

    @property
    def packaged(self) -> bool:
        """Whether the file ships inside an installed Python package, so that no host and no mirror is asked for it."""
        return self.urls[0].startswith("package:")

    @property
    def algorithm(self) -> Literal["MD5"]:
        """Of `digest`."""
        return "MD5"

    @property
    def digest(self) -> str:
        """That of the content, which is checked."""
        return self.md5


class CataloguedDataset(_Strict):
    """One data set; label k of an image means `classes[k]`, and `files` maps each role of `format` to its file.

    `hflip_invariant`: whether the mirror image of any of its images shows the same class. `license`: as model hubs spell it,
    None where the source states none.
    """

    title: str = Field(min_length=1)
    reference: str = Field(min_length=1)
    license: str | None = Field(default=None, pattern=r"^[a-z0-9][a-z0-9.-]*$")
    format: PublishedFormat
    classes: ClassNames
    hflip_invariant: bool
    files: dict[str, RemoteFile]

    @model_validator(mode="after")
    def has_the_roles_of_its_format(self) -> Self:
        """Each role once, and no other."""
        check_roles(self.format, list(self.files))
        return self

    @model_validator(mode="after")
    def names_differ(self) -> Self:
        """All files land in one folder, beside raw.json; on some systems names that differ only in case are the same."""
        seen = {"raw.json"}
        for role, file in self.files.items():
            if file.name.lower() in seen:
                raise ValueError(f"files.{role}.name {file.name!r} is taken; each file needs a name of its own")
            seen.add(file.name.lower())
        return self


_CATALOGUE = TypeAdapter(dict[PlainName, CataloguedDataset])


def load_catalogue(path: Path) -> dict[str, CataloguedDataset]:
    """All data sets of the catalogue at `path`, by name. Raises UserError with the file, the entry and the field."""
    if not path.exists():
        raise UserError(f"{path}: no such file; `source` in params.yaml names the catalogue, which is catalogue.yaml at first")
    try:
        datasets = _CATALOGUE.validate_python(read_yaml(path))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part)[:MAX_SHOWN] for part in first["loc"])
        if first["type"] == "value_error":
            raise UserError(f"{path}: {where}: {first['ctx']['error']}") from None
        raise UserError(f"{path}: {where}: {first['msg']}, got {short_repr(first['input'])}") from None
    for name in OWN:
        if name in datasets:
            raise UserError(f"{path}: {name}: needs another name: `dataset: {name}` means your own images")
    return datasets


def load_dataset(path: Path, name: str) -> CataloguedDataset:
    """The data set `name` of the catalogue at `path`. Raises UserError with the known names and the nearest one."""
    datasets = load_catalogue(path)
    if name not in datasets:
        nearest = difflib.get_close_matches(name, datasets, n=1, cutoff=0.5)
        hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
        raise UserError(f"{path}: no data set named {short_repr(name)}; it has {', '.join(sorted(datasets))}{hint}")
    return datasets[name]
