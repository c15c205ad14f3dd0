"""A table of Glue's catalog shows a backup where it lies, by one swap, and is never left without its files."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tablekeep.engine.backups.records import read_records
from tablekeep.engine.backups.retention import Expiry, Keep, expire
from tablekeep.engine.backups.s3 import S3Store
from tablekeep.engine.backups.sets import open_backup
from tablekeep.engine.clock import SystemClock
from tablekeep.engine.copies import glue
from tablekeep.engine.copies.athena import AthenaTarget, register_backup, register_newest
from tablekeep.engine.copies.athena_uses import athena_uses
from tablekeep.engine.copies.copy import CopyReport
from tablekeep.engine.copies.glue_columns import glue_columns
from tablekeep.engine.errors import BadInputError, IntegrityError, PermanentError, TransientError
from tablekeep.engine.items.layout import Column, Layout
from tablekeep.engine.progress import NoProgress
from tests.engine.copies import killed
from tests.engine.copies.athena import Athena
from tests.tables import BUCKET, clients, export, make_bucket, make_table, orders, verify

COMMON: dict[str, Any] = {"progress": NoProgress(), "actor": "test", "run": "test"}


@pytest.fixture
def aws(local_aws: Any) -> Any:
    make_bucket(local_aws)
    catalog = local_aws.client("glue")
    if not catalog.get_databases()["DatabaseList"]:
        catalog.create_database(DatabaseInput={"Name": "analytics"})
    return local_aws


@pytest.fixture
def backup(aws: Any) -> str:
    make_table(aws, "orders", orders())
    return export("orders").backup


@pytest.fixture
def athena(aws: Any, tmp_path: Path) -> Athena:
    return Athena(aws, tmp_path)


def register(backup: str, table: str = "orders", **more: Any) -> CopyReport:
    target = AthenaTarget(clients(), "analytics", table)
    common = {"clients": clients(), "clock": SystemClock(), "backup": backup, "target": target, **COMMON}
    return register_backup(**(common | more))


def newer(aws: Any) -> str:
    """A backup of one order less."""
    aws.client("dynamodb").delete_item(TableName="orders", Key={"pk": {"S": "customer-0"}, "sk": {"N": "0"}})
    return export("orders").backup


def test_the_set_is_queried_where_it_lies(aws: Any, backup: str, athena: Athena) -> None:
    report = register(backup)
    assert (report.status, report.rows, report.verified, report.target) == ("copied", 40, True, "athena://us-east-1")
    described = athena.table("analytics", "orders")["StorageDescriptor"]["Columns"]
    names = {column["Comment"].partition(" ")[2]: column["Name"] for column in described[:-1]}
    assert (names["Price"], names["price"], names["_rest"], described[-1]["Name"]) == (
        "price",
        "price_2",
        "_rest_2",
        "_rest",
    )
    rows = {row["sk"]: row for row in athena("analytics", "orders")}
    assert len(rows) == 40
    for item in orders():
        row = rows[int(item["sk"]["N"])]
        found = {attribute: row[names[attribute]] for attribute in names}
        assert found["pk"] == item["pk"]["S"]
        assert found["price"] == Decimal(item["price"]["N"])
        assert found["paid"] is item["paid"]["BOOL"]
        assert found["raw"] == b"\x00\x01\x02\x03\x04"
        assert sorted(found["tags"]) == sorted(item["tags"]["SS"])
        assert found["sizes"] == [1, Decimal("2.5")]
        assert sorted(found["hashes"]) == [b"\x00\x01", b"\xff"]
        assert found["address"] == "{}"
        assert found["exact"] == (Decimal(item["exact"]["N"]) if "exact" in item else None)
        assert (found["Price"], found["_rest"]) == (("", "mine") if "Price" in item else (None, None))
        assert row["_rest"] == ('{"note":{"NULL":true}}' if "note" in item else None)


def test_names_that_athena_takes_are_found_by_name(aws: Any, athena: Athena) -> None:
    make_table(aws, "plain", [{"pk": {"S": "a"}, "sk": {"N": "1"}, "CamelCase": {"S": "x"}}])
    register(export("plain").backup, "plain")
    descriptor = athena.table("analytics", "plain")["StorageDescriptor"]
    assert "parquet.column.index.access" not in descriptor["SerdeInfo"]["Parameters"]
    assert athena("analytics", "plain") == [{"pk": "a", "sk": 1, "camelcase": "x", "_rest": None}]


def test_parts_that_no_manifest_names_are_not_read(aws: Any, backup: str, athena: Athena) -> None:
    manifest = open_backup(clients(), backup).manifest
    store = S3Store(clients(), BUCKET)
    part = manifest.location.key(manifest.parts[0].name)
    store.put(part.replace("-000000-", "-000999-"), store.get(part))
    register(backup)
    assert len(athena("analytics", "orders")) == 40
    assert sorted(athena.files("analytics", "orders")) == sorted(
        f"s3://{BUCKET}/{manifest.location.key(one.name)}" for one in manifest.parts
    )


def test_an_empty_set_is_a_table_without_rows(aws: Any, athena: Athena) -> None:
    make_table(aws, "nothing", [])
    assert register(export("nothing").backup, "nothing").rows == 0
    assert athena("analytics", "nothing") == []


def test_the_mark_and_the_record_say_what_is_shown(backup: str, athena: Athena) -> None:
    report = register(backup)
    manifest = open_backup(clients(), backup).manifest
    parameters = athena.table("analytics", "orders")["Parameters"]
    assert (parameters["tablekeep_backup"], parameters["tablekeep_manifest_seal"]) == (backup, manifest.seal)
    assert (parameters["tablekeep_rows"], parameters["tablekeep_target"]) == ("40", "analytics.orders")
    (record,) = read_records(S3Store(clients(), BUCKET), manifest.location.shelf, "copy")
    assert record["result"] == report.as_dict()


def test_a_second_time_changes_nothing_and_a_newer_backup_takes_the_place(
    aws: Any, backup: str, athena: Athena
) -> None:
    register(backup)
    version = athena.table("analytics", "orders")["VersionId"]
    again = register(backup)
    assert (again.status, again.verified) == ("unchanged", True)
    assert athena.table("analytics", "orders")["VersionId"] == version
    later = newer(aws)
    assert register(later).status == "copied"
    assert len(athena("analytics", "orders")) == 39
    older = register(backup)
    assert (older.status, older.rows, older.verified) == ("skipped", 39, False)
    assert len(athena("analytics", "orders")) == 39
    assert register(backup, allow_older=True).status == "copied"
    assert len(athena("analytics", "orders")) == 40


def test_the_newest_verified_set_is_taken(aws: Any, backup: str) -> None:
    shelf = open_backup(clients(), backup).manifest.location.shelf
    target = AthenaTarget(clients(), "analytics", "orders")
    options: dict[str, Any] = {"clients": clients(), "clock": SystemClock(), "shelf": shelf, "target": target, **COMMON}
    with pytest.raises(PermanentError, match="is verified"):
        register_newest(**options)
    verify(backup)
    export("orders")  # newer, and nobody has verified it
    assert register_newest(**options).backup == backup


FOREIGN = {
    "Name": "orders", "TableType": "EXTERNAL_TABLE", "Parameters": {"classification": "csv"},
    "StorageDescriptor": {"Columns": [{"Name": "precious", "Type": "string"}], "Location": "s3://others/"},
}  # fmt: skip


def test_a_table_that_others_made_is_left_alone_unless_adopted(aws: Any, backup: str, athena: Athena) -> None:
    aws.client("glue").create_table(DatabaseName="analytics", TableInput=FOREIGN)
    with pytest.raises(BadInputError, match="no mark of ours"):
        register(backup)
    assert athena.table("analytics", "orders")["StorageDescriptor"]["Location"] == "s3://others/"
    assert register(backup, adopt=True).status == "copied"
    assert register(backup).status == "unchanged"
    assert len(athena("analytics", "orders")) == 40


def test_a_backup_of_another_table_does_not_take_the_place(aws: Any, backup: str) -> None:
    register(backup)
    make_table(aws, "others", orders(3))
    with pytest.raises(BadInputError, match="it shows 123456789012"):
        register(export("others").backup)


@pytest.mark.parametrize(
    "other",
    [
        {"TableType": "VIRTUAL_VIEW", "ViewOriginalText": "/* Presto View */"},
        {"PartitionKeys": [{"Name": "day", "Type": "string"}]},
        {"Parameters": {"table_type": "ICEBERG"}},
    ],
)
def test_what_holds_more_than_its_definition_is_never_replaced(aws: Any, backup: str, other: dict[str, Any]) -> None:
    aws.client("glue").create_table(DatabaseName="analytics", TableInput=FOREIGN | other)
    with pytest.raises(BadInputError, match="view, or has partitions"):
        register(backup, adopt=True)


def test_what_a_crawler_has_changed_is_made_anew(aws: Any, backup: str, athena: Athena) -> None:
    register(backup)
    table = athena.table("analytics", "orders")
    changed = {name: table[name] for name in ("Name", "TableType", "Parameters", "StorageDescriptor", "PartitionKeys")}
    changed["StorageDescriptor"] = table["StorageDescriptor"] | {"Location": "s3://elsewhere/"}
    aws.client("glue").update_table(DatabaseName="analytics", TableInput=changed)
    report = register(backup)
    assert report.status == "copied"
    assert "somebody had changed" in report.reason
    assert len(athena("analytics", "orders")) == 40


def test_a_missing_part_is_refused_and_the_old_set_stays(aws: Any, backup: str, athena: Athena) -> None:
    register(backup)
    later = newer(aws)
    manifest = open_backup(clients(), later).manifest
    S3Store(clients(), BUCKET).delete(manifest.location.key(manifest.parts[0].name))
    with pytest.raises(IntegrityError, match="parts are not there"):
        register(later)
    assert len(athena("analytics", "orders")) == 40
    with pytest.raises(IntegrityError, match="parts are not there"):
        register(later, "fresh")


def test_a_database_that_is_not_there_and_names_that_athena_does_not_take(backup: str) -> None:
    with pytest.raises(BadInputError, match="Glue has no database 'nowhere' in us-east-1"):
        register(backup, target=AthenaTarget(clients(), "nowhere", "orders"))
    for database, table in (("analytics", "my-orders"), ("analytics", "Orders"), ("a.b", "orders"), ("", "orders")):
        with pytest.raises(BadInputError, match="a-z, 0-9 and _"):
            AthenaTarget(clients(), database, table)


@pytest.mark.parametrize("there", [True, False])
def test_of_two_copies_at_once_one_is_turned_away(
    aws: Any, backup: str, athena: Athena, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    if there:
        register(backup)
    first, second = newer(aws), export("orders").backup
    real = glue.GlueTable.write_list

    def meanwhile(self: Any, opened: Any) -> None:
        monkeypatch.setattr(glue.GlueTable, "write_list", real)
        register(second)
        real(self, opened)

    monkeypatch.setattr(glue.GlueTable, "write_list", meanwhile)
    with pytest.raises(TransientError, match="faster"):
        register(first)
    assert athena.table("analytics", "orders")["Parameters"]["tablekeep_backup"] == second


@pytest.mark.parametrize("there", [True, False])
def test_a_set_that_is_deleted_at_this_moment_is_not_left_registered(
    aws: Any, backup: str, athena: Athena, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    if there:
        register(backup)
    later = newer(aws)
    real = glue.GlueTable.point_at

    def meanwhile(self: Any, opened: Any, load: Any) -> Any:
        opened.store.delete(opened.manifest.location.manifest_key)
        return real(self, opened, load)

    monkeypatch.setattr(glue.GlueTable, "point_at", meanwhile)
    with pytest.raises(IntegrityError, match="deleted meanwhile"):
        register(later)
    if there:
        assert len(athena("analytics", "orders")) == 40
    else:
        assert aws.client("glue").get_tables(DatabaseName="analytics")["TableList"] == []


def test_glue_that_gives_back_something_else_is_noticed(backup: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = glue.GlueTable.input_for

    def other(self: Any, *arguments: Any) -> Any:
        wanted = real(self, *arguments)
        return wanted | {"TableType": Forgotten(wanted["TableType"])}

    class Forgotten(str):
        """Text that is sent as it is and equals nothing."""

        __hash__ = str.__hash__

        def __eq__(self, other: object) -> bool:
            return False

    monkeypatch.setattr(glue.GlueTable, "input_for", other)
    with pytest.raises(IntegrityError, match="another table than was asked for"):
        register(backup)


def expiry_of(backup: str, *, confirm: bool = True, uses: Any = None) -> Expiry:
    store = S3Store(clients(), BUCKET)
    shelf = open_backup(clients(), backup).manifest.location.shelf
    keep = Keep(daily=1, minimum=1)
    common = {"clock": SystemClock(), "confirm": confirm, "stale": timedelta(days=9999), **COMMON}
    return expire(store, shelf, keep, uses=uses or athena_uses(clients(), store), **common)


def test_a_set_that_a_table_points_at_is_kept_until_the_table_moves(aws: Any, backup: str, athena: Athena) -> None:
    register(backup)
    later = newer(aws)
    verify(later)
    assert expiry_of(later, confirm=False).bytes == 0
    first = expiry_of(later)
    assert first.deleted == []
    assert ["athena analytics.orders"] in [one.why for one in first.sets]
    assert len(athena("analytics", "orders")) == 40
    register(later)
    assert expiry_of(later).deleted == [
        open_backup(clients(), later).manifest.location.shelf and first.sets[-1].backup_id
    ]
    assert len(athena("analytics", "orders")) == 39


def test_a_set_of_a_dropped_table_may_go(aws: Any, backup: str) -> None:
    register(backup)
    later = newer(aws)
    verify(later)
    aws.client("glue").delete_table(DatabaseName="analytics", Name="orders")
    assert len(expiry_of(later).deleted) == 1


def test_a_glue_that_does_not_answer_keeps_the_set(aws: Any, backup: str, monkeypatch: pytest.MonkeyPatch) -> None:
    register(backup)
    later = newer(aws)
    verify(later)
    store = S3Store(clients(), BUCKET)
    location = open_backup(clients(), backup).manifest.location
    # a list of another account's catalog, which this one may not ask
    listed = f"{glue.FOLDER}999999999999-us-east-1/analytics/orders/{glue.PARTS_LIST}"
    store.put(location.key(listed), b"")
    aws.client("glue").delete_table(DatabaseName="analytics", Name="orders")
    found = expiry_of(later)
    assert found.deleted == []
    assert ["athena analytics.orders (Glue answers AccessDeniedException)"] in [one.why for one in found.sets]


def test_a_table_that_begins_to_point_at_a_set_while_it_is_deleted_saves_it(
    aws: Any, backup: str, athena: Athena
) -> None:
    later = newer(aws)
    verify(later)
    store = S3Store(clients(), BUCKET)
    asked = athena_uses(clients(), store)
    calls = []

    def uses(location: Any) -> list[str]:
        calls.append(location.backup_id)
        if len(calls) == 2:  # the manifest is gone now; a copy that looked before goes on
            raw = location.key(f"{glue.FOLDER}123456789012-us-east-1/analytics/orders/{glue.PARTS_LIST}")
            store.put(raw, b"")
            descriptor = FOREIGN["StorageDescriptor"] | {
                "Location": f"s3://{BUCKET}/{raw.removesuffix(glue.PARTS_LIST)}"
            }  # type: ignore[operator]
            aws.client("glue").create_table(
                DatabaseName="analytics", TableInput=FOREIGN | {"StorageDescriptor": descriptor}
            )
        return asked(location)

    found = expiry_of(later, uses=uses)
    assert found.deleted == []
    assert open_backup(clients(), backup).manifest.items == 40
    records = list(read_records(store, open_backup(clients(), later).manifest.location.shelf, "delete"))
    assert records[-1]["result"]["undone"] == ["athena analytics.orders"]


def test_killed_at_every_call_it_shows_one_set_or_the_other_and_goes_on(aws: Any, backup: str, athena: Athena) -> None:
    register(backup)
    later = newer(aws)
    at, after = 1, False
    while killed.in_a_process(killed.athena, at, after, later):
        assert athena.table("analytics", "orders")["Parameters"]["tablekeep_backup"] in (backup, later)
        assert len(athena("analytics", "orders")) in (39, 40)
        assert register(backup, allow_older=True).status in ("copied", "unchanged")
        at, after = at + after, not after
    assert at == 4, "there are three calls: the list, the swap, the record"
    assert len(athena("analytics", "orders")) == 39


def test_columns_of_every_kind() -> None:
    kinds = [
        Column("id", "id", "S"), Column("at", "at", "S", logical="timestamptz"), Column("day", "day", "S", logical="date"),
        Column("x", "x", "S", logical="float4"), Column("y", "y", "S", logical="float8"), Column("j", "j", "S", logical="json"),
        Column("t", "t", "S", logical="time"), Column("u", "u", "S", logical="uuid"), Column("n", "n", "N", "decimal", 4),
        Column("m", "m", "N", "text"), Column("ns", "ns", "NS", "int64"), Column("bs", "bs", "BS"), Column("l", "l", "L"),
    ]  # fmt: skip
    found = glue_columns(Layout(1, tuple(kinds)))
    assert {one.name: one.type for one in found.columns} == {
        "id": "string", "at": "timestamp", "day": "date", "x": "float", "y": "double", "j": "string", "n": "decimal(38,4)",
        "m": "string", "ns": "array<bigint>", "bs": "array<binary>", "l": "string", "_rest": "string",
    }  # fmt: skip
    assert (found.by_number, found.unreadable) == (False, ("t", "u"))
    numbered = glue_columns(Layout(1, (*kinds, Column("ä b", "ä b", "S"))))
    assert (numbered.by_number, numbered.unreadable) == (True, ("t", "u"))
    assert [one.name for one in numbered.columns][6:8] == ["t", "u"]  # declared: what follows is counted from the first


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["id", "a b", "a_b"], ["id", "a_b_2", "a_b", "_rest"]),
        (["id", "Ä", "é", "😀"], ["id", "_", "__2", "__3", "_rest"]),
        (["a.b", "a-b", "A~2"], ["a_b", "a_b_2", "a_2", "_rest"]),
        (["x" * 300, "x" * 255], ["x" * 253 + "_2", "x" * 255, "_rest"]),
    ],
)
def test_names_become_names_that_athena_takes(names: list[str], expected: list[str]) -> None:
    found = glue_columns(Layout(1, tuple(Column(name, name, "S") for name in names)))
    assert [one.name for one in found.columns] == expected
    assert found.by_number


def test_making_a_target_connects_to_nothing() -> None:
    target: Callable[[], AthenaTarget] = lambda: AthenaTarget(clients(), "analytics", "orders")  # noqa: E731
    assert (target().address, str(target().table)) == ("athena://us-east-1", "analytics.orders")
