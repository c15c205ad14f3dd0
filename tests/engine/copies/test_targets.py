"""The conformance suite of the copy targets: every one must pass all of it."""

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from tablekeep.engine.backups.records import read_records
from tablekeep.engine.backups.s3 import S3Store
from tablekeep.engine.backups.sets import open_backup
from tablekeep.engine.copies.convert import Converter
from tablekeep.engine.copies.derive import derive_mapping
from tablekeep.engine.copies.document import MappingDocument
from tablekeep.engine.copies.modes import parse_mode
from tablekeep.engine.errors import BadInputError, IntegrityError, TransientError
from tablekeep.engine.progress import NoProgress
from tests.engine.copies.conftest import ROLE, Place, document
from tests.tables import BUCKET, clients, export, make_table, orders


def columns_of(place: Place, backup: str, table: str = "public.orders") -> dict[str, str]:
    """SQL names by attribute, as the database stores them."""
    opened = open_backup(clients(), backup)
    mapping = derive_mapping(opened, place.target(table).dialect, MappingDocument(), NoProgress())
    fold = str.lower if place.kind == "redshift" else str
    return {column.attribute: fold(column.name) for column in mapping.columns if column.attribute}


def staging_tables(place: Place) -> list[tuple[Any, ...]]:
    return place.query("SELECT relname FROM pg_class WHERE relname LIKE 'tablekeep_staging%'")


def staged_objects() -> list[str]:
    return [info.key for info in S3Store(clients(), BUCKET).list("") if "/_state/" in info.key]


def test_every_type_arrives_exactly(place: Place, backup: str, copy: Any) -> None:
    report = copy(backup)
    assert (report.status, report.rows, report.verified) == ("copied", 40, True)
    names = columns_of(place, backup)
    rows = place.query(f'SELECT to_jsonb("{names["pk"]}")#>>\'{{}}\', "{names["sk"]}" FROM public.orders')
    items = orders()
    assert sorted(rows) == sorted((item["pk"]["S"], int(item["sk"]["N"])) for item in items)
    wanted = ["price", "exact", "Price", "_rest", "paid", "raw", "tags", "sizes", "hashes", "lines", "address"]
    listed = ", ".join(f'"{names[one]}"' for one in wanted)
    found = {row[0]: row[1:] for row in place.query(f'SELECT "{names["sk"]}", {listed}, "_rest" FROM public.orders')}
    for item in items:
        n = int(item["sk"]["N"])
        price, exact, upper, mine, paid, raw, tags, sizes, hashes, lines, address, rest = found[n]
        assert price == Decimal(f"{n}.25")
        assert (exact is None) == ("exact" not in item)
        if exact is not None:
            assert Decimal(str(exact)) == Decimal("12345678901234567890123456789.123456789")
        assert (upper, mine) == (("", "mine") if "Price" in item else (None, None))
        assert paid is (n % 2 == 0)
        assert bytes(raw) == b"\x00\x01\x02\x03\x04"
        assert document(place, tags) == sorted(["new", f"t{n}"])
        assert document(place, sizes) == [1, 2.5]
        assert sorted(document(place, hashes)) == ["/w==", "AAE="]
        assert document(place, lines) == [{"sku": "a", "n": 2}, None, []]
        assert document(place, address) == {}
        assert document(place, rest) == ({"note": {"NULL": True}} if "note" in item else None)
    assert not staging_tables(place)
    assert not staged_objects()


def test_the_ledger_and_the_record_say_what_was_loaded(place: Place, backup: str, copy: Any) -> None:
    report = copy(backup)
    manifest = open_backup(clients(), backup).manifest
    rows = place.query(
        "SELECT target, mode, backup, backup_id, as_of, rows, content_hash, manifest_seal, actor, run FROM tablekeep_loads"
    )
    assert rows == [
        (
            "public.orders",
            "replace",
            backup,
            manifest.backup_id,
            manifest.as_of,
            40,
            str(manifest.content),
            manifest.seal,
            "test",
            "test",
        )
    ]
    (record,) = read_records(S3Store(clients(), BUCKET), manifest.location.shelf, "copy")
    assert record["result"] == report.as_dict()
    assert record["actor"] == "test"


