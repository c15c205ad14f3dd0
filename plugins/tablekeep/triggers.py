"""What the triggerer polls while a task is deferred. Calls run in a thread (`asyncio.to_thread`): no aiobotocore is needed."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent


class PollTrigger(BaseTrigger):
    """Asks a service again and again until there is something for the task to do.

    Fires `{"ready": True}`, or `{"error": text}` when asking fails for another reason than a passing one; the task asks again itself
    and reports. What is stored of a trigger are its attributes: those of its arguments' names.

    :param poll_seconds: between two questions.
    """

    def __init__(self, *, aws_conn_id: str, region_name: str | None, poll_seconds: float = 15.0, **own: Any) -> None:
        super().__init__()
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name
        self.poll_seconds = poll_seconds
        self._own = own
        for name, value in own.items():
            setattr(self, name, value)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class and its arguments, as Airflow stores them."""
        common = {name: getattr(self, name) for name in ("aws_conn_id", "region_name", "poll_seconds")}
        return f"{type(self).__module__}.{type(self).__qualname__}", common | self._own

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
                yield TriggerEvent({"ready": True, **self._told()})
                return
            await asyncio.sleep(self.poll_seconds)

    def _ready(self) -> bool:
        raise NotImplementedError

    def _told(self) -> dict[str, Any]:
        """What the event says beside `ready`."""
        return {}

    def _clients(self) -> Any:
        from tablekeep.runtime import clients_for

        return clients_for(self.aws_conn_id, self.region_name)


class NativeExportTrigger(PollTrigger):
    """Waits until DynamoDB can give the state of a time, or until an export that it runs has ended.

    :param as_of: ISO 8601; waited for while `arn` is None. :param arn: of the export.
    """

    def __init__(self, *, table: str, as_of: str, arn: str | None, **common: Any) -> None:
        super().__init__(table=table, as_of=as_of, arn=arn, **common)
        self.table, self.as_of, self.arn = table, as_of, arn

    def _ready(self) -> bool:
        from tablekeep.engine.export.pitr import IN_PROGRESS, native_status, recovery_window

        if self.arn is None:
            return recovery_window(self._clients(), self.table).latest >= datetime.fromisoformat(self.as_of)
        return native_status(self._clients(), self.arn)[0] != IN_PROGRESS


class RequirementsTrigger(PollTrigger):
    """Waits until what a pipeline requires is there, or its time is over.

    :param requirements: kind and name of each. :param until: ISO 8601.
    """

    def __init__(self, *, requirements: Sequence[Sequence[str]], until: str, **common: Any) -> None:
        self.requirements, self.until = [list(one) for one in requirements], until
        super().__init__(requirements=self.requirements, until=until, **common)

    def _ready(self) -> bool:
        from tablekeep.engine.clock import SystemClock
        from tablekeep.engine.steps.require import Requirement, missing

        wanted = [Requirement(*one) for one in self.requirements]  # type: ignore[arg-type]
        late = SystemClock().now() >= datetime.fromisoformat(self.until)
        return late or not missing(wanted, self._clients())


class EmrStepTrigger(PollTrigger):
    """Waits until a step of an EMR cluster has ended. When a person ends the task meanwhile, the cluster is told.

    :param cluster: its id. :param step: the step's id; None: that with which the cluster was made. :param until: ISO 8601.
    """

    def __init__(self, *, cluster: str, step: str | None, until: str, **common: Any) -> None:
        self.cluster, self.step, self.until = cluster, step, until
        super().__init__(cluster=cluster, step=step, until=until, **common)

    def _ready(self) -> bool:
        from tablekeep.engine.clock import SystemClock
        from tablekeep.engine.steps.emr import step_ended

        late = SystemClock().now() >= datetime.fromisoformat(self.until)
        return late or step_ended(self._clients(), self.cluster, self.step)

    async def on_kill(self) -> None:
        """Airflow calls it when a person clears the task or sets its state."""
        from tablekeep.engine.steps.emr import stop

        await asyncio.to_thread(stop, self._clients(), self.cluster, self.step, made=self.step is None)


class RdsTrigger(PollTrigger):
    """Waits until an RDS instance, cluster or snapshot is available or gone, or cannot become so any more, or its time is over: then
    `late` in the event names it.

    :param awaited: `engine.rds.instances.service.Awaited` as a dict. :param until: ISO 8601.
    """

    def __init__(self, *, awaited: dict[str, Any], until: str, **common: Any) -> None:
        self.awaited, self.until = awaited, until
        super().__init__(awaited=awaited, until=until, **common)

    def _ready(self) -> bool:
        from tablekeep.engine.rds.instances.service import Awaited, settled

        return self._late() or settled(self._clients(), Awaited(**self.awaited))

    def _late(self) -> bool:
        from tablekeep.engine.clock import SystemClock

        return SystemClock().now() >= datetime.fromisoformat(self.until)

    def _told(self) -> dict[str, Any]:
        return {"late": self.awaited["name"]} if self._late() else {}
