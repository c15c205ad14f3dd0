"""The stand-in's on-demand backups: one moment exactly, the deleted table's own, and the service's refusals."""

from datetime import timedelta
from typing import Any

import botocore.exceptions
import pytest

from local_aws.server import switch
from tests.past import NIGHT, StandingClock, put
from tests.tables import orders


def backed_up(aws: Any, name: str = "before-the-release") -> str:
    made = aws.client("dynamodb").create_backup(TableName="orders", BackupName=name)["BackupDetails"]
    return str(made["BackupArn"])


def restore(aws: Any, arn: str, name: str = "then", **more: Any) -> dict[str, Any]:
    client = aws.client("dynamodb")
    client.restore_table_from_backup(TargetTableName=name, BackupArn=arn, **more)
    table: dict[str, Any] = client.describe_table(TableName=name)["Table"]
    return table


def keys(aws: Any, name: str) -> list[int]:
    return sorted(int(one["sk"]["N"]) for one in aws.client("dynamodb").scan(TableName=name)["Items"])


def test_a_backup_is_of_one_moment_and_the_table_made_of_it_is_bare(local_aws: Any, clock: StandingClock) -> None:
    client = local_aws.client("dynamodb")
    arn = client.describe_table(TableName="orders")["Table"]["TableArn"]
    client.tag_resource(ResourceArn=arn, Tags=[{"Key": "team", "Value": "shop"}])
    made = backed_up(local_aws)
    clock.set(NIGHT + timedelta(hours=1))
    put(local_aws, orders(41)[40:])
    client.delete_item(TableName="orders", Key={"pk": {"S": "customer-0"}, "sk": {"N": "0"}})
    table = restore(local_aws, made)
    assert keys(local_aws, "then") == list(range(40))
    assert table["RestoreSummary"]["SourceBackupArn"] == made
    assert table["RestoreSummary"]["RestoreDateTime"] == NIGHT
    assert table["CreationDateTime"] == NIGHT + timedelta(hours=1), "by the stand-in's clock"
    assert client.list_tags_of_resource(ResourceArn=table["TableArn"])["Tags"] == []
    recovery = client.describe_continuous_backups(TableName="then")["ContinuousBackupsDescription"]
    assert recovery["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "DISABLED"
    source = client.describe_backup(BackupArn=made)["BackupDescription"]["SourceTableDetails"]
    assert (source["TableName"], source["ItemCount"]) == ("orders", 40)
    again = restore(
        local_aws, made, "other", BillingModeOverride="PROVISIONED",
        ProvisionedThroughputOverride={"ReadCapacityUnits": 7, "WriteCapacityUnits": 8},
    )  # fmt: skip
    assert again["ProvisionedThroughput"]["WriteCapacityUnits"] == 8


def test_a_deleted_table_that_could_be_recovered_leaves_a_backup(local_aws: Any, clock: StandingClock) -> None:
    client = local_aws.client("dynamodb")
    client.delete_table(TableName="orders")
    (kept,) = client.list_backups(TableName="orders", BackupType="ALL")["BackupSummaries"]
    assert (kept["BackupName"], kept["BackupType"]) == ("orders$DeletedTableBackup", "SYSTEM")
    assert client.list_backups(TableName="orders")["BackupSummaries"] == [], "USER is what is listed by default"
    restore(local_aws, kept["BackupArn"], "orders")
    assert keys(local_aws, "orders") == list(range(40))
    clock.set(NIGHT + timedelta(days=36))
    with pytest.raises(botocore.exceptions.ClientError, match="BackupNotFound"):
        client.describe_backup(BackupArn=kept["BackupArn"])


def test_what_takes_time_takes_time(local_aws: Any, clock: StandingClock) -> None:
    switch(local_aws.endpoint, "dynamodb", {"backup_polls": 1, "restore_polls": 2})
    client, made = local_aws.client("dynamodb"), backed_up(local_aws)
    with pytest.raises(botocore.exceptions.ClientError, match="BackupInUse"):
        restore(local_aws, made)
    assert client.describe_backup(BackupArn=made)["BackupDescription"]["BackupDetails"]["BackupStatus"] == "CREATING"
    table = restore(local_aws, made)
    assert (table["TableStatus"], table["RestoreSummary"]["RestoreInProgress"]) == ("CREATING", True)
    for call, given, code in (
        ("delete_table", {"TableName": "then"}, "ResourceInUse"),
        ("tag_resource", {"ResourceArn": table["TableArn"], "Tags": [{"Key": "a", "Value": "b"}]}, "ResourceInUse"),
        ("scan", {"TableName": "then"}, "ResourceNotFound"),
    ):
        with pytest.raises(botocore.exceptions.ClientError, match=code):
            getattr(client, call)(**given)
    assert client.describe_table(TableName="then")["Table"]["TableStatus"] == "CREATING"
    assert client.describe_table(TableName="then")["Table"]["TableStatus"] == "ACTIVE"
    assert keys(local_aws, "then") == list(range(40))


def test_an_index_that_came_later_does_not_refuse_what_was_there(local_aws: Any, clock: StandingClock) -> None:
    index = {
        "IndexName": "by-note", "KeySchema": [{"AttributeName": "note", "KeyType": "HASH"}], "Projection": {"ProjectionType": "ALL"},
    }  # fmt: skip
    local_aws.client("dynamodb").update_table(
        TableName="orders", AttributeDefinitions=[{"AttributeName": "note", "AttributeType": "S"}],
        GlobalSecondaryIndexUpdates=[{"Create": index}],
    )  # fmt: skip
    made = backed_up(local_aws)
    assert [one["IndexName"] for one in restore(local_aws, made)["GlobalSecondaryIndexes"]] == ["by-note"]
    assert keys(local_aws, "then") == list(range(40)), "NULL in the index's key"
    assert "GlobalSecondaryIndexes" not in restore(local_aws, made, "bare", GlobalSecondaryIndexOverride=[])


@pytest.mark.parametrize(
    ("call", "given", "code"),
    [
        ("create_backup", {"TableName": "nowhere", "BackupName": "abc"}, "TableNotFound"),
        ("create_backup", {"TableName": "orders", "BackupName": "a b c"}, "Validation"),
        ("restore_table_from_backup", {"TargetTableName": "orders"}, "TableAlreadyExists"),
        ("restore_table_from_backup", {"TargetTableName": "abc", "BackupArn": "x" * 40}, "BackupNotFound"),
        ("restore_table_from_backup", {"TargetTableName": "abc", "LocalSecondaryIndexOverride": []}, "Validation"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(
    local_aws: Any, clock: StandingClock, call: str, given: dict[str, Any], code: str
) -> None:
    made = {"BackupArn": backed_up(local_aws)} if call.startswith("restore") else {}
    with pytest.raises(botocore.exceptions.ClientError, match=code):
        getattr(local_aws.client("dynamodb"), call)(**made | given)


def test_pages_of_backups(local_aws: Any, clock: StandingClock) -> None:
    made = [backed_up(local_aws, f"number-{n}") for n in range(5)]
    pages = local_aws.client("dynamodb").get_paginator("list_backups").paginate(
        TableName="orders", PaginationConfig={"PageSize": 2}
    )  # fmt: skip
    assert [one["BackupArn"] for page in pages for one in page["BackupSummaries"]] == made
    local_aws.client("dynamodb").delete_backup(BackupArn=made[0])
    assert len(local_aws.client("dynamodb").list_backups(TableName="orders")["BackupSummaries"]) == 4
