"""AWS Backup's restore tests, validated: the table that its plan made is read and compared, the result is told, the table is left alone."""

from typing import Any

import botocore.exceptions
import pytest

from local_aws.server import switch
from tablekeep.engine.backups.records import read_records
from tablekeep.engine.backups.s3 import S3Store
from tablekeep.engine.drills.checks import Check
from tablekeep.engine.drills.drill import run_drill
from tablekeep.engine.drills.report import DrillReport, Objectives
from tablekeep.engine.drills.request import DrillRequest
from tablekeep.engine.errors import BadInputError, PermanentError, TransientError
from tablekeep.engine.progress import NoProgress
from tests.engine.drills.test_drill import page_of
from tests.engine.restore.test_kept import CHANGED, INDEX, SHELF, later, pitr_set
from tests.local_aws.test_aws_backup import PLAN, recovery_point, restore_test, start
from tests.local_aws.test_ondemand import backed_up
from tests.past import StandingClock, hash_of, put
from tests.tables import BUCKET, ROOT, clients, make_table, orders


def validate(clock: StandingClock, job: dict[str, Any] | None = None, using: Any = None, **more: Any) -> DrillReport:
    which = {"restore_job": job["RestoreJobId"]} if job else {"testing_plan": PLAN}
    return run_drill(
        DrillRequest(ROOT, "orders", **which, **more),
        clients=using or clients(),
        clock=clock,
        progress=NoProgress(),
        actor="t",
        run="t",
    )


def table_of(job: dict[str, Any]) -> str:
    return str(job["CreatedResourceArn"]).rsplit("/", 1)[1]


def told(aws: Any, job: dict[str, Any]) -> tuple[str | None, str]:
    """What AWS Backup has as the job's result."""
    described = aws.client("backup").describe_restore_job(RestoreJobId=job["RestoreJobId"])
    return described.get("ValidationStatus"), described.get("ValidationStatusMessage", "")


def test_a_right_restore_is_told_as_successful_and_left_alone(local_aws: Any, clock: StandingClock) -> None:
    switch(local_aws.endpoint, "backup", {"restore_polls": 2})
    made, point = pitr_set(clock), recovery_point(local_aws)
    later(clock, hours=6)
    put(local_aws, CHANGED)
    job = restore_test(local_aws, point)
    later(clock, minutes=20)
    with pytest.raises(TransientError, match="still restoring"):
        validate(clock, job)
    local_aws.client("backup").describe_restore_job(RestoreJobId=job["RestoreJobId"])
    job = local_aws.client("backup").describe_restore_job(RestoreJobId=job["RestoreJobId"])
    report = validate(clock, job, objectives=Objectives(rto_seconds=7200, rpo_seconds=8 * 3600))
    assert report.passed, report.problems
    assert report.backup == made
    assert report.content_hash == str(hash_of(orders()))
    assert report.posted == {"status": "SUCCESSFUL", "message": told(local_aws, job)[1]}
    assert told(local_aws, job)[0] == "SUCCESSFUL"
    assert f"40 items are equal to the backup set {made.split('/')[-2]}" in told(local_aws, job)[1]
    assert report.phases["load"] == 1200, "AWS Backup's own time"
    assert report.rpo_seconds == 6 * 3600 + 60
    assert not report.torn_down
    assert table_of(job) in local_aws.client("dynamodb").list_tables()["TableNames"], "it is AWS Backup's to remove"
    arn = job["CreatedResourceArn"]
    assert local_aws.client("dynamodb").list_tags_of_resource(ResourceArn=arn)["Tags"] == [], "nothing is changed"
    page = page_of(report)
    for part in ("removes by itself", "AWS Backup was told", "SUCCESSFUL", point):
        assert part in page, part
    (record,) = read_records(S3Store(clients(), BUCKET), SHELF, "drill")
    assert record["result"]["restore_job"] == job["RestoreJobId"]


def meddled(aws: Any, job: dict[str, Any], how: str) -> None:
    client, table = aws.client("dynamodb"), table_of(job)
    key = {"pk": {"S": "customer-1"}, "sk": {"N": "1"}}
    if how == "changed":
        client.put_item(TableName=table, Item={**key, "price": {"N": "0"}})
    elif how == "gone":
        client.delete_item(TableName=table, Key=key)
    elif how == "index":
        client.update_table(TableName=table, GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": "by-note"}}])


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("changed", "it differs from the backup set"),
        ("gone", "1 missing in the table"),
        ("index", "setting index by-note"),
        ("check", "check none failed"),
    ],
)
def test_a_wrong_restore_is_told_as_failed(local_aws: Any, clock: StandingClock, how: str, why: str) -> None:
    if how == "index":
        local_aws.client("dynamodb").update_table(
            TableName="orders", AttributeDefinitions=[{"AttributeName": "note", "AttributeType": "S"}],
            GlobalSecondaryIndexUpdates=[{"Create": INDEX}],
        )  # fmt: skip
    pitr_set(clock)
    job = restore_test(local_aws, recovery_point(local_aws))
    meddled(local_aws, job, how)
    checks = [Check("none", python="tests.engine.drills.test_drill:no_orders")] if how == "check" else []
    report = validate(clock, job, checks=checks)
    assert not report.passed
    assert (report.rto_seconds is None) == (how in ("changed", "gone"))
    status, message = told(local_aws, job)
    assert status == "FAILED"
    assert why in message
    assert "customer-1" not in str(report.as_dict())
    assert bool(report.differing) == (how in ("changed", "gone"))
    assert table_of(job) in local_aws.client("dynamodb").list_tables()["TableNames"]


