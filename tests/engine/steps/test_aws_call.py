"""Calls of AWS: what the service does not know is never called; what it answers is told by an allowance."""

import json
from datetime import UTC, datetime
from typing import Any

import botocore.session
import pytest

from tablekeep.engine.clock import SystemClock
from tablekeep.engine.errors import BadInputError, PermanentError
from tablekeep.engine.steps.aws_call import AwsCallReport, AwsCallRequest, plan_aws_call, run_aws_call, summarise
from tablekeep.engine.steps.facts import RunFacts
from tests.tables import BUCKET, clients, make_bucket, make_table

FACTS = RunFacts("nightly", "nightly", "run__nightly/manual", datetime(2026, 11, 23, 2, 0, tzinfo=UTC))


def call(service: str, method: str, attempt: str = "one", **parameters: Any) -> AwsCallReport:
    return run_aws_call(
        AwsCallRequest(service, method, parameters), clients(), FACTS, attempt=attempt, clock=SystemClock()
    )


@pytest.mark.parametrize(
    ("service", "method", "parameters", "why"),
    [
        ("rsd", "create_db_snapshot", {}, "boto3 knows no service rsd"),
        ("rds", "create_db_snapshots", {}, "rds has no method create_db_snapshots .did you mean create_db_snapshot.."),
        ("rds", "create_db_snapshot", {"DBSnapshotIdentifier": "a"}, 'Missing required parameter in input: "DBInstanceIdentifier"'),
        ("rds", "CreateDBSnapshot", {"DBSnapshotIdentifier": "a", "DBInstanceIdentifier": "b", "X": 1}, 'Unknown parameter in input: "X"'),
        ("ec2", "create_snapshot", {"VolumeId": "v", "DryRun": "PL4NTED"}, "Invalid type for parameter DryRun, type: str, valid types: bool"),
        ("sts", "__init__", {}, "sts has no method __init__"),
        ("sts", "generate_presigned_url", {}, "sts has no method generate_presigned_url"),
        ("s3", "select_object_content", {}, "for as long as it is listened to"),
        ("sns", "publish", {"Message": "{{ ds }}"}, "there is pipeline, step, run"),
    ],
)  # fmt: skip
def test_what_the_service_does_not_know_is_refused_before_anything_is_called(
    local_aws: Any, service: str, method: str, parameters: dict[str, Any], why: str
) -> None:
    with pytest.raises(BadInputError, match=why) as caught:
        call(service, method, **parameters)
    assert "PL4NTED" not in str(caught.value)
    if "ds" not in str(parameters):
        with pytest.raises(BadInputError, match=why):
            plan_aws_call(AwsCallRequest(service, method, parameters))


def test_a_call_is_made_with_its_texts_filled_in(local_aws: Any) -> None:
    make_bucket(local_aws)
    report = call("s3", "put_object", Bucket=BUCKET, Key="marks/{{ as_of:%Y/%m/%d }}/_SUCCESS", Body="done")
    (found,) = local_aws.client("s3").list_objects_v2(Bucket=BUCKET)["Contents"]
    assert (found["Key"], found["Size"]) == ("marks/2026/11/23/_SUCCESS", 4)
    assert (report.call, report.region) == ("s3.put_object", "us-east-1")
    assert call("s3", "GetObject", Bucket=BUCKET, Key=found["Key"]).answered["Body"] == "(blob)"
    with pytest.raises(PermanentError, match=r"calling s3\.get_object: GetObject answered NoSuchKey"):
        call("s3", "get_object", Bucket=BUCKET, Key="missing")


def test_tries_of_one_call_give_one_token(local_aws: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []
    made = clients()
    made.client("ec2").meta.events.register(
        "before-parameter-build.ec2.RunInstances", lambda params, **_: sent.append(params["ClientToken"])
    )
    request = AwsCallRequest("ec2", "run_instances", {"MinCount": 1, "MaxCount": 1, "ImageId": "ami-12c6146b"})
    for attempt in ("run 1, cleared 0", "run 1, cleared 0", "run 1, cleared 1"):
        run_aws_call(request, made, FACTS, attempt=attempt, clock=SystemClock())
    assert sent[0] == sent[1] != sent[2]


def test_secrets_items_and_other_content_are_not_told(local_aws: Any) -> None:
    local_aws.client("secretsmanager").create_secret(Name="dwh", SecretString="PL4NTED")
    local_aws.client("iam").create_user(UserName="ana")
    make_table(local_aws, "orders", [{"pk": {"S": "PL4NTED"}, "sk": {"N": "77"}, "Name": {"S": "PL4NTED"}}])
    answers = [
        call("secretsmanager", "get_secret_value", SecretId="dwh"),
        call("iam", "create_access_key", UserName="ana"),
        call("dynamodb", "scan", TableName="orders"),
        call("sts", "get_session_token"),
    ]
    secret, key, scan, token = (one.answered for one in answers)
    text = json.dumps([one.as_dict() for one in answers])
    for value in local_aws.client("iam").list_access_keys(UserName="ana")["AccessKeyMetadata"]:
        assert value["AccessKeyId"] not in text
    assert "PL4NTED" not in text
    assert "77" not in json.dumps(scan)
    assert (secret["Name"], secret["SecretString"]) == ("dwh", "(not told)")
    assert key["AccessKey"] == "(not told)"
    assert scan["Items"] == ["(3 entries)"]
    assert (scan["Count"], scan["ScannedCount"]) == (1, 1)
    assert token["Credentials"] == "(not told)"


def test_a_large_answer_is_told_in_few_words() -> None:
    shape = botocore.session.get_session().get_service_model("rds").operation_model("DescribeDBSnapshots").output_shape
    one = {
        "DBSnapshotIdentifier": "s" * 5000,
        "Status": "available",
        "AllocatedStorage": 20,
        "SnapshotCreateTime": FACTS.as_of,
    }
    told = summarise({"DBSnapshots": [one] * 10_000, "Marker": "m"}, shape)
    assert told["DBSnapshots"][0] == {
        "DBSnapshotIdentifier": "s" * 200, "Status": "available", "AllocatedStorage": 20, "SnapshotCreateTime": "2026-11-23T02:00:00+00:00",
    }  # fmt: skip
    assert told["DBSnapshots"][-1] == "… 9,990 more"
    assert len(json.dumps(told)) < 12_000
