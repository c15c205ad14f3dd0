"""The DAGs that restore: by hand and approved, or as a drill on a schedule."""

from typing import Any

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Param, chain

from tablekeep.dag_common import cron_timetable, make_dag, max_usd, source_of, torn_down
from tablekeep.dag_docs import drill_doc, restore_doc
from tablekeep.dag_steps import surround
from tablekeep.engine.config.kinds.dynamodb import DynamoDBPipeline
from tablekeep.engine.config.kinds.rds_instance import RdsInstancePipeline
from tablekeep.engine.restore.shown import PLAN_HOLDS
from tablekeep.operators.approve import ApproveRestoreOperator
from tablekeep.operators.drill import RestoreDrillOperator, SweepScratchTablesOperator
from tablekeep.operators.restore import ParquetToDynamoDBOperator, PlanRestoreOperator
from tablekeep.operators.restore_groups import (
    BeginRestoreOperator,
    CompleteRestoreOperator,
    FinishRestoreOperator,
    LoadPartsOperator,
    ReadBackOperator,
)

ASKED_BY = "{{ ', asked for by ' ~ dag_run.triggering_user_name if dag_run.triggering_user_name else '' }}"
MODES = ["new", "empty", "missing-only", "overwrite-listed-keys"]
_KEPT: dict[str, Any] = {
    "type": ["null", "string"],
    "title": "Backup that AWS keeps",
    "description": "With path backup: ARN of an on-demand backup or a recovery point; empty: the newest.",
}
_LINES = {"type": ["null", "array"], "items": {"type": "string"}}


def approval(pipeline: DynamoDBPipeline | RdsInstancePipeline, subject: str, **source: Any) -> ApproveRestoreOperator:
    """The task `approve`, over the task `plan`. :param subject: what is asked, a template. :param source: as the operator takes it."""
    return ApproveRestoreOperator(
        task_id="approve",
        subject=subject + ASKED_BY,
        body="{{ ti.xcom_pull(task_ids='plan')['text'] }}",
        plan_hash="{{ ti.xcom_pull(task_ids='plan')['hash'] }}",
        people=pipeline.restore.people,
        notify=pipeline.monitor.notify if pipeline.monitor else None,
        response_timeout=PLAN_HOLDS,
        retries=0,
        **source,
    )


def restore_dag(pipeline: DynamoDBPipeline) -> DAG:
    """`restore__…`: plan → approve → restore, by hand only."""
    restore = pipeline.restore
    where = {"target_aws_conn_id": restore.aws_conn_id, "target_region_name": restore.region}
    asked: dict[str, Any] = {
        "to_table": "{{ params.to_table }}",
        "as_of": "{{ params.as_of or '' }}",
        "mode": "{{ params.mode }}",
        "path": "{{ params.path }}",
        "backup_role": restore.backup_role,
        "keys": "{{ (params['keys'] or []) | tojson }}",
        "key_prefix": "{{ params.key_prefix or '' }}",
        "where": "{{ (params.where or []) | tojson }}",
        "max_wcu": "{{ params.max_wcu or '' }}",
        "ttl": "{{ params.ttl }}",
        "patterns_refused": restore.patterns_refused,
        "accounts": restore.accounts,
        "max_usd": max_usd(pipeline),
        **where,
        **source_of(pipeline),
    }
    with make_dag(
        pipeline,
        f"restore__{pipeline.name}",
        "restore",
        restore_doc(pipeline),
        schedule=None,
        params=_params(pipeline),
        allowed_run_types=["manual"],
    ) as dag:
        plan = PlanRestoreOperator(
            task_id="plan",
            backup="{{ params.backup or '' }}",
            backup_arn="{{ params.backup_arn or '' }}",
            people=restore.people,
            count="{{ params['count'] }}",
            **asked,
        )
        subject = f"Restore of {pipeline.table} to {{{{ params.to_table }}}}"
        approve = approval(pipeline, subject, **source_of(pipeline))
        planned = {name: f"{{{{ ti.xcom_pull(task_ids='plan')['{name}'] }}}}" for name in ("backup", "backup_arn")}
        applied = _apply(pipeline, asked | planned)
        chain(plan, approve, *applied)
        last = applied[-1]
        if (
            len(applied) > 1 and restore.after
        ):  # a small restore is done by the first of them, and the others are skipped
            last = done = EmptyOperator(task_id="done", trigger_rule="none_failed")
            [applied[0], applied[-1]] >> done
        surround(pipeline, restore, applied[0], last, planned["backup"])
    return dag


