"""The DAGs of all kinds that make backup sets: what follows a backup, `copy__…` and `verify__…`."""

import functools
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, Param

from tablekeep.assets import backup_asset
from tablekeep.dag_common import aws_of, cron_timetable, make_dag
from tablekeep.dag_docs import copy_doc, verify_doc
from tablekeep.dag_steps import surround
from tablekeep.engine.config.model import AthenaCopy, Copy, MysqlCopy, PostgresCopy, RedshiftCopy
from tablekeep.engine.config.sets import SetPipeline
from tablekeep.operators.athena import ParquetToAthenaOperator
from tablekeep.operators.copy import ParquetToMySqlOperator, ParquetToPostgresOperator, ParquetToRedshiftOperator
from tablekeep.operators.expire import ExpireBackupsOperator
from tablekeep.operators.incremental import MergeBackupsOperator
from tablekeep.operators.publish import PublishBackupOperator
from tablekeep.operators.verify import VerifyBackupOperator

FULL = {"full": Param(False, type="boolean", title="Full", description="Back up the whole table, not the changes.")}
"""The form of a backup with increments."""


def set_makers(
    pipeline: SetPipeline, backup: Callable[[], DAG], source: Mapping[str, Any]
) -> dict[str, Callable[[], DAG]]:
    """`backup__…`, `copy__…`, `verify__…`: those that a pipeline has, and how each is made.

    :param backup: makes the first. :param source: where the backups lie, as operators take it.
    """
    found = {f"backup__{pipeline.name}": backup}
    for copy in pipeline.copies:
        found[f"copy__{pipeline.name}__{copy.name}"] = functools.partial(copy_dag, pipeline, copy, source)
    if pipeline.verify:
        found[f"verify__{pipeline.name}"] = functools.partial(verify_dag, pipeline, source)
    return found


def after_verify(
    pipeline: SetPipeline, made: Any, *, merge: bool, source: Mapping[str, Any], rpo: timedelta | None = None
) -> list[Any]:
    """The tasks after the verification of a backup, in their order.

    :param made: its manifest's URI. :param merge: increments are folded. :param source: where the backups lie, as operators take it.
    :param rpo: age of the newest backup from which on nothing is deleted.
    """
    backup, tasks = pipeline.backup, list[Any]()
    if merge:
        folded = MergeBackupsOperator(
            task_id="merge", backup=made, encryption=backup.encryption, bucket_owner=backup.bucket_owner, **aws_of(pipeline)
        )  # fmt: skip
        made = folded.output["backup"]
        tasks.append(folded)
    tasks.append(
        PublishBackupOperator(
            task_id="publish",
            backup=made,
            asset=backup_asset(pipeline.name, backup.to),
            increments=any(getattr(copy, "mode", "") == "incremental" for copy in pipeline.copies),
            bucket_owner=backup.bucket_owner,
            **aws_of(pipeline),
        )
    )
    if backup.keep:
        tasks.append(
            ExpireBackupsOperator(
                task_id="expire",
                keep=backup.keep.model_dump(),
                stale_seconds=rpo.total_seconds() if rpo else None,
                bucket_owner=backup.bucket_owner,
                trigger_rule="none_failed",
                **source,
            )
        )
    return tasks


def with_steps(pipeline: SetPipeline, first: Any, verify: Any, tail: list[Any], made: Any) -> None:
    """Puts the team's steps before and after a backup: after the set of this run that is to be used is verified.

    :param first: the task with which it begins. :param tail: of `after_verify`. :param made: the manifest's URI.
    """
    folded = [task for task in tail if isinstance(task, MergeBackupsOperator)]
    last, made = (folded[0], folded[0].output["backup"]) if folded else (verify, made)
    surround(pipeline, pipeline.backup, first, last, made)


def copy_dag(pipeline: SetPipeline, copy: Copy, source: Mapping[str, Any]) -> DAG:
    """`copy__<pipeline>__<copy>`: wakes when a new verified backup is published.

    :param source: where the backups lie, as operators take it.
    """
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
    } | dict(source)
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
        task = dag.get_task("copy")
        surround(pipeline, copy, task, task, task.output)
    return dag


def _loaded(copy: PostgresCopy | MysqlCopy | RedshiftCopy) -> dict[str, Any]:
    """How rows are loaded."""
    return {
        "mode": copy.mode,
        "keep_absent": copy.keep_absent,
        "swap": copy.swap,
        "mapping": copy.mapping.as_yaml() if copy.mapping else None,
    }


def verify_dag(pipeline: SetPipeline, source: Mapping[str, Any]) -> DAG:
    """`verify__<pipeline>`: reads the newest backup again."""
    assert pipeline.verify
    verify = pipeline.verify
    schedule = cron_timetable(verify.schedule, verify.timezone)
    with make_dag(pipeline, f"verify__{pipeline.name}", "verify", verify_doc(pipeline), schedule=schedule) as dag:
        task = VerifyBackupOperator(
            task_id="verify",
            level=verify.level,
            subset=verify.subset,
            max_seconds=verify.max_duration.total_seconds() if verify.max_duration else None,
            bucket_owner=pipeline.backup.bucket_owner,
            **source,
        )
        surround(pipeline, verify, task, task, task.output)
    return dag
