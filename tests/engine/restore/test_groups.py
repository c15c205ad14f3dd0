"""A restore by tasks that know nothing of each other: groups load, groups read back, and only the whole is a restore."""

import json
from typing import Any

import pytest

from tablekeep.engine.backups.location import Shelf
from tablekeep.engine.backups.records import read_records
from tablekeep.engine.backups.sets import open_backup
from tablekeep.engine.clock import SystemClock
from tablekeep.engine.errors import BadInputError, IntegrityError, PermanentError, TransientError
from tablekeep.engine.prices import load_prices
from tablekeep.engine.progress import NoProgress
from tablekeep.engine.restore.groups import (
    Workplace,
    begin_restore,
    complete_restore,
    finish_restore,
    load_group,
    prove_group,
)
from tablekeep.engine.restore.plan import plan_restore
from tablekeep.engine.restore.request import RestoreRequest
from tablekeep.engine.restore.table import restore_table
from tests.engine.dynamodb.scripted import TestClock
from tests.engine.restore.conftest import Calls
from tests.past import StandingClock, two_increments
from tests.tables import BUCKET, clients, export, make_bucket, make_table, orders

SHELF = Shelf(BUCKET, "backups", "123456789012", "us-east-1", "dynamodb", "orders")


@pytest.fixture
def backup(local_aws: Any) -> str:
    """Seven parts of a table with a tag."""
    make_bucket(local_aws)
    items = [{**item, "pk": {"S": f"customer-{n}"}} for n, item in enumerate(orders(60))]
    make_table(local_aws, "orders", items, Tags=[{"Key": "team", "Value": "shop"}])
    return export("orders", segments=7).backup


def work(request: RestoreRequest, run: str = "dag/run-1", clock: Any = None) -> Workplace:
    return Workplace(request, clients(), clients(), clock or SystemClock(), NoProgress(), "airflow", run)


def approved(request: RestoreRequest, clock: Any = None) -> str:
    common: dict[str, Any] = {"clock": clock or SystemClock(), "progress": NoProgress(), "prices": load_prices()}
    return plan_restore(request, clients=clients(), **common).plan.hash


def begin(place: Workplace, above_bytes: float = 0) -> Any:
    return begin_restore(place, plan_hash=approved(place.request, place.clock), above_bytes=above_bytes)


def all_proofs(place: Workplace, of: int = 3) -> list[dict[str, Any]]:
    segments = max(of, complete_restore(place))
    return [prove_group(place, group=number, of=of, segments=segments) for number in range(of)]


@pytest.mark.parametrize("path", ["batch-write", "import-table"])
def test_groups_give_the_table_that_one_task_gives(backup: str, path: Any) -> None:
    place = work(RestoreRequest("again", backup, path=path))
    begun = begin(place)
    assert (begun.units, begun.report) == (7, None)
    loaded = [load_group(place, group=number, of=3) for number in (2, 0, 1)]
    assert sum(one["items"] for one in loaded) == 60
    assert sorted(one["parts"] for one in loaded) == [2, 2, 3]
    assert load_group(place, group=1, of=3) == {"parts": 0, "items": 0}, "a second try leaves out what is loaded"
    report = finish_restore(place, all_proofs(place), workers=3)
    assert report.proved
    assert report.content_hash == str(open_backup(clients(), backup).manifest.content)
    assert (report.items, report.written, report.workers, report.resumed) == (60, 60, 3, 0)
    assert not report.settings_differ
    assert {"find", "load", "indexes", "proof", "settings"} <= report.phases.keys()
    store = open_backup(clients(), backup).store
    assert [one["result"]["proved"] for one in read_records(store, SHELF, "restore")] == [True]
    assert finish_restore(place, [], workers=3).as_dict() == report.as_dict(), "a try whose success was not heard"
    assert not [info.key for info in store.list(f"{SHELF.prefix}/_restores/") if "/import-" in info.key]


def test_groups_of_a_past_time(local_aws: Any, clock: StandingClock) -> None:
    *_, expected = two_increments(local_aws, clock)
    place = work(RestoreRequest("then", shelf=SHELF, as_of=clock.now()), clock=clock)
    begun = begin(place)
    with pytest.raises(TransientError, match=f"{begun.units} of {begun.units} parts are not loaded"):
        complete_restore(place)
    for number in range(2):
        load_group(place, group=number, of=2)
    report = finish_restore(place, all_proofs(place), workers=2)
    assert (report.proved, report.content_hash) == (True, expected)


def test_a_small_restore_is_done_at_once_and_leaves_the_table_to_others(backup: str) -> None:
    place = work(RestoreRequest("again", backup))
    begun = begin(place, above_bytes=10**9)
    assert begun.units == 0
    assert begun.report
    assert begun.report.proved
    assert begin_restore(place, plan_hash="", above_bytes=10**9).report == begun.report, (
        "a try whose success was not heard"
    )
    clients().client("dynamodb").delete_table(TableName="again")
    assert restore_alone("again", backup, run="somebody").proved


