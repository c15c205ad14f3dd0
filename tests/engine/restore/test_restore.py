"""Restores and comparisons over real tables in the stand-in."""

from typing import Any

import pytest

from tablekeep.engine.backups.records import read_records
from tablekeep.engine.backups.sets import open_backup
from tablekeep.engine.clock import SystemClock
from tablekeep.engine.errors import BadInputError, IntegrityError
from tablekeep.engine.progress import NoProgress
from tablekeep.engine.restore.compare import Comparison, compare
from tablekeep.engine.restore.report import RestoreReport
from tablekeep.engine.restore.request import RestoreRequest
from tablekeep.engine.restore.table import restore_table
from tests.tables import clients, export, make_bucket, make_table, orders


@pytest.fixture
def aws(local_aws: Any) -> Any:
    make_bucket(local_aws)
    return local_aws


RUN = ("plan_hash", "prices", "tags", "prove", "record")


def restore(backup: str | None, to_table: str, **more: Any) -> RestoreReport:
    run = {name: more.pop(name) for name in RUN if name in more}
    return restore_table(
        RestoreRequest(to_table, backup, **more),
        clients=clients(),
        clock=SystemClock(),
        progress=NoProgress(),
        actor="test",
        run="test-run",
        **run,
    )


def compared(left: str, right: str, **more: Any) -> Comparison:
    return compare(clients=clients(), clock=SystemClock(), progress=NoProgress(), left=left, right=right, **more)


def test_restore_brings_back_exactly_what_was_there(aws: Any) -> None:
    index = {
        "IndexName": "by-tag",
        "KeySchema": [{"AttributeName": "Price", "KeyType": "HASH"}],
        "Projection": {"ProjectionType": "KEYS_ONLY"},
    }
    items = [{name: value for name, value in item.items() if name != "Price"} for item in orders()]
    make_table(
        aws,
        "orders",
        items,
        GlobalSecondaryIndexes=[index],
        AttributeDefinitions=[{"AttributeName": "Price", "AttributeType": "S"}],
    )
    report = restore(backup := export("orders", segments=2).backup, "orders-restored")
    assert report.proved
    assert report.items == len(items)
    assert report.indexes == ["by-tag"]
    assert compared("orders", "orders-restored").equal
    assert compared("orders-restored", backup).equal
    opened = open_backup(clients(), backup)
    record = list(read_records(opened.store, opened.manifest.location.shelf, "restore"))[-1]
    assert record["result"]["content_hash"] == str(opened.manifest.content)


def test_restore_never_touches_a_table_that_exists(aws: Any) -> None:
    make_table(aws, "orders", orders(5))
    make_table(aws, "other", orders(2))
    backup = export("orders").backup
    for name in ("orders", "other"):
        with pytest.raises(BadInputError, match="exists"):
            restore(backup, name)
    assert aws.client("dynamodb").scan(TableName="other")["Count"] == 2


def test_restore_without_proof_says_so(aws: Any) -> None:
    make_table(aws, "orders", orders(5))
    assert not restore(export("orders").backup, "again", prove=False).proved


def test_restore_writes_nothing_from_a_damaged_part(aws: Any) -> None:
    make_table(aws, "orders", orders())
    opened = open_backup(clients(), backup := export("orders").backup)
    key = opened.manifest.location.key(opened.manifest.parts[0].name)
    opened.store.put(key, opened.store.get(key)[:-1] + b"?")
    with pytest.raises(IntegrityError, match="damaged"):
        restore(backup, "again")
    assert aws.client("dynamodb").scan(TableName="again")["Count"] == 0


@pytest.mark.parametrize(
    ("to_table", "max_wcu", "why"), [("x", None, "3 to 255"), ("good-name", 0.0, "more than 0 WCU")]
)
def test_restore_refuses_bad_input_before_anything_is_made(
    aws: Any, to_table: str, max_wcu: float | None, why: str
) -> None:
    make_table(aws, "orders", orders(2))
    backup = export("orders").backup
    with pytest.raises(BadInputError, match=why):
        restore(backup, to_table, max_wcu=max_wcu)
    assert aws.client("dynamodb").list_tables()["TableNames"] == ["orders"]


def test_compare_lists_what_differs_by_hash_and_by_key_only_when_asked(aws: Any) -> None:
    items = orders(30)
    make_table(aws, "left", items)
    make_table(
        aws,
        "right",
        [
            *items[1:10],
            *({**item, "price": {"N": "0"}} if n == 3 else item for n, item in enumerate(items[10:])),
            {"pk": {"S": "secret"}, "sk": {"N": "1"}},
        ],
    )
    result = compared("left", "right")
    assert not result.equal
    assert (result.left_only, result.right_only, result.different) == (1, 1, 1)
    assert "secret" not in str(result.differing)
    assert "secret" in str(compared("left", "right", show_keys=True).differing)
    with pytest.raises(BadInputError, match="no such table"):
        compared("left", "nowhere")
