"""The same code against AWS's own emulator."""

import json
from typing import Any

import boto3
import pytest

from tablekeep.engine.clients import SessionClients
from tablekeep.engine.clock import SystemClock
from tablekeep.engine.dynamodb.scan import ParallelScan
from tablekeep.engine.dynamodb.settings import read_settings
from tablekeep.engine.dynamodb.tables import add_indexes, create_table
from tablekeep.engine.dynamodb.wire import WireClient
from tablekeep.engine.dynamodb.write import BatchWriter
from tablekeep.engine.errors import BadInputError, IntegrityError, PermanentError
from tablekeep.engine.items.canonical import canonical_item, canonical_key
from tablekeep.engine.items.hashing import ContentHash
from tablekeep.engine.progress import NoProgress
from tablekeep.engine.restore.by_key import read_back
from tablekeep.engine.restore.differences import DIFFERENT, LEFT
from tests.engine.dynamodb.test_scan import Sink
from tests.tables import orders

pytestmark = pytest.mark.dynamodb_local


@pytest.fixture
def local(dynamodb_local_endpoint: str) -> SessionClients:
    """Clients of DynamoDB Local with no tables but `orders`, which has an index, and is empty."""
    session = boto3.session.Session("wire", "wire", region_name="us-east-1")
    clients = SessionClients(
        session, endpoints=dict.fromkeys(["dynamodb", "application-autoscaling", "sts"], dynamodb_local_endpoint)
    )
    database = clients.client("dynamodb")
    for name in database.list_tables()["TableNames"]:
        database.delete_table(TableName=name)
    database.create_table(
        TableName="orders",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[
            {"AttributeName": name, "AttributeType": kind} for name, kind in [("pk", "S"), ("sk", "N"), ("team", "S")]
        ],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "by_team",
                "KeySchema": [{"AttributeName": "team", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
        BillingMode="PAY_PER_REQUEST",
    )
    return clients


def wire_of(items: list[dict[str, Any]]) -> list[bytes]:
    return [json.dumps(item, separators=(",", ":")).encode() for item in items]


def keyed(items: list[dict[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
    """By key; numbers as the service trims them, sets in one order."""

    def plain(value: dict[str, Any]) -> dict[str, Any]:
        ((kind, content),) = value.items()
        return {kind: sorted(content) if kind in ("SS", "NS", "BS") else content}

    return {(item["pk"]["S"], item["sk"]["N"]): {name: plain(value) for name, value in item.items()} for item in items}


def scanned(local: SessionClients, table: str, segments: int) -> tuple[list[dict[str, Any]], Any]:
    found: list[dict[str, Any]] = []
    scan = ParallelScan(WireClient(local), table, segments, clock=SystemClock(), consistent=True)
    report = scan.run(lambda segment, page: found.extend(json.loads(bytes(item)) for item in page.items))
    return found, report


def test_a_table_is_written_read_and_built_again(local: SessionClients) -> None:
    items = [{**item, "price": {"N": str(n)}} for n, item in enumerate(orders(200))]
    items = [{**item, "team": {"S": f"t{n % 4}"}} if n % 2 else item for n, item in enumerate(items)]
    source = read_settings(local, "orders")
    created = create_table(local, source, "again", run="run-1", clock=SystemClock())
    with BatchWriter(WireClient(local), "again", clock=SystemClock()) as writer:
        writer.put_many(wire_of(items))
    assert writer.report is not None
    assert writer.report.items == 200
    assert add_indexes(local, source, created, clock=SystemClock()) == ("by_team",)
    for segments in (1, 5):
        found, report = scanned(local, "again", segments)
        assert report.items == len(found) == 200
        assert keyed(found) == keyed(items)
        assert report.consumed > 0


def test_a_table_created_with_an_index_refuses_what_the_same_table_holds_without_it(local: SessionClients) -> None:
    create_table(local, read_settings(local, "orders"), "again", run="run-1", clock=SystemClock())
    item = b'{"pk":{"S":"a"},"sk":{"N":"1"},"team":{"NULL":true}}'
    assert WireClient(local).batch_write("again", [item]).unprocessed == []
    with pytest.raises(PermanentError, match="ValidationException"):
        WireClient(local).batch_write("orders", [item])


def test_large_pages_follow_each_other(local: SessionClients) -> None:
    items = [{"pk": {"S": f"p{n % 3}"}, "sk": {"N": str(n)}, "pad": {"S": f"{n}" * 60_000}} for n in range(30)]
    with BatchWriter(WireClient(local), "orders", clock=SystemClock()) as writer:
        writer.put_many(wire_of(items))
    sink = Sink()
    scan = ParallelScan(WireClient(local), "orders", 2, clock=SystemClock())
    first = scan.first_page(0)
    report = scan.run(sink.page)
    assert report.items == 30
    assert report.pages > 2
    assert report.segments[0].items >= first.count


def test_reading_by_key(local: SessionClients) -> None:
    with BatchWriter(WireClient(local), "orders", clock=SystemClock()) as writer:
        writer.put(b'{"pk":{"S":"a"},"sk":{"N":"1"},"x":{"B":"AAE="}}')
    keys = [b'{"pk":{"S":"a"},"sk":{"N":"1"}}', b'{"pk":{"S":"a"},"sk":{"N":"2"}}']
    answer = WireClient(local).batch_get("orders", keys)
    assert [json.loads(bytes(item)) for item in answer.items] == [
        {"pk": {"S": "a"}, "sk": {"N": "1"}, "x": {"B": "AAE="}}
    ]
    assert answer.unprocessed == []


def test_items_are_read_back_by_key_though_an_answer_holds_16_mb(local: SessionClients) -> None:
    items = [{"pk": {"S": f"p{n % 3}"}, "sk": {"N": str(n)}, "pad": {"S": f"{n % 7}" * 350_000}} for n in range(60)]
    wire = WireClient(local)
    with BatchWriter(wire, "orders", clock=SystemClock()) as writer:
        writer.put_many(wire_of([*items[:20], *items[21:], items[0] | {"sk": {"N": "1000"}}]))
    wire.put("orders", wire_of([items[7] | {"pad": {"S": "other"}}])[0])
    keys = [canonical_key(item, ["pk", "sk"]) for item in items]
    assert wire.batch_get("orders", keys).unprocessed, "60 items are too much for one answer"
    back = read_back(
        wire, "orders", ["pk", "sk"], [[canonical_item(item) for item in items]], NoProgress(), clock=SystemClock()
    )  # fmt: skip
    assert back.content == ContentHash.of(map(canonical_item, items))
    assert sorted(back.keys) == sorted([(keys[20], LEFT), (keys[7], DIFFERENT)])


def test_its_refusals_are_the_engines_errors(local: SessionClients) -> None:
    wire = WireClient(local)
    twice = b'{"pk":{"S":"secret-key"},"sk":{"N":"1"}}'
    with pytest.raises(IntegrityError, match="a key twice"):
        wire.batch_write("orders", [twice, twice])
    with pytest.raises(PermanentError) as caught:
        wire.batch_write("orders", [b'{"pk":{"S":"secret-key"},"sk":{"N":"secret-number"}}'])
    assert "secret" not in str(caught.value)
    with pytest.raises(PermanentError, match="not there"):
        wire.scan("nope")
    with pytest.raises(BadInputError, match="no such table"):
        read_settings(local, "nope")
    with pytest.raises(BadInputError, match="table orders exists"):
        create_table(local, read_settings(local, "orders"), "orders", run="r", clock=SystemClock())
