"""What AWS keeps becomes a table by AWS's own means: RestoreTableToPointInTime, RestoreTableFromBackup, AWS Backup's restore job. None of
them is believed: the table is read back like any other."""

from collections.abc import Callable
from typing import Any

import botocore.exceptions

from tablekeep.engine.clients import error_code, translate, translated
from tablekeep.engine.dynamodb.tables import creation_request
from tablekeep.engine.errors import BadInputError, PermanentError, TransientError
from tablekeep.engine.restore.kept import KeptBackup
from tablekeep.engine.restore.making import Made, Making, overrides
from tablekeep.engine.restore.plan import Prepared, RestorePlan

GONE = {
    "InvalidRestoreTimeException", "PointInTimeRecoveryUnavailableException", "TableNotFoundException", "BackupNotFoundException",
}  # fmt: skip
_TODO = "leave the path to auto: the backup set needs nothing that AWS keeps"


def restore_to_point_in_time(prepared: Prepared, making: Making) -> Made:
    """The service restores the table as of the backup's time. A second try finds the table and waits for it.

    :raises BadInputError: when the service does not keep that time any more, or the table is gone.
    """
    plan, moment = prepared.plan, prepared.source.manifest.as_of
    what = f"restoring {plan.source_table} to {plan.to_table} by point-in-time recovery"

    def start() -> None:
        making.database.restore_table_to_point_in_time(
            SourceTableArn=prepared.settings.arn, TargetTableName=plan.to_table, RestoreDateTime=moment,
            **overrides(prepared.settings, plan.to_table, plan.region),
        )  # fmt: skip

    # the service knows whole seconds
    wanted = {"SourceTableArn": prepared.settings.arn, "RestoreDateTime": moment.replace(microsecond=0)}
    return _restored(prepared, making, what, start, wanted)


def restore_kept(prepared: Prepared, making: Making) -> Made:
    """DynamoDB, or AWS Backup, restores the backup that the plan names. A second try finds the table, or the job, and waits for it.

    :raises BadInputError: when there is no such backup any more, or another table has that name by now.
    """
    plan, kept = prepared.plan, kept_of(prepared.plan)
    what = f"restoring the {kept.kind} of {kept.at} to {plan.to_table}"
    if kept.by_aws_backup:
        return _by_aws_backup(prepared, making, kept, what)

    def start() -> None:
        making.database.restore_table_from_backup(
            TargetTableName=plan.to_table,
            BackupArn=kept.arn,
            **overrides(prepared.settings, plan.to_table, plan.region),
        )

    return _restored(prepared, making, what, start, {"SourceBackupArn": kept.arn})


def kept_of(plan: RestorePlan) -> KeptBackup:
    """What the plan names."""
    assert plan.source_backup is not None
    return KeptBackup(**{name: one for name, one in plan.source_backup.items() if name != "same_moment"})


def _restored(prepared: Prepared, making: Making, what: str, start: Callable[[], None], wanted: dict[str, Any]) -> Made:
    """Starts the restore and waits for its table.

    :param wanted: of the table's RestoreSummary, when it is what an earlier try has asked for.
    """
    plan = prepared.plan
    making.progress.phase("restore")
    if not making.job:
        try:
            start()
        except botocore.exceptions.ClientError as error:
            code = error_code(error)
            if code in GONE:
                raise BadInputError(what, f"the service answered {code}", _TODO) from None
            if code == "BackupInUseException":
                raise TransientError(what, "the backup is in use", "try again in a few minutes") from None
            if code != "TableAlreadyExistsException":
                raise translate(error, what) from error
        except botocore.exceptions.BotoCoreError as error:
            raise translate(error, what) from error
    with translated(what):
        table = making.database.describe_table(TableName=plan.to_table)["Table"]
    if not is_restored(table, wanted):
        raise BadInputError(what, "another table has that name by now", "name another one")
    making.begun(str(table.get("TableId", "")))
    return Made(making.marked(plan.to_table))


def is_restored(table: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Whether a described table was made by such a restore."""
    summary = table.get("RestoreSummary") or {}
    return all(summary.get(name) == value for name, value in wanted.items())


def _by_aws_backup(prepared: Prepared, making: Making, kept: KeptBackup, what: str) -> Made:
    plan, vaults = prepared.plan, making.clients.client("backup")
    making.progress.phase("restore")
    job = making.job
    if not job:
        with translated(what):
            job = str(
                vaults.start_restore_job(
                    RecoveryPointArn=kept.arn, IamRoleArn=kept.role, IdempotencyToken=making.token, ResourceType="DynamoDB",
                    Metadata={"targetTableName": plan.to_table, **_encryption(prepared)},
                )["RestoreJobId"]
            )  # fmt: skip
    making.begun(job)
    described: dict[str, Any] = {}

    def running() -> str | None:
        nonlocal described
        described = vaults.describe_restore_job(RestoreJobId=job)
        if described["Status"] not in ("PENDING", "RUNNING"):
            return None
        return f"job {job}: {described.get('PercentDone', '')}"

    making.wait(what, running)
    if described["Status"] != "COMPLETED":
        raise PermanentError(
            what, f"AWS Backup's job {job} ended {described['Status']}: {described.get('StatusMessage') or 'no message'}",
            f"look at the role {kept.role} and at the job; or {_TODO}",
        )  # fmt: skip
    arn = str(described.get("CreatedResourceArn", ""))
    if arn.rsplit("/", 1)[-1] != plan.to_table:
        raise PermanentError(what, f"the job made {arn or 'nothing'}", "look at the job in AWS Backup")
    return Made(making.marked(plan.to_table))


def _encryption(prepared: Prepared) -> dict[str, str]:
    """As the metadata of a restore job takes it. `Default`, for a key of DynamoDB's own, is documented (AWS Backup guide, "Restore testing
    inferred metadata"); `KMS` beside `kmsMasterKeyArn` is UNCONFIRMED. The settings are compared afterwards either way."""
    wanted = creation_request(prepared.settings, prepared.plan.to_table, region=prepared.plan.region).get(
        "SSESpecification"
    )
    if not wanted:
        return {"encryptionType": "Default"}
    key = wanted.get("KMSMasterKeyId")
    return {"encryptionType": "KMS"} | ({"kmsMasterKeyArn": key} if key else {})
