"""The text that Airflow shows on each DAG: what it does, and what to do when it is red."""

from collections.abc import Sequence

from tablekeep.engine.config.kinds.dynamodb import DynamoDBPipeline
from tablekeep.engine.config.kinds.rds import RdsPipeline
from tablekeep.engine.config.kinds.s3 import FilesPipeline
from tablekeep.engine.config.model import AnyBackup, AthenaCopy, Backup, Copy, RedshiftCopy
from tablekeep.engine.config.sets import SetPipeline
from tablekeep.engine.config.steps import StepPipeline
from tablekeep.engine.config.values import duration_text


def schedule_text(schedule: str | None, timezone: str) -> str:
    return f"On the schedule `{schedule}` ({timezone})" if schedule else "When triggered by hand"


def backup_doc(pipeline: DynamoDBPipeline) -> str:
    """For `backup__…`."""
    backup = pipeline.backup
    budget = (
        f"It reads at most `{backup.read_budget}`{'' if isinstance(backup.read_budget, str) else ' RCU'} a second."
        if backup.read_budget
        else "It reads without a limit."
    )
    merge = ""
    if backup.mode and backup.mode.merge:
        what = "folds the changes into a new full set; a full backup proves the one before it"
        merge = f"""| `merge` | {what} | the sets differ: the log names a key |
"""
    return f"""# Backup of the DynamoDB table `{pipeline.table}`

{schedule_text(backup.schedule, backup.timezone)}, to a new backup set under `{backup.to}`. {_how(backup, budget)}

| task | what it does | when it is red |
|---|---|---|
| `plan` | says what the backup will take and cost | it cannot work, or costs more than `limits.max_usd`; nothing was started |
| `backup` | reads the table, writes and reads back the parts, publishes the manifest | no backup was made; the log says why |
| `verify` | reads the set again: every item, no key twice | do not rely on this set; clear `backup` to make a new one |
{merge}| `publish` | wakes the copies | skipped in backfills, when a newer set is there, and after increments that no copy follows |
{_expire(backup)}
A retry makes no second set; clearing `backup` makes a new one and leaves the old. {_past(backup)}
"""


def sql_backup_doc(pipeline: RdsPipeline) -> str:
    """For `backup__…` of a SQL table."""
    backup, mode = pipeline.backup, pipeline.backup.mode
    how = "Each run reads the whole table, as it is at one moment, whatever is written to it meanwhile."
    merge = ""
    if mode:
        gone = "found by comparing all keys" if mode.deletes == "compare" else "seen by the next full backup"
        how = (
            f"The whole table every {duration_text(mode.full_every)}, as it is at one moment; in between the rows in which"
            f" `{mode.column}` shows a change since the backup before. Deleted rows are {gone}. Where nothing is there that changes"
            " could follow, as after the table was made anew, the run makes a full backup and the log says why."
        )
    if mode and mode.merge:
        merge = (
            "| `merge` | folds the changes into a new full set, and verifies it | the sets contradict each other |\n"
        )
    return f"""# Backup of the SQL table `{pipeline.table}`

{schedule_text(backup.schedule, backup.timezone)}, over the connection `{pipeline.conn_id}`, to a new backup set under `{backup.to}`. {how}

| task | what it does | when it is red |
|---|---|---|
| `backup` | reads the table, writes and reads back the parts, publishes the manifest | no backup was made; the log says why |
| `verify` | reads the set again: every row, no key twice | do not rely on this set; clear `backup` to make a new one |
{merge}| `publish` | wakes the copies | skipped when a newer set is there, and after increments that no copy follows |
{_expire(backup)}
A retry makes no second set; clearing `backup` makes a new one and leaves the old. Backfill runs are refused: the table can only be
read as it is.
"""


def files_backup_doc(pipeline: FilesPipeline) -> str:
    """For `backup__…` of files."""
    backup, rule = pipeline.backup, pipeline.bad_rows
    bad = "One row that is not what it should be, and there is no backup."
    if rule.to == "reject":
        bad = f"At most {rule.most:,} rows that are not what they should be are left out, and told by file and line in `_rejects/`."
    return f"""# Backup of the files of `{pipeline.table}`

{schedule_text(backup.schedule, backup.timezone)} the files under `{pipeline.source}` become a backup set under
`{backup.to}`. {bad} Files that are the same as last time make no new set.

| task | what it does | when it is red |
|---|---|---|
| `backup` | reads the files, writes and reads back the parts, publishes the manifest | no backup was made; the log names the line |
| `verify` | reads the set again: every row, no key twice | do not rely on this set; clear `backup` |
| `publish` | wakes the copies | skipped when a newer set is there |
{_expire(backup)}
A retry makes no second set. Backfill runs are refused unless the prefix names a time: files can only be read as they are.
"""


