"""Changes: what goes in comes out, whatever the images hold, and nothing that is no change is read."""

import io
import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tablekeep.engine.errors import IntegrityError
from tablekeep.engine.items.canonical import ItemError, canonical_attributes
from tablekeep.engine.items.census import Census
from tablekeep.engine.items.changes import decode_records, encoder_for, parse_change, record_key, states_of
from tablekeep.engine.items.hashing import ContentHash
from tablekeep.engine.items.layout import Column, Layout, decide, layout_of_schema
from tests.item_strategies import items

KEY = [("pk", "S"), ("sk", "N")]
NAMES = ["pk", "sk"]


@st.composite
def lines(draw: st.DrawFn) -> dict[str, Any]:
    """A line of an incremental export: put, update, delete, with the old image or without."""
    key = {"pk": {"S": draw(st.text(min_size=1, max_size=5))}, "sk": {"N": str(draw(st.integers(-9, 9)))}}
    new, old = (draw(st.none() | items().map(lambda item: item | key)) for _ in range(2))
    time: Any = {"N": str(draw(st.integers(0, 4_000_000_000_000_000)))}
    line = {"Metadata": {"WriteTimestampMicros": draw(st.sampled_from([time, int(time["N"])]))}, "Keys": key}
    line |= {name: image for name, image in (("NewImage", new), ("OldImage", old)) if image is not None}
    return line


@example([], [{"SS": {"SS": ["a"]}, "_change": {"S": ""}}])  # named as its type, and as a column of ours
@given(st.lists(lines(), max_size=25), st.lists(items(), max_size=4))
def test_changes_come_out_of_parquet_as_they_went_in(
    changes: list[dict[str, Any]], sample: list[dict[str, Any]]
) -> None:
    raws = [json.dumps(one).encode() for one in changes]
    expected = [parse_change(raw, NAMES) for raw in raws]
    census = Census.of(states_of(raws[:3], NAMES))
    for item in sample:
        census.add(canonical_attributes(item))
    layout = decide(census, KEY, changes=True)
    encoder = encoder_for(layout, NAMES)
    file = io.BytesIO()
    pq.write_table(pa.Table.from_batches([encoder.encode(raws).batch]), file)
    table = pq.read_table(file)
    assert layout_of_schema(table.schema, layout.schema) == layout
    texts = [text for batch in table.to_batches() for text in decode_records(batch, layout)]
    assert texts == [one.text() for one in expected]
    assert [parse_change(text, NAMES) for text in texts] == expected
    assert encoder.hasher.whole == ContentHash.of(texts)
    again = encoder_for(layout, NAMES)
    again.encode(texts)
    assert again.hasher.buckets == encoder.hasher.buckets
    assert again.census.as_json() == encoder.census.as_json()
    assert [record_key(text, layout, NAMES) for text in texts] == [record_key(raw, layout, NAMES) for raw in raws]


def change(**more: Any) -> bytes:
    line: dict[str, Any] = {
        "Metadata": {"WriteTimestampMicros": {"N": "7"}}, "Keys": {"pk": {"S": "a"}, "sk": {"N": "1"}},
    }  # fmt: skip
    return json.dumps({name: value for name, value in (line | more).items() if value is not None}).encode()


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"{", "not valid JSON"),
        (b"[]", "no object"),
        (change(Keys=None), "neither key nor image"),
        (change(NewImage={"pk": {"S": "b"}, "sk": {"N": "1"}}), "different keys"),
        (change(OldImage={"pk": {"S": "a"}, "sk": {"N": "2"}}), "different keys"),
        (change(NewImage={"pk": {"S": "a"}}), "lacks an attribute of its key"),
        (change(Metadata=None), "when it was written"),
        (change(Metadata={"WriteTimestampMicros": {"N": "soon"}}), "when it was written"),
        (change(NewImage={"pk": {"S": "a"}, "sk": {"N": "1"}, "x": {"N": "1E999"}}), "a number"),
    ],
)
def test_what_is_no_change_is_refused(raw: bytes, why: str) -> None:
    with pytest.raises(ItemError, match=why):
        parse_change(raw, NAMES)


def test_attributes_named_as_our_columns_keep_their_values() -> None:
    item = {
        "pk": {"S": "a"},
        "sk": {"N": "1"},
        "_change": {"S": "mine"},
        "_OLD": {"N": "3"},
        "_written": {"BOOL": True},
    }
    before = Layout(1, tuple(Column(name, name, "S") for name in ("pk", "_change")))
    layout = decide(Census.of([json.dumps(item).encode()]), KEY, before, changes=True)
    assert {"_change~2", "_OLD~2", "_written~2"} <= {one.column for one in layout.columns}
    encoder = encoder_for(layout, NAMES)
    batch = encoder.encode([change(NewImage=item)]).batch
    assert parse_change(decode_records(batch, layout)[0], NAMES).new == item
    # and a full set that comes after it may use these names again, or keep what they were called meanwhile
    assert not decide(Census.of([json.dumps(item).encode()]), KEY, layout).changes


def test_a_row_without_time_or_with_an_unknown_kind_is_refused() -> None:
    layout = decide(Census.of(states_of([change()], NAMES)), KEY, changes=True)
    batch = encoder_for(layout, NAMES).encode([change()]).batch
    for name, value in (("_change", pa.array(["moved"])), ("_written", pa.array([None], pa.timestamp("us", "UTC")))):
        broken = batch.set_column(batch.schema.get_field_index(name), batch.schema.field(name), value)
        with pytest.raises(IntegrityError, match="neither a put nor a delete"):
            decode_records(broken, layout)
