"""The DAGs of `kind: rds-instance`: `snapshot__<name>`, `drill__<name>`, `restore__<name>`."""

from collections.abc import Callable, Mapping
from typing import Any

from airflow.sdk import DAG, Param, chain

from tablekeep.dag_common import aws_of, cron_timetable, make_dag, max_usd, torn_down
from tablekeep.dag_docs_instances import instance_drill_doc, instance_restore_doc, snapshot_doc
from tablekeep.dag_restores import approval
from tablekeep.dag_steps import surround
from tablekeep.engine.config.kinds.rds_instance import Placed, RdsInstancePipeline
from tablekeep.operators.instance_drill import InstanceDrillOperator, SweepScratchInstancesOperator
from tablekeep.operators.instances import (
    CopyInstanceSnapshotOperator,
    CreateInstanceSnapshotOperator,
    ExpireInstanceSnapshotsOperator,
    PlanInstanceRestoreOperator,
    RestoreInstanceOperator,
)


def makers(pipeline: RdsInstancePipeline) -> Mapping[str, Callable[[], DAG]]:
    """The DAGs that a pipeline has, and how each is made."""
    found: dict[str, Callable[[], DAG]] = {f"snapshot__{pipeline.name}": lambda: _snapshot(pipeline)}
    if pipeline.drill:
        found[f"drill__{pipeline.name}"] = lambda: _drill(pipeline)
    found[f"restore__{pipeline.name}"] = lambda: _restore(pipeline)
    return found


def _source(pipeline: RdsInstancePipeline, *, look: bool = False) -> dict[str, Any]:
    """The instance and its records. :param look: with how its contents are read."""
    contents = pipeline.contents.model_dump() if look and pipeline.contents else None
    return aws_of(pipeline) | {"database": pipeline.database, "records": pipeline.records, "contents": contents}


def _placement(given: Placed) -> dict[str, Any]:
    return {name: getattr(given, name) for name in Placed.model_fields if getattr(given, name)}


def _snapshot(pipeline: RdsInstancePipeline) -> DAG:
    snapshot = pipeline.snapshot
    with make_dag(
        pipeline,
        f"snapshot__{pipeline.name}",
        "snapshot",
        snapshot_doc(pipeline),
        schedule=cron_timetable(snapshot.schedule, snapshot.timezone),
    ) as dag:
        made = CreateInstanceSnapshotOperator(
            task_id="snapshot", max_active_tis_per_dag=1, **_source(pipeline, look=True)
        )
        tasks: list[Any] = [made]
        family = made.output["family"]
        if snapshot.copy_to:
            tasks.append(
                CopyInstanceSnapshotOperator(
                    task_id="copy",
                    snapshot=made.output["snapshot"],
                    family=family,
                    to_region=snapshot.copy_to.region,
                    key=snapshot.copy_to.key,
                    option_group=snapshot.copy_to.option_group,
                    max_usd=max_usd(pipeline),
                    **_source(pipeline),
                )
            )
        if snapshot.keep:
            rpo = pipeline.drill.objectives.rpo if pipeline.drill else None
            tasks.append(
                ExpireInstanceSnapshotsOperator(
                    task_id="expire",
                    keep=snapshot.keep.model_dump(),
                    family=family,
                    regions=[snapshot.copy_to.region] if snapshot.copy_to else [],
                    stale_seconds=rpo.total_seconds() if rpo else None,
                    **_source(pipeline),
                )
            )
        chain(*tasks)
        surround(pipeline, snapshot, made, tasks[-1])
    return dag


def _drill(pipeline: RdsInstancePipeline) -> DAG:
    assert pipeline.drill
    drill = pipeline.drill
    rto, rpo = drill.objectives.rto, drill.objectives.rpo
    where = {"target_aws_conn_id": drill.aws_conn_id, "target_region_name": drill.region}
    with make_dag(
        pipeline,
        f"drill__{pipeline.name}",
        "drill",
        instance_drill_doc(pipeline),
        schedule=cron_timetable(drill.schedule, drill.timezone),
    ) as dag:
        one = InstanceDrillOperator(
            task_id="drill",
            take=drill.take,
            choose=drill.choose,
            within_seconds=drill.within.total_seconds() if drill.within else None,
            placement=_placement(drill),
            checks=[check.model_dump() for check in drill.checks],
            rto_seconds=rto.total_seconds() if rto else None,
            rpo_seconds=rpo.total_seconds() if rpo else None,
            limit_seconds=drill.time_limit.total_seconds(),
            max_usd=max_usd(pipeline),
            notify=pipeline.monitor.notify if pipeline.monitor else None,
            max_active_tis_per_dag=1,
            **where,
            **_source(pipeline, look=True),
        )
        sweep = SweepScratchInstancesOperator(task_id="sweep", **where, **_source(pipeline))
        torn_down(one, sweep)
        surround(pipeline, drill, one, one)
    return dag


def _restore(pipeline: RdsInstancePipeline) -> DAG:
    """plan → approve → restore, by hand only."""
    restore = pipeline.restore
    asked: dict[str, Any] = {
        "to": "{{ params.to }}",
        "at": "{{ params.at or '' }}",
        "instance_class": "{{ params.instance_class or '' }}",
        "placement": _placement(restore),
        "patterns_refused": restore.patterns_refused,
        "accounts": restore.accounts,
        "max_usd": max_usd(pipeline),
        "target_aws_conn_id": restore.aws_conn_id,
        "target_region_name": restore.region,
    }
    with make_dag(
        pipeline,
        f"restore__{pipeline.name}",
        "restore",
        instance_restore_doc(pipeline),
        schedule=None,
        params=_params(),
        allowed_run_types=["manual"],
    ) as dag:
        plan = PlanInstanceRestoreOperator(
            task_id="plan", snapshot="{{ params.snapshot or '' }}", people=restore.people, **asked, **_source(pipeline)
        )
        subject = f"Restore of {pipeline.database} to {{{{ params.to }}}}"
        shelf = {"table": pipeline.database, "to": pipeline.records, "service": "rds"}
        approve = approval(pipeline, subject, **shelf, **aws_of(pipeline))
        apply = RestoreInstanceOperator(
            task_id="restore",
            snapshot="{{ ti.xcom_pull(task_ids='plan')['snapshot'] }}",
            plan_hash="{{ ti.xcom_pull(task_ids='approve')['plan'] }}",
            max_active_tis_per_dag=1,
            **asked,
            **_source(pipeline, look=True),
        )
        chain(plan, approve, apply)
        surround(pipeline, restore, apply, apply)
    return dag


def _params() -> dict[str, Param]:
    return {
        "to": Param(
            title="To",
            description="The name of the new instance or cluster.",
            type="string",
            minLength=1,
            maxLength=60,
            pattern="^[A-Za-z](-?[A-Za-z0-9])*$",
        ),
        "snapshot": Param(
            None, type=["null", "string"], title="Snapshot", description="By name; empty: the newest one of ours."
        ),
        "at": Param(
            None,
            type=["null", "string"],
            title="At",
            description="Instead of a snapshot a point in time, 2026-11-23T02:00:00Z, or latest.",
        ),
        "instance_class": Param(
            None, type=["null", "string"], title="Class", description="Another class than the source's."
        ),
    }