def restore_alone(to_table: str, backup: str, run: str, **more: Any) -> Any:
    common: dict[str, Any] = {"clients": clients(), "clock": SystemClock(), "progress": NoProgress(), "actor": "t"}
    return restore_table(RestoreRequest(to_table, backup, **more), **common, run=run)


def test_any_number_of_workers_goes_on_with_what_another_has_begun(backup: str, calls: Calls) -> None:
    place = work(RestoreRequest("again", backup))
    begin(place)
    load_group(place, group=0, of=2)
    with pytest.raises(TransientError, match="airflow holds it"):
        restore_alone("again", backup, run="somebody else")
    calls.reset()
    report = restore_alone("again", backup, run=place.run)
    assert (report.proved, report.resumed) == (True, 4)
    assert calls.names.count("BatchWriteItem") == 3, "what a group has loaded is not loaded again"
    other = work(RestoreRequest("other", backup))
    begin(other)
    for group, of in ((0, 2), (2, 3), (0, 1)):  # from try to try another number of groups
        load_group(other, group=group, of=of)
    assert finish_restore(other, all_proofs(other, of=1), workers=1).proved


def test_missing_items_are_put_back_by_groups(backup: str, local_aws: Any) -> None:
    database = local_aws.client("dynamodb")
    for n in range(7):
        database.delete_item(TableName="orders", Key=key_of(n))
    database.put_item(TableName="orders", Item={**key_of(9), "mine": {"BOOL": True}})
    place = work(RestoreRequest("orders", backup, mode="missing-only"))
    assert begin(place).units == 7
    loaded = [load_group(place, group=number, of=3) for number in (1, 2, 0)]
    assert sum(one["items"] for one in loaded) == 60
    assert load_group(place, group=1, of=3) == {"parts": 0, "items": 0}
    proofs = all_proofs(place)
    with pytest.raises(TransientError, match="these are not all"):
        finish_restore(place, proofs[:2], workers=3)
    report = finish_restore(place, proofs, workers=3)
    assert (report.proved, report.compared, report.workers) == (True, "keys", 3)
    assert (report.written, report.equal, report.kept) == (7, 52, 1)
    assert [one["state"] for one in report.differing] == ["different"], "what is kept is named"
    assert "customer-" not in str(proofs), "what tasks hand on has no keys"
    assert database.get_item(TableName="orders", Key=key_of(9))["Item"]["mine"] == {"BOOL": True}


def key_of(n: int) -> dict[str, Any]:
    return {"pk": {"S": f"customer-{n}"}, "sk": {"N": str(n)}}


def test_missing_items_of_a_past_time_are_put_back_by_groups(local_aws: Any, clock: StandingClock) -> None:
    two_increments(local_aws, clock)
    database, gone = local_aws.client("dynamodb"), []
    for item in database.scan(TableName="orders")["Items"]:
        if item["sk"]["N"] in ("1", "5", "1002"):  # changed by an increment, by none, and new in one
            database.delete_item(TableName="orders", Key={name: item[name] for name in ("pk", "sk")})
            gone.append(item)
    place = work(RestoreRequest("orders", shelf=SHELF, as_of=clock.now(), mode="missing-only"), clock=clock)
    begin(place)
    for number in range(2):
        load_group(place, group=number, of=2)
    report = finish_restore(place, all_proofs(place), workers=2)
    assert (report.proved, report.written, report.kept) == (True, 3, 0)
    assert report.items == report.written + report.equal
    for item in gone:
        there = database.get_item(TableName="orders", Key={name: item[name] for name in ("pk", "sk")})
        assert there["Item"] == item


def test_groups_that_overwrite_keep_what_stands_there_when_they_do(backup: str, local_aws: Any) -> None:
    database = local_aws.client("dynamodb")
    keys = tuple(json.dumps({"pk": f"customer-{n}", "sk": n}) for n in range(20))
    for n in range(4):
        database.put_item(TableName="orders", Item={**key_of(n), "mine": {"N": "1"}})
    place = work(RestoreRequest("orders", backup, mode="overwrite-listed-keys", keys=keys))
    begin(place)
    for n in range(4):  # between two tasks
        database.put_item(TableName="orders", Item={**key_of(n), "mine": {"N": "2"}})
    for number in range(3):
        load_group(place, group=number, of=3)
    report = finish_restore(place, all_proofs(place), workers=3)
    assert (report.proved, report.written, report.equal, report.replaced) == (True, 4, 16, 20)
    bucket, prefix = report.replaced_at.removeprefix("s3://").split("/", 1)
    s3, kept = local_aws.client("s3"), b""
    for one in s3.list_objects_v2(Bucket=bucket, Prefix=prefix)["Contents"]:
        kept += s3.get_object(Bucket=bucket, Key=one["Key"])["Body"].read()
    for value in (b"1", b"2"):
        assert kept.count(b'"mine":{"N":"' + value + b'"}') >= 4, value
    assert not [one for one in database.scan(TableName="orders")["Items"] if "mine" in one]


