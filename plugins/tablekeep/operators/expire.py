"""Old backups → gone, by the rules of the pipeline."""

from collections.abc import Mapping
from typing import Any

from airflow.sdk.exceptions import AirflowSkipException

from tablekeep.operators.shelves import TableOperator
from tablekeep.runtime import run_time


class ExpireBackupsOperator(TableOperator):
    """Deletes the backups of a table that no rule keeps, and what dead runs have left. Skipped in backfills.

    Deletes nothing, and says so, while the newest backup is older than `stale_seconds` or too few are verified.

    :param keep: `{"daily", "weekly", "monthly", "yearly", "minimum"}`.
    :param stale_seconds: age of the newest backup from which on nothing is deleted.
    """

    def __init__(
        self,
        *,
        keep: Mapping[str, int],
        stale_seconds: float | None = None,
        bucket_owner: str | None = None,
        **more: Any,
    ) -> None:
        super().__init__(**more)
        self.keep = dict(keep)
        self.stale_seconds, self.bucket_owner = stale_seconds, bucket_owner

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        from datetime import timedelta

        from tablekeep.engine.backups.retention import STALE, Keep, expire
        from tablekeep.engine.backups.s3 import S3Store
        from tablekeep.engine.copies.athena_uses import athena_uses

        if run_time(context).backfill:
            raise AirflowSkipException("a backfill deletes nothing")
        common = self.engine_arguments(context)
        clients = common.pop("clients")
        shelf = self.shelf(clients)
        store = S3Store(clients, shelf.bucket, owner=self.bucket_owner)
        stale = timedelta(seconds=self.stale_seconds) if self.stale_seconds else STALE
        uses = athena_uses(clients, store)
        expiry = expire(store, shelf, Keep(**self.keep), confirm=True, stale=stale, uses=uses, **common)
        for one in expiry.sets:
            self.log.info("%s %s: %s", one.kind, one.backup_id, ", ".join(one.why) or "deleted")
        if expiry.warning:
            self.log.warning("%s", expiry.warning)
        if expiry.stopped:
            self.log.warning("nothing is deleted: %s", expiry.stopped)
        return {"deleted": expiry.deleted, "bytes": expiry.bytes, "stopped": expiry.stopped, "warning": expiry.warning}
