"""An RDS snapshot → a scratch instance, a proof, a report, and nothing left behind."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from tablekeep.operators.base import TargetOperator
from tablekeep.operators.drill import DrillOperator
from tablekeep.operators.instances import InstanceOperator, placed


class InstanceDrillOperator(DrillOperator, InstanceOperator):
    """Rehearses the restore of an RDS instance or cluster: restored, read whole, compared with the snapshot's record, measured, deleted.
    While RDS works the task is deferred; a retry goes on where the try before it ended.

    :param take, choose, within_seconds: which state, see `InstanceDrillRequest`.
    :param placement: what the scratch instance has otherwise. :param checks: of the team: `{"name", "sql", "database"}`.
    :param rto_seconds, rpo_seconds: objectives. :param limit_seconds: after which it is given up. :param max_usd: of one drill.
    """

    def __init__(
        self,
        *,
        take: str = "ours",
        choose: str = "latest",
        within_seconds: float | None = None,
        placement: Mapping[str, Any] | None = None,
        checks: Sequence[Mapping[str, str | None]] = (),
        rto_seconds: float | None = None,
        rpo_seconds: float | None = None,
        limit_seconds: float = 6 * 3600.0,
        max_usd: float | None = None,
        **more: Any,
    ) -> None:
        super().__init__(**more)
        self.take, self.choose, self.within_seconds = take, choose, within_seconds
        self.placement, self.checks = dict(placement or {}), [dict(check) for check in checks]
        self.rto_seconds, self.rpo_seconds = rto_seconds, rpo_seconds
        self.limit_seconds, self.max_usd = limit_seconds, max_usd

    def execute(self, context: Mapping[str, Any], event: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Airflow calls it at the beginning of a try, and again when what it waited for has come about."""
        from tablekeep.engine.drills.instances import run_instance_drill
        from tablekeep.engine.errors import TablekeepError

        common = self.engine_arguments(context)
        home = common.pop("clients")
        common["clients"] = self.target()
        try:
            report = run_instance_drill(
                self.request(home.region),
                record_clients=home,
                wait=self.waiting(common, event, *self.target_place),
                **common,
            )
        except TablekeepError as error:
            self.tell(f"Drill of {self.database} could not be run", str(error))
            raise
        for one in report.told:
            self.log.warning("table %s: %s", one["table"], one["why"])
        drilled = report.snapshot or f"{self.database} at {report.at}"
        tags = {"database": self.database}
        document: dict[str, Any] = self.conclude(
            context, report, home.region, of=self.database, drilled=drilled, tags=tags
        )
        return document

    def request(self, home: str) -> Any:
        """The engine's request. :param home: the source's Region."""
        from tablekeep.engine.drills.instances import InstanceCheck, InstanceDrillRequest
        from tablekeep.engine.drills.report import Objectives

        return InstanceDrillRequest(
            self.database, self.records, home, self.reading(), self.take, self.choose,  # type: ignore[arg-type]
            timedelta(seconds=self.within_seconds) if self.within_seconds else None, placed(self.placement),
            Objectives(self.rto_seconds, self.rpo_seconds), tuple(InstanceCheck(**check) for check in self.checks),  # type: ignore[arg-type]
            timedelta(seconds=self.limit_seconds), self.max_usd,
        )  # fmt: skip


class SweepScratchInstancesOperator(TargetOperator, InstanceOperator):
    """Removes scratch instances and clusters that dead drills have left: those whose name and marks say so, and whose time is over.

    Runs after the drill whatever became of it; its own run's goes at once.
    """

    def execute(self, context: Mapping[str, Any], event: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Airflow calls it at the beginning of a try, and again when what it waited for has come about."""
        from tablekeep.engine.drills.instance_scratch import (
            FAMILIES,
            scratch_instance,
            sweep_instances,
            tear_down_instance,
        )
        from tablekeep.engine.errors import PermanentError

        common = self.engine_arguments(context)
        common["clients"] = clients = self.target()
        name, wait = scratch_instance(self.database, common["run"]), self.waiting(common, event, *self.target_place)
        for family in FAMILIES:
            if not tear_down_instance(clients, family, name, common["run"], wait):
                raise PermanentError(f"removing {name}", "it is still there", "delete it by hand; it costs money")
        swept = sweep_instances(clients, common["clock"])
        for one in swept:
            self.log.warning("%s was left by %s and is removed", one.table, one.run)
        return [one.as_dict() for one in swept]
