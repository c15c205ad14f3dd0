"""Wire JSON → Arrow → Parquet → wire JSON: exact for every item and every layout, and readable by others."""

import io
import json
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablekeep.engine.errors import IntegrityError
from tablekeep.engine.items.canonical import canonical_attributes, canonical_item
from tablekeep.engine.items.census import Census
from tablekeep.engine.items.codec import Encoder
from tablekeep.engine.items.decode import decode, decode_by_row
from tablekeep.engine.items.hashing import ContentHash
from tablekeep.engine.items.layout import Column, Layout, decide, fold, layout_of_schema
from tests.item_strategies import items

KEY = [("pk", "S"), ("sk", "N")]


def census_of(many: list[dict[str, Any]]) -> Census:
    census = Census()
    for item in many:
        census.add(canonical_attributes(item))
    return census


def through_parquet(batch: Any) -> list[bytes]:
    """Writes a batch as a Parquet file and decodes what a new reader sees, by nothing but the file."""
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_batches([batch]), sink, compression="zstd")
    table = pq.read_table(io.BytesIO(sink.getvalue()))
    layout = layout_of_schema(table.schema)
    return [item for read in table.to_batches() for item in decode(read, layout)]


@given(st.lists(items(), max_size=6), st.lists(items(), max_size=3), st.integers(0, 6))
def test_round_trip_is_exact_whatever_the_sample_was(
    many: list[dict[str, Any]], earlier: list[dict[str, Any]], sampled: int
) -> None:
    previous = decide(census_of(earlier), KEY) if earlier else None
    layout = decide(census_of(many[:sampled]), KEY, previous)
    encoder = Encoder(layout, ["pk", "sk"])
    encoded = encoder.encode([json.dumps(item).encode() for item in many])
    expected = [canonical_item(item) for item in many]
    assert decode(encoded.batch, layout) == decode_by_row(encoded.batch, layout) == expected
    assert decode(encoded.batch.slice(1), layout) == expected[1:]
    assert through_parquet(encoded.batch) == expected
    assert encoder.hasher.whole == ContentHash.of(expected)
    assert layout_of_schema(encoded.batch.schema, layout.schema) == layout
    assert Layout.from_json(json.loads(json.dumps(layout.as_json()))) == layout


@given(st.lists(items(), min_size=1, max_size=6))
def test_layout_of_the_whole_census_leaves_no_number_behind(many: list[dict[str, Any]]) -> None:
    layout = decide(census_of(many), KEY)
    encoder = Encoder(layout, ["pk", "sk"])
    encoder.encode([json.dumps(item).encode() for item in many])
    assert encoder.numbers_missed == 0


@given(st.lists(st.lists(items(), max_size=3), min_size=1, max_size=4))
def test_layouts_keep_columns_and_only_widen_from_set_to_set(nights: list[list[dict[str, Any]]]) -> None:
    width = {"int64": 0, "decimal": 1, "text": 2, None: 0}
    layout = None
    for night in nights:
        newer = decide(census_of(night), KEY, layout)
        folded = [fold(column.column) for column in newer.columns]
        assert len(set(folded)) == len(folded)
        assert fold("_rest") not in folded
        if layout:
            assert newer.schema == layout.schema + (newer.columns != layout.columns)
            for old, new in zip(layout.columns, newer.columns, strict=False):
                assert (old.attribute, old.column, old.type) == (new.attribute, new.column, new.type)
                assert width[new.number] >= width[old.number]
                assert old.number == "int64" or new.number != "decimal" or new.scale == old.scale
        layout = newer


@given(st.lists(items(), max_size=4), st.lists(items(), max_size=4))
def test_census_merges_to_the_census_of_all(left: list[dict[str, Any]], right: list[dict[str, Any]]) -> None:
    merged = census_of(left)
    merged.merge(census_of(right))
    assert merged == census_of(left + right)
    assert Census.from_json(json.loads(json.dumps(merged.as_json()))) == merged


def test_columns_are_typed_and_any_reader_opens_them(tmp_path: Path) -> None:
    rows = [
        {"pk": {"S": "a"}, "sk": {"N": "1"}, "price": {"N": "12.50"}, "big": {"N": "12345678901234567890"}, "huge": {"N": "1E100"},
         "ok": {"BOOL": True}, "raw": {"B": "AAH/"}, "tags": {"SS": ["x", "y"]}, "ns": {"NS": ["1", "2.5"]}, "m": {"M": {"k": {"N": "1"}}},
         "l": {"L": [{"S": "q"}]}, "gone": {"NULL": True}},
        {"pk": {"S": "b"}, "sk": {"N": "2"}, "price": {"S": "free"}},
        {"pk": {"S": "c"}, "sk": {"N": "3"}, "price": {"N": "-1"}},
    ]  # fmt: skip
    layout = decide(census_of(rows), KEY)
    encoded = Encoder(layout, ["pk", "sk"]).encode([json.dumps(row).encode() for row in rows])
    path = tmp_path / "part.parquet"
    pq.write_table(pa.Table.from_batches([encoded.batch]), path, compression="zstd")
    types = {column.column: str(column.arrow_type()) for column in layout.columns}
    assert types["sk"] == "int64"
    assert types["price"] == "decimal128(38, 5)"
    assert types["big"] == "decimal128(38, 4)"
    assert types["huge"] == "string"
    assert types["ns"] == "list<item: decimal128(38, 5)>"
    assert "gone" not in types
    answer = duckdb.sql(
        f"""select pk, price, big, huge, ok, raw, tags, ns, m->>'$.k.N', l->>'$[0].S', _rest::varchar from '{path}' order by pk"""
    ).fetchall()
    first, second, _ = answer
    assert [str(one) for one in first[:3]] == ["a", "12.50000", "12345678901234567890.0000"]
    assert first[3:7] == ("1" + "0" * 100, True, b"\x00\x01\xff", ["x", "y"])
    assert first[8:] == ("1", "q", '{"gone":{"NULL":true}}')
    assert second[1] is None
    assert second[10] == '{"price":{"S":"free"}}'