def _expire(backup: AnyBackup) -> str:
    if backup.keep is None:
        return ""
    rules = ", ".join(f"{name} {count}" for name, count in backup.keep.model_dump().items() if count)
    return (
        f"| `expire` | deletes what is not kept ({rules}) | the lease is held by another run, or the bucket refuses |\n"
    )


def _how(backup: Backup, budget: str) -> str:
    if backup.mode:
        return (
            f"DynamoDB exports the whole table every {duration_text(backup.mode.full_every)}, and in between what was changed since."
            " When the log says that the chain is broken, trigger a run with `full`."
        )
    if backup.engine == "scan":
        return f"The table is scanned. {budget}"
    return "DynamoDB exports the table by itself" + (
        " where point-in-time recovery is on." if backup.engine == "auto" else "."
    )


def _past(backup: Backup) -> str:
    if backup.engine == "scan":
        return "Backfill runs are refused: a scan cannot read the past."
    return "A backfill makes the full set of each day, as far back as the service keeps the past."


def copy_doc(pipeline: SetPipeline, copy: Copy) -> str:
    """For `copy__…`."""
    if isinstance(copy, AthenaCopy):
        return _athena_doc(pipeline, copy)
    where = (
        f"Redshift `{copy.workgroup or copy.cluster}`, database `{copy.database}`"
        if isinstance(copy, RedshiftCopy)
        else f"the connection `{copy.conn_id}`"
    )
    return f"""# Copy of `{pipeline.table}` to `{copy.table}`

Wakes when a new verified backup of the pipeline `{pipeline.name}` is published, and makes `{copy.table}` in {where} hold exactly
the newest one. The table `tablekeep_loads` beside it is the ledger: a backup that is there already is not loaded again, and an
older one never replaces a newer one unless `allow_older` is given. The old rows stay visible until the new ones are counted.

After this DAG was paused, trigger it by hand or wait for the next backup: it loads the newest, not each one it missed.

Red with "others made it": the table is not ours. Name another, or trigger once with `adopt`, which replaces all that it holds.
"""


def _athena_doc(pipeline: SetPipeline, copy: AthenaCopy) -> str:
    return f"""# `{pipeline.table}` in Athena: `{copy.database}.{copy.table}`

Wakes when a new verified backup of the pipeline `{pipeline.name}` is published, and points the table `{copy.table}` of Glue's database
`{copy.database}` at it, in one step: queries see the old backup or the new one. No row is moved. An older backup never takes the
place of a newer one unless `allow_older` is given. A backup that a table points at is not deleted by `expire`.

After this DAG was paused, trigger it by hand or wait for the next backup.

Red with "others made it": the table is not ours. Name another, or trigger once with `adopt`.
"""


def verify_doc(pipeline: SetPipeline) -> str:
    """For `verify__…`."""
    assert pipeline.verify
    return f"""# Verification of the newest backup of `{pipeline.table}`

{schedule_text(pipeline.verify.schedule, pipeline.verify.timezone)} the newest set under `{pipeline.backup.to}` is read again at the level
`{pipeline.verify.level}`, because storage can go wrong silently and permissions change. Red: the log names what is missing or
damaged. Run `backup__{pipeline.name}`, then look into the older sets with `tablekeep list` and `tablekeep verify`.
"""


def drill_doc(pipeline: DynamoDBPipeline) -> str:
    """For `drill__…`."""
    assert pipeline.drill
    objectives = pipeline.drill.objectives
    rto = duration_text(objectives.rto) if objectives.rto else "none"
    rpo = duration_text(objectives.rpo) if objectives.rpo else "none"
    words = {"latest": "the latest backup", "random": "a backup at random", "oldest": "the oldest backup that is kept"}
    taken = words[pipeline.drill.choose]
    much = "" if pipeline.drill.scope == "full" else f" (a sample of {pipeline.drill.scope})"
    if pipeline.drill.path == "backup":
        taken = "the newest on-demand backup or recovery point that AWS keeps"
    if pipeline.drill.restore_testing_plan:
        return _restore_test_doc(pipeline, rto, rpo)
    how = "read back and compared with the backup's content hash"
    if much and pipeline.drill.path in ("pitr", "backup"):
        much = ""
        how = f"where the items of a sample of {pipeline.drill.scope} are looked up by key, which finds no extra items"
    return f"""# Restore drill for `{pipeline.table}`

{schedule_text(pipeline.drill.schedule, pipeline.drill.timezone)} {taken}{much} is restored to a scratch table
`tablekeep-drill-…`, {how}; its keys, indexes and settings are compared, too; then the
scratch table is deleted. Objectives: RTO {rto}, RPO {rpo}. The link *Drill report* on the task shows a page that can be printed.

| task | when it is red |
|---|---|
| `drill` | "may not be restorable": look into it today. Else the report says which objective, setting or check it was |
| `sweep` | a scratch table is left and costs money; its name is in the log |
"""


