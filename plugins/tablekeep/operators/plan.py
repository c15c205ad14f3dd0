"""What a backup will take, before anything costs."""

from collections.abc import Mapping, Sequence
from typing import Any

from tablekeep.operators.base import TablekeepOperator


class PlanExportOperator(TablekeepOperator):
    """Says what the backup will take, in minutes and dollars, and refuses what cannot work or costs more than the limit.

    Writes nothing and reads one item. Returns the estimate.

    :param table, to, engine, segments, read_budget, bucket_owner: as the backup has them. :param tasks: that read side by side.
    :param incremental: changes will be exported, not the table. :param max_usd: of one run.
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
        tasks: int = 1,
        incremental: bool = False,
        bucket_owner: str | None = None,
        max_usd: float | None = None,
        **more: Any,
    ) -> None:
        super().__init__(**more)
        self.table = table
        self.to = to
        self.engine = engine
        self.segments = segments
        self.read_budget = read_budget
        self.tasks = tasks
        self.incremental = incremental
        self.bucket_owner = bucket_owner
        self.max_usd = max_usd

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        from tablekeep.engine.errors import BadInputError
        from tablekeep.engine.export.estimate import estimate_export
        from tablekeep.engine.prices import load_prices

        common = self.engine_arguments(context)
        found = estimate_export(
            clients=common["clients"], clock=common["clock"], table=self.table, to=self.to, prices=load_prices(), engine=self.engine,
            segments=self.segments, read_budget=self.read_budget, workers=self.tasks, incremental=self.incremental,
            max_usd=self.max_usd, owner=self.bucket_owner,
        )  # fmt: skip
        minutes = "an unknown number of" if found.minutes is None else f"about {found.minutes:,.1f}"
        self.log.info(
            "plan: engine %s (%s), about %s items and %s bytes, %s minutes, %.4f dollars (prices of %s); capacity: %s",
            found.engine, found.why, f"{found.items:,}", f"{found.bytes:,}", minutes, found.usd, found.prices_as_of, found.capacity,
        )  # fmt: skip
        for note in found.notes:
            self.log.warning("%s", note)
        if found.problems:
            raise BadInputError(
                f"planning the backup of the table {self.table}", "; ".join(found.problems), "nothing was started"
            )
        return found.as_dict()
