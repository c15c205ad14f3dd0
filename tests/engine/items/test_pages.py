"""The fast path against the general one: the same rows, hash, census and counts, whatever the items."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tablekeep.engine.items import codec, shapes
from tablekeep.engine.items.canonical import ItemError, canonical_attributes, canonical_item
from tablekeep.engine.items.census import Census
from tablekeep.engine.items.codec import Encoder
from tablekeep.engine.items.decode import decode
from tablekeep.engine.items.layout import Layout, decide
from tablekeep.engine.items.shapes import ANY, ItemType, Shape, learn, shape_of
from tests.item_strategies import binary, items, names, number_text, scalars, text, values

KEY = [("pk", "S"), ("sk", "N")]
small = st.integers(-(10**6), 10**6).map(str)
money = st.tuples(st.integers(0, 99999), st.integers(1, 9)).map(lambda pair: f"{pair[0]}.{pair[1]}")
leaf = st.one_of(
    st.just(text.map(lambda v: {"S": v})),
    st.just(small.map(lambda v: {"N": v})),
    st.just(money.map(lambda v: {"N": v})),
    st.just(st.booleans().map(lambda v: {"BOOL": v})),
)
record = st.dictionaries(names, leaf, max_size=4).map(
    lambda fields: st.fixed_dictionaries({}, optional=fields).map(lambda v: {"M": v})
)
attribute = st.one_of(
    leaf,
    st.just(binary.map(lambda v: {"B": v})),
    st.just(st.lists(text, min_size=1, max_size=4, unique=True).map(lambda v: {"SS": v})),
    st.just(st.lists(small, min_size=1, max_size=4, unique=True).map(lambda v: {"NS": v})),
    st.just(st.lists(money, min_size=1, max_size=4, unique=True).map(lambda v: {"NS": v})),
    st.just(st.lists(binary, min_size=1, max_size=4, unique=True).map(lambda v: {"BS": v})),
    record,
    record.map(lambda one: st.lists(one, max_size=3).map(lambda v: {"L": v})),
    leaf.map(lambda one: st.lists(one, max_size=3).map(lambda v: {"L": v})),
    st.just(number_text.map(lambda v: {"N": v})),
    st.just(scalars),
    st.just(values),
)


@st.composite
def tables(draw: Any) -> list[dict[str, Any]]:
    """Items that have a shape in common, as a table's do, and a few that do not."""
    shape = draw(st.dictionaries(names, attribute, max_size=6))
    key = {"pk": text.filter(bool).map(lambda v: {"S": v}), "sk": number_text.map(lambda v: {"N": v})}
    one = st.fixed_dictionaries(key, optional={name: kind for name, kind in shape.items() if name not in key})
    return draw(st.lists(st.one_of(one, one, one, one, one, items()), min_size=codec.FEW, max_size=24))


def wire(many: list[dict[str, Any]]) -> list[bytes]:
    return [json.dumps(item, ensure_ascii=False).encode() for item in many]


def layout_for(many: list[dict[str, Any]]) -> Layout:
    census = Census()
    for item in many:
        census.add(canonical_attributes(item))
    return decide(census, KEY)


def everything(encoder: Encoder, encoded: list[Any]) -> dict[str, Any]:
    """All that an encoder gives and counts."""
    return {
        "rows": [decode(one.batch, encoder.layout) for one in encoded],
        "batches": [one.batch.to_pydict() if one.batch.num_rows else {} for one in encoded],
        "raw": [one.raw_bytes for one in encoded],
        "totals": [one.total for one in encoded],
        "keys": [one.keys for one in encoded],
        "census": encoder.census.as_json(),
        "buckets": [str(one) for one in encoder.hasher.buckets],
        "counts": {name: (one.nulls, one.misfits, one.numbers_missed) for name, one in encoder.counts.items()},
        "rest": encoder.rest_rows,
    }


def slow(layout: Layout, pages: list[list[bytes]]) -> dict[str, Any]:
    encoder = Encoder(layout, ["pk", "sk"])
    return everything(encoder, [encoder._one_by_one(page) for page in pages])


def fast(layout: Layout, pages: list[list[bytes]]) -> dict[str, Any]:
    encoder = Encoder(layout, ["pk", "sk"])
    return everything(encoder, [encoder.encode(page) for page in pages])


@settings(max_examples=150)
@given(tables(), tables(), st.sampled_from(["own", "sample", "other"]))
def test_the_fast_path_gives_what_the_general_one_gives(many: list[Any], more: list[Any], sample: str) -> None:
    layout = layout_for({"own": many + more, "sample": many[:2], "other": more}[sample])
    pages = [wire(many), wire(more), wire(many + more)]
    expected = slow(layout, pages)
    assert fast(layout, pages) == expected
    assert expected["rows"][0] == [canonical_item(item) for item in many]


def order(number: int) -> dict[str, Any]:
    return {
        "pk": {"S": f"c{number}"}, "sk": {"N": str(number)}, "total": {"N": f"{number}.25"}, "gift": {"BOOL": number % 2 == 0},
        "tags": {"SS": ["b", "a"]}, "sizes": {"NS": ["2", "1"]}, "raw": {"B": "AAE="}, "bits": {"BS": ["/w==", "AA=="]},
        "address": {"M": {"zip": {"N": "7"}, "city": {"S": "x"}}}, "lines": {"L": [{"M": {"n": {"N": "1.5"}}}]},
    }  # fmt: skip


