"""Whole columns of documents as plain JSON: byte for byte what the way value by value makes."""

import base64
import itertools
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablekeep.engine.copies import documents
from tablekeep.engine.copies.cells import plain_json
from tablekeep.engine.copies.columns import take_column
from tablekeep.engine.copies.documents import plain_texts
from tablekeep.engine.copies.kinds import Kind
from tablekeep.engine.copies.mapping import make_column
from tablekeep.engine.items.canonical import canonical_attributes, encode_canonical
from tablekeep.engine.items.decode import column_contents
from tablekeep.engine.items.layout import Column
from tests import item_strategies
from tests.item_strategies import binary, number_text, text

NAMES = st.one_of(
    st.sampled_from(["S", "N", "B", "M", "L", "SS", "NS", "BS", "BOOL", "NULL", "N\\", '{"N":', "\n", ""]), item_strategies.names
)  # fmt: skip
TEXTS = st.one_of(
    st.sampled_from(['"', "\\", '\\"', '\\\\"', "{", "}{", '{"S":"', '{"N":"1"}', '{"NULL":true}', "]", "\n", "\x00", "\\u0000", "[\\", "N"]),
    text,
)  # fmt: skip
LEAVES = st.one_of(
    TEXTS.map(lambda one: {"S": one}),
    st.lists(TEXTS, min_size=1, max_size=3, unique=True).map(lambda one: {"SS": one}),
    item_strategies.scalars,
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(lambda one: {"L": one}),
        st.dictionaries(NAMES, inner, max_size=4).map(lambda one: {"M": one}),
    ),
    max_leaves=12,
)


def contents(value: Any) -> bytes:
    """The canonical text of an M's or L's content."""
    (content,) = canonical_attributes({"a": value})["a"].values()
    return encode_canonical(content)


def by_value(value: dict[str, Any]) -> str:
    return encode_canonical(plain_json(canonical_attributes({"a": value})["a"])).decode()


MAPS = st.dictionaries(NAMES, VALUES, max_size=5).map(lambda one: {"M": one})
LISTS = st.lists(VALUES, max_size=5).map(lambda one: {"L": one})


@given(st.lists(st.one_of(st.none(), MAPS, LISTS), max_size=12), st.integers(0, 3), st.sampled_from([1, 40, 1 << 20]))
def test_documents_are_those_of_the_way_value_by_value(
    values: list[dict[str, Any] | None], start: int, chunk: int
) -> None:
    texts = pa.array([None if one is None else contents(one).decode() for one in values], pa.string()).slice(start)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(documents, "CHUNK_BYTES", chunk)
        found = plain_texts(texts)
    assert found.type == pa.string()
    assert found.to_pylist() == [None if one is None else by_value(one) for one in values[start:]]


@pytest.mark.parametrize("depth", [1, 2, 7, 31])
def test_any_nesting_of_maps_and_lists(depth: int) -> None:
    for kinds in itertools.islice(itertools.product("ML", repeat=depth), 200):
        value: dict[str, Any] = {"N": "-1.5"}
        for kind in kinds:
            value = {"M": {"M": value, "S": {"NS": ["1", "2"]}}} if kind == "M" else {"L": [value, {"NULL": True}]}
        assert plain_texts(pa.array([contents(value).decode()])).to_pylist() == [by_value(value)]


@pytest.mark.parametrize(
    "text", ['[{"S": "x"}]', '[{ "S":"x"}]', '[{"S":"x"}', '[{"S":"x"]', '{"a":{"NUMBER":"1"}}', '[{"S":"a\n"}]']
)
def test_other_text_than_canonical_is_left_to_the_other_way_or_is_the_same_document(text: str) -> None:
    found = plain_texts(pa.array([text]))
    assert found is None or found.to_pylist() == ['[ "x"]']


ATTRIBUTES: dict[str, Any] = {
    "S": TEXTS, "N": number_text, "BOOL": st.booleans(), "B": binary,
    "SS": st.lists(TEXTS, min_size=1, max_size=4, unique=True), "BS": st.lists(binary, min_size=1, max_size=4, unique=True),
    "NS": st.lists(number_text, min_size=1, max_size=4).filter(item_strategies._unique_numbers),
    "M": MAPS.map(lambda one: one["M"]), "L": LISTS.map(lambda one: one["L"]),
}  # fmt: skip


@pytest.mark.parametrize("typed", [False, True])
@pytest.mark.parametrize("kind", ATTRIBUTES)
def test_a_column_of_any_type_as_documents(kind: str, typed: bool) -> None:
    home = Column("a", "a", kind, number="text" if kind in ("N", "NS") else None)
    column = make_column("a", Kind("json"), "postgres", typed=typed)

    @given(st.lists(st.one_of(st.none(), ATTRIBUTES[kind]), max_size=6))
    def check(found: list[Any]) -> None:
        values = [None if one is None else canonical_attributes({"a": {kind: one}})["a"] for one in found]
        array = stored(home, values)
        if kind not in ("M", "L"):
            assert [None if one is None else {kind: one} for one in column_contents(home, array)] == values
        cells = take_column(column, home, array)
        assert cells.type == pa.string()
        documents = [None if one is None else one if typed else plain_json(one) for one in values]
        assert cells.to_pylist() == [
            None if one is None else encode_canonical(document).decode()
            for one, document in zip(values, documents, strict=True)
        ]

    check()


def stored(home: Column, values: list[dict[str, Any] | None]) -> Any:
    """The values as a part has them."""
    bare: list[Any] = [None if one is None else one[home.type] for one in values]
    if home.type in ("M", "L"):
        texts = [None if one is None else encode_canonical(one).decode() for one in bare]
        return pa.ExtensionArray.from_storage(home.arrow_type(), pa.array(texts, pa.string()))
    if home.type == "B":
        bare = [None if one is None else base64.b64decode(one) for one in bare]
    if home.type == "BS":
        bare = [None if one is None else [base64.b64decode(member) for member in one] for one in bare]
    return pa.array(bare, home.arrow_type())
