"""Binary COPY: what a real PostgreSQL reads of the bytes is what was in the arrays, for every kind of column."""

import json
import struct
import uuid
from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from decimal import Context, Decimal
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tablekeep.engine.copies.kinds import parse_kind
from tablekeep.engine.copies.mapping import make_column
from tablekeep.engine.copies.postgres_binary import HEAD, TAIL, encode_rows

_WIDE = Context(prec=60)
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)


def decimals(precision: int, scale: int) -> st.SearchStrategy[Decimal]:
    top = 10**precision - 1
    near = st.sampled_from([0, 1, 9999, 10000, 10**16 - 1, 10**16, 2**63 - 1, 2**63, 2**64, top]).map(
        lambda n: min(n, top)
    )
    return st.one_of(st.integers(-top, top), near, near.map(lambda n: -n), st.integers(-(10**6), 10**6)).map(
        lambda n: Decimal(min(max(n, -top), top)).scaleb(-scale, context=_WIDE)
    )


NUMBERS = st.one_of(
    decimals(38, 0),
    decimals(38, 20),
    st.integers(1, 10**38 - 1).flatmap(lambda n: st.integers(-130, 88).map(lambda e: Decimal(n).scaleb(e, _WIDE))),
).map(lambda d: format(d, "f"))
ZONED = (datetime(1, 1, 2), datetime(9999, 12, 30))  # noqa: DTZ001
KINDS: dict[str, st.SearchStrategy[Any]] = {
    "text": TEXT, "varchar(99)": TEXT, "json": TEXT.map(lambda text: json.dumps({"a": text}, ensure_ascii=False)), "bytes": st.binary(max_size=20),
    "boolean": st.booleans(), "smallint": st.integers(-(2**15), 2**15 - 1), "integer": st.integers(-(2**31), 2**31 - 1), "bigint": st.integers(-(2**63), 2**63 - 1),
    "numeric(38,6)": decimals(38, 6), "numeric(38,0)": decimals(38, 0), "numeric(38,38)": decimals(38, 38), "numeric(9,2)": decimals(9, 2), "numeric(20,15)": decimals(20, 15),
    "numeric": NUMBERS, "real": st.floats(width=32), "double": st.floats(), "date": st.dates(), "time": st.times(),
    "timestamp": st.datetimes(), "timestamptz": st.datetimes(*ZONED).map(lambda d: d.replace(tzinfo=UTC)),
    "uuid": st.uuids().map(str), "text[]": st.lists(TEXT, max_size=4), "bigint[]": st.lists(st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)), max_size=4),
    "numeric[]": st.lists(NUMBERS, max_size=3), "numeric(38,6)[]": st.lists(decimals(38, 6), max_size=3), "bytes[]": st.lists(st.binary(max_size=5), max_size=3),
}  # fmt: skip


@pytest.fixture(scope="module")
def connection(postgres: Any) -> Iterator[psycopg.Connection[Any]]:
    dsn = postgres.create_database("binary_copy")
    with psycopg.connect(dsn, autocommit=True) as connection:
        yield connection
    postgres.drop_database("binary_copy")


def cells(kind: str, values: list[Any]) -> Any:
    return pa.array(values, make_column("x", parse_kind(kind), "postgres").arrow)


def same(one: Any, other: Any, *, single: bool = False) -> bool:
    if isinstance(one, float):
        return struct.pack("f" if single else "d", one) == struct.pack("f" if single else "d", other) or (
            one != one and other != other
        )
    if isinstance(one, uuid.UUID):
        return str(one) == other
    if isinstance(one, Decimal) and not isinstance(other, list):
        return bool(one == Decimal(other))
    if isinstance(one, list):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, dict):
        return bool(one == json.loads(other))
    return bool(one == other)


@settings(max_examples=15)
@given(st.data())
def test_every_kind_arrives_exactly(connection: psycopg.Connection[Any], data: st.DataObject) -> None:
    columns = [make_column(f"c{number}", parse_kind(kind), "postgres") for number, kind in enumerate(KINDS)]
    count = data.draw(st.integers(0, 6))
    values = [data.draw(st.lists(st.one_of(st.none(), one), min_size=count, max_size=count)) for one in KINDS.values()]
    arrays = [cells(kind, one) for kind, one in zip(KINDS, values, strict=True)]
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS t")
        cursor.execute(f"CREATE TABLE t ({', '.join(one.definition('postgres') for one in columns)}, n serial)")
        cursor.execute("SET timezone = 'UTC'")
        names = ", ".join(one.name for one in columns)
        with cursor.copy(f"COPY t ({names}) FROM STDIN WITH (FORMAT binary)") as sink:
            sink.write(HEAD)
            # batches may be slices: their buffers begin elsewhere
            for start in range(0, count, 2):
                sink.write(encode_rows(columns, [one.slice(start, 2) for one in arrays]))
            sink.write(TAIL)
        found = list(cursor.execute(f"SELECT {names} FROM t ORDER BY n").fetchall())
    assert len(found) == count
    for row, line in enumerate(found):
        for (kind, cell), wanted in zip(zip(KINDS, line, strict=True), (one[row] for one in values), strict=True):
            assert same(cell, wanted, single=kind == "real"), (kind, cell, wanted)


def test_numbers_are_as_postgresql_writes_them(connection: psycopg.Connection[Any]) -> None:
    """Not only equal: `trim_scale` and `numeric_send` see no difference to numbers that were typed in."""
    typed = [
        "0",
        "-0.5",
        "10000",
        "1e125",
        "1e-130",
        "12345678901234567890123456789.123456789",
        "0.0001",
        "100000000",
        "99999999999999999999999999999999999999",
    ]
    texts = [format(Decimal(one), "f") for one in typed]
    column = make_column("x", parse_kind("numeric"), "postgres")
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS n")
        cursor.execute("CREATE TABLE n (x numeric, i serial)")
        with cursor.copy("COPY n (x) FROM STDIN WITH (FORMAT binary)") as sink:
            sink.write(HEAD)
            sink.write(encode_rows([column], [pa.array(texts)]))
            sink.write(TAIL)
        for text, (sent, shown) in zip(
            texts, cursor.execute("SELECT numeric_send(x), x::text FROM n ORDER BY i").fetchall(), strict=True
        ):
            (expected,) = cursor.execute("SELECT numeric_send(%s::numeric)", [text]).fetchone() or (None,)
            assert (sent, shown) == (expected, text)


def test_dates_of_both_ends(connection: psycopg.Connection[Any]) -> None:
    kinds = {"date": [date.min, date.max], "time": [time.min, time.max], "timestamp": [datetime.min, datetime.max]}  # noqa: DTZ901
    for kind, values in kinds.items():
        column = make_column("x", parse_kind(kind), "postgres")
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE IF EXISTS d")
            cursor.execute(f"CREATE TABLE d (x {kind})")
            with cursor.copy("COPY d FROM STDIN WITH (FORMAT binary)") as sink:
                sink.write(HEAD)
                sink.write(encode_rows([column], [cells(kind, values)]))
                sink.write(TAIL)
            assert [one for (one,) in cursor.execute("SELECT x FROM d ORDER BY 1").fetchall()] == values
