"""What a pipeline requires before it begins."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from tablekeep.operators.steps import StepOperator
from tablekeep.runtime import clients_for, remembered
from tablekeep.triggers import RequirementsTrigger


class RequireOperator(StepOperator):
    """Waits, in the triggerer, until all that is required is there. What is missing when the time is over is named.

    :param requirements: kind and name of each: `("key_exists", "s3://…")`. :param within_seconds: from the first look.
    :param deferrable: waits in the triggerer instead of a worker. :param poll_seconds: between two questions.
    """

    def __init__(
        self,
        *,
        requirements: Sequence[Sequence[str]],
        within_seconds: float = 3600,
        deferrable: bool = True,
        poll_seconds: float = 60.0,
        **more: Any,
    ) -> None:
        super().__init__(**more)
        self.requirements = [tuple(one) for one in requirements]
        self.within_seconds, self.deferrable, self.poll_seconds = within_seconds, deferrable, poll_seconds

    def execute(self, context: Mapping[str, Any], event: Mapping[str, Any] | None = None) -> None:
        """Airflow calls it at the beginning of a try, and again when there is something to say."""
        from tablekeep.engine.clock import SystemClock
        from tablekeep.engine.errors import TransientError
        from tablekeep.engine.steps.require import Requirement, filled, in_vain, missing, wait_for
        from tablekeep.runtime import LogProgress

        clients, clock = clients_for(self.aws_conn_id, self.region_name), SystemClock()
        wanted = filled([Requirement(*one) for one in self.requirements], self.facts(context))  # type: ignore[arg-type]
        if not self.deferrable:
            wait_for(
                wanted, clients, within_seconds=self.within_seconds, poll_seconds=self.poll_seconds, clock=clock,
                progress=LogProgress(),
            )  # fmt: skip
            return
        until, _ = remembered(context, "until", (clock.now() + timedelta(seconds=self.within_seconds)).isoformat())
        try:
            left = missing(wanted, clients)
        except TransientError as error:
            self.log.warning("%s", error)
            left = wanted
        if not left:
            self.log.info("there is %s", ", ".join(map(str, wanted)))
            return
        if clock.now() >= datetime.fromisoformat(until):
            raise in_vain(left, self.within_seconds)
        self.log.info("waiting in the triggerer for %s", ", ".join(map(str, left)))
        self.defer(
            trigger=RequirementsTrigger(
                requirements=[(one.kind, one.name) for one in left],
                until=until,
                aws_conn_id=self.aws_conn_id,
                region_name=self.region_name,
                poll_seconds=min(self.poll_seconds, self.within_seconds),
            ),
            method_name="execute",
            timeout=timedelta(seconds=self.within_seconds + 600),
        )