def _restore_test_doc(pipeline: DynamoDBPipeline, rto: str, rpo: str) -> str:
    assert pipeline.drill
    how = "read and compared"
    if pipeline.drill.scope != "full":
        how = f"compared by the keys of a sample of {pipeline.drill.scope}, which finds no extra items,"
    return f"""# Restore test of `{pipeline.table}`, validated

{schedule_text(pipeline.drill.schedule, pipeline.drill.timezone)} the table that AWS Backup's plan `{pipeline.drill.restore_testing_plan}`
has restored last is {how} with the backup set of the recovery point's time, and AWS Backup is told SUCCESSFUL, FAILED or
TIMED_OUT. The table is AWS Backup's, which removes it when the plan's validation window is over: run this before. Objectives: RTO {rto},
RPO {rpo}. The link *Drill report* on the task shows a page that can be printed.

| task | when it is red |
|---|---|
| `drill` | the table differs, no backup set shows its moment, an objective was missed, or the plan has restored nothing |
| `sweep` | a scratch table of another drill is left and costs money; its name is in the log |
"""


def restore_rules(patterns_refused: Sequence[str], people: Sequence[str]) -> tuple[str, str]:
    """Names that are refused, and who restores."""
    refused = ", ".join(f"`{one}`" for one in patterns_refused) or "none"
    if not people:
        return refused, "Whoever may use this DAG may approve it."
    return refused, f"One of {', '.join(people)} triggers it, another one approves it."


def restore_doc(pipeline: DynamoDBPipeline) -> str:
    """For `restore__…`."""
    refused, who = restore_rules(pipeline.restore.patterns_refused, pipeline.restore.people)
    return f"""# Restore of `{pipeline.table}`

Runs by hand only. {who}

| task | what it does | when it is red |
|---|---|---|
| `plan` | says what would be done, how long it takes, what it costs, what is not restored | it may not be done; nothing was changed |
| `approve` | shows the plan under Required Actions and waits for four hours | rejected, not answered, or answered by one who may not |
{_done(pipeline)}
By default to a new table. An existing one is only filled where it is empty, or given back missing items, or the items of listed keys; never
is anything deleted. Refused names: {refused}. A retry of any task goes on where the try before it died.
"""


def _done(pipeline: DynamoDBPipeline) -> str:
    """The tasks that do what was approved."""
    wrong = "the log says what differs; do not use the table"
    spread = pipeline.restore.spread
    if spread is None:
        return f"| `restore` | does exactly what the plan says, then reads everything back | {wrong} |\n"
    alone = (
        f"up to {spread.above_gb:g} GB does what the plan says, and the tasks below are skipped; else makes the table"
    )
    return f"""| `restore` | {alone} | {wrong} |
| `parts` | load groups of the backup's parts, {spread.tasks} at a time | the log says why; clear what is red, the rest is kept |
| `complete` | when all parts are loaded: what increments added, the service's import, the indexes | not all parts are loaded |
| `proof` | read the table back, {spread.tasks} at a time | the log says why |
| `finish` | compares, sets the settings, writes the record | {wrong} |
"""


_RED = {
    "sql": "a statement was refused, or it took longer than its timeout; nothing was changed. The log names its line",
    "script": "its exit code is not 0, or it took longer than its timeout; its output stands in the log",
    "aws-call": "the service does not know the call (nothing was called), or refused it",
    "emr-step": "the step failed; EMR's reason stands in the log. A cluster that was made for it has been ended",
}


def step_doc(pipeline: StepPipeline) -> str:
    """For `run__…`."""
    what = {
        "sql": "SQL, all statements in one transaction",
        "script": "A script of the team from `include/scripts`",
        "aws-call": "One call of AWS",
        "emr-step": "A step of an EMR cluster",
    }[pipeline.kind]
    again = {
        "sql": "A retry runs the statements again, after whatever undid them.",
        "script": "Exit code 75 asks for another try; any other than 0 does not.",
        "aws-call": "Tries of one run give the service the same token, where it takes one.",
        "emr-step": "To run it again, clear all tasks: what makes a cluster or adds a step is never tried twice by itself.",
    }[pipeline.kind]
    return f"""# {pipeline.name}

{schedule_text(pipeline.schedule, pipeline.timezone)}. {what}. Red: {_RED[pipeline.kind]}. {again}
"""
