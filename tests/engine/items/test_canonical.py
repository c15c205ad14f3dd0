"""The canonical form, against a writer of our own and golden vectors."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablekeep.engine.items.canonical import ItemError, canonical_item, canonical_key, canonical_number, parse_item
from tablekeep.engine.items.hashing import ContentHash, Hasher, bucket_of, item_hash
from tests.item_strategies import items, number_text

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "canonical.json").read_text())
SHORT = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def written(value: Any) -> str:
    """The specification's JSON, written out by hand: no library decides what canonical means."""
    if value is True or value is False:
        return "true" if value else "false"
    if isinstance(value, str):
        return '"' + "".join(SHORT.get(c) or (f"\\u{ord(c):04x}" if ord(c) < 32 else c) for c in value) + '"'
    if isinstance(value, list):
        return "[" + ",".join(written(one) for one in value) + "]"
    return "{" + ",".join(f"{written(k)}:{written(value[k])}" for k in sorted(value, key=lambda k: k.encode())) + "}"


def plain(value: Any) -> Any:
    """The specification's rules for values, written without regard for speed."""
    ((kind, content),) = value.items()
    if kind == "N":
        return {kind: plain_number(content)}
    if kind == "NS":
        return {kind: sorted((plain_number(one) for one in content), key=str.encode)}
    if kind in ("SS", "BS"):
        return {kind: sorted(content, key=str.encode)}
    if kind == "M":
        return {kind: {name: plain(one) for name, one in content.items()}}
    if kind == "L":
        return {kind: [plain(one) for one in content]}
    return value


def plain_number(text: str) -> str:
    number = format(Decimal(text), "f")
    if "." in number:
        number = number.rstrip("0").rstrip(".")
    return "0" if number in ("-0", "") else number


@given(items())
def test_canonical_item_equals_the_specification_written_out(item: dict[str, Any]) -> None:
    expected = written({name: plain(value) for name, value in item.items()}).encode()
    assert canonical_item(item) == expected
    assert canonical_item(parse_item(expected)) == expected


@given(items(), st.randoms())
def test_canonical_item_does_not_depend_on_the_order_it_came_in(item: dict[str, Any], random: Any) -> None:
    names = list(item)
    random.shuffle(names)
    shuffled = {name: item[name] for name in names}
    for value in shuffled.values():
        for kind in ("SS", "NS", "BS"):
            if kind in value:
                random.shuffle(value[kind])
    assert canonical_item(shuffled) == canonical_item(item)


@given(number_text)
def test_canonical_number_keeps_the_value_and_is_a_fixed_point(text: str) -> None:
    number = canonical_number(text)
    assert Decimal(number) == Decimal(text)
    assert canonical_number(number) == number
    assert "E" not in number.upper()
    assert "+" not in number


@pytest.mark.parametrize("case", GOLDEN["numbers"], ids=lambda case: case["wire"][:24])
def test_golden_numbers(case: dict[str, str]) -> None:
    assert canonical_number(case["wire"]) == case["canonical"]


@pytest.mark.parametrize("case", GOLDEN["items"], ids=lambda case: case["name"])
def test_golden_items(case: dict[str, Any]) -> None:
    canonical = canonical_item(parse_item(case["wire"].encode()))
    assert canonical.decode() == case["canonical"]
    assert f"{item_hash(canonical):064x}" == case["sha256"]
    key = canonical_key(json.loads(case["canonical"]), case["key"])
    assert bucket_of(key) == case["bucket"]


def test_golden_content_hash() -> None:
    hashed = ContentHash.of(case["canonical"].encode() for case in GOLDEN["items"])
    assert str(hashed) == GOLDEN["content_hash"]
    assert str(hashed + hashed) != str(hashed)


@pytest.mark.parametrize(
    ("wire", "why"),
    [
        ("1" * 39, "38 significant digits"),
        ("1E126", "outside"),
        ("1E-131", "outside"),
        ("1.0E+126", "outside"),
        ("NaN", "notation"),
        ("Infinity", "notation"),
        ("0x1", "notation"),
        ("1_000", "notation"),
        ("", "notation"),
        ("१", "notation"),
        ("1e9999999", "notation"),
    ],
)
def test_canonical_number_refuses_what_no_table_holds(wire: str, why: str) -> None:
    with pytest.raises(ItemError, match=why):
        canonical_number(wire)


@pytest.mark.parametrize(
    "value",
    [
        {"S": 1},
        {"N": 1},
        {"B": "not base64!"},
        {"BOOL": "true"},
        {"NULL": False},
        {"SS": []},
        {"SS": ["a", "a"]},
        {"NS": ["1", "1.0"]},
        {"X": "?"},
        {"S": "a", "N": "1"},
        {},
        "text",
        {"M": []},
        {"L": {}},
        {"L": [{"M": {"a": {"N": "x"}}}]},
    ],
    ids=repr,
)
def test_canonical_item_refuses_what_is_no_attribute_value(value: Any) -> None:
    with pytest.raises(ItemError) as caught:
        canonical_item({"pk": {"S": "secret-key"}, "a": value})
    assert "secret-key" not in str(caught.value)


def test_canonical_item_of_32_levels_and_refusal_of_endless_ones() -> None:
    def nested(levels: int) -> dict[str, Any]:
        value: dict[str, Any] = {"S": "deep"}
        for level in range(levels):
            value = {"L": [value]} if level % 2 else {"M": {"a": value}}
        return {"pk": {"S": "x"}, "a": value}

    assert canonical_item(nested(32)).count(b'"L"') == 16
    with pytest.raises(ItemError, match="too deep"):
        canonical_item(nested(100))


@pytest.mark.parametrize("raw", [b'{"a":{"S":"\xff"}}', b'{"a":{"S":"\\ud800"}}', b"[]", b"{", b""], ids=repr)
def test_parse_item_refuses_text_that_is_no_item(raw: bytes) -> None:
    with pytest.raises(ItemError):
        parse_item(raw)


@given(st.lists(items(), max_size=8), st.integers(0, 8))
def test_content_hash_does_not_depend_on_order_or_grouping(many: list[dict[str, Any]], cut: int) -> None:
    pairs = [(canonical_item(one), canonical_key(parse_item(canonical_item(one)), ["pk", "sk"])) for one in many]
    left, right, whole = Hasher(), Hasher(), Hasher()
    for pair in pairs[:cut]:
        left.add(*pair)
    for pair in pairs[cut:]:
        right.add(*pair)
    for pair in reversed(pairs):
        whole.add(*pair)
    right.merge(left)
    assert right.whole == whole.whole == ContentHash.of(one for one, _ in pairs)
    assert right.buckets == whole.buckets
    assert ContentHash.parse(str(whole.whole)) == whole.whole
