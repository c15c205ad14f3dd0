"""Where two items differ: told for every difference and for none, and values only when asked for."""

import json
from typing import Any

from hypothesis import given

from tablekeep.engine.items.canonical import canonical_item
from tablekeep.engine.items.difference import MOST_CHARACTERS, MOST_PLACES, Place, places
from tests.item_strategies import items

KEY = {"pk": {"S": "secret-key"}}


def told(left: dict[str, Any] | None, right: dict[str, Any] | None, **more: Any) -> list[Place]:
    given = (None if one is None else canonical_item(KEY | one) for one in (left, right))
    found, beyond = places(*given, **more)
    assert not beyond
    return found


@given(items(), items())
def test_two_items_differ_exactly_where_a_place_is_told(one: dict[str, Any], other: dict[str, Any]) -> None:
    left, right = canonical_item(one), canonical_item(other)
    for values in (False, True):
        assert places(left, left, values=values) == ([], 0)
        found, _more = places(left, right, values=values)
        assert bool(found) == (left != right)
    mine, its = json.loads(left), json.loads(right)
    found, more = places(left, right)
    assert len(found) + more == sum(mine.get(name) != its.get(name) for name in mine.keys() | its.keys())


def test_the_types_are_told_and_the_values_only_when_asked_for() -> None:
    left = {"price": {"N": "1"}, "note": {"S": "secret"}, "gone": {"NULL": True}, "same": {"L": []}}
    right = {"price": {"N": "2"}, "note": {"SS": ["secret"]}, "new": {"BOOL": False}, "same": {"L": []}}
    found = told(left, right)
    assert [(one.path, one.left, one.right) for one in found] == [
        ("gone", "NULL", None), ("new", None, "BOOL"), ("note", "S", "SS"), ("price", "N", "N"),
    ]  # fmt: skip
    assert "secret" not in str(found)
    shown = {one.path: (one.left_value, one.right_value) for one in told(left, right, values=True)}
    assert shown == {
        "gone": ("true", ""), "new": ("", "false"), "note": ('"secret"', '["secret"]'), "price": ("1", "2"),
    }  # fmt: skip


def test_inside_of_maps_and_lists_only_with_the_values_for_their_names_may_be_data() -> None:
    left = {"by_mail": {"M": {"ana@example.com": {"N": "1"}, "b": {"L": [{"S": "x"}, {"M": {"c": {"N": "1"}}}]}}}}
    right = {"by_mail": {"M": {"ana@example.com": {"N": "2"}, "b": {"L": [{"S": "x"}, {"M": {}}, {"N": "7"}]}}}}
    assert told(left, right) == [Place("by_mail", "M", "M")]
    assert [(one.path, one.left_value, one.right_value) for one in told(left, right, values=True)] == [
        ('by_mail."ana@example.com"', "1", "2"), ("by_mail.b[1].c", "1", ""), ("by_mail.b[2]", "", "7"),
    ]  # fmt: skip


def test_an_item_that_one_side_has_is_told_only_with_its_values() -> None:
    assert told({"a": {"S": "x"}}, None) == []
    assert [one.path for one in told({"a": {"S": "x"}}, None, values=True)] == ["a", "pk"]


def test_long_values_and_many_places_are_cut_off_and_counted() -> None:
    (place,) = told({"raw": {"S": "ü" * 400_000}}, {"raw": {"S": ""}}, values=True)
    assert len(place.left_value) < MOST_CHARACTERS + 30
    assert place.left_value.endswith("… (800,002 bytes)")
    many = {f"a{number:03}": {"N": "1"} for number in range(MOST_PLACES + 5)}
    found, more = places(canonical_item(KEY | many), canonical_item(KEY))
    assert (len(found), more) == (MOST_PLACES, 5)
