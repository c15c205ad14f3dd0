"""What only Redshift does: documents in SUPER, modes over the Data API in one transaction, Regions, COPY's errors, kills."""

import json
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from local_aws.redshift.documents import shown
from tablekeep.engine.backups.s3 import S3Store
from tablekeep.engine.backups.sets import BackupSet
from tablekeep.engine.clients import SessionClients
from tablekeep.engine.clock import SystemClock
from tablekeep.engine.copies import redshift_load, redshift_swap
from tablekeep.engine.copies.convert import Converter
from tablekeep.engine.copies.copy import CopyReport, copy_set
from tablekeep.engine.copies.document import MappingDocument
from tablekeep.engine.copies.modes import parse_mode
from tablekeep.engine.copies.redshift import RedshiftTarget
from tablekeep.engine.copies.redshift_api import Address, DataApi
from tablekeep.engine.copies.redshift_raw import RawColumn
from tablekeep.engine.copies.sent import RejectedError
from tablekeep.engine.errors import BadInputError, IntegrityError, PermanentError, TransientError
from tablekeep.engine.items.layout import Column
from tablekeep.engine.progress import NoProgress
from tests.engine.copies import killed
from tests.sets import AS_OF, SHELF, delete, make_set, put
from tests.tables import clients, make_bucket

ROLE = "arn:aws:iam::123456789012:role/copy"


