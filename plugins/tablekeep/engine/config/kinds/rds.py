"""`kind: rds`: a table of PostgreSQL or MySQL, its backups and all that is done with them."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from tablekeep.engine.config.base import Model
from tablekeep.engine.config.model import AnyBackup
from tablekeep.engine.config.sets import SetPipeline
from tablekeep.engine.config.values import ConnectionId, Duration, SqlTable, Timezone

ColumnName = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[^\x00]+$", examples=["updated_at"])]


class SqlMode(Model):
    """Full backups now and then, and increments of the rows that changed in between."""

    column: ColumnName
    """Tells what changed: a time that is set with each change, or a number that only grows."""
    full_every: Annotated[Duration, Field(examples=["7d"])]
    """A run makes a full backup when the newest one is so old, and where nothing is there that changes could follow."""
    incremental_every: Annotated[Duration, Field(examples=["1d"])] | None = None
    """A run between them backs up the changes when the newest backup is so old; each run does when not given."""
    deletes: Literal["ignore", "compare"] = "ignore"
    """compare: deletions, and rows that came late, are found by comparing all keys · ignore: the next full backup shows them."""
    settle: Annotated[Duration, Field(examples=["1m"])] | None = None
    """How long the longest transaction takes that writes the table: younger times wait for the next run. 1m when not given."""
    timezone: Timezone = "UTC"
    """Of a column of times without a zone."""
    merge: bool = False
    """Folds the increments into a new full backup each time, which copies use."""


class SqlBackup(AnyBackup):
    """The backup's DAG."""

    connections: Annotated[int, Field(ge=1, le=64, examples=[4])] = 1
    """Connections that read a full backup side by side, all of one moment."""
    mode: SqlMode | None = None
    """Increments between full backups; without it each run is a full backup."""


class RdsPipeline(SetPipeline):
    """A table of PostgreSQL or MySQL (RDS, Aurora, any other), its backups and all that is done with them."""

    kind: Literal["rds"]
    """The family of templates."""
    conn_id: ConnectionId
    """The Airflow connection of the database, of type postgres or mysql."""
    table: SqlTable
    """schema.table; of MySQL database.table, or a table of the connection's database."""
    key: list[ColumnName] = []
    """Columns of a unique key to tell rows by; the primary key when not given."""
    server: (
        Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9._-]+$", examples=["shop-db"])] | None
    ) = None
    """How backups name the server; the RDS instance's or cluster's identifier, or the host, when not given."""
    backup: SqlBackup
    """The backup."""

    @model_validator(mode="after")
    def _key_once(self) -> "RdsPipeline":
        if len(set(self.key)) != len(self.key):
            raise ValueError("a column is in key twice")
        return self

    @property
    def subject(self) -> str:
        return f"the SQL table {self.table}"

    @property
    def tag(self) -> str:
        return f"table:{self.table}"


PIPELINE = RdsPipeline
