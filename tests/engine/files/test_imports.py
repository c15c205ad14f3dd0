"""Prefixes of CSV, JSON lines and Parquet become sets, or say in which line of which file something is wrong."""

import gzip
import io
import json
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tablekeep.engine.backups.catalog import list_backups
from tablekeep.engine.backups.s3 import S3Store
from tablekeep.engine.clock import SystemClock
from tablekeep.engine.copies.copy import copy_backup
from tablekeep.engine.copies.postgres import PostgresTarget
from tablekeep.engine.errors import BadInputError, IntegrityError, TransientError
from tablekeep.engine.export.report import ExportReport
from tablekeep.engine.files.description import BadRows, Files
from tablekeep.engine.files.imports import FilesImport, import_files
from tablekeep.engine.progress import NoProgress
from tests.engine.rds.conftest import items_of, opened
from tests.tables import BUCKET, ROOT, clients, make_bucket, verify

SOURCE = f"s3://{BUCKET}/drop/orders"
COMMON: dict[str, Any] = {"clock": SystemClock(), "progress": NoProgress(), "actor": "test", "run": "test"}
COLUMNS = [
    {"name": "id", "type": "integer"},
    {"name": "name", "type": "text"},
    {"name": "total", "type": "numeric(10,2)"},
]


@pytest.fixture
def put(local_aws: Any) -> Callable[..., None]:
    """`put(**{"a.csv": "id\\n1\\n"})` writes files under the prefix."""
    make_bucket(local_aws)
    client = local_aws.client("s3")

    def write(files: dict[str, str | bytes]) -> None:
        for name, body in files.items():
            client.put_object(
                Bucket=BUCKET, Key=f"drop/orders/{name}", Body=body.encode() if isinstance(body, str) else body
            )

    return write


def imported(
    files: dict[str, Any], key: list[str] | None = None, bad_rows: dict[str, Any] | None = None, **more: Any
) -> ExportReport:
    asked = FilesImport(
        SOURCE, ROOT, "orders", Files.model_validate(files), key or [], BadRows.model_validate(bad_rows or {})
    )
    return import_files(**(COMMON | {"clients": clients(), "asked": asked} | more))


def items(backup: str) -> list[dict[str, Any]]:
    return sorted(items_of(backup), key=lambda one: json.dumps(one, sort_keys=True))


def sets() -> list[str]:
    return [one.uri for one in list_backups(S3Store(clients(), BUCKET), BUCKET, "backups").backups]


def test_csv_with_a_header_quotes_nulls_and_gzip(put: Any) -> None:
    put(
        {
            "a.csv": 'id,name,total\n1,"Ada, \"\"the first\"\"",1.50\n2,"two\nlines",\n',
            "b.csv.gz": gzip.compress(b"total,id,name\r\n-3,3,\"\"\r\n"),
            "_SUCCESS": "x", ".hidden": "x", "sub/c.csv": "\ufeffid,name,total\n4,\\N,0.1\n", "empty.csv": "",
        }
    )  # fmt: skip
    made = imported(
        {"format": "csv", "columns": COLUMNS, "null": "\\N", "pattern": "*.csv*"}, ["id"], {"to": "reject", "most": 1}
    )
    verify(made.backup)
    assert "/123456789012/us-east-1/s3/orders/" in made.backup
    assert items(made.backup) == [
        {"id": {"N": "1"}, "name": {"S": 'Ada, "the first"'}, "total": {"N": "1.5"}},
        {"id": {"N": "3"}, "name": {"S": ""}, "total": {"N": "-3"}},
        {"id": {"N": "4"}, "total": {"N": "0.1"}},
    ]  # the empty total is no NULL here, and no number
    manifest = opened(made.backup).manifest
    assert manifest.run["rejected"] == 1
    assert manifest.run["files"]["count"] == 3
    document = opened(made.backup).document("table")
    assert [one["key"] for one in document["files"]] == [
        f"drop/orders/{name}" for name in ("a.csv", "b.csv.gz", "sub/c.csv")
    ]
    assert (document["service"], document["key"]) == ("s3", ["id"])
    total = manifest.layout.column_of("total")
    assert total
    assert (total.type, total.number, total.scale) == ("N", "decimal", 2)


