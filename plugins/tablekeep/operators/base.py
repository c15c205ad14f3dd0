"""What all operators share: the AWS connection and the engine's common arguments."""

from collections.abc import Mapping, Sequence
from typing import Any

from airflow.sdk import BaseOperator

from tablekeep.runtime import LogProgress, actor, clients_for, run_name


class TablekeepOperator(BaseOperator):
    """An operator over the engine.

    :param aws_conn_id: the Airflow connection for AWS. :param region_name: the Region; the connection's when None.
    """

    template_fields = ("aws_conn_id", "region_name")
    ui_color = "#e7f0ea"

    def __init__(self, *, aws_conn_id: str = "aws_default", region_name: str | None = None, **more: Any) -> None:
        super().__init__(**more)
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name

    def engine_arguments(self, context: Mapping[str, Any]) -> dict[str, Any]:
        """`clients`, `clock`, `progress`, `actor` and `run`, as every use case of the engine takes them."""
        from tablekeep.engine.clock import SystemClock

        return {
            "clients": clients_for(self.aws_conn_id, self.region_name),
            "clock": SystemClock(),
            "progress": LogProgress(),
            "actor": actor(context),
            "run": run_name(context),
        }


class TargetOperator(TablekeepOperator):
    """An operator that makes something, in the account and Region of the source or in others.

    :param target_aws_conn_id, target_region_name: where it is made; default where the source is.
    """

    def __init__(
        self, *, target_aws_conn_id: str | None = None, target_region_name: str | None = None, **more: Any
    ) -> None:
        super().__init__(**more)
        self.target_aws_conn_id, self.target_region_name = target_aws_conn_id, target_region_name

    @property
    def target_place(self) -> tuple[str, str | None]:
        """Connection and Region of the target."""
        return self.target_aws_conn_id or self.aws_conn_id, self.target_region_name or self.region_name

    def target(self) -> Any:
        """Clients of the account and Region of the target."""
        return clients_for(*self.target_place)


class RuledRestoreOperator(TargetOperator):
    """A step of a restore, and the rules under which it may be done.

    :param patterns_refused: names to which nothing is restored. :param accounts: the only ones to which is restored.
    :param max_usd: what it may cost.
    """

    def __init__(
        self,
        *,
        patterns_refused: Sequence[str] = (),
        accounts: Sequence[str] = (),
        max_usd: float | None = None,
        **more: Any,
    ) -> None:
        super().__init__(**more)
        self.patterns_refused, self.accounts, self.max_usd = list(patterns_refused), list(accounts), max_usd
