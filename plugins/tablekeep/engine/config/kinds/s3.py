"""`kind: s3`: files that others write under a prefix, their backups and all that is done with them."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from tablekeep.engine.config.model import AnyBackup
from tablekeep.engine.config.sets import SetPipeline
from tablekeep.engine.config.values import FilledS3, TableName
from tablekeep.engine.files.description import BadRows, Files


class FilesPipeline(SetPipeline):
    """CSV, JSON lines or Parquet that others write under a prefix of S3, their backups and all that is done with them."""

    kind: Literal["s3"]
    """The family of templates."""
    source: FilledS3
    """The prefix of the files; {{ as_of }}, {{ window_start }} and {{ window_end }} are filled in for each run."""
    table: TableName
    """How the backups are called, as a table would be."""
    files: Files
    """Which files, and how they are written."""
    key: list[Annotated[str, Field(min_length=1, max_length=255, examples=["id"])]] = []
    """Columns that tell rows apart; without them rows are numbered."""
    bad_rows: BadRows = BadRows()
    """Rows that are not what they should be."""
    backup: AnyBackup
    """The backup's DAG."""

    @model_validator(mode="after")
    def _key_is_declared(self) -> "FilesPipeline":
        names = {one.name for one in self.files.columns}
        missing = [name for name in self.key if name not in names]
        if missing and (names or self.files.format == "json") and self.files.format != "parquet":
            raise ValueError(f"the key's column {missing[0]} is not among files.columns")
        return self

    @property
    def subject(self) -> str:
        return f"the files of {self.table}"

    @property
    def tag(self) -> str:
        return f"table:{self.table}"


PIPELINE = FilesPipeline
