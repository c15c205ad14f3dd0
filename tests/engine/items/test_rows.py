"""Rows of text cells become items, exactly."""

import base64
import json
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablekeep.engine.items.canonical import ItemError, canonical_item, canonical_number
from tablekeep.engine.items.codec import Encoder
from tablekeep.engine.items.decode import decode
from tablekeep.engine.items.layout import Column, Layout
from tablekeep.engine.items.rows import Cells, plain_numbers, wire_items

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
names = st.lists(text.filter(bool), min_size=1, max_size=4, unique=True)
number = st.one_of(
    st.integers().map(str),
    st.decimals(allow_nan=True, allow_infinity=True).map(lambda one: str(one).replace("sNaN", "NaN")),
    st.decimals(allow_nan=False, allow_infinity=False, places=4).map(lambda one: format(one, "f")),
    st.sampled_from(["00042", "-0.000", "0.10", "-0", "-00.50", "1e300", "NaN", "Infinity", "7" * 1000, "1" + "0" * 60, "0." + "0" * 120 + "7", "-1.0"]),
)  # fmt: skip
cells = {"S": text, "N": number, "B": st.binary(max_size=5), "BOOL": st.booleans()}
arrow = {"S": pa.string(), "N": pa.string(), "B": pa.binary(), "BOOL": pa.bool_()}


def expected(kind: str, cell: Any) -> dict[str, Any]:
    if kind == "B":
        return {"B": base64.b64encode(cell).decode()}
    if kind != "N":
        return {kind: cell}
    try:
        return {"N": canonical_number(cell)}
    except ItemError:
        return {"S": cell}


@given(st.data())
def test_each_row_is_the_item_of_its_cells(data: Any) -> None:
    columns = [Cells(name, data.draw(st.sampled_from(list(cells)))) for name in data.draw(names)]  # type: ignore[arg-type]
    key = Cells("the key", "S")
    columns.append(key)
    rows = data.draw(
        st.lists(
            st.tuples(*(cells[one.kind] if one is key else st.none() | cells[one.kind] for one in columns)),
            min_size=1,
            max_size=12,
        )
    )
    arrays = [pa.array([row[at] for row in rows], arrow[one.kind]) for at, one in enumerate(columns)]
    made = wire_items(columns, arrays)
    for row, item in zip(rows, made, strict=True):
        wanted = {
            one.name: expected(one.kind, cell) for one, cell in zip(columns, row, strict=True) if cell is not None
        }
        assert canonical_item(json.loads(item)) == canonical_item(wanted)


def test_a_row_of_nulls_is_not_lost_silently() -> None:
    with pytest.raises(ItemError, match="no cell"):
        wire_items([Cells("a", "S")], [pa.array(["x", None])])


@pytest.mark.parametrize(
    ("given_text", "expected_text"),
    [
        ("00042", "42"), ("1.50", "1.5"), ("-0.00", "0"), ("10.00", "10"), ("0.000", "0"), ("100", "100"), ("NaN", None), ("-Infinity", None),
        ("9" * 38, "9" * 38), ("9" * 39, None), ("1" + "0" * 100, "1" + "0" * 100), ("1e3", "1000"),
    ],
)  # fmt: skip
def test_numbers(given_text: str, expected_text: str | None) -> None:
    assert plain_numbers(pa.array([given_text])).to_pylist() == [expected_text]
    if expected_text:
        assert Decimal(given_text) == Decimal(expected_text)


@given(st.lists(st.tuples(text.filter(bool), st.integers(), text, st.booleans()), min_size=8, max_size=20, unique=True))
def test_a_key_has_as_many_attributes_as_it_takes(rows: list[tuple[str, int, str, bool]]) -> None:
    """Four key columns, one of them a boolean, which the fast path does not know as a key; three of them, which it does."""
    columns = [Cells("a%s", "S"), Cells("b", "N"), Cells("{c}", "S"), Cells("d", "BOOL")]
    arrays = [
        pa.array([str(row[at]) if at == 1 else row[at] for row in rows], arrow[one.kind])
        for at, one in enumerate(columns)
    ]
    layout = Layout(
        1, tuple(Column(one.name, one.name, one.kind, "text" if one.kind == "N" else None) for one in columns)
    )
    for key in (["a%s", "b", "{c}", "d"], ["{c}", "a%s", "b"]):
        fast, slow = Encoder(layout, key), Encoder(layout, key)
        items = wire_items(columns, arrays)
        one, other = fast.encode(items), slow._one_by_one(items)
        assert (one.keys, one.digests) == (other.keys, other.digests)
        assert decode(one.batch, layout) == [canonical_item(json.loads(item)) for item in items]