def test_csv_without_a_header_and_with_other_characters(put: Any) -> None:
    """As AWS Data Pipeline wrote it."""
    put({"part": "1\t'Ada\\'s'\t2.5\n2\t\t\n"})
    made = imported(
        {"format": "csv", "header": False, "columns": COLUMNS, "delimiter": "tab", "quote": "'", "escape": "\\"}, ["id"]
    )
    verify(made.backup)
    assert items(made.backup) == [
        {"id": {"N": "1"}, "name": {"S": "Ada's"}, "total": {"N": "2.5"}}, {"id": {"N": "2"}},
    ]  # fmt: skip


def test_types_are_derived_and_later_values_that_are_none_are_kept(put: Any) -> None:
    rows = [f"{n},{n}.50,2026-11-{n % 28 + 1:02d},00{n}" for n in range(1, 5000)]
    put({"a.csv": "id,price,day,code\n" + "\n".join([*rows, "9999,free,soon,x"]) + "\n"})
    made = imported({"format": "csv"}, ["id"])
    verify(made.backup)
    manifest = opened(made.backup).manifest
    assert {one.attribute: (one.type, one.logical) for one in manifest.layout.columns} == {
        "id": ("N", None), "price": ("N", None), "day": ("S", "date"), "code": ("S", None),
    }  # fmt: skip
    assert manifest.rest_rows == 1
    assert {"id": {"N": "9999"}, "price": {"S": "free"}, "day": {"S": "soon"}, "code": {"S": "x"}} in items(made.backup)


def test_rows_without_a_key_are_numbered_through_all_files(put: Any) -> None:
    put({"a.csv": "v\nx\nx\n", "b.csv": "v\nx\n"})
    made = imported({"format": "csv"})
    verify(made.backup)
    assert items(made.backup) == [{"_row": {"N": str(n)}, "v": {"S": "x"}} for n in (1, 2, 3)]


