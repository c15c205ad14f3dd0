"""What is wanted of a backup: read strictly, judged exactly, and told without values."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablekeep.engine.errors import BadInputError
from tablekeep.engine.items.canonical import canonical_item
from tablekeep.engine.restore.selection import select
from tests.item_strategies import items, number_text

KEY = [("pk", "S"), ("sk", "N")]
ITEM = {
    "pk": {"S": "c-1"}, "sk": {"N": "10"}, "total": {"N": "12345678901234567890.5"}, "name": {"S": "grün"}, "tags": {"SS": ["a", "b"]},
    "sizes": {"NS": ["1", "2.5"]}, "lines": {"L": [{"N": "3"}, {"S": "x"}]}, "none": {"NULL": True}, "odd name": {"BOOL": False},
}  # fmt: skip


def picked(where: str) -> bool:
    return bool(select(KEY, where=[where]).pick([canonical_item(ITEM)]))


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("total = 12345678901234567890.5", True),
        ("total = 12345678901234567890.50", True),
        ("total = 12345678901234567891", False),
        ("total > 12345678901234567890.4", True),
        ("total>=12345678901234567890.5", True),
        ("total < 12345678901234567890.5", False),
        ('total = "12345678901234567890.5"', False),
        ('total != "x"', True),
        ("total > 1E2", True),
        ('name = "grün"', True),
        ('name begins_with "gr"', True),
        ('name < "h"', True),
        ("name > 1", False),
        ('name contains "rü"', True),
        ('tags contains "a"', True),
        ('tags contains "A"', False),
        ("sizes contains 2.50", True),
        ("lines contains 3", True),
        ('lines contains {"S": "x"}', True),
        ("lines contains true", False),
        ("none = null", True),
        ('"odd name" = false', True),
        ("missing_one missing", True),
        ("name missing", False),
        ("name exists", True),
        ("missing_one exists", False),
        ("missing_one != 1", False),
    ],
)
def test_conditions(condition: str, holds: bool) -> None:
    assert picked(condition) == holds


@given(number_text, number_text, st.sampled_from(["<", "<=", ">", ">=", "=", "!="]))
def test_numbers_compare_as_numbers_whatever_their_notation(one: str, other: str, operator: str) -> None:
    item = canonical_item({"pk": {"S": "a"}, "sk": {"N": "1"}, "n": {"N": one}})
    wanted = {
        "<": Decimal(one) < Decimal(other), "<=": Decimal(one) <= Decimal(other), ">": Decimal(one) > Decimal(other),
        ">=": Decimal(one) >= Decimal(other), "=": Decimal(one) == Decimal(other), "!=": Decimal(one) != Decimal(other),
    }[operator]  # fmt: skip
    value = json.dumps({"N": other})
    assert bool(select(KEY, where=[f"n {operator} {value}"]).pick([item])) == wanted


@given(st.lists(items(), min_size=1, max_size=8), st.data())
def test_listed_keys_pick_exactly_these_items(many: list[dict[str, Any]], data: Any) -> None:
    texts = [canonical_item(item) for item in many]
    chosen = data.draw(st.lists(st.sampled_from(many), min_size=1))
    keys = [json.dumps({"pk": item["pk"], "sk": item["sk"]}) for item in chosen]
    wanted = {(item["pk"]["S"], Decimal(item["sk"]["N"])) for item in chosen}
    expected = [
        text for text, item in zip(texts, many, strict=True) if (item["pk"]["S"], Decimal(item["sk"]["N"])) in wanted
    ]
    assert select(KEY, keys=keys).pick(texts) == expected


def test_a_plain_key_is_the_key_on_the_wire() -> None:
    text = canonical_item(ITEM)
    for key in ('{"pk": "c-1", "sk": 10}', '{"sk": 10.0, "pk": "c-1"}', '{"pk": {"S": "c-1"}, "sk": {"N": "1E1"}}'):
        assert select(KEY, keys=[key]).pick([text]) == [text]
    assert select(KEY, key_prefix="pk=c-").pick([text]) == [text]
    assert select(KEY, key_prefix="pk=C-").pick([text]) == []
    assert select(KEY, key_prefix="pk=c-", where=["sk > 10"]).pick([text]) == []
    assert select(KEY).pick([text]) == [text]


@pytest.mark.parametrize(
    ("given_", "why"),
    [
        ({"keys": []}, "there is none"),
        ({"keys": ["{"]}, "no JSON"),
        ({"keys": ['{"pk": "a"}']}, "exactly the attributes pk, sk"),
        ({"keys": ['{"pk": "a", "sk": "1"}']}, "sk must be of type N"),
        ({"keys": ['{"pk": "a", "sk": 1, "x": 1}']}, "exactly"),
        ({"keys": ['{"pk": "a", "sk": NaN}']}, "neither text"),
        ({"keys": ['{"pk": "a", "sk": 1e999}']}, "none that DynamoDB has"),
        ({"key_prefix": "sk=1"}, "type S"),
        ({"key_prefix": "pk"}, "NAME=BEGINNING"),
        ({"key_prefix": "pk="}, "NAME=BEGINNING"),
        ({"where": ["total"]}, "NAME OPERATOR VALUE"),
        ({"where": ["total = secret-value"]}, "no JSON"),
        ({"where": ["total begins_with 1"]}, "not N"),
        ({"where": ["total < true"]}, "not BOOL"),
        ({"where": ["total exists 1"]}, "takes no value"),
        ({"where": ['total = {"X": 1}']}, "none that DynamoDB has"),
    ],
)
def test_what_cannot_be_read_is_refused_without_its_value(given_: dict[str, Any], why: str) -> None:
    with pytest.raises(BadInputError, match=why) as caught:
        select(KEY, **given_)
    assert "secret" not in str(caught.value)


def test_a_selection_is_told_without_values_and_two_are_told_apart() -> None:
    one = select(KEY, keys=['{"pk": "secret", "sk": 1}'], key_prefix="pk=secret", where=['name = "secret"'])
    other = select(KEY, keys=['{"pk": "secret2", "sk": 1}'], key_prefix="pk=secret", where=['name = "secret"'])
    assert "secret" not in str(one.as_dict())
    assert one.as_dict() != other.as_dict()
    assert select(KEY).as_dict() is None
