"""Pipelines → DAGs. Called while Airflow parses: reads the pipeline files, calls no service and no Variable, imports no AWS.

`backup__<name>`, `copy__<name>__<copy>`, `verify__<name>`, `drill__<name>`, `restore__<name>`. A bad file becomes
`backup__<file>` with one task that fails with the message, so that its night is red instead of silent.
"""

import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, Param, chain, get_parsing_context

from tablekeep.assets import backup_asset
from tablekeep.dag_common import aws_of, cron_timetable, make_dag, max_usd, source_of
from tablekeep.dag_docs import backup_doc, copy_doc, verify_doc
from tablekeep.dag_restores import drill_dag, restore_dag
from tablekeep.engine.config.load import BadFile, Loaded, find_folder, load_folder
from tablekeep.engine.config.model import Copy, Pipeline, PostgresCopy
from tablekeep.operators.configuration import ConfigurationErrorOperator
from tablekeep.operators.copy import ParquetToPostgresOperator, ParquetToRedshiftOperator
from tablekeep.operators.expire import ExpireBackupsOperator
from tablekeep.operators.export import DynamoDBToParquetOperator
from tablekeep.operators.incremental import IncrementalBackupOperator, MergeBackupsOperator
from tablekeep.operators.plan import PlanExportOperator
from tablekeep.operators.publish import PublishBackupOperator
from tablekeep.operators.spread import FinishBackupOperator, PlanBackupOperator, ScanSegmentsOperator
from tablekeep.operators.verify import VerifyBackupOperator

BROKEN_DAG = "tablekeep__pipelines"
"""Stands for the whole folder when not even it can be read."""


def dags_for(dag_file: str) -> dict[str, DAG]:
    """All DAGs of the project, by id; in a task's process only the one that runs. Never raises.

    :param dag_file: `__file__` of the DAG file, from which the pipeline files are found.
    """
    wanted = get_parsing_context().dag_id
    try:
        loaded = load_folder(find_folder(Path(dag_file)), only=_pipeline_of(wanted))
        return {dag.dag_id: dag for dag in build(loaded, wanted)}
    except Exception as error:
        message = str(error) or "".join(traceback.format_exception_only(error)).strip()
        return {BROKEN_DAG: _failing(BROKEN_DAG, message, "@daily", "UTC", "tablekeep")}


def _pipeline_of(dag_id: str | None) -> str | None:
    """`orders` of `copy__orders__analytics`."""
    return dag_id.split("__")[1] if dag_id and "__" in dag_id else None


def build(loaded: Loaded, only: str | None = None) -> Iterator[DAG]:
    """The DAGs of what was loaded.

    :param only: a DAG id: no other is made.
    """
    for pipeline in loaded.pipelines:
        if pipeline.enabled:
            for dag_id, make in _makers(pipeline).items():
                if only is None or only == dag_id:
                    yield make()
    taken = {f"backup__{pipeline.name}" for pipeline in loaded.pipelines if pipeline.enabled}
    for bad in loaded.bad:
        dag_id = f"backup__{bad.name}"
        if dag_id in taken:  # the file clashes with a good one, which keeps its DAG
            dag_id = f"{dag_id}.invalid"
        taken.add(dag_id)
        if bad.enabled and (only is None or only == dag_id):
            yield _stand_in(bad, dag_id)


def _makers(pipeline: Pipeline) -> dict[str, Any]:
    """The DAGs that a pipeline has, and how each is made."""
    makers: dict[str, Any] = {f"backup__{pipeline.name}": lambda: _backup(pipeline)}
    for copy in pipeline.copies:
        makers[f"copy__{pipeline.name}__{copy.name}"] = lambda copy=copy: _copy(pipeline, copy)
    if pipeline.verify:
        makers[f"verify__{pipeline.name}"] = lambda: _verify(pipeline)
    if pipeline.drill:
        makers[f"drill__{pipeline.name}"] = lambda: drill_dag(pipeline)
    makers[f"restore__{pipeline.name}"] = lambda: restore_dag(pipeline)
    return makers


def _backup(pipeline: Pipeline) -> DAG:
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
            asset=backup_asset(pipeline),
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


def _plan(pipeline: Pipeline) -> PlanExportOperator:
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


def _read_table(pipeline: Pipeline) -> tuple[list[Any], Any]:
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


def _copy(pipeline: Pipeline, copy: Copy) -> DAG:
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
        "mode": copy.mode,
        "backup": "{{ params.backup or '' }}",
        "allow_older": "{{ params.allow_older }}",
        "adopt": "{{ params.adopt }}",
        "bucket_owner": pipeline.backup.bucket_owner,
        "max_active_tis_per_dag": 1,
    } | source_of(pipeline)
    dag_id = f"copy__{pipeline.name}__{copy.name}"
    with make_dag(
        pipeline, dag_id, "copy", copy_doc(pipeline, copy), schedule=[backup_asset(pipeline)], params=params
    ) as dag:
        if isinstance(copy, PostgresCopy):
            ParquetToPostgresOperator(conn_id=copy.conn_id, **common)
        else:
            ParquetToRedshiftOperator(
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


def _verify(pipeline: Pipeline) -> DAG:
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


def _stand_in(bad: BadFile, dag_id: str) -> DAG:
    """The DAG of a bad file."""
    message = "\n".join(str(problem) for problem in bad.problems)
    try:
        return _failing(dag_id, message, bad.schedule or "@daily", bad.timezone, f"file:{bad.file.name}"[:100])
    except Exception:  # the schedule or the time zone may be what is wrong
        return _failing(dag_id, message, "@daily", "UTC", f"file:{bad.file.name}"[:100])


def _failing(dag_id: str, message: str, schedule: str, timezone: str, tag: str) -> DAG:
    timetable = cron_timetable(schedule, timezone)
    timetable.validate()  # type: ignore[union-attr]
    with DAG(
        dag_id,
        description="This pipeline's file is wrong: nothing is backed up",
        doc_md=f"# Nothing is backed up\n\nThe pipeline's file is wrong: correct it.\n\n```\n{message}\n```",
        schedule=timetable,
        catchup=False,
        is_paused_upon_creation=False,
        tags=["tablekeep", "invalid", tag],
        default_args={"owner": "tablekeep", "retries": 0},
    ) as dag:
        ConfigurationErrorOperator(task_id="configuration", message=message)
    return dag


class PipelineFilesError(Exception):
    """Some pipeline files are wrong; the message lists file, line, field, rule and example."""


def raise_problems(dag_file: str) -> None:
    """Raises what is wrong with the pipeline files, if anything is. In a task's process nothing is looked at.

    :raises PipelineFilesError: which Airflow shows as this file's import error.
    """
    if get_parsing_context().dag_id:
        return
    loaded = load_folder(find_folder(Path(dag_file)))
    if loaded.problems:
        count = len(loaded.bad)
        listed = "\n".join(str(problem) for problem in loaded.problems)
        raise PipelineFilesError(
            f"{count} pipeline file{'s are' if count > 1 else ' is'} wrong; the others run:\n{listed}"
        )
