"""Every value of PostgreSQL comes out of a backup as the exact text that PostgreSQL gives for it."""

import base64
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tablekeep.engine.items.logical import float_text
from tests.engine.rds.conftest import Database, backed_up, items_of, opened
from tests.tables import verify

# column type · values as SQL · how the attribute comes: a type and its logical one, and how many of the values miss the column
TYPES: list[tuple[str, list[str], str, str | None, int]] = [
    ("smallint", ["-32768", "32767"], "N", None, 0),
    ("integer", ["-2147483648", "0"], "N", None, 0),
    ("bigint", ["-9223372036854775808", "9223372036854775807"], "N", None, 0),
    ("numeric", ["'NaN'", "'Infinity'", "'-Infinity'", "1.50", "1e125", "-0.000", "1e-130", "1234567890.12345678901234567890123456789", "9e999"], "N", None, 5),
    ("numeric(12,2)", ["1.50", "-9999999999.99", "'NaN'"], "N", None, 1),
    ("numeric(10)", ["9999999999"], "N", None, 0),
    ("numeric(38,38)", ["0.12345678901234567890123456789012345678"], "N", None, 0),
    ("numeric(50,10)", ["1234567890123456789012345678901234567890.1234567891"], "N", None, 1),
    ("real", ["0.1", "1e-40", "3.4028235e38", "'NaN'", "'-Infinity'", "'-0'", "123456", "1234567", "16777216"], "S", "float4", 0),
    ("double precision", ["0.1", "1e-5", "0.0001", "123456789012345", "1234567890123456", "5e-324", "1.7976931348623157e308", "'NaN'", "'Infinity'"], "S", "float8", 0),
    ("boolean", ["true", "false"], "BOOL", None, 0),
    ("text", ["''", "'a,b'", "'say \"hi\"'", "E'line\\nbreak\\r\\t'", "'\\N'", "'\\.'", "' blank '", "'\U0001f600 \u00e9'", "U&'\\FEFFmark'", "'NULL'"], "S", None, 0),
    ("varchar(20)", ["'x'"], "S", None, 0),
    ("character(5)", ["'ab'", "''"], "S", None, 0),
    ("bytea", ["'\\x'", "'\\x00ff10'"], "B", None, 0),
    ("date", ["'2026-02-28'", "'0001-01-01'", "'0044-03-15 BC'", "'infinity'", "'-infinity'", "'9999-12-31'", "'12026-01-01'"], "S", "date", 4),
    ("time", ["'02:00'", "'23:59:59.999999'", "'24:00'", "'00:00:00.5'"], "S", "time", 1),
    ("timetz", ["'02:00:00.25+05:30'"], "S", None, 0),
    ("timestamp", ["'2026-11-23 02:00:00.120'", "'infinity'", "'4713-01-01 00:00 BC'", "'1999-12-31 23:59:59.999999'", "'294276-12-31'"], "S", "timestamp", 3),
    ("timestamptz", ["'2026-11-23 02:00:00.5+05'", "'-infinity'", "'1900-01-01 00:00+00'"], "S", "timestamptz", 1),
    ("timestamptz(0)", ["'2026-11-23 02:00:00.7+00'"], "S", "timestamptz", 0),
    ("interval", ["'1 year 2 mons -3 days 04:05:06.789'", "'-1 mon +2 days'", "'0'"], "S", None, 0),
    ("uuid", ["'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'"], "S", "uuid", 0),
    ("json", ["'{\"b\": 1.50,  \"a\":[1e400]}'"], "S", "json", 0),
    ("jsonb", ["'{\"b\": 1.50,  \"a\":[]}'", "'null'"], "S", "json", 0),
    ("integer[]", ["'{1,NULL,3}'", "'{}'", "'[0:1]={1,2}'"], "S", None, 0),
    ("text[]", ["ARRAY['a,b', 'NULL', '', NULL, '\"']"], "S", None, 0),
    ("mood", ["'happy'", "'not so'"], "S", None, 0),
    ("bit(5)", ["B'00101'"], "S", None, 0),
    ("varbit", ["B''", "B'1'"], "S", None, 0),
    ("inet", ["'10.0.0.1/8'"], "S", None, 0),
    ("point", ["'(1.5,-2)'"], "S", None, 0),
    ("money", ["1234.5"], "S", None, 0),
    ("tsvector", ["'a fat cat'::tsvector"], "S", None, 0),
    ("int4range", ["'[1,5)'", "'empty'"], "S", None, 0),
    ("pair", ["ROW(1, 'x,\"y')"], "S", None, 0),
    ("cents", ["12.5", "'NaN'"], "N", None, 1),
    ("oid", ["4294967295"], "N", None, 0),
]  # fmt: skip


@pytest.fixture
def typed(pg: Database) -> Database:
    """A table with a column of each type; as many rows as the most values."""
    pg.run(
        "CREATE TYPE mood AS ENUM ('happy', 'not so')",
        "CREATE TYPE pair AS (a int, b text)",
        "CREATE DOMAIN money_like AS numeric(10,4)",
        "CREATE DOMAIN cents AS money_like",
        "CREATE TABLE typed (id int PRIMARY KEY, "
        + ", ".join(f"c{n} {kind}" for n, (kind, *_) in enumerate(TYPES))
        + ")",
    )
    for row in range(max(len(values) for _, values, *_ in TYPES)):
        cells = [values[row] if row < len(values) else "NULL" for _, values, *_ in TYPES]
        pg.run(f"INSERT INTO typed VALUES ({row}, {', '.join(cells)})")
    return pg


