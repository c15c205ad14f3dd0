"""Which items of a backup a person wants: by key, by the beginning of a key, by what their attributes hold."""

import difflib
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from tablekeep.engine.errors import BadInputError
from tablekeep.engine.items.canonical import canonical_attributes, canonical_key, encode_canonical, parse_item

Key = Sequence[tuple[str, str]]
"""Name and type of each key attribute."""

_CONDITION = re.compile(
    r'\s*(?P<name>"(?:[^"\\]|\\.)*"|[^\s"=!<>]+)\s*(?P<op>=|!=|<=|>=|<|>|begins_with\b|contains\b|exists\b|missing\b)\s*(?P<value>.*?)\s*\Z',
    re.S,
)
_EXAMPLE = """for example 'status = "open"', 'total >= 100', 'email exists', 'tags contains "new"'"""
_WITHOUT_VALUE = ("exists", "missing")


@dataclass(frozen=True)
class Condition:
    """One condition on one top-level attribute.

    :ivar value: canonical wire value, `{"S": "open"}`; None for `exists` and `missing`.
    """

    name: str
    operator: str
    value: dict[str, Any] | None

    def holds(self, item: dict[str, dict[str, Any]]) -> bool:
        """Whether an item (canonical attributes) fulfils it. A value of another type fulfils `!=` alone; an absent one nothing
        but `missing`."""
        there = item.get(self.name)
        if self.operator in _WITHOUT_VALUE:
            return (there is not None) == (self.operator == "exists")
        if there is None:
            return False
        assert self.value is not None
        if self.operator == "contains":
            return _contains(there, self.value)
        if self.operator in ("=", "!="):
            return (encode_canonical(there) == encode_canonical(self.value)) == (self.operator == "=")
        ((kind, wanted),) = self.value.items()
        content = there.get(kind)
        if content is None:
            return False
        if self.operator == "begins_with":
            return bool(content.startswith(wanted))
        return _ORDER[self.operator](_comparable(kind, content), _comparable(kind, wanted))


_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "<": lambda one, other: bool(one < other), "<=": lambda one, other: bool(one <= other),
    ">": lambda one, other: bool(one > other), ">=": lambda one, other: bool(one >= other),
}  # fmt: skip


def _comparable(kind: str, content: str) -> Any:
    return Decimal(content) if kind == "N" else content.encode()


