"""The newest backup → a restored scratch table, a proof, and nothing left behind."""

from collections.abc import Mapping, Sequence
from typing import Any

from tablekeep.operators.base import TablekeepOperator
from tablekeep.runtime import clients_for


class RestoreDrillOperator(TablekeepOperator):
    """Rehearses the restore of a table's newest backup. A drill that did not prove it, missed an objective or left something
    behind is a failed task.

    :param table: the table whose backups are drilled. :param to: the root of the backups.
    :param rto_seconds, rpo_seconds: objectives. :param max_wcu: write capacity units a second. :param max_usd: of one drill.
    :param target_aws_conn_id, target_region_name: where the scratch table is made; default where the table is.
    """

    template_fields: Sequence[str] = ("table", "to", *TablekeepOperator.template_fields)

    def __init__(
        self,
        *,
        table: str,
        to: str,
        rto_seconds: float | None = None,
        rpo_seconds: float | None = None,
        max_wcu: float | None = None,
        max_usd: float | None = None,
        target_aws_conn_id: str | None = None,
        target_region_name: str | None = None,
        **more: Any,
    ) -> None:
        super().__init__(**more)
        self.table = table
        self.to = to
        self.rto_seconds = rto_seconds
        self.rpo_seconds = rpo_seconds
        self.max_wcu = max_wcu
        self.max_usd = max_usd
        self.target_aws_conn_id = target_aws_conn_id
        self.target_region_name = target_region_name

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        from tablekeep.engine.drills.drill import Objectives, run_drill
        from tablekeep.engine.errors import IntegrityError, PermanentError
        from tablekeep.engine.prices import load_prices

        common = self.engine_arguments(context)
        source = common.pop("clients")
        target = clients_for(self.target_aws_conn_id or self.aws_conn_id, self.target_region_name or self.region_name)
        report = run_drill(
            clients=target, backup_clients=source, backups=self.to, table=self.table,
            objectives=Objectives(self.rto_seconds, self.rpo_seconds), max_wcu=self.max_wcu, prices=load_prices(),
            max_usd=self.max_usd, **common,
        )  # fmt: skip
        self.log.info(
            "proved: %s, RTO %.1f s, RPO %.0f s, torn down: %s",
            report.proved,
            report.rto_seconds,
            report.rpo_seconds,
            report.torn_down,
        )
        if not report.passed:
            what, why = f"drilling {report.backup}", "; ".join(report.problems)
            if not report.proved:
                raise IntegrityError(what, why, "the backup may not be restorable: look into it today")
            raise PermanentError(what, why, "the backup is restorable; the objective or the teardown is what failed")
        return report.as_dict()
