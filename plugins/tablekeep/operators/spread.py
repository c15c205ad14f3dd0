"""Table → backup set by many tasks: one plans, mapped ones read groups of segments or convert groups of the files of DynamoDB's own
export, one publishes. A small table takes one task.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from tablekeep.operators.base import TablekeepOperator
from tablekeep.operators.export import DynamoDBToParquetOperator
from tablekeep.runtime import remembered, run_time

GB = 1_000_000_000
GROUPS_A_TASK = 4
"""Groups for each task that runs at a time, so that a group that fails costs less and slow ones even out."""
MOST_GROUPS = 1000
"""Airflow maps over at most 1,024 (core.max_map_length)."""


def groups(count: int, tasks: int) -> list[dict[str, int]]:
    """`[{"group": 0, "of": n}, …]` for so many pieces of work, to be mapped over; one group at least."""
    of = max(1, min(count, tasks * GROUPS_A_TASK, MOST_GROUPS))
    return [{"group": number, "of": of} for number in range(of)]


class PlanBackupOperator(DynamoDBToParquetOperator):
    """Backs a small table up at once; of a large one it plans the backup and returns the groups of segments still to be read.

    Pushes the XCom `backup`, the manifest's URI, in both cases. Returns `[]` or `[{"group": 0, "of": n}, …]`, to be mapped over.
    A retry never makes a second set.

    :param above_gb: DynamoDB's size of the table above which it is read by several tasks.
    :param tasks: how many read at a time.
    """

    def __init__(self, *, above_gb: float, tasks: int, **more: Any) -> None:
        super().__init__(**more)
        self.multiple_outputs = False
        self.above_gb = above_gb
        self.tasks = tasks

    def execute(self, context: Mapping[str, Any], event: Mapping[str, Any] | None = None) -> Any:
        """Airflow calls it at the beginning of a try, and again when what it was deferred for has come about."""
        from tablekeep.engine.backups.location import new_backup_id
        from tablekeep.engine.export.choice import exported_by_service, verified_as_of
        from tablekeep.engine.export.groups import begin_export

        when = run_time(context)
        common = self.engine_arguments(context)
        # kept with the run: the table may cross the threshold between two tries
        ready = self.get_ready(common)
        large, _ = remembered(context, "large", ready.settings.size_bytes > self.above_gb * GB)
        if not large:
            report = super().execute(context, event)
            context["ti"].xcom_push(key="backup", value=report["backup"])
            return []
        by_service = exported_by_service(ready, self.engine)
        if not by_service:
            when.check_now(f"backing up the table {self.table}")
        elif when.backfill and (found := verified_as_of(ready, when.as_of)) is not None:
            context["ti"].xcom_push(key="backup", value=found.backup)
            return []
        backup_id, _ = remembered(context, "backup_id", new_backup_id(when.as_of, common["clock"]))
        if by_service and self.deferrable:
            self._wait(common, ready, backup_id, when.as_of)
        begun = begin_export(ready=ready, as_of=when.as_of, by_service=by_service, backup_id=backup_id, **common)
        context["ti"].xcom_push(key="backup", value=begun.location.uri)
        if begun.plan is None:
            self.log.info("%s was published by an earlier try", begun.location.uri)
            return []
        found = groups(begun.plan.segments, self.tasks)  # an empty export has no file
        self.log.info("%s: %s segments in %s groups", begun.location.uri, begun.plan.segments, len(found))
        return found


class ScanSegmentsOperator(TablekeepOperator):
    """Reads one group of the segments of a planned backup. A retry goes on where the group's last parts ended.

    :param backup: the URI that the manifest will have. :param group: `{"group": number, "of": count}`.
    :param tasks: how many read at a time: each takes its share of the read budget.
    """

    template_fields: Sequence[str] = ("backup", "group", *TablekeepOperator.template_fields)

    def __init__(
        self,
        *,
        backup: str,
        group: dict[str, int],
        tasks: int,
        encryption: str | None = None,
        bucket_owner: str | None = None,
        **more: Any,
    ) -> None:
        super().__init__(**more)
        self.backup = backup
        self.group = group
        self.tasks = tasks
        self.encryption = encryption
        self.bucket_owner = bucket_owner

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        from tablekeep.engine.export.groups import read_group

        number, count = self.group["group"], self.group["of"]
        return read_group(
            backup=self.backup, group=number, of=count, share=1 / min(self.tasks, count), encryption=self.encryption,
            owner=self.bucket_owner, **self.engine_arguments(context),
        )  # fmt: skip


class FinishBackupOperator(TablekeepOperator):
    """Publishes a planned backup whose groups are all read; returns the engine's report.

    :param backup: the URI that the manifest will have.
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
        from tablekeep.engine.export.groups import finish_group

        report = finish_group(
            backup=self.backup, encryption=self.encryption, owner=self.bucket_owner, **self.engine_arguments(context)
        )
        self.log.info("%s: %s items, content hash %s", report.backup, f"{report.items:,}", report.content_hash)
        return report.as_dict()
