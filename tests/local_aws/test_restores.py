"""The stand-in's RestoreTableToPointInTime: the past state exactly, within the window alone."""

from datetime import timedelta
from typing import Any

import botocore.exceptions
import pytest

from local_aws.server import switch
from tests.past import NIGHT, StandingClock, put, recovery
from tests.tables import for_boto, make_table, orders


@pytest.fixture
def aws(local_aws: Any) -> Any:
    """Three orders at night; an hour later one is changed, one deleted, one new. It is two hours later now."""
    clock = StandingClock(local_aws.endpoint)
    index = {
        "IndexName": "by_note", "KeySchema": [{"AttributeName": "note", "KeyType": "HASH"}], "Projection": {"ProjectionType": "ALL"},
    }  # fmt: skip
    make_table(
        local_aws, "orders", [], AttributeDefinitions=[{"AttributeName": "note", "AttributeType": "S"}], GlobalSecondaryIndexes=[index]
    )  # fmt: skip
    recovery(local_aws, True)
    put(local_aws, [{"pk": {"S": "a"}, "sk": {"N": str(n)}, "note": {"S": "x"}} for n in range(3)])
    clock.set(NIGHT + timedelta(hours=1))
    put(local_aws, [{"pk": {"S": "a"}, "sk": {"N": "0"}, "note": {"S": "y"}}, orders()[1]])
    local_aws.client("dynamodb").delete_item(TableName="orders", Key={"pk": {"S": "a"}, "sk": {"N": "2"}})
    clock.set(NIGHT + timedelta(hours=2))
    return local_aws


def restored(aws: Any, name: str, **when: Any) -> list[tuple[str, str]]:
    client = aws.client("dynamodb")
    source = {} if "SourceTableArn" in when else {"SourceTableName": "orders"}
    answer = client.restore_table_to_point_in_time(TargetTableName=name, **source, **when)["TableDescription"]
    assert answer["TableName"] == name
    assert answer["RestoreSummary"]["SourceTableArn"].endswith("table/orders")
    found = client.scan(TableName=name, ConsistentRead=True)["Items"]
    return sorted((one["sk"]["N"], one.get("note", {}).get("S", "")) for one in found)


def test_a_past_state_and_the_present_one(aws: Any) -> None:
    night = [("0", "x"), ("1", "x"), ("2", "x")]
    assert restored(aws, "then", RestoreDateTime=NIGHT + timedelta(minutes=59)) == night
    assert restored(aws, "now", UseLatestRestorableTime=True) == [("0", "y"), ("1", ""), ("1", "x")]
    client = aws.client("dynamodb")
    arn = client.describe_table(TableName="orders")["Table"]["TableArn"]
    assert restored(aws, "by-arn", SourceTableArn=arn, RestoreDateTime=NIGHT) == night
    table = client.describe_table(TableName="then")["Table"]
    assert [one["IndexName"] for one in table["GlobalSecondaryIndexes"]] == ["by_note"]
    assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    query = {"KeyConditionExpression": "note = :x", "ExpressionAttributeValues": {":x": {"S": "x"}}}
    assert client.query(TableName="then", IndexName="by_note", **query)["Count"] == 3
    ids = {client.describe_table(TableName=name)["Table"]["TableId"] for name in ("orders", "then", "now")}
    assert len(ids) == 3


def test_what_is_restored_is_a_table_of_its_own(aws: Any) -> None:
    restored(aws, "then", RestoreDateTime=NIGHT)
    aws.client("dynamodb").put_item(TableName="then", Item={name: for_boto(one) for name, one in orders()[2].items()})
    assert aws.client("dynamodb").scan(TableName="orders")["Count"] == 3
    assert aws.client("dynamodb").scan(TableName="then")["Count"] == 4


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"RestoreDateTime": NIGHT - timedelta(seconds=1)}, "InvalidRestoreTimeException"),
        ({"RestoreDateTime": NIGHT + timedelta(hours=3)}, "InvalidRestoreTimeException"),
        ({"RestoreDateTime": NIGHT, "UseLatestRestorableTime": True}, "ValidationException"),
        ({}, "ValidationException"),
        ({"RestoreDateTime": NIGHT, "TargetTableName": "orders"}, "TableAlreadyExistsException"),
        ({"RestoreDateTime": NIGHT, "SourceTableName": "nowhere"}, "TableNotFoundException"),
        ({"RestoreDateTime": NIGHT, "LocalSecondaryIndexOverride": []}, "ValidationException"),
    ],
    ids=range(7),
)
def test_what_cannot_be_is_refused(aws: Any, given: dict[str, Any], code: str) -> None:
    request = {"SourceTableName": "orders", "TargetTableName": "then"} | given
    with pytest.raises(botocore.exceptions.ClientError, match=code):
        aws.client("dynamodb").restore_table_to_point_in_time(**request)
    assert aws.client("dynamodb").list_tables()["TableNames"] == ["orders"]


def test_without_recovery_and_with_its_lag(aws: Any) -> None:
    switch(aws.endpoint, "dynamodb", {"restore_lag_seconds": 7200})
    try:
        assert restored(aws, "lagging", UseLatestRestorableTime=True) == [("0", "x"), ("1", "x"), ("2", "x")]
    finally:
        switch(aws.endpoint, "dynamodb", {"restore_lag_seconds": 0})
    recovery(aws, False)
    with pytest.raises(botocore.exceptions.ClientError, match="PointInTimeRecoveryUnavailable"):
        restored(aws, "then", UseLatestRestorableTime=True)
