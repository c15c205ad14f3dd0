"""What all operators share: the AWS connection and the engine's common arguments."""

from collections.abc import Mapping
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
