"""Indexes are made with an imported table where the census shows that every item may enter them, and afterwards where it does not."""

import dataclasses
from typing import Any

import msgspec
import pytest

from tablekeep.engine.backups.sets import BackupSet, open_backup
from tablekeep.engine.clock import SystemClock
from tablekeep.engine.errors import IntegrityError
from tablekeep.engine.items.census import MAX_NAMES, Census
from tablekeep.engine.prices import load_prices
from tablekeep.engine.progress import NoProgress
from tablekeep.engine.restore import indexes
from tablekeep.engine.restore.indexes import IndexPlan, plan_indexes
from tablekeep.engine.restore.plan import plan_restore
from tablekeep.engine.restore.request import RestoreRequest
from tablekeep.engine.restore.source import SetSource, settings_of
from tablekeep.engine.restore.table import restore_table
from tablekeep.engine.restore.words import plan_lines
from tests.tables import clients, export, make_bucket, make_table

COMMON: dict[str, Any] = {"clock": SystemClock(), "progress": NoProgress()}
TYPES = {"status": "S", "total": "N", "blob": "B", "note": "S"}


def index(name: str, *keys: str) -> dict[str, Any]:
    return {
        "IndexName": name,
        "KeySchema": [{"AttributeName": key, "KeyType": role} for key, role in zip(keys, ("HASH", "RANGE"), strict=False)],
        "Projection": {"ProjectionType": "KEYS_ONLY"},
    }  # fmt: skip


def item(number: int, **more: dict[str, Any]) -> dict[str, Any]:
    return {"pk": {"S": f"customer-{number}"}, "sk": {"N": str(number)}, "total": {"N": "7"}, **more}


def backup_of(local_aws: Any, items: list[dict[str, Any]], *made: dict[str, Any]) -> str:
    """A backup of a table that got its indexes when the items were there, as tables with such items do."""
    make_table(local_aws, "orders", items)
    for one in made:
        names = [key["AttributeName"] for key in one["KeySchema"]]
        local_aws.client("dynamodb").update_table(
            TableName="orders", GlobalSecondaryIndexUpdates=[{"Create": one}],
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": TYPES[name]} for name in names],
        )  # fmt: skip
    return export("orders", segments=2).backup


@pytest.fixture
def aws(local_aws: Any) -> Any:
    make_bucket(local_aws)
    return local_aws


def planned(backup: str, path: str = "import-table") -> Any:
    request = RestoreRequest("again", backup, path=path)  # type: ignore[arg-type]
    return plan_restore(request, clients=clients(), prices=load_prices(), **COMMON).plan


def restored(backup: str) -> tuple[Any, list[str]]:
    """The report, and the indexes that were added to the table."""
    added, session = list[str](), clients()
    session.client("dynamodb").meta.events.register(
        "provide-client-params.dynamodb.UpdateTable",
        lambda params, **_: added.extend(
            one["Create"]["IndexName"] for one in params.get("GlobalSecondaryIndexUpdates", [])
        ),
    )
    request = RestoreRequest("again", backup, path="import-table")
    return restore_table(request, clients=session, actor="t", run="t", **COMMON), added


def test_what_fits_is_made_with_the_table_and_the_rest_afterwards(aws: Any) -> None:
    items = [item(n, status={"S": "new"}, **({"note": {"NULL": True}} if n < 3 else {})) for n in range(20)]
    backup = backup_of(aws, items, index("by-status", "status", "total"), index("by-note", "note"))
    assert planned(backup, "batch-write").indexes_with == ()
    plan = planned(backup)
    assert (plan.indexes, plan.indexes_with) == (("by-status", "by-note"), ("by-status",))
    text = dict(line for line in (one[1].split(": made ", 1) for one in plan_lines(plan) if one[0] == "index"))
    assert text["by-status"].startswith("with the table: its key fits every item")
    assert text["by-note"] == (
        "when the items are there, one at a time: its key attribute note is NULL instead of S in 3 items"
    )
    report, added = restored(backup)
    assert (report.proved, report.indexes, added) == (True, ["by-status", "by-note"], ["by-note"])
    assert not report.settings_differ