def _apply(pipeline: DynamoDBPipeline, asked: dict[str, Any]) -> list[Any]:
    """The tasks that do what was approved, in their order."""
    first = asked | {
        "task_id": "restore",
        "plan_hash": "{{ ti.xcom_pull(task_ids='approve')['plan'] }}",
        "max_active_tis_per_dag": 1,
    }
    spread = pipeline.restore.spread
    if spread is None:
        return [ParquetToDynamoDBOperator(**first)]
    tasks, mapped = spread.tasks, {"max_active_tis_per_dagrun": spread.tasks}
    begin = BeginRestoreOperator(above_gb=spread.above_gb, tasks=tasks, **first)
    parts = LoadPartsOperator.partial(task_id="parts", tasks=tasks, **mapped, **asked).expand(group=begin.output)
    complete = CompleteRestoreOperator(task_id="complete", tasks=tasks, **asked)
    read = ReadBackOperator.partial(task_id="proof", **mapped, **asked).expand(group=complete.output)
    return [
        begin,
        parts,
        complete,
        read,
        FinishRestoreOperator(task_id="finish", proofs=read.output, tasks=tasks, **asked),
    ]


def _params(pipeline: DynamoDBPipeline) -> dict[str, Param]:
    name = {"type": "string", "minLength": 3, "maxLength": 255, "pattern": "^[A-Za-z0-9_.-]+$"}
    return {
        "to_table": Param(title="To table", description="A new table, unless the mode says otherwise.", **name),
        "backup": Param(
            None,
            type=["null", "string"],
            title="Backup",
            description="A manifest's URI; empty: the newest verified one.",
        ),
        "as_of": Param(
            None,
            type=["null", "string"],
            format="date-time",
            title="As of",
            description="Instead of a backup: the newest state no later than this, increments folded in.",
        ),
        "mode": Param(
            "new",
            enum=MODES,
            title="Mode",
            description="new: the table must not exist. empty: it exists and holds nothing. missing-only: puts back items whose key is "
            "gone, overwrites nothing. overwrite-listed-keys: puts the items of the listed keys, whatever is there.",
        ),
        "path": Param(
            "auto",
            enum=["auto", "batch-write", "import-table", "pitr", "backup", "bulk-put"],
            title="Path",
            description="How the table gets its items. auto: by size and cost; the plan says which and why. pitr and backup: AWS restores, "
            "and the backup set is compared with it. bulk-put: the service writes to an existing table.",
        ),
        "backup_arn": Param(None, **_KEPT),
        "keys": Param(
            None, title="Keys", description='Only these items: a key a line, {"pk": "a", "sk": 1}.', **_LINES
        ),
        "key_prefix": Param(
            None, type=["null", "string"], title="Key prefix", description="Only keys that begin so: customer=c-12."
        ),
        "where": Param(
            None,
            title="Where",
            description='Only items for which all of it holds, a line each: status = "open".',
            **_LINES,
        ),
        "max_wcu": Param(
            pipeline.restore.max_wcu,
            type=["null", "number"],
            title="Write capacity",
            description="Units a second; empty: no limit.",
        ),
        "count": Param(
            False,
            type="boolean",
            title="Count",
            description="The plan counts the items of a past time, and those that have expired, however long it takes.",
        ),
        "ttl": Param(
            False,
            type="boolean",
            title="Expiry",
            description="Switch TTL on at last: items that have expired will vanish.",
        ),
    }


def drill_dag(pipeline: DynamoDBPipeline) -> DAG:
    """`drill__…`."""
    assert pipeline.drill
    drill = pipeline.drill
    rto, rpo = drill.objectives.rto, drill.objectives.rpo
    schedule = cron_timetable(drill.schedule, drill.timezone)
    where = {"target_aws_conn_id": drill.aws_conn_id, "target_region_name": drill.region}
    most = drill.validate_within
    params = {
        "restore_job": Param(
            None,
            type=["null", "string"],
            title="Restore job of AWS Backup",
            description="Validate the table that this job made, and tell AWS Backup, instead of restoring one.",
        ),
        "backup_arn": Param(None, **_KEPT),
    }
    with make_dag(
        pipeline, f"drill__{pipeline.name}", "drill", drill_doc(pipeline), schedule=schedule, params=params
    ) as dag:
        one = RestoreDrillOperator(
            task_id="drill",
            choose=drill.choose,
            within_seconds=drill.within.total_seconds() if drill.within else None,
            percent=drill.percent,
            path=drill.path,
            backup_arn="{{ params.backup_arn or '' }}",
            backup_role=drill.backup_role,
            restore_job="{{ params.restore_job or '' }}",
            restore_testing_plan=drill.restore_testing_plan,
            max_seconds=most.total_seconds() if most else None,
            checks=[check.model_dump() for check in drill.checks],
            rto_seconds=rto.total_seconds() if rto else None,
            rpo_seconds=rpo.total_seconds() if rpo else None,
            max_wcu=drill.max_wcu,
            max_rcu=drill.max_rcu,
            max_usd=max_usd(pipeline),
            notify=pipeline.monitor.notify if pipeline.monitor else None,
            max_active_tis_per_dag=1,
            **where,
            **source_of(pipeline),
        )
        sweep = SweepScratchTablesOperator(task_id="sweep", **where, **source_of(pipeline))
        torn_down(one, sweep)
        surround(pipeline, drill, one, one, one.output)
    return dag
