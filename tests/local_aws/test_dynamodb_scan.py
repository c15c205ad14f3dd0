"""Scan: every item once whatever the segments and pages, pages of 1 MB, and work that grows as the table does."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from moto.dynamodb.models import dynamodb_backends

from local_aws.dynamodb.store import HASH_SPACE, OrderedItems, segment_range
from local_aws.dynamodb.values import normal_item
from local_aws.server import LocalAws
from tests.local_aws.support import create_table, fill, refused, scan_all


def flat(pages: list[list[dict[str, Any]]]) -> list[tuple[str, int]]:
    return [(item["p"]["S"], int(item["s"]["N"])) for page in pages for item in page]


def stored(name: str = "items") -> OrderedItems:
    return dynamodb_backends["123456789012"]["us-east-1"].tables[name].items


@pytest.mark.parametrize("total", [1, 2, 3, 16, 500])
def test_the_segments_together_are_the_table(local_aws: LocalAws, total: int) -> None:
    client = create_table(local_aws)
    fill(client, 300)
    whole = flat(scan_all(client))
    parts = [flat(scan_all(client, Segment=n, TotalSegments=total, Limit=50)) for n in range(total)]
    assert [key for part in parts for key in part] == whole
    assert len(set(whole)) == len(whole) == 300
    # a partition is never divided
    assert sum(len({p for p, _ in part}) for part in parts) == len({p for p, _ in whole})


@given(
    keys=st.sets(st.tuples(st.text("abc", min_size=1, max_size=3), st.integers(-5, 5)), max_size=40),
    total=st.integers(1, 9),
    limit=st.integers(1, 10),
)
@settings(max_examples=25)
def test_the_union_of_segments_is_all_items_once(
    local_aws_server: LocalAws, keys: set[tuple[str, int]], total: int, limit: int
) -> None:
    local_aws_server.reset()
    client = create_table(local_aws_server)
    for p, s in keys:
        client.put_item(TableName="items", Item={"p": {"S": p}, "s": {"N": str(s)}})
    found = []
    for segment in range(total):
        found += flat(scan_all(client, Segment=segment, TotalSegments=total, Limit=limit))
    assert sorted(found) == sorted(keys)


@given(st.integers(1, 10**6), st.data())
def test_segments_divide_the_hashes_without_gap(total: int, data: st.DataObject) -> None:
    segment = data.draw(st.integers(0, total - 1))
    low, high = segment_range(segment, total)
    assert low < high
    assert low == (0 if segment == 0 else segment_range(segment - 1, total)[1])
    assert segment < total - 1 or high == HASH_SPACE


def test_a_page_ends_before_the_item_that_would_pass_1_mb(local_aws: LocalAws) -> None:
    client = create_table(local_aws)
    fill(client, 60, size=100_000)
    pages = scan_all(client)
    assert len(flat(pages)) == 60
    # the wire form that sizes are counted in has no binaries here
    sizes = [[normal_item(item)[1] for item in page] for page in pages]
    for page, after in pairwise(sizes):
        assert sum(page) <= 1024 * 1024 < sum(page) + after[0]


def test_a_filter_is_applied_after_the_page_is_read(local_aws: LocalAws) -> None:
    client = create_table(local_aws)
    fill(client, 40, size=100_000)
    arguments = {"FilterExpression": "s = :one", "ExpressionAttributeValues": {":one": {"N": "1"}}}
    first = client.scan(TableName="items", ReturnConsumedCapacity="TOTAL", **arguments)
    assert first["ScannedCount"] == 10
    assert first["ConsumedCapacity"]["CapacityUnits"] == pytest.approx(1_000_200 / 4096 / 2, abs=1)
    assert "LastEvaluatedKey" in first
    assert flat(scan_all(client, **arguments)) == [("p0", 1)]


def test_limit_gives_a_key_even_at_the_end(local_aws: LocalAws) -> None:
    client = create_table(local_aws)
    fill(client, 7)
    page = client.scan(TableName="items", Limit=7)
    assert page["Count"] == 7
    last = client.scan(TableName="items", Limit=7, ExclusiveStartKey=page["LastEvaluatedKey"])
    assert (last["Items"], last["ScannedCount"]) == ([], 0)
    assert "LastEvaluatedKey" not in last


def test_counting_and_projecting(local_aws: LocalAws) -> None:
    client = create_table(local_aws)
    fill(client, 3)
    counted = client.scan(TableName="items", Select="COUNT")
    assert (counted["Count"], counted["ScannedCount"], "Items" in counted) == (3, 3, False)
    shown = client.scan(TableName="items", ProjectionExpression="#s", ExpressionAttributeNames={"#s": "s"})
    assert sorted(item["s"]["N"] for item in shown["Items"]) == ["0", "1", "2"]
    assert {name for item in shown["Items"] for name in item} == {"s"}


def test_consistent_reads_cost_twice(local_aws: LocalAws) -> None:
    client = create_table(local_aws)
    fill(client, 10, size=8000)
    units = [
        client.scan(TableName="items", ConsistentRead=c, ReturnConsumedCapacity="TOTAL")["ConsumedCapacity"]
        for c in (False, True)
    ]
    assert units[1]["CapacityUnits"] == 2 * units[0]["CapacityUnits"] == 20


@pytest.mark.parametrize(
    "arguments",
    [
        {"Segment": 1}, {"TotalSegments": 2}, {"Segment": 2, "TotalSegments": 2}, {"Segment": 0, "TotalSegments": 10**6 + 1},
        {"ExclusiveStartKey": {"p": {"S": "x"}}}, {"ExclusiveStartKey": {"p": {"S": "x"}, "s": {"S": "1"}}},
        {"IndexName": "none"},
    ],
)  # fmt: skip
def test_bad_requests_are_refused(local_aws: LocalAws, arguments: dict[str, Any]) -> None:
    client = create_table(local_aws)
    assert refused(client.scan, TableName="items", **arguments)[:2] == ("ValidationException", 400)


def test_a_start_key_of_another_segment_is_refused(local_aws: LocalAws) -> None:
    client = create_table(local_aws)
    fill(client, 100)
    page = client.scan(TableName="items", Segment=0, TotalSegments=2, Limit=1)
    start = {"ExclusiveStartKey": page["LastEvaluatedKey"], "Segment": 1, "TotalSegments": 2}
    _, _, message = refused(client.scan, TableName="items", **start)
    assert "correct Segment" in message


def test_a_scan_goes_on_behind_an_item_that_was_deleted(local_aws: LocalAws) -> None:
    client = create_table(local_aws)
    fill(client, 50)
    whole = flat(scan_all(client))
    page = client.scan(TableName="items", Limit=20)
    for item in page["Items"]:
        client.delete_item(TableName="items", Key={"p": item["p"], "s": item["s"]})
    rest = flat(scan_all(client, ExclusiveStartKey=page["LastEvaluatedKey"]))
    assert rest == whole[20:]
    assert flat(scan_all(client)) == whole[20:]


def test_a_scan_visits_each_item_once_whatever_the_number_of_pages(local_aws: LocalAws) -> None:
    client = create_table(local_aws)
    fill(client, 700)
    for limit in (1000, 100, 10):
        items = stored()
        items.visited = 0
        pages = scan_all(client, Limit=limit)
        # one item a page is looked at to see that the page is full
        assert items.visited <= 700 + len(pages)
    items.visited = 0
    for segment in range(7):
        scan_all(client, Segment=segment, TotalSegments=7)
    assert items.visited == 700


def test_an_unknown_table_is_told(local_aws: LocalAws) -> None:
    client = local_aws.client("dynamodb")
    assert refused(client.scan, TableName="nowhere")[0] == "ResourceNotFoundException"


def test_tables_have_ids_that_change_when_made_anew(local_aws: LocalAws) -> None:
    client = create_table(local_aws)
    fill(client, 30)
    first = client.describe_table(TableName="items")["Table"]
    assert (first["ItemCount"], len(first["TableId"])) == (30, 36)
    assert "GlobalSecondaryIndexes" not in first
    client.delete_table(TableName="items")
    create_table(local_aws)
    assert client.describe_table(TableName="items")["Table"]["TableId"] != first["TableId"]
