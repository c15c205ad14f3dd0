"""`kind: rds-instance`: an RDS instance or Aurora cluster, its snapshots, drills of them, and restores."""

from datetime import timedelta
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from tablekeep.engine.config.base import Model, Pipeline, only_once
from tablekeep.engine.config.model import Keep, Objectives, RestoreRules
from tablekeep.engine.config.steps import Stepped
from tablekeep.engine.config.values import (
    ConnectionId,
    Cron,
    Database,
    Duration,
    Name,
    Region,
    S3Uri,
    SqlTable,
    Timezone,
)

SqlName = Annotated[str, Field(min_length=1, max_length=63, examples=["shop"])]
GroupName = Annotated[str, Field(min_length=1, max_length=255, examples=["shop-tuned"])]


class Look(Model):
    """How the contents are looked at, before and after a snapshot and in a drill. PostgreSQL only."""

    conn_id: ConnectionId
    """The Airflow connection with user, password and database; the host is always the instance's own endpoint."""
    databases: list[SqlName] = []
    """What is read; the connection's database when not given."""
    marker: Annotated[SqlTable, Field(examples=["public.tablekeep_marker"])] | None = None
    """A table in which a row is left before each snapshot, where the user may: it proves which state a snapshot holds."""
    exclude: list[Annotated[str, Field(min_length=1, max_length=127, examples=["audit.*"])]] = []
    """Tables, schema.table with * and ?, that are not read."""


class SnapshotCopy(Model):
    """A copy of each snapshot in another Region."""

    region: Region
    """Where it lies."""
    key: Annotated[str, Field(min_length=1, max_length=2048, examples=["alias/backups"])] | None = None
    """KMS key of that Region; needed when the instance is encrypted."""
    option_group: GroupName | None = None
    """Of the copy, where the instance has one of its own."""


class Snapshot(Stepped):
    """The snapshot's DAG."""

    schedule: Cron | None = None
    """Cron expression of five fields; without it by hand only."""
    timezone: Timezone = "UTC"
    """Time zone of the schedule."""
    copy_to: SnapshotCopy | None = None
    """A copy in another Region."""
    keep: Keep | None = None
    """Which of our snapshots stay, in each Region; without it nothing is ever deleted. Others' are never touched."""


class Placed(Model):
    """What a new instance has otherwise than the source; must be given where it belongs to another Region."""

    instance_class: (
        Annotated[str, Field(pattern=r"^db\.[a-z0-9]+\.[a-z0-9-]+$|^db\.serverless$", examples=["db.r6g.large"])] | None
    ) = None
    """Its class."""
    parameter_group: GroupName | None = None
    """Of the instance; of a cluster its cluster parameter group."""
    option_group: GroupName | None = None
    """Its option group."""
    subnet_group: GroupName | None = None
    """Its subnet group."""
    security_groups: list[Annotated[str, Field(pattern=r"^sg-[0-9a-z-]+$", examples=["sg-0123456789abcdef0"])]] = []
    """Its security groups."""


class InstanceCheck(Model):
    """A check of the team, run in the restored database, in a read-only transaction."""

    name: Name
    """How the report calls it."""
    sql: Annotated[str, Field(min_length=1, examples=["SELECT count(*) > 0 FROM orders"])]
    """One statement that gives one row with one value, which must be true."""
    database: SqlName | None = None
    """Where it runs; the connection's database when not given."""


class InstanceDrill(Stepped, Placed):
    """Restores a snapshot to a scratch instance, reads every table, proves, measures, and deletes the instance."""

    schedule: Cron | None = None
    """Cron expression; without it by hand only."""
    timezone: Timezone = "UTC"
    """Time zone of the schedule."""
    take: Literal["ours", "automated", "point-in-time"] = "ours"
    """ours: snapshots that this pipeline made, also copies in another Region · automated: RDS's own · point-in-time: its recovery."""
    choose: Literal["latest", "random", "oldest"] = "latest"
    """Which of them; the choice is recorded."""
    within: Annotated[Duration, Field(examples=["30d"])] | None = None
    """random and oldest choose among snapshots no older than this."""
    objectives: Objectives = Objectives()
    """A drill that misses them is red."""
    checks: list[InstanceCheck] = []
    """Checks of the team."""
    time_limit: Annotated[Duration, Field(examples=["6h"])] = timedelta(hours=6)
    """The drill is given up and torn down after so long; what it may cost is reckoned with it."""
    aws_conn_id: ConnectionId | None = None
    """The Airflow connection of the account in which the scratch instance is made; the pipeline's when not given."""
    region: Region | None = None
    """The Region in which it is made, from the snapshots that lie there; the pipeline's when not given."""

    @model_validator(mode="after")
    def _fits(self) -> "InstanceDrill":
        if self.within is not None and self.choose == "latest":
            raise ValueError("within goes with choose: random or oldest; the latest is the latest")
        only_once("checks", [one.name for one in self.checks])
        return self


class InstanceRestore(Placed, RestoreRules):
    """Rules for the DAG restore__<pipeline>, which runs by hand only, and what the new instance has otherwise than the source."""


class RdsInstancePipeline(Pipeline):
    """An RDS instance or Aurora cluster, its snapshots, drills of them, and restores."""

    LEAD: ClassVar[str] = "snapshot"
    TIMED: ClassVar[str] = "snapshot"

    kind: Literal["rds-instance"]
    """The family of templates."""
    database: Database
    """The identifier of the instance, or of the Aurora cluster."""
    records: S3Uri
    """The root under which is kept what was in each snapshot and how drills went."""
    contents: Look | None = None
    """How the contents are looked at; without it nothing can be compared."""
    snapshot: Snapshot = Snapshot()
    """The snapshots."""
    drill: InstanceDrill | None = None
    """Rehearses the restore."""
    restore: InstanceRestore = InstanceRestore()
    """Rules for restores."""

    @model_validator(mode="after")
    def _fits(self) -> "RdsInstancePipeline":
        if self.drill is not None and self.contents is None:
            raise ValueError("a drill needs contents: it reads every table of the restored database")
        if self.snapshot.copy_to is not None and self.snapshot.copy_to.region == self.region:
            raise ValueError("snapshot.copy_to is for another Region than the pipeline's")
        return self

    @property
    def subject(self) -> str:
        return f"the RDS instance or cluster {self.database}"

    @property
    def tag(self) -> str:
        return f"database:{self.database}"


PIPELINE = RdsInstancePipeline
