"""Backup set → a table by many tasks: one begins it, mapped ones load groups of the backup's parts, one completes the table, mapped ones
read it back, one finishes. A small restore takes one task.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tablekeep.operators.approve import check_approved
from tablekeep.operators.restore import ParquetToDynamoDBOperator, RestoringOperator
from tablekeep.operators.spread import GB, groups

if TYPE_CHECKING:
    from tablekeep.engine.restore.groups import Workplace


def workplace(operator: RestoringOperator, context: Mapping[str, Any]) -> "Workplace":
    """What the engine's steps are told."""
    from tablekeep.engine.restore.groups import Workplace

    common = operator.engine_arguments(context)
    source = common.pop("clients")
    return Workplace(operator.request(source), operator.target(), source, **common)


class BeginRestoreOperator(ParquetToDynamoDBOperator):
    """Restores a small backup at once; of a large one it makes the table and returns the groups of parts to be loaded.

    Returns `[]` or `[{"group": 0, "of": n}, …]`, to be mapped over. A retry goes on.

    :param above_gb: of the items, as the plan tells them, above which several tasks load them.
    :param tasks: how many load at a time.
    """

    def __init__(self, *, above_gb: float, tasks: int, **more: Any) -> None:
        super().__init__(**more)
        self.above_gb = above_gb
        self.tasks = tasks

    def execute(self, context: Mapping[str, Any]) -> Any:
        from tablekeep.engine.restore.groups import begin_restore

        check_approved(self.plan_hash, f"restoring to the table {self.to_table}")
        with self.telling_what_differs():
            begun = begin_restore(
                workplace(self, context), plan_hash=self.plan_hash, above_bytes=self.above_gb * GB
            )  # fmt: skip
        if begun.report is not None:
            self.told(begun.report)
            return []
        found = groups(begun.units, self.tasks)
        self.log.info("%s: %s parts in %s groups", self.to_table, begun.units, len(found))
        return found


class LoadPartsOperator(RestoringOperator):
    """Loads one group of the parts of a restore that was begun. A retry leaves out what is loaded.

    :param group: `{"group": number, "of": count}`. :param tasks: how many load at a time: each takes its share of the write budget.
    """

    template_fields: Sequence[str] = ("group", *RestoringOperator.template_fields)

    def __init__(self, *, group: dict[str, int], tasks: int, **more: Any) -> None:
        super().__init__(**more)
        self.group = group
        self.tasks = tasks

    def execute(self, context: Mapping[str, Any]) -> dict[str, int]:
        from tablekeep.engine.restore.groups import load_group

        number, of = self.group["group"], self.group["of"]
        return load_group(workplace(self, context), group=number, of=of, share=1 / min(self.tasks, of))


class CompleteRestoreOperator(RestoringOperator):
    """What has to wait for all parts: what increments added, the service's import, the indexes.

    Returns the groups of segments that are read for the proof, to be mapped over.

    :param tasks: how many will read at a time.
    """

    def __init__(self, *, tasks: int, **more: Any) -> None:
        super().__init__(**more)
        self.tasks = tasks

    def execute(self, context: Mapping[str, Any]) -> list[dict[str, int]]:
        from tablekeep.engine.restore.groups import complete_restore

        segments = complete_restore(workplace(self, context))
        return [one | {"segments": segments} for one in groups(segments, self.tasks)]


class ReadBackOperator(RestoringOperator):
    """Reads one group of the restored table's segments, with consistent reads; returns their content hash.

    :param group: `{"group": number, "of": count, "segments": of the table}`.
    """

    template_fields: Sequence[str] = ("group", *RestoringOperator.template_fields)

    def __init__(self, *, group: dict[str, int], **more: Any) -> None:
        super().__init__(**more)
        self.group = group

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        from tablekeep.engine.restore.groups import prove_group

        return prove_group(workplace(self, context), **self.group)


class FinishRestoreOperator(RestoringOperator):
    """Judges what was read back, sets the settings, writes the record; returns the engine's report.

    :param proofs: what the tasks that read back have returned. :param tasks: how many of them ran at a time.
    """

    template_fields: Sequence[str] = ("proofs", *RestoringOperator.template_fields)

    def __init__(self, *, proofs: Any, tasks: int, **more: Any) -> None:
        super().__init__(**more)
        self.proofs = proofs
        self.tasks = tasks

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        from tablekeep.engine.restore.groups import finish_restore

        with self.telling_what_differs():
            report = finish_restore(workplace(self, context), list(self.proofs), workers=self.tasks)
        return self.told(report)