BAD = [
    ('id,name,total\n1,a,1\n2,b,x\n', 3, "the column 'total' is no numeric(10,2)"),
    ('id,name,total\n1,a\n', 2, "2 fields instead of 3"),
    ('id,name,total\n1,a,1,more\n', 2, "4 fields instead of 3"),
    ('id,name,total\n1,"a"b,1\n2,c,2\n', 2, "broken quotes"),
    ('id,name,total\n1,"two\nlines",1\n,c,2\n', 4, "the key's column 'id' is missing or NULL"),
    (b"id,name,total\n1,\xff,1\n", 2, "it is not in UTF-8"),
    ('id,name,total\n1,a,1\n2,"open,2\n', 3, "broken quotes"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line", "reason"), BAD)
def test_a_bad_row_stops_the_import_and_is_told_by_its_line(
    put: Any, text: str | bytes, line: int, reason: str
) -> None:
    put({"a.csv": text})
    with pytest.raises(IntegrityError) as caught:
        imported({"format": "csv", "columns": COLUMNS}, ["id"])
    assert f"drop/orders/a.csv line {line}: {reason}" in caught.value.why
    assert sets() == []


def test_bad_rows_are_rejected_up_to_a_number(put: Any) -> None:
    good = [f"{n},n{n},{n}" for n in range(1, 101)]
    bad = ['900,"x"y,1', "901,secret,nothing", "902,b"]
    put({"a.csv": "\n".join(["id,name,total", *good[:50], bad[0], *good[50:], *bad[1:]]) + "\n"})
    files = {"format": "csv", "columns": COLUMNS}
    with pytest.raises(IntegrityError, match="3 bad rows, the most that are allowed is 2"):
        imported(files, ["id"], {"to": "reject", "most": 2})
    assert sets() == []
    made = imported(files, ["id"], {"to": "reject", "most": 3})
    verify(made.backup)
    assert made.items == 100
    found = opened(made.backup)
    key = f"{found.manifest.location.shelf.prefix}/_rejects/{found.manifest.backup_id}.jsonl"
    told = [json.loads(one) for one in found.store.get(key).splitlines()]
    assert [(one["line"], one["reason"]) for one in told] == [
        (52, "broken quotes, or characters between a quote and a delimiter"), (103, "the column 'total' is no numeric(10,2)"),
        (104, "2 fields instead of 3"),
    ]  # fmt: skip
    assert b"secret" not in found.store.get(key)


def test_json_lines_keep_what_they_hold(put: Any) -> None:
    put(
        {
            "a.json": '{"id": 1, "at": "2026-11-23T02:00:00Z", "price": 1.10, "tags": ["a", null], "big": 1e400, "doc": {"n": 12345678901234567890.5}}\n'
            '\n{"id": 2, "price": null, "ok": true, "more": {"x": []}}\n'
        }
    )
    columns = [{"name": "id", "type": "bigint"}, {"name": "at", "type": "timestamptz"}, {"name": "doc", "type": "json"}]
    made = imported({"format": "json", "columns": columns}, ["id"])
    verify(made.backup)
    assert items(made.backup) == [
        {
            "id": {"N": "1"}, "at": {"S": "2026-11-23 02:00:00+00"}, "price": {"N": "1.1"}, "tags": {"L": [{"S": "a"}, {"NULL": True}]},
            "big": {"S": "1e400"}, "doc": {"S": '{"n":12345678901234567890.5}'},
        },
        {"id": {"N": "2"}, "ok": {"BOOL": True}, "more": {"M": {"x": {"L": []}}}},
    ]  # fmt: skip
    put({"b.json": '{"id": 3}\n[1]\n{"id": NaN}\n{"no": 1}\n'})
    with pytest.raises(IntegrityError, match=r"b.json line 2: no JSON object"):
        imported({"format": "json", "columns": columns}, ["id"])


def test_parquet_keeps_its_types(put: Any) -> None:
    table = pa.table(
        {
            "id": pa.array([1, 2], pa.int64()),
            "u": pa.array([2**64 - 1, None], pa.uint64()),
            "d": pa.array([Decimal("1.50"), None], pa.decimal128(10, 2)),
            "f": pa.array([0.1, float("nan")], pa.float64()),
            "g": pa.array([0.1, None], pa.float32()),
            "b": pa.array([b"\x00", None], pa.binary()),
            "ok": pa.array([True, None], pa.bool_()),
            "s": pa.array(["x", ""], pa.string()).dictionary_encode(),
            "day": pa.array([date(2026, 11, 23), None], pa.date32()),
            "at": pa.array([datetime(2026, 11, 23, 2, tzinfo=UTC), None], pa.timestamp("ns", "Europe/Berlin")),
            "local": pa.array([datetime(2026, 11, 23, 2, 0, 0, 500000), None], pa.timestamp("ms")),  # noqa: DTZ001
            "clock": pa.array([time(2, 0), None], pa.time64("us")),
            "list": pa.array([[Decimal("1.50")], None], pa.list_(pa.decimal128(10, 2))),
            "pair": pa.array([{"a": 1, "b": None}, None], pa.struct([("a", pa.int32()), ("b", pa.string())])),
            "map": pa.array([[("k", 1)], None], pa.map_(pa.string(), pa.int32())),
            "none": pa.nulls(2),
        }
    )
    sink = io.BytesIO()
    pq.write_table(table, sink)
    put({"a.parquet": sink.getvalue()})
    made = imported({"format": "parquet"}, ["id"])
    verify(made.backup)
    first, second = items(made.backup)
    assert first == {
        "id": {"N": "1"}, "u": {"N": str(2**64 - 1)}, "d": {"N": "1.5"}, "f": {"S": "0.1"}, "g": {"S": "0.1"}, "b": {"B": "AA=="}, "ok": {"BOOL": True},
        "s": {"S": "x"}, "day": {"S": "2026-11-23"}, "at": {"S": "2026-11-23 02:00:00+00"}, "local": {"S": "2026-11-23 02:00:00.5"},
        "clock": {"S": "02:00:00"}, "list": {"S": "[1.50]"}, "pair": {"S": '{"a":1,"b":null}'}, "map": {"S": '{"k":1}'},
    }  # fmt: skip
    assert second == {"id": {"N": "2"}, "f": {"S": "NaN"}, "s": {"S": ""}}
    logical = {one.attribute: one.logical for one in opened(made.backup).manifest.layout.columns if one.logical}
    assert logical["at"] == "timestamptz"
    assert logical["list"] == "json"
    put({"b.parquet": b"PAR1 no"})
    with pytest.raises(IntegrityError, match="it is no Parquet file"):
        imported({"format": "parquet"}, ["id"])


def test_a_key_twice_is_no_set(put: Any) -> None:
    put({"a.csv": "id,v\n1,a\n", "b.csv": "id,v\n1,b\n"})
    with pytest.raises(IntegrityError, match="1 keys are there more than once"):
        imported({"format": "csv"}, ["id"])
    assert sets() == []


def test_the_same_files_make_no_second_set(put: Any) -> None:
    put({"a.csv": "id,v\n1,a\n"})
    first = imported({"format": "csv"}, ["id"])
    again = imported({"format": "csv"}, ["id"])
    assert (again.backup, again.reused) == (first.backup, True)
    put({"a.csv": "id,v\n1,b\n"})
    third = imported({"format": "csv"}, ["id"])
    assert third.backup != first.backup
    other = imported({"format": "csv"}, [])
    assert other.backup != third.backup


def test_files_that_change_while_they_are_read_make_no_set(put: Any) -> None:
    put({"a.csv": "id,v\n1,a\n"})

    class Meddler(NoProgress):
        def advance(self, count: int, byte_count: int = 0) -> None:
            put({"b.csv": "id,v\n2,b\n"})

    with pytest.raises(TransientError, match="added, changed or removed meanwhile"):
        imported({"format": "csv"}, ["id"], progress=Meddler())
    assert sets() == []


@pytest.mark.parametrize(
    ("files", "key", "error", "told"),
    [
        ({"format": "csv", "pattern": "*.txt"}, [], BadInputError, "there are no files"),
        ({"format": "csv"}, ["nope"], BadInputError, "'nope' is not declared"),
        ({"format": "json"}, ["id"], BadInputError, "'id' is not declared"),
        ({"format": "csv", "columns": [{"name": "x"}]}, ["x"], IntegrityError, "its header has other columns"),
        ({"format": "parquet", "columns": [{"name": "x"}]}, ["x"], IntegrityError, "it is no Parquet file"),
    ],
)
def test_what_cannot_be_is_said(put: Any, files: Any, key: list[str], error: type[Exception], told: str) -> None:
    put({"a.csv": "id,v\n1,a\n"})
    with pytest.raises(error, match=told):
        imported(files, key)
    assert sets() == []


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"name": "../orders"}, "a table's name"),
        ({"to": f"s3://{BUCKET}/drop/orders/backups"}, "would lie among the files"),
        ({"to": f"s3://{BUCKET}/drop/orders"}, "would lie among the files"),
        ({"source": "drop/orders"}, "does not begin with s3://"),
    ],
)
def test_places_that_cannot_be(put: Any, more: dict[str, str], told: str) -> None:
    put({"a.csv": "id,v\n1,a\n"})
    asked = FilesImport(**({"source": SOURCE, "to": ROOT, "name": "orders", "files": Files(format="csv")} | more))  # type: ignore[arg-type]
    with pytest.raises(BadInputError, match=told):
        import_files(clients=clients(), asked=asked, **COMMON)


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"format": "csv", "header": False}, "csv without a header needs columns"),
        ({"format": "json", "delimiter": ";"}, "delimiter is for csv"),
        ({"format": "csv", "delimiter": '"'}, "must differ"),
        ({"format": "csv", "columns": [{"name": "a"}, {"name": "a"}]}, "two columns have the name a"),
        ({"format": "csv", "columns": [{"name": "a", "type": "money"}]}, "it must be one of"),
    ],
)
def test_descriptions_that_do_not_agree(files: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Files.model_validate(files)


def test_files_are_copied_to_a_database_with_their_types(put: Any, postgres: Any) -> None:
    """Data Pipeline's template "Load S3 data into RDS"."""
    put({"a.csv": "1,Ada,1.5\n2,,\n"})
    made = imported({"format": "csv", "header": False, "columns": COLUMNS}, ["id"])
    dsn = postgres.create_database("files_copy")
    copy_backup(clients=clients(), backup=made.backup, target=PostgresTarget(dsn, "public.orders"), **COMMON)
    with postgres.connect("files_copy") as connection:
        assert connection.execute("SELECT id, name, total FROM orders ORDER BY id").fetchall() == [
            (1, "Ada", Decimal("1.50")),
            (2, None, None),
        ]
        types = connection.execute(
            "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attname IN ('id', 'total') ORDER BY attname"
        ).fetchall()
    postgres.drop_database("files_copy")
    assert types == [("integer",), ("numeric(10,2)",)]
