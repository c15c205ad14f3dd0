"""Full backups now and then, increments in between, and the merged sets that they give."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from airflow.sdk.exceptions import AirflowSkipException

from tablekeep.operators.base import TablekeepOperator
from tablekeep.operators.export import DynamoDBToParquetOperator
from tablekeep.runtime import remembered, run_time

FULL, CHANGES, NOTHING = "full", "changes", "nothing"
TOLERANCE = timedelta(hours=2)
"""A weekly backup must not wait for an eighth day because the clocks were set forward."""
OVERLAP = timedelta(minutes=2)
"""How far the increments of a night with a full backup reach beyond its time, so that its cut can be explained."""


def is_due(newest: datetime | None, every: timedelta | None, now: datetime) -> bool:
    """Whether something that is to be made `every` so often is due."""
    if newest is None or every is None:
        return True
    return now - newest >= every - min(TOLERANCE, every / 10)


class IncrementalBackupOperator(DynamoDBToParquetOperator):
    """Exports the table in full when that is due or asked for (the run's `full`), else the changes since the last backup.

    Backfill runs and manual ones for a past time are always full. Returns the report of the last set that was made, with the URIs of
    all as `backups`. Skipped when the newest backup is younger than `incremental_every`.

    :param full_every, incremental_every: in seconds; None: each run makes increments.
    :param confirm: in a run with a full backup, the changes until two minutes after it are exported, too.
    """

    def __init__(
        self, *, full_every: float, incremental_every: float | None = None, confirm: bool = False, **more: Any
    ) -> None:
        super().__init__(engine="pitr", **more)
        self.full_every = full_every
        self.incremental_every = incremental_every
        self.confirm = confirm

    def execute(self, context: Mapping[str, Any], event: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Airflow calls it at the beginning of a try, and again when what it was deferred for has come about."""
        from tablekeep.engine.backups.location import new_backup_id
        from tablekeep.engine.errors import BadInputError
        from tablekeep.engine.export.increments import made_by
        from tablekeep.engine.export.report import report_of

        when, common = run_time(context), self.engine_arguments(context)
        if when.backfill or when.names_past:
            report = super().execute(context, event)
            return report | {"backups": [report["backup"]]}
        ready = self.get_ready(common)
        kind, _ = remembered(context, "kind", self._kind(ready, when.as_of, bool(context["params"].get("full"))))
        if kind == NOTHING:
            raise AirflowSkipException("the newest backup is younger than backup.mode.incremental_every")
        run_id, _ = remembered(context, "backup_id", new_backup_id(when.as_of, common["clock"]))
        if kind == CHANGES or self.confirm:
            try:
                self._changes(common, ready, when.as_of + (OVERLAP if kind == FULL else timedelta()), run_id)
            except BadInputError as error:
                if kind == CHANGES:
                    raise
                self.log.warning("the merged sets will not be confirmed tonight: %s", error)
        made = [report_of(one).as_dict() for one in made_by(ready, run_id)]
        if kind == FULL:
            made.append(super().execute(context, event))
        if not made:
            raise AirflowSkipException("nothing is missing since the newest backup")
        return made[-1] | {"backups": [one["backup"] for one in made]}

    def _kind(self, ready: Any, as_of: datetime, asked: bool) -> str:
        from tablekeep.engine.backups.catalog import list_shelf

        sets = [one for one in list_shelf(ready.store, ready.shelf).backups if one.table_id == ready.settings.table_id]
        # a merged set stands on the full one that it was made of, however often it was merged
        full = max((one.as_of for one in sets if one.window is None and one.engine != "merge"), default=None)
        if asked or is_due(full, timedelta(seconds=self.full_every), as_of):
            return FULL
        every = timedelta(seconds=self.incremental_every) if self.incremental_every else None
        return CHANGES if is_due(max(one.as_of for one in sets), every, as_of) else NOTHING

    def _changes(self, common: Mapping[str, Any], ready: Any, until: datetime, run_id: str) -> None:
        """Window after window; the task is deferred while the service exports one."""
        from tablekeep.engine.export.increments import export_window, next_window

        while (window := next_window(ready, common["clients"], common["clock"], until, run_id)) is not None:
            if self.deferrable:
                self._wait(common, ready, window.backup_id, window.to, window.since)
            report = export_window(ready, window, **common)  # type: ignore[arg-type]
            self.log.info("%s: %s changes since %s", report.backup, f"{report.items:,}", window.since)


class MergeBackupsOperator(TablekeepOperator):
    """Folds the increments into a new full set and verifies it. After a full backup, it proves the merging by it.

    After increments: the merged set. After a full backup: what the chain before it gives, compared with that backup; keys may differ
    only where they were written between the two. A difference is a failed task. Returns the set to be used from now on as `backup`.

    :param backup: the manifest's URI of what was made last.
    """

    template_fields: Sequence[str] = ("backup", *TablekeepOperator.template_fields)

    def __init__(
        self, *, backup: str, encryption: str | None = None, bucket_owner: str | None = None, **more: Any
    ) -> None:
        super().__init__(multiple_outputs=True, **more)
        self.backup = backup
        self.encryption = encryption
        self.bucket_owner = bucket_owner

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        from tablekeep.engine.backups.location import new_backup_id
        from tablekeep.engine.backups.sets import open_backup
        from tablekeep.engine.backups.verify import verify_backup
        from tablekeep.engine.errors import BadInputError, IntegrityError
        from tablekeep.engine.export.merge import confirm_merge, merge_backups

        common = self.engine_arguments(context) | {"owner": self.bucket_owner}
        when = run_time(context)
        if when.backfill or when.names_past:
            return {"backup": self.backup, "confirmed": None}  # a set of the past ends no chain
        last = open_backup(common["clients"], self.backup, owner=self.bucket_owner, incremental=True).manifest
        backup_id, _ = remembered(context, "backup_id", new_backup_id(last.as_of, common["clock"]))
        merge = {
            "shelf": last.location.shelf,
            "table_id": last.table_id,
            "backup_id": backup_id,
            "encryption": self.encryption,
        }
        if last.window:
            report = merge_backups(**merge, **common)
        else:
            try:
                report = merge_backups(**merge, without=(last.backup_id,), reach=last.as_of, **common)
            except BadInputError as error:
                self.log.info("there is nothing to confirm: %s", error)
                return {"backup": self.backup, "confirmed": None}
        self.log.info("%s: %s items, boundary %s", report.backup, f"{report.items:,}", report.boundary)
        proof = verify_backup(backup=report.backup, level="full", **common)
        if not proof.ok:
            raise IntegrityError(f"verifying {report.backup}", "; ".join(proof.problems[:5]), "do not rely on this set")
        if last.window:
            return report.as_dict() | {"verified": True, "confirmed": None}
        found = confirm_merge(merged=report.backup, full=self.backup, **common)
        if not found.ok:
            raise IntegrityError(
                f"confirming {report.backup} by {self.backup}",
                f"{found.unexplained:,} keys differ that were not written in between, the first: {found.keys[0]['key']}",
                "the full backup stands, the merged set does not: look at the increments of the last days",
            )
        self.log.info("confirmed: equal %s, %s keys were written in between", found.equal, f"{found.explained:,}")
        return report.as_dict() | {"verified": True, "confirmed": True}
