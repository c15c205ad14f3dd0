"""What the triggerer polls while a task is deferred. Calls run in a thread (`asyncio.to_thread`): no aiobotocore is needed."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent


class NativeExportTrigger(BaseTrigger):
    """Waits until DynamoDB can give the state of a time, or until an export that it runs has ended.

    Fires `{"ready": True}`, or `{"error": text}` when asking fails for another reason than a passing one; the task asks again itself
    and reports.

    :param as_of: ISO 8601; waited for while `arn` is None. :param arn: of the export. :param poll_seconds: between two questions.
    """

    def __init__(
        self,
        *,
        table: str,
        as_of: str,
        arn: str | None,
        aws_conn_id: str,
        region_name: str | None,
        poll_seconds: float = 15.0,
    ) -> None:
        super().__init__()
        self.table = table
        self.as_of = as_of
        self.arn = arn
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name
        self.poll_seconds = poll_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class and its arguments, as Airflow stores them."""
        names = ("table", "as_of", "arn", "aws_conn_id", "region_name", "poll_seconds")
        return "tablekeep.triggers.NativeExportTrigger", {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Asks until there is something for the task to do."""
        from tablekeep.engine.errors import TablekeepError, TransientError

        while True:
            try:
                ready = await asyncio.to_thread(self._ready)
            except TransientError:
                ready = False
            except TablekeepError as error:
                yield TriggerEvent({"error": str(error)})
                return
            if ready:
                yield TriggerEvent({"ready": True})
                return
            await asyncio.sleep(self.poll_seconds)

    def _ready(self) -> bool:
        from tablekeep.engine.export.pitr import IN_PROGRESS, native_status, recovery_window
        from tablekeep.runtime import clients_for

        clients = clients_for(self.aws_conn_id, self.region_name)
        if self.arn is None:
            return recovery_window(clients, self.table).latest >= datetime.fromisoformat(self.as_of)
        return native_status(clients, self.arn)[0] != IN_PROGRESS
