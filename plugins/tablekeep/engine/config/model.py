"""The sections of pipeline files. The kinds in `kinds/` are put together from them; `base.py` has what all kinds say."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from tablekeep.engine.config.base import Model
from tablekeep.engine.config.places import RedshiftPlace
from tablekeep.engine.config.steps import Stepped
from tablekeep.engine.config.values import (
    Account,
    Budget,
    ConnectionId,
    Cron,
    Duration,
    GlueName,
    Name,
    Percent,
    Region,
    RoleArn,
    S3Uri,
    SqlTable,
    TestingPlanArn,
    Timezone,
)
from tablekeep.engine.copies.document import MappingDocument
from tablekeep.engine.copies.modes import parse_mode
from tablekeep.engine.errors import BadInputError

NOT_BUILT = {
    "replicate": "replication is not built yet",
    "monitor.alarms": "alarms are not built yet: the drill's figures are metrics of Airflow",
}
"""Keys of the design that have no effect yet. They are refused, for a key that is silently ignored is a promise broken."""


class Spread(Model):
    """Several tasks read a large table side by side, on as many workers as the executor has. A smaller one is read by one task."""

    above_gb: Annotated[float, Field(ge=0, le=1_000_000, examples=[64])] = 64
    """Size of the table, as DynamoDB tells it, above which it is read by several tasks."""
    tasks: Annotated[int, Field(ge=2, le=256, examples=[8])] = 8
    """How many tasks read at a time."""


class Mode(Model):
    """Full backups now and then, and increments of what was changed in between. Needs the engine pitr."""

    full_every: Annotated[Duration, Field(examples=["7d"])]
    """A run makes a full backup when the newest one is so old."""
    incremental_every: Annotated[Duration, Field(examples=["1d"])] | None = None
    """A run between them backs up the changes when the newest backup is so old; each run does when not given."""
    merge: bool = False
    """Folds the increments into a new full backup each time, which copies, drills and restores use; full backups prove it."""


Count = Annotated[int, Field(ge=0, le=100_000, examples=[35])]


class Keep(Model):
    """Which backups stay: the newest full one of each day, week, month and year, for so many of these that have one."""

    daily: Count = 0
    """Days; the increments of this time stay, too."""
    weekly: Count = 0
    """ISO weeks."""
    monthly: Count = 0
    """Months."""
    yearly: Count = 0
    """Years."""
    minimum: Annotated[int, Field(ge=1, le=100_000, examples=[3])] = 3
    """So many verified full backups stay in any case; while there are fewer, nothing is deleted."""

    @model_validator(mode="after")
    def _something(self) -> "Keep":
        if not (self.daily or self.weekly or self.monthly or self.yearly):
            raise ValueError("it keeps nothing: give daily, weekly, monthly or yearly")
        return self


class AnyBackup(Stepped):
    """What the backups of all kinds have in common."""

    schedule: Cron | None = None
    """Cron expression of five fields; without it the backup runs by hand only."""
    timezone: Timezone = "UTC"
    """Time zone of the schedule."""
    to: S3Uri
    """The root of the backups."""
    encryption: Annotated[str, Field(min_length=1, max_length=2048, examples=["alias/backups"])] | None = None
    """KMS key of the objects: id, alias or ARN. Without it the bucket's own encryption."""
    bucket_owner: Account | None = None
    """The account that must own the bucket."""
    keep: Keep | None = None
    """Which backups stay; without it nothing is ever deleted."""


class Backup(AnyBackup):
    """The backup's DAG."""

    engine: Literal["scan", "pitr", "auto"] = "scan"
    """scan reads the table; pitr is DynamoDB's own export, of any time that it keeps; auto: pitr where recovery is on."""
    mode: Mode | None = None
    """Increments between full backups; without it each run is a full backup."""
    read_budget: Budget | None = None
    """Read capacity a second: a share of the table's, or RCU. Without it the scan takes what it can get."""
    segments: Annotated[int, Field(ge=1, le=1_000_000, examples=[8])] | None = None
    """Segments of the parallel scan; by the table's size when not given."""
    spread: Spread | None = None
    """Several tasks read a large table side by side."""

    @model_validator(mode="after")
    def _scan_only(self) -> "Backup":
        given = [name for name in ("read_budget", "segments") if getattr(self, name) is not None]
        if self.engine == "pitr" and given:
            raise ValueError(f"{given[0]} has no effect with the engine pitr, which reads nothing from the table")
        if self.mode is not None and self.engine != "pitr":
            raise ValueError("mode needs the engine pitr: only DynamoDB's own export tells what was changed")
        if self.mode is not None and self.spread is not None:
            raise ValueError("spread goes with full backups only: with mode one task exports and converts")
        return self


