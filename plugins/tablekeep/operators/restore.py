"""Backup set → a new table, in two steps: the plan, and the restore."""

from collections.abc import Mapping, Sequence
from typing import Any

from tablekeep.operators.base import TablekeepOperator
from tablekeep.operators.verify import shelf_of
from tablekeep.runtime import clients_for, remembered


class _Restoring(TablekeepOperator):
    """Both steps restore to an account and Region that may be others than the backup's.

    :param target_aws_conn_id, target_region_name: where the table is made; default where the backed-up table is.
    """

    def __init__(
        self, *, target_aws_conn_id: str | None = None, target_region_name: str | None = None, **more: Any
    ) -> None:
        super().__init__(**more)
        self.target_aws_conn_id = target_aws_conn_id
        self.target_region_name = target_region_name

    def target(self) -> Any:
        """Clients of the account to which is restored."""
        return clients_for(self.target_aws_conn_id or self.aws_conn_id, self.target_region_name or self.region_name)


class PlanRestoreOperator(_Restoring):
    """Shows what a restore would make, and refuses one that may not be done. Changes nothing.

    :param to_table: the new table. :param backup: the manifest's URI; else the newest verified backup of `table` under `to`.
    :param patterns_refused: names to which nothing is restored. :param max_usd: of one restore.
    """

    template_fields: Sequence[str] = ("to_table", "backup", "table", "to", *TablekeepOperator.template_fields)

    def __init__(
        self,
        *,
        to_table: str,
        table: str,
        to: str,
        backup: str | None = None,
        patterns_refused: Sequence[str] = (),
        max_usd: float | None = None,
        **more: Any,
    ) -> None:
        super().__init__(multiple_outputs=True, **more)  # so that `output["backup"]` is the manifest's URI
        self.to_table = to_table
        self.table = table
        self.to = to
        self.backup = backup
        self.patterns_refused = list(patterns_refused)
        self.max_usd = max_usd

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        from tablekeep.engine.prices import load_prices
        from tablekeep.engine.restore.plan import plan_restore

        source = clients_for(self.aws_conn_id, self.region_name)
        plan = plan_restore(
            clients=self.target(), backup_clients=source, to_table=self.to_table, backup=self.backup or None,
            newest_of=shelf_of(source, self.to, self.table), patterns_refused=self.patterns_refused,
            prices=load_prices(), max_usd=self.max_usd,
        )  # fmt: skip
        self.log.info(
            "plan: %s (%s items, as of %s) to the new table %s in %s/%s; about %s write units, %.4f dollars; key %s; indexes %s",
            plan.backup, f"{plan.items:,}", plan.as_of, plan.to_table, plan.account, plan.region, f"{plan.write_units:,}",
            plan.usd,
            ", ".join(plan.key), ", ".join(plan.indexes) or "none",
        )  # fmt: skip
        return plan.as_dict()


class ParquetToDynamoDBOperator(_Restoring):
    """Restores a backup to a new table and proves it by reading it back.

    A second try refuses: the first may have left a table, and nothing that exists is written to or deleted.

    :param backup: the manifest's URI. :param to_table: the new table. :param max_wcu: write capacity units a second.
    """

    template_fields: Sequence[str] = ("backup", "to_table", "max_wcu", *TablekeepOperator.template_fields)

    def __init__(self, *, backup: str, to_table: str, max_wcu: float | str | None = None, **more: Any) -> None:
        super().__init__(**more)
        self.backup = backup
        self.to_table = to_table
        self.max_wcu = max_wcu

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        from tablekeep.engine.errors import PermanentError
        from tablekeep.engine.restore.table import restore_table

        common = self.engine_arguments(context)
        source = common.pop("clients")
        _, tried = remembered(context, "began", True)
        if tried:
            raise PermanentError(
                f"restoring {self.backup} to {self.to_table}",
                "an earlier try of this run began to make the table, and its state is not known",
                f"look at {self.to_table}, delete it by hand if it is of no use, and trigger a new run",
            )
        report = restore_table(
            clients=self.target(), backup_clients=source, backup=self.backup, to_table=self.to_table,
            max_wcu=float(self.max_wcu) if self.max_wcu not in (None, "", "None") else None, **common,
        )  # fmt: skip
        self.log.info("%s holds %s items, content hash %s", report.table, f"{report.items:,}", report.content_hash)
        return report.as_dict()