def test_a_second_copy_of_the_same_backup_changes_nothing(place: Place, backup: str, copy: Any) -> None:
    copy(backup)
    again = copy(backup)
    assert (again.status, again.rows, again.verified) == ("unchanged", 40, True)
    assert place.query("SELECT count(*) FROM tablekeep_loads") == [(1,)]


def test_rows_that_somebody_deleted_come_back(place: Place, backup: str, copy: Any) -> None:
    copy(backup)
    place.query("DELETE FROM public.orders WHERE sk < 10")
    report = copy(backup)
    assert (report.status, report.rows) == ("copied", 40)
    assert "30 rows instead of 40" in report.reason
    assert place.query("SELECT count(*) FROM public.orders") == [(40,)]


def test_the_newest_backup_replaces_and_an_older_one_does_not(place: Place, aws: Any, backup: str, copy: Any) -> None:
    aws.client("dynamodb").delete_item(TableName="orders", Key={"pk": {"S": "customer-0"}, "sk": {"N": "0"}})
    newer = export("orders").backup
    assert copy(newer).rows == 39
    skipped = copy(backup)
    assert (skipped.status, skipped.rows, skipped.verified) == ("skipped", 39, False)
    assert "newer backup" in skipped.reason
    assert place.query("SELECT count(*) FROM public.orders") == [(39,)]
    assert copy(backup, allow_older=True).rows == 40
    assert place.query("SELECT count(*) FROM public.orders") == [(40,)]


def test_new_columns_come_with_a_new_backup(place: Place, aws: Any, backup: str, copy: Any) -> None:
    copy(backup)
    aws.client("dynamodb").put_item(
        TableName="orders", Item={"pk": {"S": "x"}, "sk": {"N": "1"}, "coupon": {"S": "HAPPY"}}
    )
    copy(export("orders").backup)
    assert place.query("SELECT coupon FROM public.orders WHERE coupon IS NOT NULL") == [("HAPPY",)]


def test_an_empty_table_is_copied_too(place: Place, aws: Any, copy: Any) -> None:
    make_table(aws, "nothing", [])
    report = copy(export("nothing").backup, "public.nothing")
    assert (report.status, report.rows) == ("copied", 0)
    assert place.query("SELECT count(*) FROM public.nothing") == [(0,)]


def test_a_table_that_others_made_is_left_alone_unless_adopted(place: Place, backup: str, copy: Any) -> None:
    place.query("CREATE TABLE public.orders (precious int)")
    place.query("INSERT INTO public.orders VALUES (1)")
    with pytest.raises(BadInputError, match="not in our ledger"):
        copy(backup)
    assert place.query("SELECT precious FROM public.orders") == [(1,)]
    assert copy(backup, adopt=True).rows == 40
    assert copy(backup).status == "unchanged"


def test_a_table_of_ours_that_others_made_anew_is_theirs(place: Place, backup: str, copy: Any) -> None:
    copy(backup)
    place.query("DROP TABLE public.orders")
    place.query("CREATE TABLE public.orders (precious int)")
    with pytest.raises(BadInputError, match="not in our ledger"):
        copy(backup)
    assert place.query("SELECT count(*) FROM public.orders") == [(0,)]


def test_a_dropped_table_is_made_again(place: Place, backup: str, copy: Any) -> None:
    copy(backup)
    place.query("DROP TABLE public.orders")
    assert copy(backup).status == "copied"
    assert place.query("SELECT count(*) FROM public.orders") == [(40,)]


def test_a_backup_of_another_table_does_not_replace_this_one(place: Place, aws: Any, backup: str, copy: Any) -> None:
    copy(backup)
    make_table(aws, "others", orders(3))
    with pytest.raises(BadInputError, match="holds a copy of"):
        copy(export("others").backup)
    assert place.query("SELECT count(*) FROM public.orders") == [(40,)]


def test_a_view_is_never_replaced(place: Place, backup: str, copy: Any) -> None:
    place.query("CREATE VIEW public.orders AS SELECT 1 AS one")
    with pytest.raises(BadInputError, match="no ordinary table"):
        copy(backup, adopt=True)
    assert place.query("SELECT one FROM public.orders") == [(1,)]


def test_views_on_the_table_go_on_working(place: Place, aws: Any, backup: str, copy: Any) -> None:
    copy(backup)
    place.query("CREATE VIEW public.cheap AS SELECT pk FROM public.orders")
    aws.client("dynamodb").delete_item(TableName="orders", Key={"pk": {"S": "customer-0"}, "sk": {"N": "0"}})
    assert copy(export("orders").backup).rows == 39
    assert place.query("SELECT count(*) FROM public.cheap") == [(39,)]