class Verify(Stepped):
    """Verifies the newest backup again, for storage rots silently. Each new backup is verified in any case."""

    schedule: Cron | None = None
    """Cron expression; without it by hand only."""
    timezone: Timezone = "UTC"
    """Time zone of the schedule."""
    level: Literal["list", "checksum", "full"] = "full"
    """list: objects and sizes · checksum: all bytes · full: every item, no key twice."""
    subset: Annotated[int, Field(ge=2, le=10_000, examples=[4])] | None = None
    """Each run reads the next of so many equal groups of parts; the whole is read in so many runs."""
    max_duration: Annotated[Duration, Field(examples=["1h"])] | None = None
    """Begins no further part after so long; the next run goes on there."""

    @model_validator(mode="after")
    def _whole_parts(self) -> "Verify":
        if (self.subset or self.max_duration) and self.level != "full":
            raise ValueError("subset and max_duration go with level: full, for they read parts whole")
        return self


class _Copy(Stepped):
    name: Name
    """Part of the DAG's id: copy__<pipeline>__<name>."""
    mode: Literal[
        "replace", "append", "upsert", "incremental", "TRUNCATE", "OVERWRITE_EXISTING", "KEEP_EXISTING", "APPEND"
    ] = "replace"
    """replace: the table holds exactly the backup · append: its rows are added, with the backup's id · upsert: rows are written by key, and
    keys that it lacks are deleted · incremental: the changes since the last load; or AWS Data Pipeline's name of a mode."""
    keep_absent: bool = False
    """With upsert: keys that the backup lacks stay."""
    swap: Literal["rows", "rename"] = "rows"
    """With replace: rows are replaced inside of the table, or a new table takes its place, with indexes, constraints and grants."""
    table: SqlTable
    """schema.table; made when it does not exist. A table that others made is never replaced."""
    mapping: MappingDocument | None = None
    """Which attribute becomes which column; without it all is derived from the backup's census."""

    @model_validator(mode="after")
    def _mode_has_it(self) -> "_Copy":
        try:
            parse_mode(self.mode, keep_absent=self.keep_absent, swap=self.swap)
        except BadInputError as error:
            raise ValueError(error.why) from None
        return self


class PostgresCopy(_Copy):
    """A copy to PostgreSQL (RDS, Aurora, any other)."""

    to: Literal["postgres"]
    """The kind of database."""
    conn_id: ConnectionId
    """The Airflow connection of the database."""


class MysqlCopy(_Copy):
    """A copy to MySQL or MariaDB (RDS, Aurora, any other)."""

    to: Literal["mysql"]
    """The kind of database."""
    conn_id: ConnectionId
    """The Airflow connection of the database."""


class RedshiftCopy(_Copy, RedshiftPlace):
    """A copy to Redshift over its Data API: a serverless workgroup, or a cluster with a user or a secret."""

    to: Literal["redshift"]
    """The kind of database."""
    iam_role: RoleArn
    """The role with which Redshift reads the backup from S3."""


class AthenaCopy(Stepped):
    """A table of Glue's Data Catalog that shows the newest backup in Athena. The Parquet is queried where it lies; no row is moved."""

    name: Name
    """Part of the DAG's id: copy__<pipeline>__<name>."""
    to: Literal["athena"]
    """The kind of database."""
    database: GlueName
    """The database of the catalog; it must exist."""
    table: GlueName
    """The table; made when it does not exist. A table that others made is never replaced."""
    aws_conn_id: ConnectionId | None = None
    """The Airflow connection for Glue; the pipeline's when not given."""
    region: Region | None = None
    """The catalog's Region; the pipeline's when not given."""


Copy = Annotated[PostgresCopy | MysqlCopy | RedshiftCopy | AthenaCopy, Field(discriminator="to")]


class Objectives(Model):
    """What the team has promised."""

    rto: Duration | None = None
    """Longest time from the decision to restore to the proof."""
    rpo: Duration | None = None
    """Greatest age of the newest backup when a drill begins."""


class DrillCheck(Model):
    """A check of the team, run while the restored table is there."""

    name: Name
    """How the report calls it."""
    sql: Annotated[str, Field(min_length=1, examples=["SELECT count(*) = 0 FROM items WHERE total < 0"])] | None = None
    """DuckDB over the backup's Parquet, the view items: one row, one value, which must be true."""
    python: (
        Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$", examples=["shop_checks:totals_add_up"])] | None
    ) = None
    """module:function, called with a boto3 DynamoDB client and the restored table's name; must return True."""

    @model_validator(mode="after")
    def _one_kind(self) -> "DrillCheck":
        if (self.sql is None) == (self.python is None):
            raise ValueError("give either sql or python")
        return self


