"""Tells people by SNS what became of a run: failed, succeeded, late. Counts and names, never items.

Failures and successes are told by callbacks of the DAG, which Airflow calls in the DAG processor, whatever ended the run; lateness by
a deadline, whose callback the triggerer awaits. Nobody is told of a run that never was: while the scheduler is down nothing is late.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from airflow.sdk import AsyncCallback, DeadlineAlert, DeadlineReference

from tablekeep.engine.config.base import Notice, Pipeline
from tablekeep.notify import publish
from tablekeep.runtime import run_name, run_time


def notices_of(pipeline: Pipeline, dag_id: str) -> dict[str, Any]:
    """The arguments of a DAG by which its people are told."""
    found: dict[str, Any] = {}
    if pipeline.on_fail:
        found["on_failure_callback"] = Tell(**_words(pipeline, pipeline.on_fail, "failed"))
    if pipeline.on_success:
        found["on_success_callback"] = Tell(**_words(pipeline, pipeline.on_success, "succeeded"))
    if pipeline.late_after and pipeline.on_late and dag_id == f"{pipeline.LEAD}__{pipeline.name}":
        found["deadline"] = DeadlineAlert(
            reference=DeadlineReference.DAGRUN_LOGICAL_DATE,
            interval=pipeline.late_after,
            callback=AsyncCallback(tell_late, kwargs=_words(pipeline, pipeline.on_late, "is late")),
            name="late",
        )
    return found


def _words(pipeline: Pipeline, notice: Notice, what: str) -> dict[str, Any]:
    return {
        "topic": notice.topic, "subject": notice.subject, "message": notice.message, "what": what, "pipeline": pipeline.name,
        "owner": pipeline.owner, "aws_conn_id": pipeline.aws_conn_id, "region": pipeline.region,
    }  # fmt: skip


@dataclass(frozen=True)
class Tell:
    """A callback of a DAG. That telling fails changes nothing about the run; it is logged."""

    topic: str
    subject: str | None
    message: str | None
    what: str
    pipeline: str
    owner: str
    aws_conn_id: str
    region: str | None

    def __call__(self, context: Mapping[str, Any]) -> None:
        run = context.get("dag_run")
        dag_id = context["dag"].dag_id
        lines = [("reason", context.get("reason")), ("last task", getattr(context.get("ti"), "task_id", None))]
        if run is None:  # no task of the run was ever made
            self.tell(dag_id, f"{dag_id}/{context['run_id']}", None, lines[:1])
        else:
            self.tell(dag_id, run_name(context), run_time(context).as_of, lines)

    def tell(self, dag_id: str, run: str, as_of: datetime | None, more: list[tuple[str, Any]]) -> None:
        """Publishes the notice. :param run: `backup__orders/scheduled__…`. :param more: lines of the message, after the common ones."""
        from tablekeep.engine.clock import SystemClock
        from tablekeep.engine.steps.facts import RunFacts

        facts = RunFacts(self.pipeline, dag_id.split("__")[0], run, as_of or SystemClock().now())
        common = [("pipeline", self.pipeline), ("owner", self.owner), ("run", run), ("time", facts.fill("{{ as_of }}"))]
        default = "\n".join(
            [f"{dag_id} {self.what}.", "", *(f"{name}: {value}" for name, value in [*common, *more] if value)]
        )
        subject = facts.fill(self.subject) if self.subject else f"{dag_id} {self.what}"
        text = facts.fill(self.message) if self.message else default
        publish(self.topic, subject, text, aws_conn_id=self.aws_conn_id, region=self.region)


async def tell_late(context: Mapping[str, Any], **words: Any) -> None:
    """The callback of a deadline. A run by hand or of a backfill has a time, but is not late."""
    run = context["dag_run"]
    if run["run_type"] != "scheduled":
        return
    as_of = datetime.fromisoformat(str(run["logical_date"]).replace("Z", "+00:00"))
    name = f"{run['dag_id']}/{run['dag_run_id']}"
    await asyncio.to_thread(Tell(**words).tell, run["dag_id"], name, as_of, [("state", run["state"])])