def test_a_column_that_has_to_widen_under_a_view_is_refused_and_nothing_changes(
    place: Place, aws: Any, backup: str, copy: Any
) -> None:
    copy(backup)
    place.query("CREATE VIEW public.cheap AS SELECT pk, sk FROM public.orders")
    aws.client("dynamodb").put_item(TableName="orders", Item={"pk": {"S": "x"}, "sk": {"N": "1.5"}})
    with pytest.raises(BadInputError, match=r"columns have changed"):
        copy(export("orders").backup)
    assert place.query("SELECT count(*) FROM public.cheap") == [(40,)]
    assert not staging_tables(place)


def test_a_value_that_no_column_can_hold_is_refused_before_anything_changes(
    place: Place, aws: Any, backup: str, copy: Any
) -> None:
    copy(backup)
    aws.client("dynamodb").put_item(
        TableName="orders", Item={"pk": {"S": "x"}, "sk": {"N": "1"}, "tags": {"M": {"a\x00b": {"S": "secret-value"}}}}
    )
    with pytest.raises(BadInputError, match=r"'tags': 1 with the character U\+0000") as caught:
        copy(export("orders").backup)
    assert "secret-value" not in str(caught.value)
    assert place.query("SELECT count(*) FROM public.orders") == [(40,)]
    assert not staging_tables(place)
    assert not staged_objects()