def _contains(there: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Text in text, a member in a set, a value in a list: as DynamoDB's own `contains`."""
    ((kind, content),) = there.items()
    ((wanted_kind, value),) = wanted.items()
    if kind == "S":
        return wanted_kind == "S" and value in content
    if kind in ("SS", "NS", "BS"):
        return wanted_kind == kind[0] and value in content
    return kind == "L" and any(encode_canonical(one) == encode_canonical(wanted) for one in content)


@dataclass(frozen=True)
class Selection:
    """What is wanted; everything when nothing is given. All that is given must hold.

    :ivar keys: canonical keys; `listed`: the same in the order in which they were given.
    :ivar prefix: a key attribute (S) and what its value begins with.
    """

    key_names: tuple[str, ...]
    keys: frozenset[bytes] | None = None
    prefix: tuple[str, str] | None = None
    conditions: tuple[Condition, ...] = field(default=())
    listed: tuple[bytes, ...] = field(default=())

    @property
    def everything(self) -> bool:
        return self.keys is None and self.prefix is None and not self.conditions

    def pick(self, items: Iterable[bytes]) -> list[bytes]:
        """Those of the canonical items that are wanted."""
        if self.everything:
            return list(items)
        return [item for item in items if self._picks(item)]

    def _picks(self, item: bytes) -> bool:
        attributes = canonical_attributes(parse_item(item))
        if self.keys is not None and canonical_key(attributes, self.key_names) not in self.keys:
            return False
        if self.prefix is not None and not str(attributes[self.prefix[0]].get("S", "")).startswith(self.prefix[1]):
            return False
        return all(condition.holds(attributes) for condition in self.conditions)

    def keys_of(self, items: Iterable[bytes]) -> set[bytes]:
        """The canonical keys of canonical items."""
        return {canonical_key(canonical_attributes(parse_item(item)), self.key_names) for item in items}

    def as_dict(self) -> dict[str, Any] | None:
        """For plans and records: no value of an item, but what tells two selections apart."""
        if self.everything:
            return None
        keys = (
            None if self.keys is None else {"count": len(self.keys), "sha256": _digest(b"\n".join(sorted(self.keys)))}
        )
        return {
            "keys": keys,
            "key_prefix": None
            if self.prefix is None
            else f"{self.prefix[0]} begins with {_hidden(self.prefix[1].encode())}",
            "where": [
                f"{one.name} {one.operator}" + ("" if one.value is None else f" {_hidden(encode_canonical(one.value))}")
                for one in self.conditions
            ],
        }


def absent_text(selection: dict[str, Any] | None, items: int) -> str:
    """What a person should know who asked for some items and got fewer; empty when there is nothing.

    :param selection: `Selection.as_dict()`. :param items: that it picked.
    """
    keys = (selection or {}).get("keys")
    if keys and items < keys["count"]:
        few = keys["count"] - items
        return f"{few:,} of the {keys['count']:,} listed keys are not in the backup, or not wanted by the rest"
    return "no item of the backup is wanted" if selection and not items else ""


def check_attributes(selection: Selection, census: dict[str, Any], what: str) -> None:
    """That each attribute of a condition is one that some item has: a wrong name would select nothing, or everything, in silence.

    :param census: of the backup, which names up to 10,000 attributes. :param what: for the error.
    :raises BadInputError: for a name that no item has.
    """
    if census.get("others"):
        return
    for condition in selection.conditions:
        if condition.name not in census["attributes"] and condition.operator != "missing":
            near = difflib.get_close_matches(condition.name, census["attributes"], 3, 0.5)
            known = f"near it: {', '.join(near)}" if near else "`tablekeep show` lists them"
            raise BadInputError(what, f"no item of the backup has the attribute {condition.name[:100]}", known)


def _digest(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()


def _hidden(text: bytes) -> str:
    return f"[value {_digest(text)[:12]}]"


def select(
    key: Key, *, keys: Sequence[str] | None = None, key_prefix: str | None = None, where: Sequence[str] = ()
) -> Selection:
    """Reads what a person wrote.

    :param keys: each a JSON object of all key attributes: plain (`{"pk": "a", "sk": 1}`) or as on the wire (`{"pk": {"S": "a"}}`).
    :param key_prefix: `name=beginning` of a key attribute of type S.
    :param where: `name operator value`; operators = != < <= > >= begins_with contains exists missing; values as JSON, or as on the wire.
    :raises BadInputError: for what cannot be read; values are not quoted.
    """
    names = tuple(name for name, _ in key)
    listed = tuple(_key(text, number, key) for number, text in enumerate(keys or (), 1))
    if keys is not None and not listed:
        raise BadInputError("reading the keys", "there is none", "give at least one, a JSON object a line")
    chosen = None if keys is None else frozenset(listed)
    return Selection(names, chosen, _prefix(key_prefix, key), tuple(_condition(text) for text in where), listed)


def _key(text: str, number: int, key: Key) -> bytes:
    what = f"reading key {number}"
    example = "give all key attributes, for example " + json.dumps(
        {name: 1 if kind == "N" else "a" for name, kind in key}
    )
    try:
        given = json.loads(text, parse_int=_Number, parse_float=_Number)
    except ValueError:
        raise BadInputError(what, "it is no JSON", example) from None
    if not isinstance(given, dict) or set(given) != {name for name, _ in key}:
        raise BadInputError(what, f"it must have exactly the attributes {', '.join(name for name, _ in key)}", example)
    attributes = {}
    for name, kind in key:
        value = _value(given[name], what)
        if list(value) != [kind]:
            raise BadInputError(what, f"{name} must be of type {kind}", example)
        attributes[name] = value
    return encode_canonical(attributes)


def _prefix(text: str | None, key: Key) -> tuple[str, str] | None:
    if text is None:
        return None
    name, sign, beginning = text.partition("=")
    if not sign or (name, "S") not in [(one, kind) for one, kind in key] or not beginning:
        named = ", ".join(one for one, kind in key if kind == "S") or "none here"
        raise BadInputError(
            "reading the key prefix",
            f"it must be NAME=BEGINNING with a key attribute of type S ({named})",
            "for example customer=c-12",
        )
    return name, beginning


def _condition(text: str) -> Condition:
    what = "reading a condition"
    match = _CONDITION.match(text)
    if match is None:
        raise BadInputError(what, "it is not NAME OPERATOR VALUE", _EXAMPLE)
    name, operator, value = match["name"], match["op"], match["value"]
    if name.startswith('"'):
        name = json.loads(name)
    what = f"reading the condition on {name}"
    if operator in _WITHOUT_VALUE:
        if value:
            raise BadInputError(what, f"{operator} takes no value", _EXAMPLE)
        return Condition(name, operator, None)
    try:
        wanted = _value(json.loads(value, parse_int=_Number, parse_float=_Number), what)
    except ValueError:
        raise BadInputError(what, "the value is no JSON: text stands in double quotes", _EXAMPLE) from None
    kind = next(iter(wanted))
    allowed = {"begins_with": ("S",), "contains": ("S", "N", "B", "BOOL", "NULL")}.get(operator)
    if operator in _ORDER:
        allowed = ("S", "N")
    if allowed and kind not in allowed:
        raise BadInputError(what, f"{operator} takes a value of type {' or '.join(allowed)}, not {kind}", _EXAMPLE)
    return Condition(name, operator, wanted)


class _Number(str):
    """A number of JSON as it was written: no float comes near it."""


def _value(given: Any, what: str) -> dict[str, Any]:
    """A canonical wire value."""
    if isinstance(given, _Number):
        wire: dict[str, Any] = {"N": str(given)}
    elif isinstance(given, bool):
        wire = {"BOOL": given}
    elif given is None:
        wire = {"NULL": True}
    elif isinstance(given, str):
        wire = {"S": given}
    elif isinstance(given, dict) and len(given) == 1:
        wire = given
    else:
        raise BadInputError(
            what, "the value is neither text, a number, true, false, null nor a value as on the wire", _EXAMPLE
        )
    try:
        found: dict[str, Any] = canonical_attributes({"value": wire})["value"]
    except Exception:
        raise BadInputError(what, "the value is none that DynamoDB has", _EXAMPLE) from None
    return found