def test_names_that_readers_cannot_tell_apart_are_told_apart() -> None:
    rows = [
        {
            "pk": {"S": "x"},
            "sk": {"N": "1"},
            "_rest": {"S": "mine"},
            "Name": {"S": "1"},
            "name": {"S": "2"},
            "NAME": {"S": "3"},
            "name~2": {"S": "4"},
        }
    ]
    columns = {column.attribute: column.column for column in decide(census_of(rows), KEY).columns}
    assert columns["_rest"] == "_rest~2"
    assert columns["NAME"] == "NAME"
    assert columns["name~2"] == "name~2"
    assert {columns["Name"], columns["name"]} == {"Name~3", "name~4"}


def test_who_had_a_column_keeps_its_name() -> None:
    first = decide(census_of([{"pk": {"S": "x"}, "sk": {"N": "1"}, "name": {"S": "1"}}]), KEY)
    second = decide(
        census_of([{"pk": {"S": "x"}, "sk": {"N": "1"}, "NAME": {"S": "1"}, "name": {"S": "1"}}]), KEY, first
    )
    assert {column.attribute: column.column for column in second.columns} == {
        "pk": "pk",
        "sk": "sk",
        "name": "name",
        "NAME": "NAME~2",
    }
    assert (first.schema, second.schema) == (1, 2)


def test_at_most_500_columns_keys_first_then_by_frequency() -> None:
    rows: list[dict[str, Any]] = [
        {"pk": {"S": str(n)}, "sk": {"N": "1"}, f"rare{n}": {"S": "x"}, "often": {"S": "x"}} for n in range(600)
    ]
    layout = decide(census_of(rows), KEY)
    assert [column.attribute for column in layout.columns[:3]] == ["pk", "sk", "often"]
    assert len(layout.columns) == 500
    encoder = Encoder(layout, ["pk", "sk"])
    encoded = encoder.encode([json.dumps(row).encode() for row in rows])
    assert through_parquet(encoded.batch) == [canonical_item(row) for row in rows]
    assert encoder.rest_rows == 103


def test_a_pinned_column_never_widens_and_its_misfits_are_kept() -> None:
    rows = [{"pk": {"S": "x"}, "sk": {"N": "1"}, "n": {"N": "1.123456"}}]
    layout = decide(census_of(rows), KEY, pins=[Column("n", "n", "N", "decimal", 2)])
    encoder = Encoder(layout, ["pk", "sk"])
    encoded = encoder.encode([json.dumps(row).encode() for row in rows])
    assert encoder.counts["n"].misfits == encoder.counts["n"].nulls == 1
    assert decode(encoded.batch, layout) == [canonical_item(rows[0])]


@pytest.mark.parametrize(
    ("scale", "text", "fits"),
    [
        (0, "9" * 38, True),
        (38, "0." + "1" * 38, True),
        (38, "1", False),
        (36, "99.5", True),
        (36, "100", False),
        (2, "0.123", False),
    ],
)
def test_decimals_fit_up_to_their_last_digit(scale: int, text: str, fits: bool) -> None:
    layout = Layout(1, (Column("pk", "pk", "S"), Column("n", "n", "N", "decimal", scale)))
    row = {"pk": {"S": "x"}, "n": {"N": text}}
    encoder = Encoder(layout, ["pk"])
    encoded = encoder.encode([json.dumps(row).encode()])
    assert (encoder.numbers_missed == 0) == fits
    assert through_parquet(encoded.batch) == [canonical_item(row)]


def test_sets_that_another_program_wrote_in_another_order_come_out_sorted() -> None:
    item = {"pk": {"S": "a"}, "sk": {"N": "1"}, "t": {"SS": ["a", "b"]}, "n": {"NS": ["1", "2", "10"]}}
    layout = decide(census_of([item]), KEY)
    batch = Encoder(layout, ["pk", "sk"]).encode([json.dumps(item).encode()]).batch
    columns = {name: batch.column(name) for name in batch.schema.names}
    columns["t"] = pa.array([["b", "a"]], columns["t"].type)
    columns["n"] = pa.array([[2, 10, 1]], columns["n"].type)
    other = pa.RecordBatch.from_arrays(list(columns.values()), schema=batch.schema)
    assert decode(other, layout) == [canonical_item(item)]


def test_decode_refuses_an_attribute_that_lies_in_two_places() -> None:
    layout = Layout(1, (Column("pk", "pk", "S"),))
    batch = Encoder(layout, ["pk"]).encode([b'{"pk":{"S":"x"}}']).batch
    rest = pa.ExtensionArray.from_storage(pa.json_(pa.string()), pa.array(['{"pk":{"S":"y"}}']))
    forged = pa.RecordBatch.from_arrays([batch.column(0), rest], schema=batch.schema)
    with pytest.raises(IntegrityError, match="both in its column and in _rest"):
        decode(forged, layout)


def test_layout_of_schema_refuses_fields_without_description() -> None:
    with pytest.raises(IntegrityError, match="'a'"):
        layout_of_schema(pa.schema([pa.field("a", pa.string())]))
    with pytest.raises(IntegrityError, match="type int64, not string"):
        layout_of_schema(
            pa.schema([pa.field("a", pa.int64(), metadata={"tablekeep.attribute": "a", "tablekeep.type": "S"})])
        )
