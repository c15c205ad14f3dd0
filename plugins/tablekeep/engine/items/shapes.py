"""Shapes: what the items of a table look like, learned from some of them, as msgspec structs that decode and write them fast.

A shape promises nothing. An item that does not match it is refused by the decoder and takes the general path (`codec.py`),
which knows every legal item. The structs' fields are sorted by name, so what they write is canonical text as far as order
goes; that numbers, sets and binaries are canonical is checked by `pages.py`.
"""

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

MAX_ATTRIBUTES = 500
MAX_FIELDS = 64
"""A map with more names than this is a dictionary of data, not a record: it is read without a shape."""
MAX_DEPTH = 6
SAMPLE = 200
"""Items from which a shape is learned."""
MOST_LEARNINGS = 50
"""How often a process learns anew: items without any shape in common cost no more than the general path then."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The shape of a value.

    :ivar kind: the DynamoDB type; None: any value. :ivar fields: of M. :ivar element: of L; None until one was seen.
    """

    kind: str | None
    fields: Mapping[str, "Shape"] | None = None
    element: "Shape | None" = None


ANY = Shape(None)
_NESTED = ("S", "N", "BOOL")
"""Leaves inside of maps and lists that have a shape; a value with others is read without one."""


def shape_of(value: Any, depth: int = 0) -> Shape:
    """The shape of one wire value, `{"S": "a"}`."""
    if type(value) is not dict or len(value) != 1:
        return ANY
    ((kind, content),) = value.items()
    if kind == "M" and type(content) is dict and depth < MAX_DEPTH and len(content) <= MAX_FIELDS:
        fields = {name: shape_of(one, depth + 1) for name, one in content.items()}
        return ANY if any(one is ANY or not plain_name(name) for name, one in fields.items()) else Shape("M", fields)
    if kind == "L" and type(content) is list and depth < MAX_DEPTH:
        element: Shape | None = None
        for one in content:
            inner = shape_of(one, depth + 1)
            element = inner if element is None else joined(element, inner)
            if element is ANY:
                return ANY
        return Shape("L", None, element)
    if depth:
        return Shape(kind) if kind in _NESTED else ANY
    return Shape(kind) if kind in _LEAVES else ANY


def joined(one: Shape, other: Shape) -> Shape:
    """The shape of values of both; `ANY` where they differ in type."""
    if one == other:
        return one
    if one.kind is None or one.kind != other.kind:
        return ANY
    if one.kind == "L":
        if one.element is None or other.element is None:
            return one if other.element is None else other
        element = joined(one.element, other.element)
        return ANY if element is ANY else Shape("L", None, element)
    mine, theirs = dict(one.fields or {}), other.fields or {}
    for name, shape in theirs.items():
        mine[name] = joined(mine[name], shape) if name in mine else shape
        if mine[name] is ANY:
            return ANY
    return Shape("M", mine) if len(mine) <= MAX_FIELDS else ANY


def learn(items: Iterable[Any], known: Mapping[str, Shape] | None = None) -> dict[str, Shape]:
    """The shapes of items' attributes, joined with those that are known. At most 500 attributes have one."""
    shapes = dict(known or {})
    for item in items:
        if type(item) is not dict:
            continue
        for name, value in item.items():
            if name in shapes:
                if shapes[name] is not ANY:
                    shapes[name] = joined(shapes[name], shape_of(value))
            elif len(shapes) < MAX_ATTRIBUTES and plain_name(name):
                shapes[name] = shape_of(value)
    return shapes


def plain_name(name: str) -> bool:
    """Whether msgspec takes the name for a field; an item with another name takes the general path."""
    return bool(name) and "\\" not in name and '"' not in name and all(ord(character) >= 32 for character in name)


def _leaf(kind: str, content: Any) -> type[Struct]:
    return msgspec.defstruct(kind, [(kind, content)], frozen=True, forbid_unknown_fields=True, gc=False)


_LEAVES: dict[str, type[Struct]] = {
    "S": _leaf("S", str),
    "N": _leaf("N", str),
    "B": _leaf("B", str),
    "BOOL": _leaf("BOOL", bool),
    "SS": _leaf("SS", list[str]),
    "NS": _leaf("NS", list[str]),
    "BS": _leaf("BS", list[str]),
}


def _type(shape: Shape) -> Any:
    """The struct that decodes values of a shape."""
    if shape.kind is None or (shape.kind == "L" and shape.element is None):
        return Any
    if shape.kind == "M":
        names = sorted(shape.fields or {})
        fields = [(f"f{n}", _type((shape.fields or {})[name]) | UnsetType, UNSET) for n, name in enumerate(names)]
        rename = {f"f{n}": name for n, name in enumerate(names)}
        inner = msgspec.defstruct("Map", fields, frozen=True, forbid_unknown_fields=True, gc=False, rename=rename)
        return _leaf("M", inner)
    if shape.kind == "L":
        return _leaf("L", list[_type(shape.element)])  # type: ignore[arg-type, misc]
    return _LEAVES[shape.kind]


def _has_open_list(shape: Shape) -> bool:
    """Whether a list that was always empty hides in it: its elements' shape is not known."""
    if shape.kind == "L":
        return shape.element is None or _has_open_list(shape.element)
    return any(_has_open_list(one) for one in (shape.fields or {}).values())


class ItemType:
    """The compiled shape of a table's items.

    :ivar shapes: by attribute, sorted by name; those that cannot be compiled are `ANY`. :ivar slots: name → struct field.
    """

    def __init__(self, shapes: Mapping[str, Shape], key_names: Iterable[str]) -> None:
        self.shapes = {name: ANY if _has_open_list(shapes[name]) else shapes[name] for name in sorted(shapes)}
        self.slots = {name: f"f{number}" for number, name in enumerate(self.shapes)}
        types = {name: _type(shape) for name, shape in self.shapes.items()}
        fields: list[Any] = []
        for name, kind in types.items():
            # an absent attribute is a value without content, so that one attribute path serves all rows; by identity it is the
            # default, which is not written
            shape = self.shapes[name]
            absent = UNSET if shape is ANY else kind(None)
            fields.append((self.slots[name], kind, absent))
        rename = {slot: name for name, slot in self.slots.items()}
        self.item = msgspec.defstruct(
            "Item", fields, forbid_unknown_fields=True, omit_defaults=True, gc=False, rename=rename
        )
        self.keys = sorted(key_names)
        self.decode_all = msgspec.json.Decoder(list[self.item]).decode  # type: ignore[name-defined]
        self.decode_one = msgspec.json.Decoder(self.item).decode

    @property
    def usable(self) -> bool:
        """Whether the key has a shape: else nothing is gained."""
        kinds = [self.shapes.get(name, ANY).kind for name in self.keys]
        return bool(kinds) and all(kind in ("S", "N", "B") for kind in kinds)


class Learned:
    """What all encoders of a process know of a table's items; safe to share between threads.

    :ivar type: the compiled shape; None before anything was learned.
    """

    def __init__(self, key_names: Iterable[str]) -> None:
        self._key_names = list(key_names)
        self._shapes: dict[str, Shape] = {}
        self._lock = threading.Lock()
        self._left = MOST_LEARNINGS
        self.type: ItemType | None = None

    def learn(self, items: Iterable[Any]) -> None:
        """Joins the shapes of decoded items with what is known."""
        with self._lock:
            if self._left > 0:
                self._left -= 1
                self._shapes = learn(items, self._shapes)
                self.type = ItemType(self._shapes, self._key_names)
