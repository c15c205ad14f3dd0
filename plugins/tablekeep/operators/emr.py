"""What stands around the Amazon provider's EMR operators: the request, checked before it is made, and the waiting in the triggerer.

The provider's own waiting needs aiobotocore, which its package does not bring.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from tablekeep.operators.base import TablekeepOperator
from tablekeep.operators.steps import StepOperator
from tablekeep.runtime import clients_for, remembered
from tablekeep.triggers import EmrStepTrigger


class PlanEmrStepOperator(StepOperator):
    """Gives what EMR will be asked: `job_flow` (None on a cluster that is there) and `steps`; bad input fails here, before it costs.

    :param jar, main_class, arguments, properties: of the step. :param cluster: the id of a cluster that is there.
    :param new_cluster: or what the new one is like, as a pipeline file says it.
    """

    def __init__(
        self,
        *,
        jar: str,
        main_class: str | None = None,
        arguments: Sequence[str | int] = (),
        properties: Mapping[str, str] | None = None,
        cluster: str | None = None,
        new_cluster: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(multiple_outputs=True, **more)
        self.jar, self.main_class, self.arguments = jar, main_class, list(arguments)
        self.properties, self.cluster = dict(properties or {}), cluster
        self.new_cluster = dict(new_cluster) if new_cluster else None

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        from tablekeep.engine.steps.emr import EmrStepRequest, NewCluster, plan_emr_step

        new = NewCluster(**self.new_cluster) if self.new_cluster else None
        request = EmrStepRequest(self.jar, self.arguments, self.main_class, self.properties, self.cluster, new)
        return plan_emr_step(request, self.facts(context))


class EmrStepDoneOperator(TablekeepOperator):
    """Waits, deferred, until a step has ended; one that failed, or a cluster that ended before it, is a failed task with EMR's reason.

    :param cluster: the cluster's id. :param emr_step: the step's id, or a list of one; None: that with which the cluster was made.
    :param timeout_seconds: from the first look; then the step is stopped. :param poll_seconds: between two questions.
    """

    template_fields: Sequence[str] = ("cluster", "emr_step", *TablekeepOperator.template_fields)

    def __init__(
        self,
        *,
        cluster: Any,
        emr_step: Any = None,
        timeout_seconds: float = 12 * 3600,
        poll_seconds: float = 30.0,
        **more: Any,
    ) -> None:
        super().__init__(**more)
        self.cluster, self.emr_step = cluster, emr_step
        self.timeout_seconds, self.poll_seconds = timeout_seconds, poll_seconds

    def execute(self, context: Mapping[str, Any], event: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Airflow calls it at the beginning of a try, and again when the step has ended."""
        from datetime import datetime

        from tablekeep.engine.clock import SystemClock
        from tablekeep.engine.errors import PermanentError, TransientError
        from tablekeep.engine.steps.emr import step_ended, stop

        clients, now = clients_for(self.aws_conn_id, self.region_name), SystemClock().now()
        step = str(self.emr_step[0] if isinstance(self.emr_step, list) else self.emr_step) if self.emr_step else None
        until, _ = remembered(context, "until", (now + timedelta(seconds=self.timeout_seconds)).isoformat())
        try:
            ended = step_ended(clients, self.cluster, step)
        except TransientError:
            ended = False
        if ended:
            return {"cluster": self.cluster, "emr_step": step, "made": step is None}
        if now >= datetime.fromisoformat(until):
            stop(clients, self.cluster, step, made=step is None)
            raise PermanentError(
                f"running a step on the EMR cluster {self.cluster}",
                f"it did not end in {self.timeout_seconds:,.0f} s and was told to end",
                "give it more timeout",
            )
        self.log.info("waiting in the triggerer for the step of the EMR cluster %s", self.cluster)
        self.defer(
            trigger=EmrStepTrigger(
                cluster=self.cluster,
                step=step,
                until=until,
                aws_conn_id=self.aws_conn_id,
                region_name=self.region_name,
                poll_seconds=self.poll_seconds,
            ),
            method_name="execute",
            timeout=timedelta(seconds=self.timeout_seconds + 600),
        )
        raise AssertionError("defer does not return")