def test_a_damaged_part_leaves_the_old_table(place: Place, aws: Any, backup: str, copy: Any) -> None:
    copy(backup)
    newer = export("orders").backup
    manifest = open_backup(clients(), newer).manifest
    key = manifest.location.key(manifest.parts[-1].name)
    store = S3Store(clients(), BUCKET)
    body = bytearray(store.get(key))
    body[len(body) // 2] ^= 1
    store.put(key, bytes(body))
    with pytest.raises(IntegrityError):
        copy(newer)
    assert place.query("SELECT backup FROM tablekeep_loads") == [(backup,)]
    assert place.query("SELECT count(*) FROM public.orders") == [(40,)]
    assert not staging_tables(place)
    assert not staged_objects()


def test_rows_that_are_lost_on_the_way_are_noticed(
    place: Place, backup: str, copy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Converter.batches

    def lossy(self: Converter, *arguments: Any) -> Any:
        for converted in real(self, *arguments):
            yield replace(converted, arrays=[array.slice(1) for array in converted.arrays])

    monkeypatch.setattr(Converter, "batches", lossy)
    with pytest.raises(IntegrityError, match="39"):
        copy(backup)
    assert place.query("SELECT count(*) FROM pg_class WHERE relname = 'orders'") == [(0,)]
    assert not staging_tables(place)


def test_cells_that_become_null_on_the_way_are_noticed(
    place: Place, backup: str, copy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pyarrow as pa

    real = Converter.batches

    def forgetful(self: Converter, *arguments: Any) -> Any:
        for converted in real(self, *arguments):
            changed = list(converted.arrays)
            changed[3] = pa.nulls(len(changed[3]), changed[3].type)
            yield replace(converted, arrays=changed)

    monkeypatch.setattr(Converter, "batches", forgetful)
    with pytest.raises(IntegrityError, match="nulls"):
        copy(backup)
    assert not staging_tables(place)


def test_of_two_copies_at_once_one_is_turned_away(
    place: Place, aws: Any, backup: str, copy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy(backup)
    first, second = export("orders").backup, export("orders").backup
    real = Converter.batches
    outcome: list[BaseException | None] = []

    def meanwhile(self: Converter, *arguments: Any) -> Any:
        monkeypatch.setattr(Converter, "batches", real)
        try:
            copy(second)
            outcome.append(None)
        except TransientError as error:
            outcome.append(error)
        yield from real(self, *arguments)

    monkeypatch.setattr(Converter, "batches", meanwhile)
    try:
        copy(first)
        outcome.append(None)
    except TransientError as error:
        outcome.append(error)
    assert sorted(one is None for one in outcome) == [False, True]
    assert place.query("SELECT count(*) FROM tablekeep_loads") == [(2,)]
    assert place.query("SELECT count(*) FROM public.orders") == [(40,)]
    assert not staging_tables(place)


@pytest.mark.parametrize(
    ("table", "why"),
    [
        ("a.b.c", "not schema.table"),
        ("tablekeep_loads", "the ledger itself"),
        ("nowhere.orders", "no schema 'nowhere'"),
        ("x" * 200, "bytes"),
    ],
)
def test_impossible_tables(place: Place, backup: str, copy: Any, table: str, why: str) -> None:
    with pytest.raises(BadInputError, match=why):
        copy(backup, table)


def test_only_modes_that_are_built_are_taken(place: Place, backup: str, copy: Any) -> None:
    with pytest.raises(BadInputError, match="no such mode"):
        copy(backup, mode=parse_mode("merge"))
    missing = {"replace", "append", "upsert", "incremental"} - place.target("orders").modes
    for mode in sorted(missing):
        with pytest.raises(BadInputError, match=f"'{mode}' is not built"):
            copy(backup, mode=parse_mode(mode))


def test_names_that_are_hard_for_sql(place: Place, aws: Any, copy: Any) -> None:
    item = {
        "pk": {"S": "a"},
        "sk": {"N": "1"},
        'say "hi"': {"S": "1"},
        "ctid": {"S": "2"},
        "select": {"S": "3"},
        "ä b.c": {"S": "4"},
        "%s": {"S": "5"},
    }
    make_table(aws, "names", [item])
    backup = export("names").backup
    copy(backup, 'public."my names"')
    names = columns_of(place, backup, 'public."my names"')
    listed = ", ".join('"' + names[one].replace('"', '""') + '"' for one in list(item)[2:])
    assert place.query(f'SELECT {listed} FROM public."my names"') == [("1", "2", "3", "4", "5")]


@pytest.mark.parametrize("place", ["redshift"], indirect=True)
def test_redshift_reads_with_a_role_and_no_statement_holds_a_secret(
    place: Place, backup: str, copy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "planted/Secret+Key")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "planted-token")
    copy(backup)
    sent = clients().client("redshift-data").list_statements(Status="ALL", MaxResults=100)["Statements"]
    texts = [text for one in sent for text in [one.get("QueryString", ""), *one.get("QueryStrings", [])]]
    copies = [text for text in texts if text.startswith("COPY")]
    assert copies
    assert all(f"IAM_ROLE '{ROLE}'" in text for text in copies)
    assert not [text for text in texts if "planted" in text or "CREDENTIALS" in text.upper()]


def test_a_value_of_another_type_is_shown_in_its_column_or_kept_in_rest(place: Place, aws: Any, copy: Any) -> None:
    items = [
        {"pk": {"S": f"p{n}"}, "sk": {"N": "1"}, "v": {"S": "text"}, "doc": {"M": {"a": {"N": "1"}}}} for n in range(9)
    ]
    items += [{"pk": {"S": "odd"}, "sk": {"N": "1"}, "v": {"N": "7"}, "doc": {"S": "plain"}}]
    make_table(aws, "mixed", items)
    report = copy(export("mixed").backup, "public.mixed")
    ((v, doc, rest),) = place.query("SELECT v, doc, _rest FROM public.mixed WHERE pk = 'odd'")
    assert v == "7"
    assert document(place, doc) == "plain"
    assert document(place, rest) == {"v": {"N": "7"}}
    assert report.shown == {"v": 1, "doc": 1}


def test_looking_at_a_target_connects_to_nothing(place: Place) -> None:
    target = place.target("public.orders")
    assert target.address.startswith(("postgresql://", "redshift://"))
    assert str(target.table) == "public.orders"


def mapped(**rules: Any) -> MappingDocument:
    return MappingDocument.model_validate(rules)


def test_a_written_mapping_decides_names_types_and_what_stays(place: Place, aws: Any, copy: Any) -> None:
    items = [
        {"pk": {"S": f"p{n}"}, "sk": {"N": str(n)}, "at": {"N": "1795399200"}, "when": {"S": "2026-11-23T02:00:00.5+01:00"}, "n": {"S": "42"},
         "customer": {"M": {"city": {"S": "Rom"}, "vip": {"BOOL": True}}}, "day": {"S": "2026-11-23"}, "other": {"S": "x"}}
        for n in range(3)
    ]  # fmt: skip
    make_table(aws, "typed", items)
    columns = [
        {"from": "at", "name": "made_at", "type": "timestamptz", "format": "epoch"}, {"from": "when", "name": "seen", "type": "timestamptz"},
        {"from": "customer.city", "name": "city", "type": "varchar(40)"}, {"from": "n", "type": "integer"}, {"from": "day", "type": "date"},
    ]  # fmt: skip
    backup = export("typed").backup
    report = copy(backup, "public.typed", mapping=mapped(columns=columns))
    assert (report.status, report.rows, len(report.mapping)) == ("copied", 3, 64)
    rows = place.query("SELECT made_at::text, seen::text, city, n, day::text, _rest FROM public.typed WHERE pk = 'p1'")
    ((made, seen, city, n, day, rest),) = rows
    assert (made, seen, city, n, day) == (
        "2026-11-23 02:00:00+00", "2026-11-23 01:00:00.5+00", "Rom", 42, "2026-11-23"
    )  # fmt: skip
    assert document(place, rest) == {"customer": {"M": {"vip": {"BOOL": True}}}, "other": {"S": "x"}}
    assert place.query("SELECT mapping_hash FROM tablekeep_loads") == [(report.mapping,)]
    copy(export("typed").backup, "public.typed", mapping=mapped(columns=columns, unmapped="drop"))
    # a table that stays has its column `_rest` still; nothing stands in it
    ((row,),) = place.query("SELECT to_jsonb(t)::text FROM public.typed t WHERE pk = 'p1'")
    assert {name for name, value in json.loads(row).items() if value is not None} == {
        "pk", "sk", "made_at", "seen", "city", "n", "day"
    }  # fmt: skip


def test_what_does_not_fit_is_rejected_by_key_hash_and_never_shown(
    place: Place, aws: Any, backup: str, copy: Any
) -> None:
    from tablekeep.engine.items.canonical import canonical_key
    from tablekeep.engine.items.hashing import key_hash

    items = [{"pk": {"S": f"p{n}"}, "sk": {"N": "1"}, "n": {"S": "secret-value" if n < 2 else "7"}} for n in range(5)]
    make_table(aws, "odd", items)
    backup = export("odd").backup
    columns = [{"from": "n", "type": "integer"}]
    with pytest.raises(BadInputError, match=r"'n': 2 no number"):
        copy(backup, "public.odd", mapping=mapped(columns=columns, misfits={"to": "reject", "most": 1}))
    hashes = sorted(key_hash(canonical_key(item, ["pk", "sk"])) for item in items[:2])
    told = "SELECT key_hash, column_name, reason FROM public.odd__rejects ORDER BY 1"
    assert place.query(told) == [(one, "n", "no number") for one in hashes]
    assert place.query("SELECT count(*) FROM pg_class WHERE relname = 'odd'") == [(0,)]
    report = copy(backup, "public.odd", mapping=mapped(columns=columns, misfits={"to": "reject", "most": 2}))
    assert (report.status, report.rows, report.rejected) == ("copied", 5, {"n": 2})
    assert place.query("SELECT count(*), count(n) FROM public.odd") == [(5, 3)]
    assert place.query(told) == [(one, "n", "no number") for one in hashes]
    with pytest.raises(BadInputError, match="'n': 2 no number"):
        copy(export("odd").backup, "public.odd", mapping=mapped(columns=columns, misfits={"to": "fail"}))
    assert "secret-value" not in str(place.query("SELECT * FROM public.odd__rejects"))


def test_the_next_backup_may_not_drift_where_the_mapping_says_so(
    place: Place, aws: Any, backup: str, copy: Any
) -> None:
    copy(backup)
    aws.client("dynamodb").put_item(
        TableName="orders", Item={"pk": {"S": "x"}, "sk": {"N": "1"}, "coupon": {"S": "HAPPY"}}
    )
    newer = export("orders").backup
    with pytest.raises(BadInputError, match="coupon is new"):
        copy(newer, mapping=mapped(drift="fail"))
    assert place.query("SELECT count(*) FROM public.orders") == [(40,)]
    report = copy(newer, mapping=mapped(drift="rest"))
    assert report.drift == ("coupon is new (text): it is in `_rest`",)
    ((rest,),) = place.query("SELECT _rest FROM public.orders WHERE pk = 'x'")
    assert document(place, rest) == {"coupon": {"S": "HAPPY"}}