def test_every_type_exactly(bucket: None, typed: Database) -> None:
    made = backed_up(typed.source("typed"))
    verify(made.backup)
    found = opened(made.backup).manifest
    got = {item["id"]["N"]: item for item in items_of(made.backup)}
    settings_ = "SET TimeZone = 'UTC'; SET extra_float_digits = 3; "
    for number, (kind, values, expected, logical, misfits) in enumerate(TYPES):
        column = found.layout.column_of(f"c{number}")
        assert column, kind
        assert (column.type, column.logical) == (expected, logical), kind
        assert found.columns[column.column].misfits == misfits, kind
        with typed.connect() as connection:
            connection.execute(settings_)
            wanted = connection.execute(f"SELECT c{number}::text FROM typed ORDER BY id").fetchall()  # type: ignore[arg-type]
        for row, (text,) in enumerate(wanted):
            value = got[str(row)].get(f"c{number}")
            if row >= len(values):
                assert (value, text) == (None, None)
                continue
            assert value, (kind, text)
            ((attribute, content),) = value.items()
            if attribute == "N":
                with typed.connect() as connection:
                    same = connection.execute("SELECT %s::numeric = %s::numeric", [content, text]).fetchone()
                assert same == (True,), (kind, content, text)
            elif attribute == "BOOL":
                assert content == (text == "true")
            elif attribute == "B":
                assert base64.b64decode(content).hex() == text[2:]
            elif kind == "character(5)":
                assert content == text.ljust(5)  # the cast to text drops the blanks, the type has them
            else:
                assert (attribute, content) == ("S", text), kind


def test_table_json_has_the_schema_as_the_catalog_tells_it(bucket: None, pg: Database) -> None:
    pg.run(
        "CREATE TYPE mood AS ENUM ('happy', 'sad')",
        'CREATE TABLE "Odd ""names" (b int NOT NULL, "A" text COLLATE "C" DEFAULT \'x\'::text, a text, m mood, '
        "total numeric(10,2) GENERATED ALWAYS AS (b * 2) STORED, nr bigint GENERATED BY DEFAULT AS IDENTITY, "
        "PRIMARY KEY (nr, b), CHECK (b > 0))",
        'CREATE INDEX ON "Odd ""names" (lower(a))',
        'COMMENT ON TABLE "Odd ""names" IS \'hello\'',
        'INSERT INTO "Odd ""names" (b, "A", a) VALUES (1, \'upper\', \'lower\')',
    )
    made = backed_up(pg.source('public."Odd ""names"'))
    verify(made.backup)
    document = opened(made.backup).document("table")
    columns = {one["name"]: one for one in document["columns"]}
    assert columns["A"]["type"] == "text"
    assert columns["A"]["default"] == "'x'::text"
    assert columns["A"]["collation"] == "C"
    assert columns["total"]["generated"] == "s"
    assert (columns["total"]["type"], columns["nr"]["identity"], columns["nr"]["nullable"]) == (
        "numeric(10,2)",
        "d",
        False,
    )
    assert document["key"] == ["nr", "b"]
    assert document["table"]["comment"] == "hello"
    assert any("lower(a)" in one["definition"] for one in document["indexes"])
    assert any(one["kind"] == "c" for one in document["constraints"])
    assert document["enums"] == [{"type": "public.mood", "labels": ["happy", "sad"]}]
    assert document["server"]["version"]
    (item,) = items_of(made.backup)
    assert (item["A"], item["a"]) == ({"S": "upper"}, {"S": "lower"})
    names = {column.attribute: column.column for column in opened(made.backup).manifest.layout.columns}
    assert (names["A"], names["a"]) == ("A", "a~2")


@settings(max_examples=200)
@given(st.lists(st.floats(), min_size=1, max_size=50), st.lists(st.floats(width=32), min_size=1, max_size=50))
def test_our_notation_of_floats_is_postgresqls(postgres: Any, doubles: list[float], singles: list[float]) -> None:
    """But for a few numbers so large that half a unit is short: PostgreSQL gives them a digit more, and they are misfits."""
    with postgres.connect() as connection:
        for kind, values, arrow, limit, large in (
            ("float8", doubles, pa.float64(), 15, 2.0**45),
            ("float4", singles, pa.float32(), 6, 2.0**20),
        ):
            ours = [float_text(one, limit) for one in pa.array(values, arrow).cast(pa.string()).to_pylist()]
            (theirs,) = connection.execute(f"SELECT array_agg(x::text) FROM unnest(%s::{kind}[]) x", [ours]).fetchone()
            for value, mine, other in zip(values, ours, theirs, strict=True):
                assert mine == other or (abs(value) > large and float(mine) == pytest.approx(float(other), rel=1e-7))
