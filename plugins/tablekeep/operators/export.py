"""Table → backup set."""

from collections.abc import Mapping, Sequence
from typing import Any

from tablekeep.operators.base import TablekeepOperator
from tablekeep.runtime import remembered, run_time


class DynamoDBToParquetOperator(TablekeepOperator):
    """Backs a table up to S3 as Parquet by parallel scan.

    A retry never makes a second set: the set's id is stored before the first try begins. Returns the engine's report, with the
    manifest's URI as `backup`. Only runs for now are done: a scan cannot see the past.

    :param table: the DynamoDB table. :param to: the root of the backups, `s3://bucket/prefix`.
    :param segments: of the parallel scan; by the table's size when None.
    :param read_budget: RCU a second, or a share of the table's capacity such as `25%`.
    :param encryption: KMS key of the objects. :param bucket_owner: the account that must own the bucket.
    """

    template_fields: Sequence[str] = ("table", "to", *TablekeepOperator.template_fields)

    def __init__(
        self,
        *,
        table: str,
        to: str,
        segments: int | None = None,
        read_budget: str | float | None = None,
        encryption: str | None = None,
        bucket_owner: str | None = None,
        **more: Any,
    ) -> None:
        super().__init__(multiple_outputs=True, **more)  # so that `output["backup"]` is the manifest's URI
        self.table = table
        self.to = to
        self.segments = segments
        self.read_budget = read_budget
        self.encryption = encryption
        self.bucket_owner = bucket_owner

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        from tablekeep.engine.backups.location import new_backup_id
        from tablekeep.engine.export.table import export_table

        when = run_time(context)
        when.check_now(f"backing up the table {self.table}")
        common = self.engine_arguments(context)
        backup_id, tried = remembered(context, "backup_id", new_backup_id(when.as_of, common["clock"]))
        if tried:
            self.log.info("this run's set is %s: an earlier try named it", backup_id)
        report = export_table(
            table=self.table, to=self.to, segments=self.segments, read_budget=self.read_budget, as_of=when.as_of, backup_id=backup_id,
            encryption=self.encryption, owner=self.bucket_owner, **common,
        )  # fmt: skip
        self.log.info("%s: %s items, content hash %s", report.backup, f"{report.items:,}", report.content_hash)
        return report.as_dict()
