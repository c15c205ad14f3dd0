"""What the DAGs of all verbs share: timetable, defaults, where the table and its backups are."""

from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, CronTriggerTimetable
from airflow.timetables.base import Timetable

from tablekeep.dag_notices import notices_of
from tablekeep.engine.config.base import Pipeline
from tablekeep.engine.config.sets import SetPipeline
from tablekeep.runtime import ByErrorFamily

RETRIES = 3


def cron_timetable(schedule: str | None, timezone: str) -> Timetable | None:
    """Runs when the time has come, and never for a time before the DAG was first seen: a new pipeline's drill would find no
    backup, and its backup would read the table in the middle of the day. After an outage the newest missed run is made up for.
    """
    if not schedule:
        return None
    return CronTriggerTimetable(schedule, timezone=timezone, run_immediately=timedelta(0))  # type: ignore[return-value]


def make_dag(pipeline: Pipeline, dag_id: str, what: str, doc: str, *, schedule: Any, **more: Any) -> DAG:
    """What all DAGs have."""
    return DAG(
        dag_id,
        description=f"{what} of {pipeline.subject}",
        doc_md=doc,
        schedule=schedule,
        catchup=False,
        max_active_runs=1,
        is_paused_upon_creation=False,
        tags=["tablekeep", what, pipeline.tag[:100]],
        default_args=task_defaults(pipeline.owner, pipeline.pool),
        **notices_of(pipeline, dag_id),
        **more,
    )


def task_defaults(owner: str, pool: str | None) -> dict[str, Any]:
    chosen = {"pool": pool} if pool else {}
    return chosen | {
        "owner": owner,
        "retries": RETRIES,
        "retry_delay": timedelta(minutes=1),
        "retry_exponential_backoff": 2.0,
        "max_retry_delay": timedelta(minutes=15),
        "retry_policy": ByErrorFamily(),
    }


def aws_of(pipeline: Pipeline) -> dict[str, Any]:
    return {"aws_conn_id": pipeline.aws_conn_id, "region_name": pipeline.region}


def source_of(pipeline: SetPipeline) -> dict[str, Any]:
    return aws_of(pipeline) | {"table": pipeline.table, "to": pipeline.backup.to}


def max_usd(pipeline: Pipeline) -> float | None:
    return pipeline.limits.max_usd if pipeline.limits else None


def torn_down(work: Any, teardown: Any, setups: Any = None) -> None:
    """Runs `teardown` after `work`, whatever became of it. The run is red when either failed.

    With `on_failure_fail_dagrun` Airflow takes the state of the run from the teardown and no longer from what is before it, so that a
    run whose work failed would be green; so the work has another task behind it, which nobody runs.
    """
    work >> teardown.as_teardown(setups=setups, on_failure_fail_dagrun=True)
    work >> EmptyOperator(task_id="done")
