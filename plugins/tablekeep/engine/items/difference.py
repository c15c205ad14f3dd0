"""Where two items differ: which attributes, of which types; deeper and with their values only where a person asks for them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tablekeep.engine.items.canonical import encode_canonical, parse_item

MOST_PLACES = 20
"""Of one item that are told; the others are counted."""
MOST_CHARACTERS = 120
"""Of one value that are told."""


@dataclass(frozen=True, slots=True)
class Place:
    """A place in which two items differ.

    :ivar path: the attribute's name; below it, as expressions of DynamoDB say it: `address.city`, `lines[2].sku`. A name that is not
        made of letters, digits, `_` and `-` stands in double quotes, as JSON.
    :ivar left, right: the value's DynamoDB type on each side, None where there is none.
    :ivar left_value, right_value: canonical text of the values, cut off where it is long; empty where it was not asked for.
    """

    path: str
    left: str | None
    right: str | None
    left_value: str = ""
    right_value: str = ""


def places(left: bytes | None, right: bytes | None, *, values: bool = False) -> tuple[list[Place], int]:
    """The first `MOST_PLACES` places in which two canonical items differ, in the order of their names, and how many more there are.

    :param left, right: None: the item is not there, and nothing is told unless values are asked for.
    :param values: go down into maps and lists, and give the values. Without it names inside of maps are not told either, for
        they may be data.
    """
    if not values and (left is None or right is None):
        return [], 0
    found, more = list[Place](), 0
    for place in _attributes(_items(left), _items(right), values):
        if len(found) < MOST_PLACES:
            found.append(place)
        else:
            more += 1
    return found, more


def _items(text: bytes | None) -> dict[str, Any]:
    return parse_item(text) if text is not None else {}


def _attributes(left: dict[str, Any], right: dict[str, Any], values: bool) -> Iterator[Place]:
    for name in sorted(left.keys() | right.keys()):
        yield from _value(_name(name), left.get(name), right.get(name), values)


def _value(path: str, left: Any, right: Any, values: bool) -> Iterator[Place]:
    if left == right:
        return
    kinds = (_kind(left), _kind(right))
    if values and kinds == ("M", "M"):
        one, other = left["M"], right["M"]
        for name in sorted(one.keys() | other.keys()):
            yield from _value(f"{path}.{_name(name)}", one.get(name), other.get(name), values)
    elif values and kinds == ("L", "L"):
        one, other = left["L"], right["L"]
        for number in range(max(len(one), len(other))):
            mine, its = (side[number] if number < len(side) else None for side in (one, other))
            yield from _value(f"{path}[{number}]", mine, its, values)
    elif values:
        yield Place(path, *kinds, _text(left), _text(right))
    else:
        yield Place(path, *kinds)


def _kind(value: Any) -> str | None:
    return None if value is None else str(next(iter(value)))


def _text(value: Any) -> str:
    if value is None:
        return ""
    ((kind, content),) = value.items()
    text = str(content) if kind == "N" else encode_canonical(content).decode()
    if len(text) <= MOST_CHARACTERS:
        return text
    return f"{text[:MOST_CHARACTERS]}… ({len(text.encode()):,} bytes)"


def _name(name: str) -> str:
    if name and all(letter.isascii() and (letter.isalnum() or letter in "_-") for letter in name):
        return name
    return encode_canonical(name).decode()
