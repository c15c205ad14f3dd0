"""Every path gives the same table, proved by reading it; the best one is chosen for a reason that is told."""

from datetime import timedelta
from typing import Any

import pytest

from tablekeep.engine.backups.catalog import list_shelf
from tablekeep.engine.backups.location import Shelf
from tablekeep.engine.backups.s3 import S3Store
from tablekeep.engine.backups.sets import open_backup
from tablekeep.engine.clock import SystemClock
from tablekeep.engine.drills.drill import run_drill
from tablekeep.engine.drills.request import DrillRequest
from tablekeep.engine.drills.table_page import drill_page
from tablekeep.engine.errors import BadInputError, IntegrityError, TransientError
from tablekeep.engine.prices import load_prices
from tablekeep.engine.progress import NoProgress
from tablekeep.engine.restore import imports, making, paths
from tablekeep.engine.restore.plan import plan_restore
from tablekeep.engine.restore.request import RestoreRequest
from tablekeep.engine.restore.table import restore_table
from tests.past import NIGHT, StandingClock, hash_of, put
from tests.tables import BUCKET, ROOT, clients, export, for_boto, make_bucket, make_table, orders

SHELF = Shelf(BUCKET, "backups", "123456789012", "us-east-1", "dynamodb", "orders")
INDEX = {
    "IndexName": "by-note",
    "KeySchema": [{"AttributeName": "note", "KeyType": "HASH"}],
    "Projection": {"ProjectionType": "ALL"},
}


@pytest.fixture
def backup(local_aws: Any) -> str:
    """Three parts; the index's key attribute is NULL in some items, which a table created with the index would refuse."""
    make_bucket(local_aws)
    items = [{**item, "pk": {"S": f"customer-{n}"}} for n, item in enumerate(orders())]
    make_table(local_aws, "orders", items, Tags=[{"Key": "team", "Value": "shop"}])
    local_aws.client("dynamodb").update_table(
        TableName="orders", AttributeDefinitions=[{"AttributeName": "note", "AttributeType": "S"}],
        GlobalSecondaryIndexUpdates=[{"Create": INDEX}],
    )  # fmt: skip
    return export("orders", segments=3).backup


def restore(to_table: str, backup: str, clock: Any = None, **more: Any) -> Any:
    request = RestoreRequest(to_table, backup, **more)
    return restore_table(
        request, clients=clients(), clock=clock or SystemClock(), progress=NoProgress(), actor="t", run="t"
    )


def plan(backup: str, **more: Any) -> Any:
    request = RestoreRequest("again", backup, **more)
    return plan_restore(
        request, clients=clients(), clock=SystemClock(), progress=NoProgress(), prices=load_prices()
    ).plan


def staged() -> list[str]:
    store = open_backup(clients(), clients_backup()).store
    return [info.key for info in store.list(f"{SHELF.prefix}/_restores/import-")]


def clients_backup() -> str:
    return list_shelf(S3Store(clients(), BUCKET), SHELF).backups[0].uri


def test_import_table_gives_the_same_table(backup: str) -> None:
    report = restore("again", backup, path="import-table")
    assert report.proved
    assert report.indexes == ["by-note"]
    assert not report.settings_differ
    assert {"stage", "load", "proof"} <= report.phases.keys()
    tags = (
        clients()
        .client("dynamodb")
        .list_tags_of_resource(ResourceArn="arn:aws:dynamodb:us-east-1:123456789012:table/again")["Tags"]
    )
    assert {"Key": "team", "Value": "shop"} in tags
    assert staged() == [], "what was staged is removed"


def test_some_items_by_import(backup: str) -> None:
    report = restore("some", backup, path="import-table", where=("paid = true",))
    assert (report.items, report.proved) == (20, True)


