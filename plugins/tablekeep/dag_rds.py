"""The DAGs of `kind: rds`: `backup__<name>`, `copy__<name>__<copy>`, `verify__<name>`."""

from collections.abc import Callable, Mapping
from typing import Any

from airflow.sdk import DAG, chain

from tablekeep.dag_common import aws_of, cron_timetable, make_dag
from tablekeep.dag_docs import sql_backup_doc
from tablekeep.dag_sets import FULL, after_verify, set_makers, with_steps
from tablekeep.engine.config.kinds.rds import RdsPipeline
from tablekeep.operators.sql import SqlChangesToParquetOperator, SqlToParquetOperator
from tablekeep.operators.verify import VerifyBackupOperator


def makers(pipeline: RdsPipeline) -> Mapping[str, Callable[[], DAG]]:
    """The DAGs that a pipeline has, and how each is made."""
    return set_makers(pipeline, lambda: _backup(pipeline), _source(pipeline))


def _source(pipeline: RdsPipeline) -> dict[str, Any]:
    """Where the backups lie, and the table."""
    return aws_of(pipeline) | {
        "sql_conn_id": pipeline.conn_id,
        "table": pipeline.table,
        "server": pipeline.server,
        "to": pipeline.backup.to,
    }


def _backup(pipeline: RdsPipeline) -> DAG:
    backup, mode = pipeline.backup, pipeline.backup.mode
    with make_dag(
        pipeline,
        f"backup__{pipeline.name}",
        "backup",
        sql_backup_doc(pipeline),
        schedule=cron_timetable(backup.schedule, backup.timezone),
        params=FULL if mode else None,
    ) as dag:
        read = _read(pipeline)
        verify = VerifyBackupOperator(
            task_id="verify",
            backup=read.output["backups"] if mode else read.output["backup"],
            bucket_owner=backup.bucket_owner,
            **aws_of(pipeline),
        )
        merge = mode is not None and mode.merge
        tail = after_verify(pipeline, read.output["backup"], merge=merge, source=_source(pipeline))
        chain(read, verify, *tail)
        with_steps(pipeline, read, verify, tail, read.output["backup"])
    return dag


def _read(pipeline: RdsPipeline) -> SqlToParquetOperator:
    backup, mode = pipeline.backup, pipeline.backup.mode
    common: dict[str, Any] = {
        "task_id": "backup",
        "key": pipeline.key,
        "connections": backup.connections,
        "encryption": backup.encryption,
        "bucket_owner": backup.bucket_owner,
        "max_active_tis_per_dag": 1,
    } | _source(pipeline)
    if mode is None:
        return SqlToParquetOperator(**common)
    if mode.settle is not None:
        common["settle_seconds"] = mode.settle.total_seconds()
    return SqlChangesToParquetOperator(
        column=mode.column,
        timezone=mode.timezone,
        deletes=mode.deletes,
        full_every=mode.full_every.total_seconds(),
        incremental_every=mode.incremental_every.total_seconds() if mode.incremental_every else None,
        **common,
    )
