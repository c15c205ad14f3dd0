"""Batches, streams and the faults that tests can ask for."""

from typing import Any

import pytest

from local_aws.datasets import load
from local_aws.server import LocalAws, switch
from tests.local_aws.support import create_table, fill, refused, scan_all


def put(number: int) -> dict[str, Any]:
    return {"PutRequest": {"Item": {"p": {"S": "a"}, "s": {"N": str(number)}}}}


@pytest.mark.parametrize(
    ("requests", "why"),
    [
        ([put(n) for n in range(26)], "less than or equal to 25|Too many items"),
        ([put(1), put(1)], "duplicates"),
        ([put(1), {"DeleteRequest": {"Key": {"p": {"S": "a"}, "s": {"N": "1.0"}}}}], "duplicates"),
        ([put(1), {"PutRequest": {"Item": {"p": {"S": "a"}}}}], "Missing the key s"),
    ],
)
def test_a_bad_batch_is_refused_as_a_whole(local_aws: LocalAws, requests: Any, why: str) -> None:
    client = create_table(local_aws)
    code, _, message = refused(client.batch_write_item, RequestItems={"items": requests})
    assert code == "ValidationException"
    assert any(part in message for part in why.split("|"))
    assert client.scan(TableName="items")["Count"] == 0


def test_a_batch_of_more_than_16_mb_is_refused(local_aws: LocalAws) -> None:
    client = create_table(local_aws)
    items = [{"p": {"S": "a"}, "s": {"N": str(n)}, "v": {"S": '"' * 400_000}} for n in range(25)]
    requests = [{"PutRequest": {"Item": item}} for item in items]
    assert refused(client.batch_write_item, RequestItems={"items": requests})[0] == "ValidationException"


def test_puts_and_deletes_in_one_batch(local_aws: LocalAws) -> None:
    client = create_table(local_aws)
    fill(client, 10)
    delete = {"DeleteRequest": {"Key": {"p": {"S": "p0"}, "s": {"N": "3"}}}}
    answer = client.batch_write_item(RequestItems={"items": [put(1), delete]}, ReturnConsumedCapacity="TOTAL")
    assert answer["ConsumedCapacity"] == [{"TableName": "items", "CapacityUnits": 2.0}]
    assert client.describe_table(TableName="items")["Table"]["ItemCount"] == 10


def test_batch_get_finds_what_is_there(local_aws: LocalAws) -> None:
    client = create_table(local_aws)
    fill(client, 10)
    keys = [{"p": {"S": "p0"}, "s": {"N": str(n)}} for n in range(8)]
    found = client.batch_get_item(RequestItems={"items": {"Keys": keys}})["Responses"]["items"]
    assert sorted(int(item["s"]["N"]) for item in found) == list(range(7))
    assert refused(client.batch_get_item, RequestItems={"items": {"Keys": keys[:1] * 2}})[0] == "ValidationException"


def test_unprocessed_items_and_throttling_on_demand(local_aws: LocalAws) -> None:
    client = create_table(local_aws)
    switch(local_aws.endpoint, "dynamodb", {"unprocessed_every": 2})
    client.batch_write_item(RequestItems={"items": [put(n) for n in range(10)]})
    left = client.batch_write_item(RequestItems={"items": [put(n) for n in range(10, 20)]})["UnprocessedItems"]
    assert left == {"items": [put(n) for n in range(15, 20)]}
    items = ({"p": {"S": "b"}, "s": {"N": str(n)}} for n in range(200))
    assert load(client, "items", items) == 200
    assert len([i for page in scan_all(client) for i in page]) == 215
    switch(local_aws.endpoint, "dynamodb", {"throttle_every": 1})
    assert refused(client.scan, TableName="items")[0] == "ProvisionedThroughputExceededException"
    local_aws.reset()
    create_table(local_aws).scan(TableName="items")


def test_an_unknown_switch_is_refused(local_aws: LocalAws) -> None:
    with pytest.raises(ValueError, match="no switch typo"):
        switch(local_aws.endpoint, "dynamodb", {"typo": 1})


def test_streams_see_batches(local_aws: LocalAws) -> None:
    client = create_table(local_aws)
    specification = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
    table = client.update_table(TableName="items", StreamSpecification=specification)["TableDescription"]
    client.batch_write_item(RequestItems={"items": [put(1)]})
    client.put_item(TableName="items", Item={"p": {"S": "a"}, "s": {"N": "1"}, "v": {"B": b"\x00"}})
    client.delete_item(TableName="items", Key={"p": {"S": "a"}, "s": {"N": "1"}})
    streams = local_aws.client("dynamodbstreams")
    arn = table["LatestStreamArn"]
    shard = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"][0]["ShardId"]
    arguments = {"StreamArn": arn, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON"}
    iterator = streams.get_shard_iterator(**arguments)["ShardIterator"]
    records = streams.get_records(ShardIterator=iterator)["Records"]
    assert [r["eventName"] for r in records] == ["INSERT", "MODIFY", "REMOVE"]
    assert records[1]["dynamodb"]["NewImage"]["v"] == {"B": b"\x00"}


def test_native_backup_and_restore_keep_the_items(local_aws: LocalAws) -> None:
    client = create_table(local_aws)
    fill(client, 30)
    whole = scan_all(client)
    backup = client.create_backup(TableName="items", BackupName="night")["BackupDetails"]["BackupArn"]
    client.delete_item(TableName="items", Key={"p": {"S": "p0"}, "s": {"N": "1"}})
    client.restore_table_from_backup(TargetTableName="restored", BackupArn=backup)
    assert scan_all(client, "restored") == whole
    assert client.describe_table(TableName="items")["Table"]["ItemCount"] == 29


def test_conditions_see_items_of_batches(local_aws: LocalAws) -> None:
    client = create_table(local_aws)
    fill(client, 1)
    item = {"p": {"S": "p0"}, "s": {"N": "0.0"}, "v": {"S": "new"}}
    arguments = {"TableName": "items", "Item": item, "ConditionExpression": "attribute_not_exists(p)"}
    assert refused(client.put_item, **arguments)[0] == "ConditionalCheckFailedException"
    client.put_item(**arguments | {"ConditionExpression": "attribute_exists(p)"})
    assert client.scan(TableName="items")["Items"] == [item | {"s": {"N": "0"}}]
