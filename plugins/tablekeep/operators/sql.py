"""A table of PostgreSQL or MySQL → backup set."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from airflow.sdk.exceptions import AirflowSkipException

from tablekeep.operators.incremental import CHANGES, FULL, NOTHING, is_due
from tablekeep.operators.shelves import TableOperator
from tablekeep.runtime import remembered, run_time


class SqlToParquetOperator(TableOperator):
    """Backs a SQL table up to S3 as Parquet, as it is at one moment, whatever is written to it meanwhile.

    A retry makes no second set: the set's id is stored before the first try begins, and a try that died left no set. Runs for now only.
    Returns the engine's report, with the manifest's URI as `backup`.

    :param sql_conn_id: the Airflow connection of the database. :param table: `schema.table`. :param to: the root of the backups.
    :param key: columns of a unique key; the primary key when not given. :param connections: that read side by side.
    :param column: by which increments are to follow, see `SqlChangesToParquetOperator`; `settle_seconds` and `timezone` likewise.
    :param encryption: KMS key of the objects. :param bucket_owner: the account that must own the bucket.
    """

    def __init__(
        self,
        *,
        key: Sequence[str] = (),
        connections: int = 1,
        column: str | None = None,
        settle_seconds: float = 60.0,
        timezone: str = "UTC",
        encryption: str | None = None,
        bucket_owner: str | None = None,
        **more: Any,
    ) -> None:
        super().__init__(multiple_outputs=True, **more)  # so that `output["backup"]` is the manifest's URI
        self.key, self.connections = list(key), connections
        self.column, self.settle_seconds, self.timezone = column, settle_seconds, timezone
        self.encryption, self.bucket_owner = encryption, bucket_owner

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        from tablekeep.engine.backups.location import new_backup_id

        when, common = run_time(context), self.engine_arguments(context)
        when.check_now(f"backing up the table {self.table}")
        backup_id, _ = remembered(context, "backup_id", new_backup_id(when.as_of, common["clock"]))
        return self.full(common, backup_id, when.as_of)

    def asked(self) -> Any:
        """What the engine is asked for."""
        from tablekeep.engine.rds.export import SqlExport
        from tablekeep.engine.rds.position import Follow

        follow = None
        if self.column:
            follow = Follow(self.column, timedelta(seconds=self.settle_seconds), self.timezone).check()
        return SqlExport(
            self.sql_source(), str(self.to), self.key, self.connections, follow, self.encryption, self.bucket_owner
        )

    def full(self, common: Mapping[str, Any], backup_id: str, as_of: Any) -> dict[str, Any]:
        """The whole table."""
        from tablekeep.engine.rds.export import export_sql

        report = export_sql(asked=self.asked(), backup_id=backup_id, as_of=as_of, **common)
        self.log.info("%s: %s rows, content hash %s", report.backup, f"{report.items:,}", report.content_hash)
        return report.as_dict()


class SqlChangesToParquetOperator(SqlToParquetOperator):
    """Backs the table up in full when that is due or asked for (the run's `full`), else what changed since the last backup.

    Where nothing is there that changes could follow (no full backup, a table made anew, a gap), the table is backed up in full, and the
    log says why. Skipped when the newest backup is younger than `incremental_every`. Returns the report, with `backups`: all URIs.

    :param column: tells what changed, by a time or a number that only grows. :param settle_seconds: how long the longest transaction
        takes that writes the table. :param timezone: of a column of times without a zone.
    :param deletes: `compare` finds deletions by comparing all keys, `ignore` does not look for any.
    :param full_every, incremental_every: in seconds; None: each run backs up the changes.
    """

    def __init__(
        self,
        *,
        column: str,
        full_every: float,
        incremental_every: float | None = None,
        deletes: str = "ignore",
        **more: Any,
    ) -> None:
        super().__init__(column=column, **more)
        self.full_every, self.incremental_every, self.deletes = full_every, incremental_every, deletes

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        from tablekeep.engine.backups.location import new_backup_id
        from tablekeep.engine.rds.increments import NoChainError, export_changes

        when, common = run_time(context), self.engine_arguments(context)
        when.check_now(f"backing up the table {self.table}")
        fresh = self._kind(common["clients"], when.as_of, bool(context["params"].get("full")))
        kind, _ = remembered(context, "kind", fresh)
        if kind == NOTHING:
            raise AirflowSkipException("the newest backup is younger than backup.mode.incremental_every")
        backup_id, _ = remembered(context, "backup_id", new_backup_id(when.as_of, common["clock"]))
        if kind == CHANGES:
            try:
                report = export_changes(asked=self.asked(), deletes=self.deletes, backup_id=backup_id, **common)
                self.log.info("%s: %s changes", report.backup, f"{report.items:,}")
                return report.as_dict() | {"backups": [report.backup]}
            except NoChainError as error:
                self.log.warning("this run makes a full backup: %s", error)
        made = self.full(common, backup_id, when.as_of)
        return made | {"backups": [made["backup"]]}

    def _kind(self, clients: Any, as_of: Any, asked: bool) -> str:
        from tablekeep.engine.backups.catalog import list_shelf
        from tablekeep.engine.backups.s3 import S3Store

        shelf = self.shelf(clients)
        sets = list_shelf(S3Store(clients, shelf.bucket, owner=self.bucket_owner), shelf).backups
        # a merged set stands on the full one that it was made of, however often it was merged
        full = max((one.as_of for one in sets if one.window is None and one.engine != "merge"), default=None)
        if asked or is_due(full, timedelta(seconds=self.full_every), as_of):
            return FULL
        every = timedelta(seconds=self.incremental_every) if self.incremental_every else None
        return CHANGES if is_due(max(one.as_of for one in sets), every, as_of) else NOTHING
