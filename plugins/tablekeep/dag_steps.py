"""Steps in DAGs: before and after what a section of a pipeline does, and pipelines that are one step: `run__<name>`."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from airflow.sdk import DAG, TaskGroup, chain

from tablekeep.dag_common import aws_of, cron_timetable, make_dag
from tablekeep.dag_docs import step_doc
from tablekeep.engine.config.base import Model, Pipeline
from tablekeep.engine.config.steps import AwsCallAction, AwsCallStep, ScriptAction, SqlAction, Stepped, StepPipeline
from tablekeep.operators.require import RequireOperator
from tablekeep.operators.steps import AwsCallOperator, ScriptOperator, SqlOperator


def surround(pipeline: Pipeline, section: Stepped, first: Any, last: Any, manifest: Any = None) -> None:
    """Puts the section's steps before and after what it does. Called inside of its DAG.

    :param first, last: a task, or several: with which it begins, and after whose success it is done.
    :param manifest: the URI of the backup, for the steps after it; mostly a task's output.
    """
    if section.before:
        before = _chained(pipeline, section, "before", section.before, None)
        before[-1] >> first
    if section.after:
        after = _chained(pipeline, section, "after", section.after, manifest)
        last >> after[0]


def _chained(pipeline: Pipeline, section: Stepped, group: str, steps: Sequence[Any], manifest: Any) -> list[Any]:
    with TaskGroup(group):
        made = [
            step_task(
                step,
                task_id=step.name,
                step=step.name,
                manifest=manifest,
                **_facts_of(pipeline, section),
                **_aws_of_step(pipeline, step),
            )
            for step in steps
        ]
        chain(*made)
    return made


def _facts_of(pipeline: Pipeline, section: Model) -> dict[str, Any]:
    return {
        "pipeline": pipeline.name,
        "schedule": getattr(section, "schedule", None),
        "timezone": getattr(section, "timezone", "UTC"),
        "include": str(pipeline.include) if pipeline.include else None,
    }


def _aws_of_step(pipeline: Pipeline, step: Any) -> dict[str, Any]:
    if isinstance(step, AwsCallStep):
        return {"aws_conn_id": step.aws_conn_id or pipeline.aws_conn_id, "region_name": step.region or pipeline.region}
    return aws_of(pipeline)


def step_task(action: Any, **common: Any) -> Any:
    """The operator of one action."""
    if isinstance(action, SqlAction):
        return SqlOperator(
            sql=action.sql,
            file=action.file,
            parameters=action.parameters,
            conn_id=action.conn_id,
            redshift=action.redshift.model_dump() if action.redshift else None,
            timeout_seconds=action.timeout.total_seconds() if action.timeout else None,
            **common,
        )
    if isinstance(action, ScriptAction):
        return ScriptOperator(
            script=action.script,
            arguments=action.arguments,
            inputs=action.inputs,
            outputs=action.outputs,
            timeout_seconds=action.timeout.total_seconds(),
            **common,
        )
    assert isinstance(action, AwsCallAction)
    return AwsCallOperator(service=action.service, method=action.method, parameters=action.parameters, **common)


def require_first(pipeline: Pipeline, dag: DAG) -> None:
    """Puts what the pipeline requires before everything in its leading DAG."""
    assert pipeline.require
    schedule, timezone = pipeline.timed
    roots = list(dag.roots)
    with dag:
        wait = RequireOperator(
            task_id="require",
            pipeline=pipeline.name,
            schedule=schedule,
            timezone=timezone,
            requirements=pipeline.require.requirements,
            within_seconds=pipeline.require.within.total_seconds(),
            **aws_of(pipeline),
        )
        wait >> roots


def step_makers(pipeline: StepPipeline) -> Mapping[str, Callable[[], DAG]]:
    """`run__<name>`, for the kinds that are one task."""
    return {f"run__{pipeline.name}": lambda: step_dag(pipeline, _one_task)}


def _one_task(pipeline: StepPipeline) -> tuple[Any, Any]:
    task = step_task(
        pipeline, task_id="run", max_active_tis_per_dag=1, **_facts_of(pipeline, pipeline), **aws_of(pipeline)
    )
    return task, task


def step_dag(pipeline: StepPipeline, make: Callable[[Any], tuple[Any, Any]]) -> DAG:
    """The DAG of a pipeline that is one step. :param make: gives the first task and the last."""
    with make_dag(
        pipeline,
        f"run__{pipeline.name}",
        "run",
        step_doc(pipeline),
        schedule=cron_timetable(pipeline.schedule, pipeline.timezone),
    ) as dag:
        first, last = make(pipeline)
        surround(pipeline, pipeline, first, last)
    return dag
