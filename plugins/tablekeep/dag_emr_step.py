"""The DAG of `kind: emr-step`: `run__<name>`. The Amazon provider's operators make, use and end clusters.

They are imported when the DAG is made, for they import boto3; only folders with a pipeline of this kind pay for it.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any

from airflow.sdk import DAG

from tablekeep.dag_common import aws_of, torn_down
from tablekeep.dag_steps import step_dag
from tablekeep.engine.config.kinds.emr_step import EmrStepPipeline
from tablekeep.operators.emr import EmrStepDoneOperator, PlanEmrStepOperator


def makers(pipeline: EmrStepPipeline) -> Mapping[str, Callable[[], DAG]]:
    """The DAGs that a pipeline has, and how each is made."""
    return {f"run__{pipeline.name}": functools.partial(step_dag, pipeline, _tasks)}


def _tasks(pipeline: EmrStepPipeline) -> tuple[Any, Any]:
    """plan → cluster, with the step in it → run, and at last terminate, whatever happened; on a cluster that is there:
    plan → step → run.
    """
    from airflow.providers.amazon.aws.operators.emr import (
        EmrAddStepsOperator,
        EmrCreateJobFlowOperator,
        EmrTerminateJobFlowOperator,
    )

    plan = PlanEmrStepOperator(
        task_id="plan",
        pipeline=pipeline.name,
        schedule=pipeline.schedule,
        timezone=pipeline.timezone,
        jar=pipeline.jar,
        main_class=pipeline.main_class,
        arguments=pipeline.arguments,
        properties=pipeline.properties,
        cluster=pipeline.cluster,
        new_cluster=pipeline.new_cluster.model_dump() if pipeline.new_cluster else None,
        **aws_of(pipeline),
    )
    # a second try would make a second cluster, or add the step again, when only the answer to the first was lost
    once: dict[str, Any] = {"retries": 0, "deferrable": False, **aws_of(pipeline)}
    waiting = {"timeout_seconds": pipeline.timeout.total_seconds(), "max_active_tis_per_dag": 1, **aws_of(pipeline)}
    if pipeline.cluster:
        step = EmrAddStepsOperator(
            task_id="step", job_flow_id=pipeline.cluster, steps=plan.output["steps"], wait_for_completion=False, **once
        )
        run = EmrStepDoneOperator(task_id="run", cluster=pipeline.cluster, emr_step=step.output, **waiting)
        plan >> step >> run
        return plan, run
    cluster = EmrCreateJobFlowOperator(
        task_id="cluster", job_flow_overrides=plan.output["job_flow"], emr_conn_id=None, **once
    )
    run = EmrStepDoneOperator(task_id="run", cluster=cluster.output, **waiting)
    terminate = EmrTerminateJobFlowOperator(
        task_id="terminate", job_flow_id=cluster.output, deferrable=False, **aws_of(pipeline)
    )
    plan >> cluster >> run
    torn_down(run, terminate, setups=cluster)
    return plan, run