def test_items_of_one_shape_do_take_the_fast_path(monkeypatch: pytest.MonkeyPatch) -> None:
    many = [order(number) for number in range(50)]
    layout = layout_for(many)
    expected = slow(layout, [wire(many)])
    monkeypatch.setattr(Encoder, "_one_by_one", None)  # would fail if it were called
    assert fast(layout, [wire(many)]) == expected


def test_one_odd_item_does_not_slow_down_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    many = [order(number) for number in range(50)]
    many[20] = {"pk": {"S": "odd"}, "sk": {"N": "1"}, "never seen": {"NULL": True}}
    many[0] = {"pk": {"S": "odd"}, "sk": {"N": "2"}, "total": {"S": "none"}}
    layout = layout_for(many)
    expected = slow(layout, [wire(many[1:20] + many[21:]), wire(many)])
    called: list[int] = []
    real = Encoder._one_by_one
    monkeypatch.setattr(Encoder, "_one_by_one", lambda self, given: called.append(len(given)) or real(self, given))
    assert fast(layout, [wire(many[1:20] + many[21:]), wire(many)]) == expected
    assert called == [2]


@pytest.mark.parametrize(
    "value",
    [
        {"N": "1.50"}, {"N": "1E2"}, {"N": "-0"}, {"N": "01"}, {"N": "+1"}, {"N": " 1"}, {"N": "9223372036854775808"},
        {"N": "0.000000000000000000000000000000000000001"}, {"N": "99999999999999999999999999999999999999"},
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["sk", "total", "nested", "sizes"])
def test_numbers_that_are_not_plain_or_do_not_fit(name: str, value: dict[str, Any]) -> None:
    many = [order(number) for number in range(30)]
    layout = layout_for(many)
    changed = dict(many[17])
    if name == "nested":
        changed["address"] = {"M": {"zip": value, "city": {"S": '"N":"x"'}}}
    elif name == "sizes":
        changed["sizes"] = {"NS": ["7", value["N"]]}
    else:
        changed[name] = value
    pages = [wire(many), wire([*many[:17], changed, *many[18:]])]
    assert fast(layout, pages) == slow(layout, pages)


@pytest.mark.parametrize(
    "value",
    [
        {"S": 1}, {"N": 1}, {"N": ""}, {"N": "x"}, {"N": "1" * 39}, {"SS": []}, {"SS": ["a", "a"]}, {"NS": ["1", "1"]}, {"NS": ["1", "1.0"]},
        {"B": "?"}, {"B": "AB="}, {"BS": ["AA==", "AA=="]}, {"BOOL": 1}, {"NULL": False}, {"M": []}, {"L": {}}, {}, {"S": "a", "N": "1"},
        {"X": "a"}, None, "a", {"L": [{"N": "1" * 39}]}, {"M": {"zip": {"N": "1" * 39}}},
    ],
)  # fmt: skip
def test_what_no_table_holds_is_refused(value: Any) -> None:
    many = [order(number) for number in range(30)]
    layout = layout_for(many)
    kinds = {
        "S": "pk",
        "N": "total",
        "SS": "tags",
        "NS": "sizes",
        "B": "raw",
        "BS": "bits",
        "BOOL": "gift",
        "M": "address",
        "L": "lines",
    }
    kind = next(iter(value)) if isinstance(value, dict) and value else "S"
    bad = dict(many[11]) | {kinds.get(kind, "total"): value}
    encoder = Encoder(layout, ["pk", "sk"])
    encoder.encode(wire(many))
    with pytest.raises(ItemError):
        encoder.encode(wire([*many[:11], bad, *many[12:]]))


def test_a_table_without_any_shape_is_learned_a_few_times_only(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[int] = []
    real = ItemType.__init__
    monkeypatch.setattr(ItemType, "__init__", lambda self, *given: compiled.append(1) or real(self, *given))
    monkeypatch.setattr(shapes, "MOST_LEARNINGS", 7)
    many = [{"pk": {"S": str(n)}, "sk": {"N": "1"}, f"only-here-{n}": {"S": "x"}} for n in range(2000)]
    layout = layout_for(many[:20])
    pages = [wire(many[at : at + 40]) for at in range(0, 2000, 40)]
    assert fast(layout, pages) == slow(layout, pages)
    assert len(compiled) == 7


def test_shapes() -> None:
    assert shape_of({"S": "a"}) == Shape("S")
    assert shape_of({"NULL": True}) is ANY
    assert shape_of({"M": {"a": {"SS": ["x"]}}}) is ANY
    assert shape_of({"L": [{"S": "a"}, {"N": "1"}]}) is ANY
    assert learn([{"a": {"S": "x"}}, {"a": {"N": "1"}}])["a"] is ANY
    assert learn([{"a": {"L": []}}, {"a": {"L": [{"S": "x"}]}}])["a"] == Shape("L", None, Shape("S"))
    assert learn([{"a": {"M": {"x": {"S": "1"}}}}, {"a": {"M": {"y": {"N": "1"}}}}])["a"] == Shape(
        "M", {"x": Shape("S"), "y": Shape("N")}
    )
    assert learn([{"a": {"M": {f"k{n}": {"S": "1"}}}} for n in range(100)])["a"] is ANY
    assert '"' not in learn([{'"': {"S": "x"}, "a": {"S": "x"}}])


def test_without_a_shape_of_the_key_nothing_is_tried() -> None:
    assert not ItemType({"pk": ANY}, ["pk"]).usable
    assert ItemType({"pk": Shape("B")}, ["pk"]).usable
