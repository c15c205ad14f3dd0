"""How many items a plan tells: exactly where that is known or quick, about where it is not, and always the same plan."""

from datetime import timedelta
from typing import Any

import pytest

from tablekeep.engine.backups import parts
from tablekeep.engine.backups.location import Shelf
from tablekeep.engine.backups.sets import open_backup
from tablekeep.engine.items.canonical import canonical_key, encode_canonical, parse_item
from tablekeep.engine.items.census import Census
from tablekeep.engine.items.codec import Encoder
from tablekeep.engine.items.layout import decide
from tablekeep.engine.prices import load_prices
from tablekeep.engine.progress import NoProgress
from tablekeep.engine.restore import count
from tablekeep.engine.restore.plan import RestorePlan, plan_restore
from tablekeep.engine.restore.request import RestoreRequest
from tablekeep.engine.restore.table import restore_table
from tablekeep.engine.restore.words import plan_lines
from tests.past import StandingClock, back_up_changes, two_increments
from tests.tables import BUCKET, clients, export, make_bucket, make_table, orders

SHELF = Shelf(BUCKET, "backups", "123456789012", "us-east-1", "dynamodb", "orders")


def plan(clock: StandingClock, wanted: bool | None = None, **more: Any) -> RestorePlan:
    request = RestoreRequest("again", shelf=SHELF, as_of=clock.now(), **more)
    return plan_restore(
        request, clients=clients(), clock=clock, progress=NoProgress(), prices=load_prices(), count=wanted
    ).plan


def items_line(made: RestorePlan) -> str:
    return dict(plan_lines(made))["items"]


@pytest.fixture
def states(local_aws: Any, clock: StandingClock) -> list[str]:
    """Of a full backup of 40 items and two increments: in each one item comes and one goes, and in the last one more comes."""
    found = two_increments(local_aws, clock)
    local_aws.client("dynamodb").put_item(TableName="orders", Item={"pk": {"S": "late"}, "sk": {"N": "1"}})
    clock.set(clock.now() + timedelta(hours=1))
    back_up_changes(clock, 9)
    return found


def test_a_past_time_is_counted_where_that_is_quick_and_the_plan_is_the_same_in_any_case(
    states: list[str], clock: StandingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = plan(clock)
    assert (quick.items, quick.exact, quick.content) == (41, True, None)
    assert items_line(quick) == f"41, about {items_line(quick).split('about ')[1]}"
    assert "counted by the keys" in items_line(quick)
    monkeypatch.setattr(count, "PATIENCE_SECONDS", 0.0)
    slow, asked = plan(clock), plan(clock, True)
    assert (slow.items, slow.exact) == (40, False)
    assert items_line(slow).startswith("about 40, about ")
    assert "--count does it" in items_line(slow)
    assert (asked.items, asked.exact) == (41, True)
    assert {quick.hash, slow.hash, asked.hash, plan(clock, False).hash} == {quick.hash}
    report = restore_table(
        RestoreRequest("again", shelf=SHELF, as_of=clock.now()), clients=clients(), clock=clock, progress=NoProgress(), actor="t",
        run="t", plan_hash=asked.hash,
    )  # fmt: skip
    assert (report.proved, report.items) == (True, 41)


def test_expired_items_are_counted_where_that_is_quick_or_asked_for(
    local_aws: Any, clock: StandingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = int(clock.now().timestamp())
    local_aws.client("dynamodb").put_item(
        TableName="orders", Item={"pk": {"S": "old"}, "sk": {"N": "1"}, "expires": {"N": str(now - 5)}}
    )
    local_aws.client("dynamodb").update_time_to_live(
        TableName="orders", TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires"}
    )
    clock.set(clock.now() + timedelta(minutes=10))
    export("orders", engine="pitr", as_of=clock.now(), clock=clock)
    assert (plan(clock).items, plan(clock).ttl_expired) == (41, 1)
    monkeypatch.setattr(count, "PATIENCE_SECONDS", 0.0)
    slow = plan(clock)
    assert (slow.items, slow.exact, slow.ttl_expired) == (41, True, None)
    assert "expired ones are not counted" in items_line(slow)
    assert plan(clock, True).ttl_expired == 1
    assert {slow.hash, plan(clock, True).hash} == {plan(clock, False).hash}


def test_a_part_is_always_counted(states: list[str], clock: StandingClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(count, "PATIENCE_SECONDS", 0.0)
    made = plan(clock, key_prefix="pk=late")
    assert (made.items, made.exact, made.content is None) == (1, True, False)


def test_what_the_services_recovery_must_hold_is_read_though_nobody_asks(
    states: list[str], clock: StandingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(count, "PATIENCE_SECONDS", 0.0)
    made = plan(clock, path="pitr")
    assert (made.items, made.exact, made.content is None) == (41, True, False)
    request = RestoreRequest("by-recovery", shelf=SHELF, as_of=clock.now(), path="pitr")
    report = restore_table(request, clients=clients(), clock=clock, progress=NoProgress(), actor="t", run="t")
    assert (report.proved, report.content_hash) == (True, made.content)


def test_keys_are_read_from_their_columns_alone(local_aws: Any) -> None:
    make_bucket(local_aws)
    make_table(local_aws, "orders", [item | {"sk": {"N": f"{n}.5"}} for n, item in enumerate(orders())])
    opened = open_backup(clients(), export("orders", segments=2).backup)
    for part in opened.manifest.parts:
        keyed = [(key, item) for keys, items in opened.keyed(part) for key, item in zip(keys, items, strict=True)]
        assert [item for _, item in keyed] == [item for items in opened.items(part) for item in items]
        assert [key for key, _ in keyed] == [key for keys in opened.keys(part) for key in keys]
        assert [key for key, _ in keyed] == [canonical_key(parse_item(item), ["pk", "sk"]) for _, item in keyed]


def test_a_key_that_fits_no_column_is_found_in_the_rest() -> None:
    key = [("pk", "S"), ("sk", "N")]
    layout = decide(Census.of([b'{"pk":{"S":"a"},"sk":{"N":"1"}}']), key)
    items = [{"pk": {"S": f"a{n}"}, "sk": {"N": "1.5" if n % 3 else str(n)}, "more": {"S": "x"}} for n in range(20)]
    batch = Encoder(layout, ["pk", "sk"]).encode([encode_canonical(one) for one in items]).batch
    expected = [canonical_key(one, ["pk", "sk"]) for one in items]
    assert parts._keys(batch, layout, ["pk", "sk"]) == expected