class Told(NoProgress):
    """Keeps what is noted."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


class Warehouse:
    """A Redshift with one table, looked at from beside; sets of items that are loaded into it."""

    def __init__(self, aws: Any, postgres: Any, name: str) -> None:
        self.aws, self._postgres, self.name = aws, postgres, name
        self.store: Any = S3Store(clients(), SHELF.bucket)
        self.told = Told()

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with self._postgres.connect(self.name) as connection:
            cursor = connection.execute(sql)
            return list(cursor.fetchall()) if cursor.description else []

    def set(self, *items: dict[str, Any], days: int = 0, **more: Any) -> BackupSet:
        return make_set(items, store=self.store, as_of=AS_OF + timedelta(days=days), **more)

    def load(self, opened: BackupSet, mode: str = "replace", *, where: Any = None, swap: str = "rows", keep_absent: bool = False,
             **rules: Any) -> CopyReport:  # fmt: skip
        """Copies a set into public.orders."""
        target = RedshiftTarget(where or clients(), "public.orders", database="dev", iam_role=ROLE, workgroup="dwh")
        how = parse_mode(mode, keep_absent=keep_absent, swap=swap)
        document = MappingDocument.model_validate(rules)
        common: dict[str, Any] = {"clock": SystemClock(), "progress": self.told, "actor": "test", "run": "test"}
        return copy_set(opened, target=target, mode=how, mapping=document, **common)

    def rows(self, columns: str = "pk, sk, v", table: str = "orders") -> list[tuple[Any, ...]]:
        return self.query(f"SELECT {columns} FROM public.{table} ORDER BY 1, 2, 3")

    def left(self) -> tuple[list[Any], list[str]]:
        """Staging tables and staged files that are there."""
        tables = self.query("SELECT relname FROM pg_class WHERE relname LIKE 'tablekeep_staging%'")
        return tables, [info.key for info in self.store.list("") if "/_state/" in info.key]


@pytest.fixture
def dwh(local_aws: Any, postgres: Any) -> Iterator[Warehouse]:
    name = f"dwh_{secrets.token_hex(4)}"
    local_aws.use_postgres(postgres.create_database(name))
    local_aws.reset()
    make_bucket(local_aws, SHELF.bucket)
    DataApi(clients(), Address("dev", "dwh"), SystemClock(), "preparing").run(["SELECT 1"])
    yield Warehouse(local_aws, postgres, name)
    local_aws.use_postgres(None)
    postgres.drop_database(name)


def item(n: int, v: str = "a", **more: Any) -> dict[str, Any]:
    return {"pk": {"S": f"p{n}"}, "sk": {"N": f"{n}.5"}, "v": {"S": v}} | more


def row(n: int, v: str) -> tuple[str, Decimal, str]:
    return (f"p{n}", Decimal(f"{n}.5"), v)


# modes


def test_append_adds_and_says_of_which_set(dwh: Warehouse) -> None:
    first, second = dwh.set(item(1), item(2)), dwh.set(item(2, "b"), days=1)
    assert dwh.load(first, "append").rows == 2
    done = dwh.load(second, "append")
    assert (done.rows, done.inserted) == (3, 1)
    assert sorted(dwh.query("SELECT pk, _backup_id FROM public.orders")) == sorted(
        [("p1", first.manifest.backup_id), ("p2", first.manifest.backup_id), ("p2", second.manifest.backup_id)]
    )


@pytest.mark.parametrize(
    ("mode", "more", "left", "counts"),
    [
        ("upsert", {}, [(2, "new"), (3, "new")], (1, 1, 1)),
        ("upsert", {"keep_absent": True}, [(1, "old"), (2, "new"), (3, "new")], (1, 1, 0)),
        ("KEEP_EXISTING", {}, [(1, "old"), (2, "old"), (3, "new")], (1, 0, 0)),
        ("OVERWRITE_EXISTING", {}, [(1, "old"), (2, "new"), (3, "new")], (1, 1, 0)),
        ("TRUNCATE", {}, [(2, "new"), (3, "new")], (2, 0, 0)),
        ("incremental", {}, [(2, "new"), (3, "new")], (1, 1, 1)),
    ],
)
def test_modes_of_a_full_set(
    dwh: Warehouse, mode: str, more: dict[str, Any], left: list[tuple[int, str]], counts: tuple[int, int, int]
) -> None:
    tags = {"tags": {"SS": ["x", "y"]}}
    rules: dict[str, Any] = {"columns": [{"from": "tags", "sets": "table"}], "unmapped": "columns"}
    dwh.load(dwh.set(item(1, "old", **tags), item(2, "old", **tags)), **rules)
    number = dwh.query("SELECT 'public.orders'::regclass::oid")
    done = dwh.load(dwh.set(item(2, "new", tags={"SS": ["z"]}), item(3, "new", **tags), days=1), mode, **more, **rules)
    assert dwh.rows() == [row(n, v) for n, v in left]
    assert (done.inserted, done.updated, done.deleted) == counts
    assert done.rows == len(left)
    assert dwh.query("SELECT rows FROM tablekeep_loads ORDER BY loaded_at DESC LIMIT 1") == [(len(left),)]
    members = {(2, "new"): ["z"], (2, "old"): ["x", "y"], (1, "old"): ["x", "y"], (3, "new"): ["x", "y"]}
    assert dwh.rows("pk, sk, value", "orders__tags") == [
        (*row(n, v)[:2], member) for n, v in left for member in members[n, v]
    ]
    assert dwh.query("SELECT 'public.orders'::regclass::oid") == number
    assert dwh.left() == ([], [])


def test_changes_are_put_and_deleted_by_key(dwh: Warehouse) -> None:
    rules: dict[str, Any] = {"columns": [{"from": "tags", "sets": "table"}], "unmapped": "columns"}
    tags = {"tags": {"SS": ["x"]}}
    dwh.load(dwh.set(item(1, **tags), item(2, **tags), item(3)), **rules)
    lines = [put(item(2, "b", tags={"SS": ["y", "z"]})), delete(item(1)), put(item(4, "d")), delete(item(9))]
    changes = dwh.set(*lines, days=1, changes=(AS_OF - timedelta(hours=1), AS_OF + timedelta(days=1)))
    done = dwh.load(changes, "incremental", **rules)
    assert dwh.rows() == [row(2, "b"), row(3, "a"), row(4, "d")]
    assert dwh.rows("pk, sk, value", "orders__tags") == [("p2", Decimal("2.5"), "y"), ("p2", Decimal("2.5"), "z")]
    assert (done.inserted, done.updated, done.deleted, done.rows) == (1, 1, 1, 3)
    assert dwh.left() == ([], [])


def test_a_column_that_is_new_joins_the_table_as_it_is(dwh: Warehouse) -> None:
    dwh.load(dwh.set(item(1)))
    dwh.query("CREATE VIEW public.keys AS SELECT pk FROM public.orders")
    number = dwh.query("SELECT 'public.orders'::regclass::oid")
    for day, mode in enumerate(("upsert", "replace"), 1):
        dwh.load(dwh.set(item(1, "b", **{f"extra{day}": {"S": "E"}}), days=day), mode)
        assert dwh.rows(f"v, extra{day}, pk") == [("b", "E", "p1")]
    assert dwh.query("SELECT 'public.orders'::regclass::oid") == number
    assert dwh.query("SELECT * FROM public.keys") == [("p1",)]


@pytest.mark.parametrize("mode", ["upsert", "replace"])
def test_a_wider_column_makes_a_new_table_with_the_old_rows_and_grants(dwh: Warehouse, mode: str) -> None:
    reader = f"reader_{secrets.token_hex(4)}"
    dwh.query(f"CREATE ROLE {reader}")
    try:
        dwh.load(dwh.set(item(1, "7"), {**item(2), "n": {"N": "1.25"}}))
        dwh.query(
            f"GRANT SELECT ON public.orders TO {reader}; GRANT INSERT ON public.orders TO {reader} WITH GRANT OPTION"
        )
        dwh.query("COMMENT ON TABLE public.orders IS 'ours'")
        wider = {**item(3), "n": {"N": "1" + "0" * 60}}
        dwh.load(dwh.set(wider, days=1), mode, keep_absent=mode == "upsert")
        found = dwh.query("SELECT pk, n FROM public.orders ORDER BY 1")
        assert found == ([("p1", None), ("p2", "1.25")] if mode == "upsert" else []) + [("p3", "1" + "0" * 60)]
        assert dwh.query(f"SELECT has_table_privilege('{reader}', 'public.orders', 'SELECT')") == [(True,)]
        assert dwh.query(f"SELECT has_table_privilege('{reader}', 'public.orders', 'INSERT WITH GRANT OPTION')") == [
            (True,)
        ]
        assert dwh.query("SELECT obj_description('public.orders'::regclass)") == [("ours",)]
        assert dwh.left() == ([], [])
    finally:
        dwh.query(f"DROP OWNED BY {reader}; DROP ROLE {reader}")


def test_a_view_that_needs_the_old_table_is_named_and_nothing_changes(dwh: Warehouse) -> None:
    dwh.load(dwh.set({**item(1), "n": {"N": "1"}}))
    dwh.query("CREATE VIEW public.numbers AS SELECT n FROM public.orders")
    with pytest.raises(BadInputError, match="drop the views"):
        dwh.load(dwh.set({**item(1), "n": {"N": "1.5"}}, days=1))
    assert dwh.query("SELECT * FROM public.numbers") == [(1,)]
    assert dwh.left() == ([], [])


def test_many_new_columns_make_the_table_anew(dwh: Warehouse) -> None:
    dwh.load(dwh.set(item(1)))
    dwh.load(dwh.set(item(2, **{f"e{n:02}": {"S": "x"} for n in range(30)}), days=1), "upsert", keep_absent=True)
    assert dwh.query("SELECT pk, e00, e29 FROM public.orders ORDER BY 1") == [("p1", None, None), ("p2", "x", "x")]


def test_swap_rename_puts_another_table_in_its_place(dwh: Warehouse) -> None:
    dwh.load(dwh.set(item(1)))
    number = dwh.query("SELECT 'public.orders'::regclass::oid")
    dwh.load(dwh.set(item(2), days=1), swap="rename")
    assert dwh.rows() == [row(2, "a")]
    assert dwh.query("SELECT 'public.orders'::regclass::oid") != number


@pytest.mark.parametrize(
    ("mode", "wider"), [("upsert", False), ("upsert", True), ("incremental", True), ("replace", False)]
)
def test_columns_that_people_have_added_stay(dwh: Warehouse, mode: str, wider: bool) -> None:
    dwh.load(dwh.set({**item(1), "n": {"N": "1"}}, item(2)))
    dwh.query("ALTER TABLE public.orders ADD COLUMN theirs varchar(9)")
    dwh.query("UPDATE public.orders SET theirs = 'mine'")
    done = dwh.load(dwh.set({**item(1, "b"), "n": {"N": "1.5" if wider else "1"}}, item(2), item(3), days=1), mode)
    kept = None if mode == "replace" else "mine"
    assert dwh.rows("pk, v, theirs") == [("p1", "b", kept), ("p2", "a", kept), ("p3", "a", None)]
    assert (done.inserted, done.updated) == ((3, 0) if mode == "replace" else (1, 1))


def test_rows_that_are_the_same_are_not_written_and_documents_are_compared_whole(dwh: Warehouse) -> None:
    doc = {"L": [{"S": "é" * 30_000}] * 3}
    dwh.load(dwh.set(item(1, doc=doc), item(2, doc={"L": []}), item(3), item(4, note={"NULL": True})), "upsert")
    before = dict(dwh.query("SELECT pk, ctid::text FROM public.orders"))
    second = [item(1, doc=doc), item(2, doc={"L": [{"N": "1"}]}), item(3, doc={"L": []}), item(4)]
    done = dwh.load(dwh.set(*second, days=1), "upsert")
    assert (done.inserted, done.updated, done.deleted) == (0, 3, 0)
    after = dict(dwh.query("SELECT pk, ctid::text FROM public.orders"))
    assert {pk for pk in before if before[pk] == after[pk]} == {"p1"}


def test_an_update_that_is_too_long_for_a_statement(dwh: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redshift_swap, "LONGEST", 10)
    dwh.load(dwh.set(item(1), item(2)))
    done = dwh.load(dwh.set(item(2, "b"), item(3), days=1), "upsert", keep_absent=True)
    assert dwh.rows() == [row(1, "a"), row(2, "b"), row(3, "a")]
    assert (done.updated, done.rows) == (1, 3)


def test_a_key_that_is_there_twice_is_refused(dwh: Warehouse) -> None:
    dwh.load(dwh.set(item(1)))
    for mode in ("replace", "upsert"):
        with pytest.raises(IntegrityError, match="a key is there twice"):
            dwh.load(dwh.set(item(2), item(2, "b"), days=1), mode)
    assert dwh.rows() == [row(1, "a")]


def test_a_table_of_members_that_others_made_is_left_alone(dwh: Warehouse) -> None:
    dwh.query("CREATE TABLE public.orders__tags (precious int)")
    opened = dwh.set(item(1, tags={"SS": ["x"]}))
    with pytest.raises(BadInputError, match="orders__tags exists and is not in our ledger"):
        dwh.load(opened, columns=[{"from": "tags", "sets": "table"}])
    assert dwh.query("SELECT count(*) FROM pg_class WHERE relname = 'orders'") == [(0,)]
    assert dwh.left() == ([], [])


def test_more_tables_of_members_than_one_transaction_takes(dwh: Warehouse) -> None:
    names = [f"s{n}" for n in range(7)]
    opened = dwh.set(item(1, **{name: {"SS": ["x"]} for name in names}))
    with pytest.raises(BadInputError, match="7 sets become tables"):
        dwh.load(opened, columns=[{"from": name, "sets": "table"} for name in names])


# documents


def documents(dwh: Warehouse, column: str) -> dict[str, Any]:
    """By partition key the JSON text of a SUPER column."""
    return {
        pk: None if text is None else shown(text) for pk, text in dwh.query(f"SELECT pk, {column} FROM public.orders")
    }


EXACT = "12345678901234567890123456789012.345678"
HUGE = "1" + "0" * 125


def test_numbers_in_documents_are_exact_or_their_text(dwh: Warehouse) -> None:
    held = {
        "M": {"a": {"N": EXACT}, "b": {"N": HUGE}, "c": {"NS": ["1", HUGE]}, "d": {"N": "-0.5"}, EXACT: {"S": HUGE}}
    }
    dwh.load(dwh.set(item(1, doc=held), item(2, doc={"S": "not a map"}), item(3, doc={"M": {}})))
    text = f'{{"{EXACT}":"{HUGE}","a":{EXACT},"b":"{HUGE}","c":[1,"{HUGE}"],"d":-0.5}}'
    assert documents(dwh, "doc") == {"p1": text, "p2": '"not a map"', "p3": "{}"}
    types = dwh.query("SELECT redshift_local.json_typeof(doc) FROM public.orders ORDER BY pk")
    assert types == [("object",), ("string",), ("object",)]
    assert "column 'doc': 2 numbers that SUPER would not hold exactly are texts in it" in dwh.told.notes


def test_a_warehouse_that_makes_doubles_gets_more_numbers_as_text(dwh: Warehouse) -> None:
    dwh.query(f'ALTER DATABASE "{dwh.name}" SET redshift_local.super_doubles = on')
    held = {"L": [{"N": EXACT}, {"N": "0.1"}, {"N": "9007199254740993"}, {"N": "123456789012345678.5"}]}
    dwh.load(dwh.set(item(1, doc=held)))
    assert documents(dwh, "doc") == {"p1": f'["{EXACT}",0.1,9007199254740993,"123456789012345678.5"]'}
    assert any("makes doubles" in note for note in dwh.told.notes)


def test_a_document_of_more_than_a_varchar_and_what_lies_in_rest(dwh: Warehouse) -> None:
    long = {"L": [{"S": "é" * 20_000}] * 4}
    dwh.load(dwh.set(item(1, doc=long), item(2, doc={"L": []}, note={"NULL": True})))
    assert json.loads(documents(dwh, "doc")["p1"]) == ["é" * 20_000] * 4
    assert documents(dwh, "_rest") == {"p1": None, "p2": '{"note":{"NULL":true}}'}


LONG = "secret" + "é" * 40_000


def test_strings_that_are_too_long_are_refused_unless_said_otherwise(dwh: Warehouse) -> None:
    opened = dwh.set(item(1, LONG, doc={"L": [{"S": LONG}]}), item(2, doc={"L": []}))
    with pytest.raises(RejectedError, match="'doc': 1 with a string longer than 65,535 bytes") as caught:
        dwh.load(opened)
    assert "'v': 1 with a string longer than 65,535 bytes" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert dwh.left() == ([], [])
    assert dwh.query("SELECT count(*) FROM pg_class WHERE relname = 'orders'") == [(0,)]
    dwh.load(opened, misfits={"to": "reject", "most": 2})
    assert dwh.rows("pk, v, pk") == [("p1", None, "p1"), ("p2", "a", "p2")]
    assert sorted(dwh.query("SELECT column_name, reason FROM public.orders__rejects")) == [
        ("doc", "with a string longer than 65,535 bytes"), ("v", "longer than 65,535 bytes")
    ]  # fmt: skip


def test_strings_are_cut_where_the_mapping_says_so(dwh: Warehouse) -> None:
    opened = dwh.set(item(1, LONG, doc={"L": [{"S": LONG}, {"N": EXACT}]}), item(2))
    done = dwh.load(opened, misfits={"truncate": True})
    ((v,),) = dwh.query("SELECT v FROM public.orders WHERE pk = 'p1'")
    assert (len(v.encode()), LONG.startswith(v)) == (65_534, True)
    assert json.loads(documents(dwh, "doc")["p1"], parse_float=str) == [v, EXACT]
    assert done.cut == {"v": 1, "doc": 1}


def test_a_string_that_is_a_document(dwh: Warehouse) -> None:
    opened = dwh.set(
        item(1, doc={"S": '{"b": [1.50, 1e3], "a": null}'}),
        item(2, doc={"S": '{"a": 1, "a": 2}'}),
        item(3, doc={"S": "{"}),
    )
    rules: dict[str, Any] = {"columns": [{"from": "doc", "type": "json", "format": "json"}], "unmapped": "columns"}
    dwh.load(opened, **rules)
    assert documents(dwh, "doc") == {"p1": '{"b":[1.50,1000],"a":null}', "p2": None, "p3": None}
    assert documents(dwh, "_rest")["p2"] == '{"doc":{"S":"{\\"a\\": 1, \\"a\\": 2}"}}'


# other types


def test_columns_of_sql_rows_are_what_they_were(dwh: Warehouse) -> None:
    cells = {
        "d": ("date", "2026-11-23"), "t": ("time", "02:00:00.5"), "ts": ("timestamp", "2026-11-23 02:00:00.123456"),
        "tz": ("timestamptz", "2026-11-23 02:00:00.5+00"), "r": ("float4", "1.5"), "f": ("float8", "1e-05"),
        "u": ("uuid", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"), "j": ("json", '{"a": [1]}'),
    }  # fmt: skip
    held = item(1) | {name: {"S": text} for name, (_, text) in cells.items()}
    odd = item(2) | {"ts": {"S": "infinity"}}
    dwh.load(dwh.set(held, odd, pins=[Column(name, name, "S", logical=kind) for name, (kind, _) in cells.items()]))
    assert dwh.query(
        "SELECT d::text, t::text, ts::text, (tz AT TIME ZONE 'UTC')::text, r, f, u FROM public.orders WHERE pk = 'p1'"
    ) == [
        ("2026-11-23", "02:00:00.5", "2026-11-23 02:00:00.123456", "2026-11-23 02:00:00.5", 1.5, 1e-05, cells["u"][1])
    ]
    types = dict(
        dwh.query(
            "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'public.orders'::regclass"
        )
    )
    assert (types["tz"], types["t"], types["r"]) == ("timestamp with time zone", "time without time zone", "real")
    assert documents(dwh, "_rest")["p2"] == '{"ts":{"S":"infinity"}}'


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("B", ["AA==", "/w==", ""]),
        ("S", ["", "é😀", "a'\\b\"c", " "]),
        ("N", ["0", "-1.5", "1" + "0" * 37, "0.0000001", "12345678901234567890.12345678901234567"]),
        ("N", ["0", "10", "-9223372036854775808", "100"]),
    ],
)
def test_keys_of_every_kind_are_summed_up_alike(dwh: Warehouse, kind: str, values: list[str]) -> None:
    items = [{"k": {kind: value}, "v": {"S": "x"}} for value in values if value or kind != "B"]
    assert dwh.load(dwh.set(*items, key=[("k", kind)])).rows == len(items)


def test_keys_that_are_times(dwh: Warehouse) -> None:
    items = [
        {"pk": {"S": f"2026-11-23T02:00:00{zone}"}, "sk": {"N": "1"}}
        for zone in ("+00:00", ".5+00:00", ".123456+02:00")
    ]
    assert dwh.load(dwh.set(*items), columns=[{"from": "pk", "type": "timestamptz"}]).rows == 3


# what must not happen


def test_a_bucket_of_another_region_is_refused_before_anything_is_written(dwh: Warehouse) -> None:
    opened = dwh.set(item(1))
    before = [info.key for info in dwh.store.list("")]
    with pytest.raises(BadInputError, match="lies in us-east-1 and the warehouse in eu-west-1"):
        dwh.load(opened, where=SessionClients(region="eu-west-1"))
    assert [info.key for info in dwh.store.list("")] == before
    assert dwh.query("SELECT count(*) FROM pg_class WHERE relname LIKE 'tablekeep%'") == [(0,)]


def test_a_failed_copy_tells_the_column_and_no_value(dwh: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    real = redshift_load.raw_columns

    def narrow(*arguments: Any) -> list[RawColumn]:
        made = real(*arguments)
        return [
            RawColumn(one.name, "varchar(3)", one.arrow, one.made, one.stage) if "varchar" in one.sql_type else one
            for one in made
        ]

    monkeypatch.setattr(redshift_load, "raw_columns", narrow)
    with pytest.raises(PermanentError, match=r"COPY failed: column c\d \(character varying\(3\)\)") as caught:
        dwh.load(dwh.set(item(1, "top-secret")))
    assert "Data: 10" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert dwh.left() == ([], [])


def test_a_key_that_changes_on_the_way_is_noticed(dwh: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    import pyarrow as pa

    real = Converter.batches

    def changed(self: Converter, *arguments: Any) -> Any:
        for converted in real(self, *arguments):
            keys = converted.arrays[0].to_pylist()
            converted.arrays[0] = pa.array([keys[0] + "x", *keys[1:]])
            yield converted

    dwh.load(dwh.set(item(1)))
    monkeypatch.setattr(Converter, "batches", changed)
    with pytest.raises(IntegrityError, match="its keys are not those that were sent"):
        dwh.load(dwh.set(item(1), item(2), days=1))
    assert dwh.rows() == [row(1, "a")]
    assert dwh.left() == ([], [])


def test_members_that_are_lost_on_the_way_are_noticed(dwh: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Converter.batches

    def lossy(self: Converter, *arguments: Any) -> Any:
        for converted in real(self, *arguments):
            converted.children[0] = [array.slice(1) for array in converted.children[0]]
            yield converted

    monkeypatch.setattr(Converter, "batches", lossy)
    with pytest.raises(IntegrityError, match="has 1 members, 2 were sent"):
        dwh.load(dwh.set(item(1, tags={"SS": ["x", "y"]})), columns=[{"from": "tags", "sets": "table"}])


def test_what_killed_copies_left_is_removed_once_it_is_old(dwh: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = dwh.set(item(1))
    prefix = redshift_load.RedshiftLoad(
        DataApi(clients(), Address("dev", "dwh"), SystemClock(), "t"),
        RedshiftTarget(clients(), "orders", database="dev", iam_role=ROLE, workgroup="dwh").table,
        ROLE, "t", SystemClock(), oid=None, ours=False, lines=None, known=frozenset(),
    )._prefix  # fmt: skip
    for when in ("20200101000000", f"{datetime.now(UTC):%Y%m%d%H%M%S}"):
        for suffix in ("", "_d", "_c0"):
            dwh.query(f'CREATE TABLE public."{prefix}{when}_00000000{suffix}" (n int)')
    dwh.query(f'CREATE TABLE public."{prefix}20200101000000_mine" (n int)')
    staged = opened.manifest.location.key("_state/redshift-20200101000000_00000000/rows/part-000000.parquet")
    dwh.store.put(staged, b"x")
    monkeypatch.setattr(redshift_load, "STAGING_AGE", timedelta(hours=-1))
    dwh.load(opened)
    tables, files = dwh.left()
    assert (tables, files) == ([(f"{prefix}20200101000000_mine",)], [])


def test_a_line_that_another_copy_adds_meanwhile_undoes_the_swap(
    dwh: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    dwh.load(dwh.set(item(1)), "append")
    real = redshift_load.RedshiftLoad._prove

    def meanwhile(self: Any, *arguments: Any) -> None:
        dwh.query("INSERT INTO tablekeep_loads SELECT * FROM tablekeep_loads LIMIT 1")
        real(self, *arguments)

    monkeypatch.setattr(redshift_load.RedshiftLoad, "_prove", meanwhile)
    with pytest.raises(TransientError, match="faster"):
        dwh.load(dwh.set(item(2), days=1), "append")
    assert dwh.rows() == [row(1, "a")]
    assert dwh.left() == ([], [])


def test_killed_at_every_call_nothing_is_loaded_twice_and_the_next_try_ends_it(dwh: Warehouse) -> None:
    """One copy that is killed at each of its calls in turn, before and after it, one call further each time, until it is through."""
    dwh.load(dwh.set(item(1)), "append")
    opened = dwh.set(item(1, "b"), item(2), days=1)
    old, new = [row(1, "a")], [row(1, "a"), row(1, "b"), row(2, "a")]
    at, after, seen = 1, False, set[bool]()
    while killed.in_a_process(killed.redshift, at, after, opened.manifest.uri, "append"):
        found = dwh.rows()
        assert found in (old, new)
        seen.add(found == new)
        at, after = at + after, not after
    assert at > 12, "it has more calls than that"
    assert seen == {True, False}
    assert dwh.rows() == new
    assert dwh.query("SELECT count(*) FROM tablekeep_loads") == [(2,)]