def test_a_table_in_use_is_proved_by_what_groups_look_up(backup: str, local_aws: Any) -> None:
    database = local_aws.client("dynamodb")
    place = work(RestoreRequest("orders", backup, mode="missing-only"))
    begin(place)
    for number in range(2):
        load_group(place, group=number, of=2)
    complete_restore(place)
    database.delete_item(TableName="orders", Key=key_of(5))
    database.put_item(TableName="orders", Item={**key_of(6), "mine": {"N": "2"}})
    with pytest.raises(IntegrityError, match="1 items are not there and 1 differ, where 0 were kept") as caught:
        finish_restore(place, all_proofs(place), workers=1)
    report = caught.value.report  # type: ignore[attr-defined]
    assert not report.proved
    assert sorted(one["state"] for one in report.differing) == ["different", "missing in the table"]


def test_a_group_puts_nothing_into_another_table_in_use(backup: str, local_aws: Any) -> None:
    place = work(RestoreRequest("orders", backup, mode="missing-only"))
    begin(place)
    local_aws.client("dynamodb").delete_table(TableName="orders")
    make_table(local_aws, "orders", [])
    with pytest.raises(PermanentError, match="another table has its name now"):
        load_group(place, group=0, of=1)
    assert local_aws.client("dynamodb").scan(TableName="orders")["Count"] == 0
    anew = restore_alone("orders", backup, run=place.run, mode="missing-only")
    assert (anew.proved, anew.written) == (True, 60), "it is planned and begun anew"


def test_what_is_not_whole_is_no_restore(backup: str) -> None:
    place = work(RestoreRequest("again", backup))
    with pytest.raises(BadInputError, match="no restore of this request is unfinished"):
        load_group(place, group=0, of=2)
    with pytest.raises(BadInputError, match="another one than was approved"):
        begin_restore(place, plan_hash="0" * 64, above_bytes=0)
    begin(place)
    load_group(place, group=0, of=2)
    with pytest.raises(TransientError, match="3 of 7 parts are not loaded"):
        complete_restore(place)
    load_group(place, group=1, of=2)
    proofs = all_proofs(place)
    for wrong in (
        proofs[:2],
        [*proofs[:2], proofs[0]],
        [*proofs, proofs[2]],
        [proofs[0], proofs[1], proofs[2] | {"of": 4}],
        [],
    ):
        with pytest.raises(TransientError, match="these are not all"):
            finish_restore(place, wrong, workers=1)
    clients().client("dynamodb").delete_item(TableName="again", Key={"pk": {"S": "customer-5"}, "sk": {"N": "5"}})
    with pytest.raises(IntegrityError, match="1 missing in the table") as caught:
        finish_restore(place, all_proofs(place), workers=1)
    assert not caught.value.report.proved  # type: ignore[attr-defined]


def test_a_group_writes_to_no_other_table_of_the_name(backup: str, local_aws: Any) -> None:
    place = work(RestoreRequest("again", backup))
    begin(place)
    load_group(place, group=0, of=2)
    local_aws.client("dynamodb").delete_table(TableName="again")
    with pytest.raises(PermanentError, match="not there any more"):
        load_group(place, group=1, of=2)
    make_table(local_aws, "again", [])
    with pytest.raises(PermanentError, match="another table has its name"):
        load_group(place, group=1, of=2)
    assert local_aws.client("dynamodb").scan(TableName="again")["Count"] == 0


def test_a_group_takes_its_share_of_the_write_budget(local_aws: Any) -> None:
    make_bucket(local_aws)
    make_table(local_aws, "orders", [{"pk": {"S": f"c-{n}"}, "sk": {"N": "1"}} for n in range(100)])
    backup = export("orders", segments=4).backup
    took = []
    for share in (1.0, 0.25):
        place = work(RestoreRequest(f"again-{share}", backup, max_wcu=8.0))
        begin(place)
        clock = TestClock()
        slow = Workplace(place.request, clients(), clients(), clock, NoProgress(), "airflow", place.run)
        load_group(slow, group=0, of=1, share=share)
        took.append(clock.monotonic())
    # a second's worth at once, and 25 units that are paid for afterwards
    assert (100 - 25) / 8 - 1 <= took[0] <= 100 / 8 + 1
    assert (100 - 25) / 2 - 1 <= took[1] <= 100 / 2 + 1