def test_what_no_set_can_tell_is_told_as_failed_and_why(local_aws: Any, clock: StandingClock) -> None:
    pitr_set(clock)
    later(clock, hours=5)
    put(local_aws, CHANGED)
    job = restore_test(local_aws, recovery_point(local_aws))
    report = validate(clock, job)
    assert not report.proved
    status, message = told(local_aws, job)
    assert status == "FAILED"
    for part in ("UNVERIFIED", "4 h 59 min before it", "1 different"):
        assert part in message, part


def test_a_validation_that_takes_too_long_is_told_as_timed_out(local_aws: Any, clock: StandingClock) -> None:
    pitr_set(clock)
    job = restore_test(local_aws, recovery_point(local_aws))
    report = validate(clock, job, max_seconds=1e-6)
    assert not report.passed
    assert "TIMED_OUT" in report.problems[0]
    assert told(local_aws, job)[0] == "TIMED_OUT"


def test_a_missed_objective_is_the_teams_and_not_aws_backups(local_aws: Any, clock: StandingClock) -> None:
    pitr_set(clock)
    later(clock, seconds=10)
    job = restore_test(local_aws, recovery_point(local_aws))
    report = validate(clock, job, objectives=Objectives(rpo_seconds=1))
    assert report.proved
    assert not report.passed
    assert report.problems[0].startswith("RPO missed")
    assert told(local_aws, job)[0] == "SUCCESSFUL"


def test_the_plans_newest_job_without_a_result_is_taken(local_aws: Any, clock: StandingClock) -> None:
    pitr_set(clock)
    with pytest.raises(BadInputError, match="has restored nothing of"):
        validate(clock)
    point = recovery_point(local_aws)
    old = restore_test(local_aws, point)
    later(clock, days=7)
    make_table(local_aws, "customers", orders(2))
    table = "arn:aws:dynamodb:us-east-1:123456789012:table/customers"
    role = "arn:aws:iam::123456789012:role/backup"
    other = local_aws.client("backup").start_backup_job(BackupVaultName="Default", ResourceArn=table, IamRoleArn=role)
    job = restore_test(local_aws, point)
    foreign = restore_test(local_aws, other["RecoveryPointArn"])
    restore_test(local_aws, point, PLAN + "-other")
    report = validate(clock)
    assert (report.restore_job, report.passed) == (job["RestoreJobId"], True)
    assert told(local_aws, old)[0] is None
    with pytest.raises(BadInputError, match="has the result SUCCESSFUL"):
        validate(clock)
    assert validate(clock, job).passed, "by its id it is looked at again"
    with pytest.raises(BadInputError, match=r"the job restored .*customers"):
        validate(clock, foreign)
    with pytest.raises(BadInputError, match="no restore job"):
        validate(clock, {"RestoreJobId": "none"})
    local_aws.client("dynamodb").delete_table(TableName=table_of(job))
    with pytest.raises(BadInputError, match=table_of(job)):
        validate(clock, job)


def test_a_restore_that_no_plan_made_is_proved_and_not_told(local_aws: Any, clock: StandingClock) -> None:
    pitr_set(clock)
    point = recovery_point(local_aws)
    job = {"RestoreJobId": start(local_aws, point)}
    report = validate(clock, job)
    assert report.passed
    assert report.posted is None
    failed = {"RestoreJobId": start(local_aws, point)}
    with pytest.raises(PermanentError, match="ended FAILED: Table already exists"):
        validate(clock, failed)


def test_a_result_that_cannot_be_told_is_a_problem(local_aws: Any, clock: StandingClock) -> None:
    pitr_set(clock)
    job = restore_test(local_aws, recovery_point(local_aws))
    using = clients()

    def refused(**_: Any) -> None:
        answer = {"Error": {"Code": "AccessDeniedException", "Message": "no"}}
        raise botocore.exceptions.ClientError(answer, "PutRestoreValidationResult")  # type: ignore[arg-type]

    using.client("backup").meta.events.register("before-call.backup.PutRestoreValidationResult", refused)
    report = validate(clock, job, using)
    assert report.proved
    assert not report.passed
    assert report.problems[0].startswith("SUCCESSFUL was not told")
    assert report.posted is None


def test_nothing_happens_before_the_point_is_known(local_aws: Any, clock: StandingClock) -> None:
    job = restore_test(local_aws, recovery_point(local_aws))
    with pytest.raises(BadInputError, match="there is no backup of it"):
        validate(clock, job)
    assert told(local_aws, job) == (None, "")


def test_a_drill_of_what_no_set_can_tell_has_no_time(local_aws: Any, clock: StandingClock) -> None:
    pitr_set(clock)
    later(clock, hours=3)
    put(local_aws, CHANGED)
    backed_up(local_aws)
    report = run_drill(
        DrillRequest(ROOT, "orders", path="backup"),
        clients=clients(),
        clock=clock,
        progress=NoProgress(),
        actor="t",
        run="t",
    )
    assert (report.proved, report.rto_seconds, report.predicted_seconds) == (False, None, None)
    assert report.problems[0].startswith("UNVERIFIED")
    assert {"find", "verify", "proof"} <= report.phases.keys()
