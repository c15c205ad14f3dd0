"""The DAGs of `kind: dynamodb`: `backup__<name>`, `copy__<name>__<copy>`, `verify__<name>`, `drill__<name>`, `restore__<name>`."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

from airflow.sdk import DAG, Param, chain

from tablekeep.assets import backup_asset
from tablekeep.dag_common import aws_of, cron_timetable, make_dag, max_usd, source_of
from tablekeep.dag_docs import backup_doc, copy_doc, verify_doc
from tablekeep.dag_restores import drill_dag, restore_dag
from tablekeep.engine.config.kinds.dynamodb import DynamoDBPipeline
from tablekeep.engine.config.model import AthenaCopy, Copy, MysqlCopy, PostgresCopy, RedshiftCopy
from tablekeep.operators.athena import ParquetToAthenaOperator
from tablekeep.operators.copy import ParquetToMySqlOperator, ParquetToPostgresOperator, ParquetToRedshiftOperator
from tablekeep.operators.expire import ExpireBackupsOperator
from tablekeep.operators.export import DynamoDBToParquetOperator
from tablekeep.operators.incremental import IncrementalBackupOperator, MergeBackupsOperator
from tablekeep.operators.plan import PlanExportOperator
from tablekeep.operators.publish import PublishBackupOperator
from tablekeep.operators.spread import FinishBackupOperator, PlanBackupOperator, ScanSegmentsOperator
from tablekeep.operators.verify import VerifyBackupOperator


def makers(pipeline: DynamoDBPipeline) -> Mapping[str, Callable[[], DAG]]:
    """The DAGs that a pipeline has, and how each is made."""
    found: dict[str, Callable[[], DAG]] = {f"backup__{pipeline.name}": lambda: _backup(pipeline)}
    for copy in pipeline.copies:
        found[f"copy__{pipeline.name}__{copy.name}"] = functools.partial(_copy, pipeline, copy)
    if pipeline.verify:
        found[f"verify__{pipeline.name}"] = lambda: _verify(pipeline)
    if pipeline.drill:
        found[f"drill__{pipeline.name}"] = lambda: drill_dag(pipeline)
    found[f"restore__{pipeline.name}"] = lambda: restore_dag(pipeline)
    return found


def _backup(pipeline: DynamoDBPipeline) -> DAG:
    backup = pipeline.backup
    schedule = cron_timetable(backup.schedule, backup.timezone)
    params = {
        "full": Param(False, type="boolean", title="Full", description="Back up the whole table, not the changes.")
    }
    with make_dag(
        pipeline,
        f"backup__{pipeline.name}",
        "backup",
        backup_doc(pipeline),
        schedule=schedule,
        params=params if backup.mode else None,
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
        last: list[Any] = [verify]
        if backup.mode and backup.mode.merge:
            merge = MergeBackupsOperator(
                task_id="merge",
                backup=made,
                encryption=backup.encryption,
                bucket_owner=backup.bucket_owner,
                **aws_of(pipeline),
            )
            made, last = merge.output["backup"], [verify, merge]
        publish = PublishBackupOperator(
            task_id="publish",
            backup=made,
            asset=backup_asset(pipeline.name, backup.to),
            bucket_owner=backup.bucket_owner,
            **aws_of(pipeline),
        )
        chain(plan, read[0])
        chain(read[-1], *last, publish)
        if backup.keep:
            rpo = pipeline.drill.objectives.rpo if pipeline.drill else None
            publish >> ExpireBackupsOperator(
                task_id="expire",
                keep=backup.keep.model_dump(),
                stale_seconds=rpo.total_seconds() if rpo else None,
                bucket_owner=backup.bucket_owner,
                trigger_rule="none_failed",
                **source_of(pipeline),
            )
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


def _copy(pipeline: DynamoDBPipeline, copy: Copy) -> DAG:
    params = {
        "backup": Param(
            None,
            type=["null", "string"],
            title="Backup",
            description="A manifest's URI; empty: the newest verified one.",
        ),
        "allow_older": Param(
            False, type="boolean", title="Allow older", description="Put an older backup over a newer one."
        ),
        "adopt": Param(
            False,
            type="boolean",
            title="Adopt",
            description="Replace, once, a table that others made, with all it holds.",
        ),
    }
    common: dict[str, Any] = {
        "task_id": "copy",
        "target_table": copy.table,
        "backup": "{{ params.backup or '' }}",
        "allow_older": "{{ params.allow_older }}",
        "adopt": "{{ params.adopt }}",
        "bucket_owner": pipeline.backup.bucket_owner,
        "max_active_tis_per_dag": 1,
    } | source_of(pipeline)
    dag_id = f"copy__{pipeline.name}__{copy.name}"
    with make_dag(
        pipeline,
        dag_id,
        "copy",
        copy_doc(pipeline, copy),
        schedule=[backup_asset(pipeline.name, pipeline.backup.to)],
        params=params,
    ) as dag:
        if isinstance(copy, AthenaCopy):
            ParquetToAthenaOperator(
                database=copy.database, glue_conn_id=copy.aws_conn_id, glue_region_name=copy.region, **common
            )
        elif isinstance(copy, PostgresCopy):
            ParquetToPostgresOperator(conn_id=copy.conn_id, **_loaded(copy), **common)
        elif isinstance(copy, MysqlCopy):
            ParquetToMySqlOperator(conn_id=copy.conn_id, **_loaded(copy), **common)
        else:
            ParquetToRedshiftOperator(
                **_loaded(copy),
                database=copy.database,
                iam_role=copy.iam_role,
                workgroup=copy.workgroup,
                cluster=copy.cluster,
                db_user=copy.db_user,
                secret=copy.secret,
                redshift_conn_id=copy.aws_conn_id,
                redshift_region_name=copy.region,
                **common,
            )
    return dag


def _loaded(copy: PostgresCopy | MysqlCopy | RedshiftCopy) -> dict[str, Any]:
    """How rows are loaded."""
    return {"mode": copy.mode, "mapping": copy.mapping.as_yaml() if copy.mapping else None}


def _verify(pipeline: DynamoDBPipeline) -> DAG:
    assert pipeline.verify
    verify = pipeline.verify
    schedule = cron_timetable(verify.schedule, verify.timezone)
    with make_dag(pipeline, f"verify__{pipeline.name}", "verify", verify_doc(pipeline), schedule=schedule) as dag:
        VerifyBackupOperator(
            task_id="verify",
            level=verify.level,
            subset=verify.subset,
            max_seconds=verify.max_duration.total_seconds() if verify.max_duration else None,
            bucket_owner=pipeline.backup.bucket_owner,
            **source_of(pipeline),
        )
    return dag
