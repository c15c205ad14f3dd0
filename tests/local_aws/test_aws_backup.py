"""The stand-in's AWS Backup: recovery points, restore jobs, restore tests and their results."""

import http.client
import json
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import botocore.exceptions
import pytest

from local_aws.server import switch
from tests.past import NIGHT, StandingClock, put
from tests.tables import orders

ROLE = "arn:aws:iam::123456789012:role/service-role/AWSBackupDefaultServiceRole"
PLAN = "arn:aws:backup:us-east-1:123456789012:restore-testing-plan:weekly"
TABLE = "arn:aws:dynamodb:us-east-1:123456789012:table/orders"


def recovery_point(aws: Any) -> str:
    """A point as a backup plan makes it."""
    made = aws.client("backup").start_backup_job(BackupVaultName="Default", ResourceArn=TABLE, IamRoleArn=ROLE)
    return str(made["RecoveryPointArn"])


def restore_test(aws: Any, point: str, plan: str = PLAN) -> dict[str, Any]:
    """What a restore-testing plan does: the job."""
    address = urlsplit(aws.endpoint)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=30)
    body = {"RecoveryPointArn": point, "RestoreTestingPlanArn": plan}
    connection.request("POST", "/local-aws/backup/restore-test", json.dumps(body))
    response = connection.getresponse()
    text = response.read()
    assert response.status == 200, text
    job: dict[str, Any] = json.loads(text)
    return job


def start(aws: Any, point: str, **more: Any) -> str:
    given = {"Metadata": {"targetTableName": "then", "encryptionType": "Default"}, "IamRoleArn": ROLE} | more
    return str(aws.client("backup").start_restore_job(RecoveryPointArn=point, **given)["RestoreJobId"])


def test_a_point_is_restored_by_a_job(local_aws: Any, clock: StandingClock) -> None:
    switch(local_aws.endpoint, "backup", {"restore_polls": 1})
    client, point = local_aws.client("backup"), recovery_point(local_aws)
    clock.set(NIGHT + timedelta(hours=1))
    put(local_aws, orders(41)[40:])
    (listed,) = client.list_recovery_points_by_resource(ResourceArn=TABLE)["RecoveryPoints"]
    assert (listed["RecoveryPointArn"], listed["CreationDate"], listed["Status"]) == (point, NIGHT, "COMPLETED")
    described = client.describe_recovery_point(BackupVaultName="Default", RecoveryPointArn=point)
    assert (described["ResourceArn"], described["ResourceType"]) == (TABLE, "DynamoDB")
    job = start(local_aws, point, IdempotencyToken="t")
    assert start(local_aws, point, IdempotencyToken="t") == job, "the token finds it again"
    assert client.describe_restore_job(RestoreJobId=job)["Status"] == "RUNNING"
    ended = client.describe_restore_job(RestoreJobId=job)
    assert (ended["Status"], ended["CreatedResourceArn"]) == ("COMPLETED", TABLE.replace("orders", "then"))
    assert local_aws.client("dynamodb").scan(TableName="then")["Count"] == 40
    assert [one["RestoreJobId"] for one in client.list_restore_jobs(ByResourceType="DynamoDB")["RestoreJobs"]] == [job]
    later = client.list_restore_jobs(ByCreatedAfter=NIGHT + timedelta(hours=2))["RestoreJobs"]
    assert later == []
    start(local_aws, point)
    other = start(local_aws, point)
    client.describe_restore_job(RestoreJobId=other)
    assert client.describe_restore_job(RestoreJobId=other)["Status"] == "FAILED", "the table exists"
    with pytest.raises(botocore.exceptions.ClientError, match="InvalidRequest"):
        client.put_restore_validation_result(RestoreJobId=job, ValidationStatus="SUCCESSFUL")


def test_a_restore_test_takes_a_result(local_aws: Any, clock: StandingClock) -> None:
    client = local_aws.client("backup")
    job = restore_test(local_aws, recovery_point(local_aws))["RestoreJobId"]
    described = client.describe_restore_job(RestoreJobId=job)
    assert described["CreatedBy"] == {"RestoreTestingPlanArn": PLAN}
    assert described["CreatedResourceArn"].split("/")[1].startswith("awsbackup-restore-test-")
    assert "ValidationStatus" not in described
    client.put_restore_validation_result(
        RestoreJobId=job, ValidationStatus="SUCCESSFUL", ValidationStatusMessage="all of it"
    )
    (listed,) = client.list_restore_jobs(ByRestoreTestingPlanArn=PLAN)["RestoreJobs"]
    assert (listed["ValidationStatus"], listed["ValidationStatusMessage"]) == ("SUCCESSFUL", "all of it")


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"Metadata": {"encryptionType": "Default"}}, "MissingParameterValue"),
        ({"Metadata": {"targetTableName": "then", "size": "3"}}, "InvalidParameterValue"),
        ({"IamRoleArn": "me"}, "InvalidParameterValue"),
        ({"ResourceType": "EBS"}, "InvalidParameterValue"),
        ({"RecoveryPointArn": "arn:aws:backup:us-east-1:123456789012:recovery-point:0"}, "ResourceNotFound"),
    ],
)
def test_what_cannot_be_is_refused(local_aws: Any, clock: StandingClock, more: dict[str, Any], code: str) -> None:
    point = more.pop("RecoveryPointArn", None) or recovery_point(local_aws)
    with pytest.raises(botocore.exceptions.ClientError, match=code):
        start(local_aws, point, **more)
    local_aws.client("backup").create_backup_vault(BackupVaultName="other")
    with pytest.raises(botocore.exceptions.ClientError, match="ResourceNotFound"):
        local_aws.client("backup").start_backup_job(BackupVaultName="none", ResourceArn=TABLE, IamRoleArn=ROLE)
