"""Columns of text that are dates, times, floats, UUIDs, JSON: native in Parquet, and exactly the text that came."""

import json
import math
import struct
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tablekeep.engine.items import codec
from tablekeep.engine.items.canonical import canonical_item
from tablekeep.engine.items.codec import Encoder
from tablekeep.engine.items.decode import decode, decode_by_row
from tablekeep.engine.items.layout import Column, Layout, layout_of_schema
from tablekeep.engine.items.logical import LOGICAL, float_text, to_arrow, to_texts
from tests.engine.items.test_codec import through_parquet
from tests.engine.items.test_pages import everything

LAYOUT = Layout(1, (Column("pk", "pk", "S"), *(Column(name, f"{name}_column", "S", logical=name) for name in LOGICAL)))


def trimmed(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text


def as_float4(value: float) -> float:
    return float(struct.unpack("f", struct.pack("f", value))[0])


usual: dict[str, st.SearchStrategy[str]] = {
    "date": st.dates().map(date.isoformat),
    "time": st.times().map(time.isoformat).map(trimmed),
    "timestamp": st.datetimes().map(lambda t: trimmed(t.isoformat(" "))),
    "timestamptz": st.datetimes().map(lambda t: trimmed(t.isoformat(" ")) + "+00"),
    "float4": st.floats(width=32).map(lambda x: float_text(pa.array([x], pa.float32()).cast(pa.string())[0].as_py(), 6)),
    "float8": st.floats().map(lambda x: float_text(repr(x), 15)),
    "uuid": st.uuids().map(str),
    "json": st.text(max_size=8).map(lambda text: json.dumps({"a": [text, 1e22]}, indent=1)),
}  # fmt: skip
odd = st.one_of(
    st.sampled_from(
        [
            "infinity", "-infinity", "0044-03-15 BC", "0044-03-15 02:00:00+00 BC", "0000-00-00", "0000-00-00 00:00:00", "2026-02-30", "10000-01-01",
            "24:00:00", "838:59:59", "-01:00:00", "02:00:00.50", "02:00:00.", "2026-11-23 02:00:00.000000", "2026-11-23T02:00:00", "2026-11-23 02:00:00+01",
            "2026-11-23 02:00:00", "2026-11-23 02:00:00+00", "2026-11-23\n", "", "1.0", "1E5", "+1", "01", "1e5", "1e400", "-0.0", "nan", "0.1000000000000000055",
            "16777217", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}", "a0eebc999c0b4ef8bb6d6bb9bd380a11", "\x00", "+00+00",
        ]
    ),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
    *usual.values(),
)  # fmt: skip


@st.composite
def items(draw: Any) -> dict[str, Any]:
    item = {
        name: {"S": draw(st.one_of(texts, texts, texts, odd))} for name, texts in usual.items() if draw(st.booleans())
    }
    if draw(st.integers(0, 9)) == 0:
        item["date"] = draw(st.sampled_from([{"N": "1"}, {"NULL": True}, {"SS": ["2026-11-23"]}]))
    return item | {"pk": {"S": draw(st.text(min_size=1, max_size=3))}}


@settings(max_examples=100)
@given(st.lists(items(), max_size=20))
def test_every_text_comes_back_exactly_by_either_path(many: list[dict[str, Any]]) -> None:
    given_items = [json.dumps(item).encode() for item in many]
    expected = [canonical_item(item) for item in many]
    fast, slow = Encoder(LAYOUT, ["pk"]), Encoder(LAYOUT, ["pk"])
    encoded, other = fast.encode(given_items), slow._one_by_one(given_items)
    # as text, for NaN is not equal to itself, and -0.0 is to 0.0
    one, two = everything(fast, [encoded]), everything(slow, [other])
    assert repr(one.pop("batches")) == repr(two.pop("batches"))
    assert one == two
    assert decode(encoded.batch, LAYOUT) == decode_by_row(encoded.batch, LAYOUT) == expected
    assert through_parquet(encoded.batch) == expected
    assert layout_of_schema(encoded.batch.schema, 1) == LAYOUT
    assert Layout.from_json(json.loads(json.dumps(LAYOUT.as_json()))) == LAYOUT
    assert fast.numbers_missed == 0