@pytest.mark.parametrize(
    ("odd", "why"),
    [
        ({"status": {"N": "1"}}, "status is N instead of S in 1 items"),
        ({"status": {"NULL": True}}, "status is NULL instead of S in 1 items"),
        ({"status": {"S": ""}}, "status is empty in 1 items"),
        ({"status": {"S": "x" * 2049}}, "values of up to 2,049 bytes, and 2,048 are allowed"),
        ({"note": {"S": "x" * 1025}}, "values of up to 1,025 bytes, and 1,024 are allowed"),
        ({"note": {"S": ""}}, "note is empty in 1 items"),
    ],
)
def test_the_stand_in_refuses_exactly_what_the_census_tells(
    aws: Any, odd: dict[str, Any], why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = [item(n, status={"S": "new"}, note={"S": "x"}) for n in range(12)]
    backup = backup_of(aws, [*items, item(99, **({"note": {"S": "x"}} | odd))], index("by-status", "status", "note"))
    plan = planned(backup)
    assert plan.indexes_with == ()
    assert why in plan.indexes_why["by-status"]
    report, added = restored(backup)
    assert (report.proved, added) == (True, ["by-status"])
    aws.client("dynamodb").delete_table(TableName="again")
    monkeypatch.setattr(indexes, "_obstacle", lambda *given: "")
    with pytest.raises(IntegrityError, match="1 items refused, 12 are in the table"):
        restore_table(
            RestoreRequest("again", backup, path="import-table"), clients=clients(), actor="t", run="u", **COMMON
        )


def test_binary_keys_are_measured_in_bytes_not_in_base64(aws: Any) -> None:
    import base64

    for size, fits in ((2046, True), (2049, False)):
        blob = base64.b64encode(b"\0" * size).decode()
        backup = backup_of(aws, [item(n, blob={"B": blob}) for n in range(9)], index("by-blob", "blob"))
        assert bool(planned(backup).indexes_with) == fits, size
        aws.client("dynamodb").delete_table(TableName="orders")


def with_census(backup: str, census: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> IndexPlan:
    source = SetSource(open_backup(clients(), backup))
    real = BackupSet.document
    monkeypatch.setattr(BackupSet, "document", lambda self, role: census if role == "census" else real(self, role))
    return plan_indexes(settings_of(source), source, "import-table")


def test_a_census_that_does_not_know_gives_indexes_afterwards(aws: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    backup = backup_of(aws, [item(n, status={"S": "new"}) for n in range(9)], index("by-status", "status"))
    assert planned(backup).indexes_with == ("by-status",)
    census = open_backup(clients(), backup).document("census")
    older = {name: one for name, one in census.items() if name != "empties"}
    found = with_census(backup, older, monkeypatch)
    assert (found.at_once, "earlier version" in found.why["by-status"]) == ((), True)
    crowded = census | {
        "attributes": {name: one for name, one in census["attributes"].items() if name != "status"},
        "others": {"S": 1},
    }
    found = with_census(backup, crowded, monkeypatch)
    assert (found.at_once, "beyond those" in found.why["by-status"]) == ((), True)


def test_of_a_chain_every_sets_census_counts(aws: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    backup = backup_of(aws, [item(n, status={"S": "new"}) for n in range(9)], index("by-status", "status"))
    aws.client("dynamodb").delete_table(TableName="orders")
    later = backup_of(aws, [item(1, status={"NULL": True})], index("by-status", "status"))
    source = SetSource(open_backup(clients(), backup))
    source.sets = (*source.sets, open_backup(clients(), later).manifest)
    assert plan_indexes(settings_of(source), source, "import-table").at_once == ()


def test_empty_values_are_counted_by_type_and_a_census_of_before_stays_without() -> None:
    census = Census.of(
        msgspec.json.encode(one)
        for one in ({"a": {"S": ""}, "b": {"B": ""}, "c": {"SS": [""]}}, {"a": {"S": "x"}}, {"a": {"S": ""}})
    )
    document = census.as_json()
    assert document["empties"] is True
    assert document["attributes"] == {
        "a": {"S": {"count": 3, "max_bytes": 1, "empty": 2}}, "b": {"B": {"count": 1, "empty": 1}}, "c": {"SS": {"count": 1}},
    }  # fmt: skip
    before = Census.from_json({name: one for name, one in document.items() if name != "empties"})
    census.merge(before)
    assert not census.empties
    assert "empt" not in str(census.as_json())
    assert dataclasses.asdict(Census())["empties"]
    assert MAX_NAMES == 10_000


def test_golden_sets_of_before_do_not_tell_empty_values() -> None:
    from tests.engine.backups.test_golden_sets import opened

    for version in ("1.0", "1.1"):
        for one in opened(version):
            assert not Census.from_json(one.document("census")).empties
