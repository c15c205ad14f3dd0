"""Some items, a past time, an existing table, a file: exactly what was asked for, and nothing else is touched."""

import gzip
import json
import stat
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tablekeep.engine.backups.location import Shelf
from tablekeep.engine.clock import SystemClock
from tablekeep.engine.errors import BadInputError, IntegrityError
from tablekeep.engine.items.canonical import canonical_item
from tablekeep.engine.progress import NoProgress
from tablekeep.engine.restore.file import restore_to_file
from tablekeep.engine.restore.request import RestoreRequest
from tablekeep.engine.restore.table import restore_table
from tests.past import NIGHT, StandingClock, back_up_changes, put, two_increments
from tests.tables import BUCKET, clients, export, for_boto, make_bucket, make_table, orders

SHELF = Shelf(BUCKET, "backups", "123456789012", "us-east-1", "dynamodb", "orders")
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


@pytest.fixture
def aws(local_aws: Any) -> Any:
    make_bucket(local_aws)
    make_table(local_aws, "orders", orders())
    return local_aws


def restore(to_table: str, backup: str | None = None, clock: Any = None, **more: Any) -> Any:
    run = {name: more.pop(name) for name in ("prove",) if name in more}
    return restore_table(
        RestoreRequest(to_table, backup, **more), clients=clients(), clock=clock or SystemClock(), progress=NoProgress(), actor="t", run="t",
        **run,
    )  # fmt: skip


def held(aws: Any, table: str) -> set[bytes]:
    """The canonical items of a table, as boto3 reads them."""
    found = aws.client("dynamodb").scan(TableName=table, ConsistentRead=True)["Items"]
    return {
        canonical_item(json.loads(json.dumps(item, default=lambda raw: __import__("base64").b64encode(raw).decode())))
        for item in found
    }


def key(item: dict[str, Any]) -> str:
    return json.dumps({name: item[name] for name in ("pk", "sk")})


def test_some_items_to_a_new_table(aws: Any) -> None:
    backup, items = export("orders", segments=3).backup, orders()
    cases: list[tuple[str, dict[str, Any], list[dict[str, Any]]]] = [
        ("by-key", {"keys": (key(items[3]), key(items[30]), '{"pk": "nobody", "sk": 1}')}, [items[3], items[30]]),
        ("by-prefix", {"key_prefix": "pk=customer-6"}, [one for one in items if one["pk"]["S"] == "customer-6"]),
        (
            "by-filter",
            {"where": ("paid = true", "price > 30")},
            [one for n, one in enumerate(items) if n % 2 == 0 and n >= 30],
        ),
        ("none", {"where": ("price < 0",)}, []),
    ]
    for name, selection, expected in cases:
        report = restore(name, backup, **selection)
        assert report.proved
        assert report.items == len(expected)
        assert held(aws, name) == {canonical_item(one) for one in expected}, name


def test_missing_items_are_put_back_and_nothing_else_is_touched(aws: Any) -> None:
    backup, items, database = export("orders").backup, orders(), aws.client("dynamodb")
    for item in items[:3]:
        database.delete_item(TableName="orders", Key={name: for_boto(item[name]) for name in ("pk", "sk")})
    changed = items[5] | {"price": {"N": "7"}}
    fresh = {"pk": {"S": "newcomer"}, "sk": {"N": "1"}}
    for item in (changed, fresh):
        database.put_item(TableName="orders", Item={name: for_boto(value) for name, value in item.items()})
    report = restore("orders", backup, mode="missing-only")
    assert (report.written, report.equal, report.kept) == (3, 36, 1)
    assert report.proved
    expected = {canonical_item(one) for n, one in enumerate(items) if n != 5}
    assert held(aws, "orders") == expected | {canonical_item(changed), canonical_item(fresh)}


def test_listed_items_are_overwritten_and_what_was_there_is_kept(aws: Any) -> None:
    backup, items, database = export("orders").backup, orders(), aws.client("dynamodb")
    changed = [item | {"price": {"N": "7"}} for item in items[:4]]
    for item in changed:
        database.put_item(TableName="orders", Item={name: for_boto(value) for name, value in item.items()})
    report = restore("orders", backup, mode="overwrite-listed-keys", keys=tuple(key(one) for one in items[:2]))
    assert report.proved
    assert (report.items, report.replaced) == (2, 2)
    assert held(aws, "orders") == {canonical_item(one) for one in [*items[:2], *changed[2:], *items[4:]]}
    bucket, prefix = report.replaced_at.removeprefix("s3://").split("/", 1)
    (stored,) = aws.client("s3").list_objects_v2(Bucket=bucket, Prefix=prefix)["Contents"]
    lines = aws.client("s3").get_object(Bucket=bucket, Key=stored["Key"])["Body"].read().splitlines()
    assert {canonical_item(json.loads(line)["Item"]) for line in lines} == {canonical_item(one) for one in changed[:2]}


