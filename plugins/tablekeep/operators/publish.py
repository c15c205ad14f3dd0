"""A verified backup → an asset event that wakes the copies."""

from collections.abc import Mapping, Sequence
from typing import Any

from airflow.sdk import Asset
from airflow.sdk.exceptions import AirflowSkipException

from tablekeep.operators.base import TablekeepOperator
from tablekeep.runtime import run_time


class PublishBackupOperator(TablekeepOperator):
    """Says that a new verified backup is there. Skipped, so that no copy wakes, in backfills and when a newer verified set exists.

    :param backup: the manifest's URI, of a backup that was verified. :param asset: whose event carries it.
    :param increments: sets of changes wake the copies, too: one of them follows these.
    """

    template_fields: Sequence[str] = ("backup", *TablekeepOperator.template_fields)

    def __init__(
        self, *, backup: str, asset: Asset, increments: bool = False, bucket_owner: str | None = None, **more: Any
    ) -> None:
        super().__init__(outlets=[asset], **more)
        self.backup, self.increments = backup, increments
        self.bucket_owner = bucket_owner

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        from tablekeep.engine.backups.catalog import judged, list_shelf, newest_verified
        from tablekeep.engine.backups.s3 import S3Store
        from tablekeep.engine.backups.sets import open_backup
        from tablekeep.engine.clock import utc_text

        if run_time(context).backfill:
            raise AirflowSkipException("a backfill wakes no copy")
        clients = self.engine_arguments(context)["clients"]
        manifest = open_backup(clients, self.backup, owner=self.bucket_owner, incremental=True).manifest
        if manifest.window and not self.increments:
            raise AirflowSkipException("an incremental set wakes no copy: it is no table")
        shelf = manifest.location.shelf
        store = S3Store(clients, shelf.bucket, owner=self.bucket_owner)
        if manifest.window:
            whole, _ = judged(store, shelf)
            newest = next((one for one in list_shelf(store, shelf).backups if one.backup_id in whole), None)
        else:
            newest = newest_verified(store, shelf)
        if newest is None or newest.backup_id != manifest.backup_id:
            raise AirflowSkipException(
                f"{newest.uri if newest else 'no backup'} is the newest verified one, so no copy is woken"
            )
        news = {
            "manifest": manifest.uri,
            "backup_id": manifest.backup_id,
            "as_of": utc_text(manifest.as_of),
            "items": manifest.items,
            "bytes": manifest.stored_bytes,
            "content_hash": str(manifest.content),
        }
        for outlet in self.outlets:
            context["outlet_events"][outlet].extra = news
        return news
