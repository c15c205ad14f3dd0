"""The DAGs of `kind: dynamodb`: `backup__<name>`, `copy__<name>__<copy>`, `verify__<name>`, `drill__<name>`, `restore__<name>`."""

from collections.abc import Callable, Mapping
from typing import Any

from airflow.sdk import DAG, chain

from tablekeep.dag_common import aws_of, cron_timetable, make_dag, max_usd, source_of
from tablekeep.dag_docs import backup_doc
from tablekeep.dag_restores import drill_dag, restore_dag
from tablekeep.dag_sets import FULL, after_verify, set_makers, with_steps
from tablekeep.engine.config.kinds.dynamodb import DynamoDBPipeline
from tablekeep.operators.export import DynamoDBToParquetOperator
from tablekeep.operators.incremental import IncrementalBackupOperator
from tablekeep.operators.plan import PlanExportOperator
from tablekeep.operators.spread import FinishBackupOperator, PlanBackupOperator, ScanSegmentsOperator
from tablekeep.operators.verify import VerifyBackupOperator


def makers(pipeline: DynamoDBPipeline) -> Mapping[str, Callable[[], DAG]]:
    """The DAGs that a pipeline has, and how each is made."""
    found = set_makers(pipeline, lambda: _backup(pipeline), source_of(pipeline))
    if pipeline.drill:
        found[f"drill__{pipeline.name}"] = lambda: drill_dag(pipeline)
    found[f"restore__{pipeline.name}"] = lambda: restore_dag(pipeline)
    return found


def _backup(pipeline: DynamoDBPipeline) -> DAG:
    backup = pipeline.backup
    schedule = cron_timetable(backup.schedule, backup.timezone)
    with make_dag(
        pipeline,
        f"backup__{pipeline.name}",
        "backup",
        backup_doc(pipeline),
        schedule=schedule,
        params=FULL if backup.mode else None,
    ) as dag:
        plan = _plan(pipeline)
        read, made = _read_table(pipeline)
        verify = VerifyBackupOperator(
            task_id="verify",
            backup=read[0].output["backups"] if backup.mode else made,
            bucket_owner=backup.bucket_owner,
            trigger_rule="none_failed" if backup.spread else "all_success",
            **aws_of(pipeline),
        )
        rpo = pipeline.drill.objectives.rpo if pipeline.drill else None
        tail = after_verify(
            pipeline, made, merge=backup.mode is not None and backup.mode.merge, source=source_of(pipeline), rpo=rpo
        )
        chain(plan, read[0])
        chain(read[-1], verify, *tail)
        with_steps(pipeline, plan, verify, tail, made)
    return dag


def _plan(pipeline: DynamoDBPipeline) -> PlanExportOperator:
    backup = pipeline.backup
    return PlanExportOperator(
        task_id="plan",
        engine=backup.engine,
        segments=backup.segments,
        read_budget=backup.read_budget,
        tasks=backup.spread.tasks if backup.spread else 1,
        incremental=backup.mode is not None,
        bucket_owner=backup.bucket_owner,
        max_usd=max_usd(pipeline),
        **source_of(pipeline),
    )


def _read_table(pipeline: DynamoDBPipeline) -> tuple[list[Any], Any]:
    """The tasks after which the backup is published, and its manifest's URI."""
    backup = pipeline.backup
    written = {"encryption": backup.encryption, "bucket_owner": backup.bucket_owner}
    export: dict[str, Any] = {
        "task_id": "backup",
        "engine": backup.engine,
        "segments": backup.segments,
        "read_budget": backup.read_budget,
        "max_active_tis_per_dag": 1,
        **written,
        **source_of(pipeline),
    }
    if backup.mode:
        every = backup.mode.incremental_every
        for option in ("engine", "segments", "read_budget"):
            del export[option]
        changes = IncrementalBackupOperator(
            full_every=backup.mode.full_every.total_seconds(),
            incremental_every=every.total_seconds() if every else None,
            confirm=backup.mode.merge,
            **export,
        )
        return [changes], changes.output["backup"]
    if backup.spread is None:
        one = DynamoDBToParquetOperator(**export)
        return [one], one.output["backup"]
    tasks = backup.spread.tasks
    plan = PlanBackupOperator(above_gb=backup.spread.above_gb, tasks=tasks, **export)
    made = plan.output["backup"]
    segments = ScanSegmentsOperator.partial(
        task_id="segments", backup=made, tasks=tasks, max_active_tis_per_dagrun=tasks, **written, **aws_of(pipeline)
    ).expand(group=plan.output)
    finish = FinishBackupOperator(task_id="finish", backup=made, **written, **aws_of(pipeline))
    segments >> finish
    return [plan, finish], made
