"""Files that others wrote under a prefix of S3 → backup set."""

from collections.abc import Mapping, Sequence
from typing import Any

from tablekeep.operators.shelves import TableOperator
from tablekeep.runtime import remembered, run_name, run_time


class FilesToParquetOperator(TableOperator):
    """Makes a backup of CSV, JSON lines or Parquet; of just the files that the newest one was made of, that one is the result.

    A retry makes no second set. Runs are for now only, unless the source names a time. Returns the engine's report, with the manifest's
    URI as `backup`.

    :param source: `s3://bucket/prefix` of the files; `{{ as_of:%Y-%m-%d }}` and the like are filled in, not Airflow's templates.
    :param pipeline, schedule, timezone: of the DAG, for these.
    :param table: how the backups are called. :param to: the root of the backups.
    :param files: as under `files` of a pipeline. :param key: columns that tell rows apart. :param bad_rows: as under `bad_rows`.
    :param encryption: KMS key of the objects. :param bucket_owner: the account that must own the bucket.
    """

    def __init__(
        self,
        *,
        source: str,
        files: Mapping[str, Any],
        pipeline: str = "",
        schedule: str | None = None,
        timezone: str = "UTC",
        key: Sequence[str] = (),
        bad_rows: Mapping[str, Any] | None = None,
        encryption: str | None = None,
        bucket_owner: str | None = None,
        **more: Any,
    ) -> None:
        super().__init__(
            multiple_outputs=True, service="s3", **more
        )  # so that `output["backup"]` is the manifest's URI
        self.source, self.files, self.key = source, dict(files), list(key)
        self.pipeline, self.schedule, self.timezone = pipeline, schedule, timezone
        self.bad_rows, self.encryption, self.bucket_owner = dict(bad_rows or {}), encryption, bucket_owner

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        from tablekeep.engine.backups.location import new_backup_id
        from tablekeep.engine.files.description import BadRows, Files
        from tablekeep.engine.files.imports import FilesImport, import_files
        from tablekeep.engine.steps.facts import TIMES, RunFacts, names_in, window_of

        when, common = run_time(context), self.engine_arguments(context)
        if not names_in(self.source) & set(TIMES):  # else the files of a past day have a place of their own
            when.check_now(f"importing {self.source}")
        backup_id, _ = remembered(context, "backup_id", new_backup_id(when.as_of, common["clock"]))
        start, end = window_of(self.schedule, self.timezone, when.as_of)
        facts = RunFacts(self.pipeline, self.pipeline, run_name(context), when.as_of, start, end)
        asked = FilesImport(
            facts.fill(self.source), str(self.to), str(self.table), Files.model_validate(self.files), self.key,
            BadRows.model_validate(self.bad_rows), self.encryption, self.bucket_owner,
        )  # fmt: skip
        report = import_files(asked=asked, backup_id=backup_id, as_of=when.as_of, **common)
        self.log.info("%s: %s rows, content hash %s", report.backup, f"{report.items:,}", report.content_hash)
        return report.as_dict()
