"""Table → backup set."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from tablekeep.operators.base import TablekeepOperator
from tablekeep.runtime import remembered, run_time
from tablekeep.triggers import NativeExportTrigger

LONGEST_EXPORT = timedelta(hours=48)
"""A deferred task is given up then. The service promises no duration."""


class DynamoDBToParquetOperator(TablekeepOperator):
    """Backs a table up to S3 as Parquet: by parallel scan, or by DynamoDB's own export (`pitr`), which can see the past.

    A retry never makes a second set, and never starts a second export: the set's id is stored before the first try begins. Returns the
    engine's report, with the manifest's URI as `backup`. A scan is done by runs for now only; a backfill by `pitr` makes the set of its
    day, unless a verified one is there.

    :param table: the DynamoDB table. :param to: the root of the backups, `s3://bucket/prefix`.
    :param engine: `scan`, `pitr`, or `auto`: pitr where point-in-time recovery is on.
    :param segments: of the parallel scan; by the table's size when None.
    :param read_budget: of the scan: RCU a second, or a share of the table's capacity such as `25%`.
    :param encryption: KMS key of the objects. :param bucket_owner: the account that must own the bucket.
    :param deferrable: waits for DynamoDB's export in the triggerer instead of a worker. :param poll_seconds: between two questions.
    """

    template_fields: Sequence[str] = ("table", "to", *TablekeepOperator.template_fields)

    def __init__(
        self,
        *,
        table: str,
        to: str,
        engine: str = "scan",
        segments: int | None = None,
        read_budget: str | float | None = None,
        encryption: str | None = None,
        bucket_owner: str | None = None,
        deferrable: bool = True,
        poll_seconds: float = 15.0,
        **more: Any,
    ) -> None:
        super().__init__(multiple_outputs=True, **more)  # so that `output["backup"]` is the manifest's URI
        self.table = table
        self.to = to
        self.engine = engine
        self.segments = segments
        self.read_budget = read_budget
        self.encryption = encryption
        self.bucket_owner = bucket_owner
        self.deferrable = deferrable
        self.poll_seconds = poll_seconds

    def execute(self, context: Mapping[str, Any], event: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Airflow calls it at the beginning of a try, and again when what it was deferred for has come about."""
        from tablekeep.engine.backups.location import new_backup_id
        from tablekeep.engine.export.choice import exported_by_service, verified_as_of
        from tablekeep.engine.export.table import export_ready

        when = run_time(context)
        common = self.engine_arguments(context)
        ready = self.get_ready(common)
        by_service = exported_by_service(ready, self.engine)
        if not by_service:
            when.check_now(f"backing up the table {self.table}")
        elif when.backfill and (found := verified_as_of(ready, when.as_of)) is not None:
            self.log.info("%s is a verified backup of that time already", found.backup)
            return dict(found.as_dict())
        backup_id, tried = remembered(context, "backup_id", new_backup_id(when.as_of, common["clock"]))
        if tried and event is None:
            self.log.info("this run's set is %s: an earlier try named it", backup_id)
        if by_service and self.deferrable:
            self._wait(common, ready, backup_id, when.as_of)
        report = export_ready(ready, engine=self.engine, as_of=when.as_of, backup_id=backup_id, **common)
        self.log.info("%s: %s items, content hash %s", report.backup, f"{report.items:,}", report.content_hash)
        return report.as_dict()

    def get_ready(self, common: Mapping[str, Any]) -> Any:
        """Looks at table and bucket; see `engine.export.begin.get_ready`. Options of the scan count with it alone."""
        from tablekeep.engine.export.begin import ExportOptions, get_ready

        options = ExportOptions(
            self.table, self.to, self.segments, self.read_budget, self.encryption, self.bucket_owner
        )
        return get_ready(common["clients"], common["clock"], options)

    def _wait(
        self, common: Mapping[str, Any], ready: Any, backup_id: str, as_of: datetime, since: datetime | None = None
    ) -> None:
        """Starts the export when it can be; defers the task while there is something to wait for."""
        from tablekeep.engine.export.convert import advance_native

        waiting, arn = advance_native(common["clients"], common["clock"], ready, backup_id, as_of, since)
        if waiting:
            self.log.info("waiting in the triggerer for %s", arn or f"the service to give the state of {as_of}")
            trigger = NativeExportTrigger(
                table=self.table, as_of=as_of.isoformat(), arn=arn, aws_conn_id=self.aws_conn_id,
                region_name=self.region_name, poll_seconds=self.poll_seconds,
            )  # fmt: skip
            self.defer(trigger=trigger, method_name="execute", timeout=LONGEST_EXPORT)