@given(st.data())
def test_usual_texts_stand_in_their_column(data: Any) -> None:
    many = data.draw(st.lists(st.fixed_dictionaries(usual), min_size=1, max_size=codec.FEW * 2))
    encoder = Encoder(LAYOUT, ["pk"])
    encoder.encode(
        json.dumps({name: {"S": text} for name, text in one.items()} | {"pk": {"S": "x"}}).encode() for one in many
    )
    assert encoder.rest_rows == 0
    assert all(counts.nulls == counts.misfits == 0 for counts in encoder.counts.values())


def test_a_few_odd_texts_do_not_take_their_page_out_of_the_fast_path() -> None:
    encoder = Encoder(LAYOUT, ["pk"])
    encoder._one_by_one = None  # type: ignore[method-assign, assignment]
    page = [
        {"pk": {"S": str(n)}, "date": {"S": "infinity" if n % 3 else "2026-11-23"}, "float8": {"S": "NaN"}}
        for n in range(30)
    ]
    encoded = encoder.encode(json.dumps(item).encode() for item in page)
    assert decode(encoded.batch, LAYOUT) == [canonical_item(item) for item in page]
    assert encoder.counts["date_column"].misfits == encoder.rest_rows == 20
    assert encoder.counts["float8_column"].misfits == 0


def test_other_readers_see_types(tmp_path: Path) -> None:
    item = {
        "date": "2026-11-23", "time": "02:00:00.5", "timestamp": "2026-11-23 02:00:00.25", "timestamptz": "2026-11-23 02:00:00+00",
        "float4": "0.1", "float8": "1e-05", "uuid": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "json": '{"a": 1.50}',
    }  # fmt: skip
    raw = json.dumps({name: {"S": text} for name, text in item.items()} | {"pk": {"S": "x"}}).encode()
    path = tmp_path / "part.parquet"
    pq.write_table(pa.Table.from_batches([Encoder(LAYOUT, ["pk"]).encode([raw]).batch]), path)
    names = ", ".join(f"{name}_column" for name in LOGICAL)
    duckdb.execute("set timezone = 'UTC'")
    found = duckdb.sql(f"select {names} from '{path}'")
    assert [str(one) for one in found.types] == [
        "DATE", "TIME", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE", "FLOAT", "DOUBLE", "UUID", "JSON",
    ]  # fmt: skip
    day, clock, moment, _, four, eight, *_ = found.fetchall()[0]
    assert (day, clock) == (date(2026, 11, 23), time(2, 0, 0, 500_000))
    assert moment == datetime(2026, 11, 23, 2, 0, 0, 250_000)  # noqa: DTZ001 - a local time
    assert math.isclose(four, 0.1, rel_tol=1e-7)
    assert eight == 1e-05


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [
        ("1e5", 6, "100000"),
        ("1e6", 6, "1e+06"),
        ("1e14", 15, "100000000000000"),
        ("1e15", 15, "1e+15"),
        ("123456789012345680.0", 15, "1.2345678901234568e+17"),
        ("0.0001", 15, "0.0001"),
        ("0.00001234", 15, "1.234e-05"),
        ("-0.0", 15, "-0"),
        ("1e300", 15, "1e+300"),
        ("-inf", 15, "-Infinity"),
        ("nan", 15, "NaN"),
    ],
)
def test_floats_are_written_as_postgresql_writes_them(text: str, limit: int, expected: str) -> None:
    assert float_text(text, limit) == expected


def test_a_forged_column_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown logical type"):
        Column.from_json({"attribute": "a", "column": "a", "type": "N", "number": "text", "logical": "date"})
    with pytest.raises(ValueError, match="unknown logical type"):
        Column.from_json({"attribute": "a", "column": "a", "type": "S", "logical": "money"})


@pytest.mark.parametrize("logical", LOGICAL)
def test_nothing_and_nulls(logical: str) -> None:
    for cells in ([], [None, None]):
        array = to_arrow(logical, pa.array(cells, pa.string()))
        assert to_texts(logical, array).to_pylist() == cells