def test_an_empty_table_is_filled_and_a_filled_one_is_not(aws: Any) -> None:
    backup = export("orders").backup
    make_table(aws, "waiting", [])
    assert restore("waiting", backup, mode="empty").proved
    assert held(aws, "waiting") == {canonical_item(one) for one in orders()}
    make_table(aws, "filled", orders(1))
    with pytest.raises(BadInputError, match="not empty"):
        restore("filled", backup, mode="empty")


def test_an_item_that_vanishes_before_the_proof_is_missed(aws: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from tablekeep.engine.restore import table as module

    backup, real = export("orders").backup, module.prove_restore

    def meddle(*given: Any, **more: Any) -> Any:
        aws.client("dynamodb").delete_item(TableName="orders", Key={"pk": {"S": "customer-1"}, "sk": {"N": "1"}})
        return real(*given, **more)

    monkeypatch.setattr(module, "prove_restore", meddle)
    with pytest.raises(IntegrityError, match="1 items are not there"):
        restore("orders", backup, mode="missing-only")


def test_a_past_time_folds_the_increments_in(local_aws: Any, clock: StandingClock) -> None:
    states = two_increments(local_aws, clock)
    for number, (moment, expected) in enumerate(
        zip([NIGHT + HOUR, NIGHT + 2 * HOUR, NIGHT + 5 * HOUR], states, strict=True)
    ):
        report = restore(f"then-{number}", clock=clock, shelf=SHELF, as_of=moment)
        assert report.proved
        assert report.content_hash == str(expected), number
    part = restore("one-item", clock=clock, shelf=SHELF, as_of=NIGHT + 2 * HOUR, keys=(key(orders()[1]),))
    assert part.proved
    assert held(local_aws, "one-item") == {canonical_item(orders()[1] | {"price": {"N": "1"}})}
    with pytest.raises(BadInputError, match="no usable backup so old"):
        restore("too-old", clock=clock, shelf=SHELF, as_of=NIGHT)


def test_conditions_on_a_past_time_know_what_the_increments_have(
    local_aws: Any, clock: StandingClock, tmp_path: Path
) -> None:
    two_increments(local_aws, clock)
    clock.set(NIGHT + 3 * HOUR)
    put(local_aws, [orders()[3] | {"coupon": {"S": "ten"}}])
    clock.set(NIGHT + 3 * HOUR + 30 * MINUTE)
    back_up_changes(clock, 3)
    given: dict[str, Any] = {"clock": clock, "shelf": SHELF, "as_of": NIGHT + 5 * HOUR}
    report = restore("with-coupon", where=("coupon exists",), **given)
    assert (report.items, report.proved) == (1, True)
    with pytest.raises(BadInputError, match=r"no item of the backup has the attribute coupons\. near it: coupon"):
        restore("nothing", where=("coupons exists",), **given)
    given["as_of"] = NIGHT + 2 * HOUR
    with pytest.raises(BadInputError, match="no item of the backup has the attribute coupon"):
        restore("nothing", where=("coupon exists",), **given)
    with pytest.raises(BadInputError, match="the attribute prices"):
        restore_to_file(
            RestoreRequest("to-file", None, shelf=SHELF, as_of=NIGHT + 5 * HOUR, where=("prices > 1",)),
            tmp_path / "x.json", clients=clients(), progress=NoProgress(),
        )  # fmt: skip
    assert local_aws.client("dynamodb").list_tables()["TableNames"] == ["orders", "with-coupon"]


def test_to_a_file_whole_private_and_never_over_another(aws: Any, tmp_path: Path) -> None:
    backup = export("orders", segments=3).backup
    for name, opener in (("all.json", open), ("all.json.gz", gzip.open)):
        file = tmp_path / name
        report = restore_to_file(RestoreRequest("to-file", backup), file, clients=clients(), progress=NoProgress())
        with opener(file, "rb") as lines:
            assert {canonical_item(json.loads(line)["Item"]) for line in lines} == {
                canonical_item(one) for one in orders()
            }
        assert report.items == 40
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        with pytest.raises(BadInputError, match="exists"):
            restore_to_file(RestoreRequest("to-file", backup), file, clients=clients(), progress=NoProgress())
    assert sorted(one.name for one in tmp_path.iterdir()) == ["all.json", "all.json.gz"]
    with pytest.raises(BadInputError, match="no folder"):
        restore_to_file(
            RestoreRequest("to-file", backup), tmp_path / "no" / "x", clients=clients(), progress=NoProgress()
        )