class Drill(Stepped):
    """Restores a backup to a scratch table, proves it, measures, and deletes the scratch table."""

    schedule: Cron | None = None
    """Cron expression; without it by hand only."""
    timezone: Timezone = "UTC"
    """Time zone of the schedule."""
    choose: Literal["latest", "random", "oldest"] = "latest"
    """Which of the full backups is drilled; the choice is recorded."""
    within: Annotated[Duration, Field(examples=["30d"])] | None = None
    """random and oldest choose among backups no older than this."""
    scope: Annotated[Percent, Field(examples=["10%"])] | Literal["full"] = "full"
    """full: all items. A share: whole parts, at random, that hold so much at least; the time of all items is predicted from them. Where
    AWS restores the whole table (path pitr or backup, restore_testing_plan) their items are asked for by key: extra items are not found."""
    path: Literal["auto", "batch-write", "import-table", "pitr", "backup"] = "auto"
    """How the scratch table gets its items; pitr drills the service's own recovery, backup the newest on-demand backup or recovery point
    that AWS keeps; a backup set of the same moment (of engine pitr) proves it."""
    backup_role: RoleArn | None = None
    """With path backup: the role with which AWS Backup restores a recovery point; its default role when not given."""
    restore_testing_plan: TestingPlanArn | None = None
    """Instead of restoring: validates what this plan of AWS Backup has restored of the table, and tells AWS Backup the result."""
    validate_within: Annotated[Duration, Field(examples=["4h"])] | None = None
    """A validation that takes longer is told as TIMED_OUT; less than the plan's validation window."""
    objectives: Objectives = Objectives()
    """A drill that misses them is red."""
    checks: list[DrillCheck] = []
    """Checks of the team."""
    max_wcu: Annotated[float, Field(gt=0, strict=False, examples=[500])] | None = None
    """Write capacity units a second."""
    max_rcu: Annotated[float, Field(gt=0, strict=False, examples=[500])] | None = None
    """Read capacity units a second, for the comparison."""
    aws_conn_id: ConnectionId | None = None
    """The Airflow connection of the account in which the scratch table is made; the pipeline's when not given."""
    region: Region | None = None
    """The Region in which the scratch table is made; the pipeline's when not given."""

    @model_validator(mode="after")
    def _latest_of_all(self) -> "Drill":
        if self.within is not None and self.choose == "latest":
            raise ValueError("within goes with choose: random or oldest; the latest is the latest")
        if self.backup_role is not None and self.path != "backup":
            raise ValueError("backup_role goes with path: backup")
        if self.restore_testing_plan is None and self.validate_within is not None:
            raise ValueError("validate_within goes with restore_testing_plan")
        if self.restore_testing_plan is not None and (self.path != "auto" or self.choose != "latest"):
            raise ValueError("restore_testing_plan restores nothing: path and choose have no effect with it")
        return self

    @property
    def percent(self) -> float | None:
        """The share as a number; None for all."""
        return None if self.scope == "full" else float(self.scope.rstrip("%"))


class RestoreSpread(Model):
    """Several tasks load a large table side by side, and read it back for the proof. A smaller one is restored by one task."""

    above_gb: Annotated[float, Field(ge=0, le=1_000_000, examples=[64])] = 64
    """Size of the items, as the plan tells it, above which several tasks load them."""
    tasks: Annotated[int, Field(ge=2, le=256, examples=[8])] = 8
    """How many tasks load or read at a time; each takes its share of the write budget."""


class RestoreRules(Stepped):
    """Rules for the DAG restore__<pipeline>, which runs by hand only."""

    patterns_refused: list[Annotated[str, Field(min_length=1, max_length=255, examples=["prod-*"])]] = []
    """Names, with * and ?, to which nothing is restored."""
    people: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=250, examples=["ana"])]], Field(examples=[["ana", "ben"]])
    ] = []
    """Airflow users: one of them asks for a restore, another one approves it. Without it anybody who may use the DAG does both."""
    accounts: list[Account] = []
    """The only accounts to which is restored; every account of the connection when not given."""
    aws_conn_id: ConnectionId | None = None
    """The Airflow connection of the account to which is restored; the pipeline's when not given."""
    region: Region | None = None
    """The Region to which is restored; the pipeline's when not given."""

    @model_validator(mode="after")
    def _two_people(self) -> "RestoreRules":
        if len(set(self.people)) == 1:
            raise ValueError("people needs two names at least: who asks for a restore does not approve it")
        return self


class Restore(RestoreRules):
    """Rules for restores of a table."""

    max_wcu: Annotated[float, Field(gt=0, strict=False, examples=[500])] | None = None
    """Write capacity units a second."""
    backup_role: RoleArn | None = None
    """The role with which AWS Backup restores a recovery point (path backup); its default role when not given."""
    spread: RestoreSpread | None = None
    """Several tasks load a large table side by side, and read it back."""
