"""What files are, as people write it: under `files` of a pipeline, or by options. Nothing here imports Arrow."""

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from tablekeep.engine.copies.document import KindText


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)


def _character(value: object) -> object:
    if value == "tab":
        return "\t"
    return value


Character = Annotated[str, BeforeValidator(_character), Field(min_length=1, max_length=1)]
ColumnName = Annotated[str, Field(min_length=1, max_length=255, examples=["id"])]


class FileColumn(_Model):
    """One column."""

    name: ColumnName
    """Its name; in CSV without a header the columns come in the order of the file."""
    type: KindText = "text"
    """As in a copy's mapping: text, integer, bigint, numeric, numeric(p,s), double, boolean, bytes (base64), json, date, time, timestamp,
    timestamptz, uuid. A value that is none is a bad row."""


class BadRows(_Model):
    """What becomes of a row that is not what it should be: too many fields, broken quotes, a value of another type, no key."""

    to: Literal["fail", "reject"] = "fail"
    """fail: there is no backup · reject: file, line and reason are written beside the backup, and the row is left out."""
    most: Annotated[int, Field(ge=0, le=1_000_000_000, examples=[100])] = 0
    """With reject: so many at most, else there is no backup."""

    @model_validator(mode="after")
    def _most_of_rejects(self) -> "BadRows":
        if self.most and self.to != "reject":
            raise ValueError("most goes with to: reject")
        return self


class Files(_Model):
    """Which files under the prefix, and how they are written. What is compressed with gzip is read so."""

    format: Literal["csv", "json", "parquet"]
    """csv · json: one object a line · parquet."""
    pattern: Annotated[str, Field(min_length=1, max_length=200, examples=["*.csv.gz"])] = "*"
    """Names of files, with * and ?; those that begin with _ or a point are never read."""
    columns: list[FileColumn] = Field(default=[])
    """Columns and their types. Without them CSV takes the names from its header, and types are derived from a sample."""
    header: bool = True
    """csv: the first line of each file has the names."""
    delimiter: Character = ","
    """csv: between fields; tab for a tabulator."""
    quote: Character = '"'
    """csv: around a field; twice inside of one for itself."""
    escape: Character | None = None
    """csv: makes the next character plain."""
    null: Annotated[str, Field(max_length=20, examples=["\\N"])] = ""
    """csv: the field that is NULL."""

    @model_validator(mode="after")
    def _agrees(self) -> "Files":
        names = [one.name for one in self.columns]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two columns have the name {twice[0]}")
        if self.format == "csv" and not self.header and not self.columns:
            raise ValueError("csv without a header needs columns")
        given = self.model_fields_set & {"header", "delimiter", "quote", "escape", "null"}
        if self.format != "csv" and given:
            raise ValueError(f"{sorted(given)[0]} is for csv")
        if self.delimiter in (self.quote, self.escape) or self.quote == self.escape:
            raise ValueError("delimiter, quote and escape must differ")
        return self
