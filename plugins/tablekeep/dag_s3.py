"""The DAGs of `kind: s3`: `backup__<name>`, `copy__<name>__<copy>`, `verify__<name>`."""

from collections.abc import Callable, Mapping
from typing import Any

from airflow.sdk import DAG, chain

from tablekeep.dag_common import aws_of, cron_timetable, make_dag, source_of
from tablekeep.dag_docs import files_backup_doc
from tablekeep.dag_sets import after_verify, set_makers, with_steps
from tablekeep.engine.config.kinds.s3 import FilesPipeline
from tablekeep.operators.files import FilesToParquetOperator
from tablekeep.operators.verify import VerifyBackupOperator


def makers(pipeline: FilesPipeline) -> Mapping[str, Callable[[], DAG]]:
    """The DAGs that a pipeline has, and how each is made."""
    return set_makers(pipeline, lambda: _backup(pipeline), _source(pipeline))


def _source(pipeline: FilesPipeline) -> dict[str, Any]:
    """Where the backups lie."""
    return source_of(pipeline) | {"service": "s3"}


def _backup(pipeline: FilesPipeline) -> DAG:
    backup = pipeline.backup
    with make_dag(
        pipeline,
        f"backup__{pipeline.name}",
        "backup",
        files_backup_doc(pipeline),
        schedule=cron_timetable(backup.schedule, backup.timezone),
    ) as dag:
        read = FilesToParquetOperator(
            task_id="backup",
            source=pipeline.source,
            pipeline=pipeline.name,
            schedule=backup.schedule,
            timezone=backup.timezone,
            files=pipeline.files.model_dump(exclude_unset=True),
            key=pipeline.key,
            bad_rows=pipeline.bad_rows.model_dump(),
            encryption=backup.encryption,
            bucket_owner=backup.bucket_owner,
            max_active_tis_per_dag=1,
            **source_of(pipeline),
        )
        made = read.output["backup"]
        verify = VerifyBackupOperator(
            task_id="verify", backup=made, bucket_owner=backup.bucket_owner, **aws_of(pipeline)
        )
        tail = after_verify(pipeline, made, merge=False, source=_source(pipeline))
        chain(read, verify, *tail)
        with_steps(pipeline, read, verify, tail, made)
    return dag
