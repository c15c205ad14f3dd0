"""The text on the DAGs of `kind: rds-instance`."""

from tablekeep.dag_docs import restore_rules, schedule_text
from tablekeep.engine.config.kinds.rds_instance import RdsInstancePipeline
from tablekeep.engine.config.values import duration_text


def snapshot_doc(pipeline: RdsInstancePipeline) -> str:
    """For `snapshot__…`."""
    snapshot = pipeline.snapshot
    rows = [
        (
            snapshot.copy_to,
            "`copy`",
            f"copies it to {snapshot.copy_to.region if snapshot.copy_to else ''}",
            "the snapshot itself is there",
        ),
        (snapshot.keep, "`expire`", "deletes our snapshots that no rule keeps", "RDS refuses to delete one"),
    ]
    more = "".join(f"| {task} | {does} | {red} |\n" for there, task, does, red in rows if there)
    looked = (
        "Every table is read before and after, so that a drill can tell damage from change."
        if pipeline.contents
        else "Nothing is read: without `contents` a drill could compare nothing."
    )
    return f"""# Snapshots of `{pipeline.database}`

{schedule_text(snapshot.schedule, snapshot.timezone)}, with a record of how it is set under `{pipeline.records}`. {looked}

| task | what it does | when it is red |
|---|---|---|
| `snapshot` | looks at the contents, makes the snapshot, looks again | there is no snapshot; the log says why |
{more}
A retry goes on with the same snapshot. Backfill runs are refused: a snapshot can only be made of the present.
"""


def instance_drill_doc(pipeline: RdsInstancePipeline) -> str:
    """For `drill__…`."""
    assert pipeline.drill
    drill = pipeline.drill
    rto = duration_text(drill.objectives.rto) if drill.objectives.rto else "none"
    rpo = duration_text(drill.objectives.rpo) if drill.objectives.rpo else "none"
    which = {"latest": "the latest", "random": "a random", "oldest": "the oldest"}[drill.choose]
    what = {"ours": "snapshot of ours", "automated": "automated snapshot", "point-in-time": "recorded point in time"}[
        drill.take
    ]
    return f"""# Restore drill for `{pipeline.database}`

{schedule_text(drill.schedule, drill.timezone)} {which} {what} is restored to a scratch instance
`tablekeep-drill-…`; every table is read whole, for only then it is readable at speed, and compared with the record; settings are compared
field by field; then the instance is deleted. It is given up after {duration_text(drill.time_limit)}. Objectives: RTO {rto}, RPO {rpo}.
The link *Drill report* on the task shows a page that can be printed.

| task | when it is red |
|---|---|
| `drill` | "may not be restorable": look into it today. Else the report says which objective, setting or check it was |
| `sweep` | a scratch instance is left and costs money; its name is in the log |
"""


def instance_restore_doc(pipeline: RdsInstancePipeline) -> str:
    """For `restore__…`."""
    refused, who = restore_rules(pipeline.restore.patterns_refused, pipeline.restore.people)
    return f"""# Restore of `{pipeline.database}`

Runs by hand only. {who}

| task | what it does | when it is red |
|---|---|---|
| `plan` | says what would be done, what it costs, what will be otherwise, what is not restored | it may not be done; nothing was changed |
| `approve` | shows the plan under Required Actions and waits for four hours | rejected, not answered, or answered by one who may not |
| `restore` | does what the plan says, compares every setting, reads every table | the log says what differs |

Always to a new instance or cluster: nothing that exists is changed or deleted. Refused names: {refused}. A retry of `restore` goes
on with the instance that it began.
"""