def test_an_import_whose_answer_was_lost_is_gone_on_with(backup: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real, tries = making.mark, list[int]()

    def dying(*given: Any) -> None:
        tries.append(1)
        if len(tries) == 1:
            raise TransientError("tagging", "the network is gone")
        real(*given)

    monkeypatch.setattr(making, "mark", dying)
    with pytest.raises(TransientError):
        restore("again", backup, path="import-table")
    assert restore("again", backup, path="import-table").proved


def test_an_import_that_lost_an_item_silently_is_found_by_the_proof(
    backup: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = imports.import_table

    def losing(prepared: Any, *given: Any, **more: Any) -> Any:
        made = real(prepared, *given, **more)
        key = {"pk": {"S": "customer-3"}, "sk": {"N": "3"}}
        clients().client("dynamodb").delete_item(TableName=made.table.name, Key=key)
        return made

    monkeypatch.setattr("tablekeep.engine.restore.services.import_table", losing)
    with pytest.raises(IntegrityError, match="1 missing in the table"):
        restore("again", backup, path="import-table")


def test_the_services_recovery_is_proved_by_the_backup(local_aws: Any, clock: StandingClock) -> None:
    clock.set(NIGHT + timedelta(minutes=10))
    made = export("orders", engine="pitr", clock=clock, as_of=clock.now()).backup
    clock.set(NIGHT + timedelta(hours=1))
    put(local_aws, [orders()[0] | {"price": {"N": "7"}}])
    report = restore("then", made, clock, path="pitr")
    assert report.proved
    assert report.content_hash == str(hash_of(orders()))
    assert report.written == 40
    clock.set(NIGHT + timedelta(hours=2))
    later = export("orders", engine="pitr", clock=clock, as_of=clock.now()).backup
    clock.set(NIGHT + timedelta(hours=3))
    local_aws.client("dynamodb").delete_item(
        TableName="orders", Key={name: for_boto(orders()[1][name]) for name in ("pk", "sk")}
    )
    assert restore("later", later, clock, path="pitr").proved
    local_aws.client("dynamodb").delete_table(TableName="orders")
    with pytest.raises(BadInputError, match="TableNotFoundException"):
        restore("gone", made, clock, path="pitr")
    assert restore("gone-by-backup", made, clock).proved


def test_a_table_that_came_up_meanwhile_is_not_taken_for_the_services(
    local_aws: Any, clock: StandingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock.set(NIGHT + timedelta(minutes=10))
    made = export("orders", engine="pitr", clock=clock, as_of=clock.now()).backup
    make_table(local_aws, "again", [])
    monkeypatch.setattr("tablekeep.engine.restore.targets._refuse_existing", lambda *given: None)
    with pytest.raises(BadInputError, match="another table has that name"):
        restore("again", made, clock, path="pitr")
    arn = local_aws.client("dynamodb").describe_table(TableName="again")["Table"]["TableArn"]
    assert local_aws.client("dynamodb").list_tags_of_resource(ResourceArn=arn)["Tags"] == []


def test_the_best_path_is_chosen_and_said(backup: str, local_aws: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    small = plan(backup)
    assert (small.path, small.write_units > 0) == ("batch-write", True)
    assert "faster than ImportTable" in small.path_why
    monkeypatch.setattr(paths, "IMPORT_FROM", 1)
    large = plan(backup)
    assert (large.path, large.write_units) == ("import-table", 0)
    assert "dollars instead of" in large.path_why
    assert large.hash != small.hash
    assert plan(backup, path="batch-write").path == "batch-write"
    local = {
        "IndexName": "by-l", "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "l", "KeyType": "RANGE"}],
        "Projection": {"ProjectionType": "ALL"},
    }  # fmt: skip
    make_table(
        local_aws,
        "local",
        orders(2),
        LocalSecondaryIndexes=[local],
        AttributeDefinitions=[{"AttributeName": "l", "AttributeType": "S"}],
    )
    indexed = export("local").backup
    assert plan(indexed).path == "batch-write"
    assert "no local secondary indexes" in plan(indexed).path_why
    with pytest.raises(BadInputError, match="no local secondary indexes"):
        plan(indexed, path="import-table")


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"path": "pitr"}, "the backup is a scan"),
        ({"path": "pitr", "where": ("paid = true",)}, "whole tables"),
        ({"path": "by-hand"}, "no path by-hand"),
        ({"path": "bulk-put"}, "writes to a table that exists"),
        (
            {"path": "import-table", "mode": "missing-only", "to_table": "orders"},
            "does not go with the mode missing-only",
        ),
    ],
)
def test_a_path_that_cannot_be_taken_is_refused(backup: str, more: dict[str, Any], why: str) -> None:
    with pytest.raises(BadInputError, match=why):
        restore(**{"to_table": "again", "backup": backup} | more)


def test_a_drill_of_the_services_recovery_is_proved_by_the_backup(local_aws: Any, clock: StandingClock) -> None:
    clock.set(NIGHT + timedelta(minutes=10))
    export("orders", engine="pitr", clock=clock, as_of=clock.now())
    common: dict[str, Any] = {"clients": clients(), "clock": clock, "progress": NoProgress(), "actor": "t", "run": "t"}
    report = run_drill(DrillRequest(ROOT, "orders", path="pitr"), **common)
    assert report.passed, report.problems
    assert report.items == 40
    assert local_aws.client("dynamodb").list_tables()["TableNames"] == ["orders"]
    clock.set(NIGHT + timedelta(minutes=20))
    export("orders", clock=clock)
    with pytest.raises(BadInputError, match="the backup is a scan"):
        run_drill(DrillRequest(ROOT, "orders", path="pitr"), **common)


def test_a_drill_by_import_shows_and_predicts_the_staging_too(backup: str) -> None:
    common: dict[str, Any] = {
        "clients": clients(),
        "clock": SystemClock(),
        "progress": NoProgress(),
        "actor": "t",
        "run": "t",
    }
    report = run_drill(DrillRequest(ROOT, "orders", path="import-table"), **common)
    assert report.passed, report.problems
    assert "stage: " in drill_page(report, [])
    assert report.predicted_seconds == pytest.approx(sum(report.phases.values()), abs=0.01)
