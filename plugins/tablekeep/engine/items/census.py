"""The census: every top-level attribute of every item, its types, counts and extremes. Over all items, never a sample.

`add` sees canonical attributes and is called once an item, so it keeps to a few operations a value.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from tablekeep.engine.items.canonical import canonical_attributes, parse_item

MAX_NAMES = 10_000
"""Names counted one by one; values under further names are counted together, by type."""

INT64_MAX = 2**63 - 1


@dataclass(slots=True)
class TypeCount:
    """One type of one attribute.

    :ivar count: values of this type.
    :ivar max_bytes: the longest value in UTF-8 bytes: of the text for S and N, of the base64 text's bytes for B,
        of the longest member for sets; 0 for BOOL, NULL, M and L.
    :ivar max_integer_digits: for N and NS: most digits before the point (0 for numbers below 1).
    :ivar max_scale: for N and NS: most digits after the point.
    :ivar not_int64: for N and NS: values that no 64-bit integer holds.
    :ivar empty: for S and B: values of no byte, which no index takes for a key.
    """

    count: int = 0
    max_bytes: int = 0
    max_integer_digits: int = 0
    max_scale: int = 0
    not_int64: int = 0
    empty: int = 0

    def number(self, text: str) -> None:
        """Takes the extremes of one canonical number."""
        size = len(text)
        if size > self.max_bytes:
            self.max_bytes = size
        integer, _, fraction = text.partition(".")
        digits = len(integer.lstrip("-"))
        if integer in ("0", "-0"):
            digits = 0
        if digits > self.max_integer_digits:
            self.max_integer_digits = digits
        if fraction:
            self.not_int64 += 1
            if len(fraction) > self.max_scale:
                self.max_scale = len(fraction)
        elif digits >= 19 and not fits_int64(text):
            self.not_int64 += 1

    def merge(self, other: "TypeCount") -> None:
        self.count += other.count
        self.not_int64 += other.not_int64
        self.empty += other.empty
        self.max_bytes = max(self.max_bytes, other.max_bytes)
        self.max_integer_digits = max(self.max_integer_digits, other.max_integer_digits)
        self.max_scale = max(self.max_scale, other.max_scale)

    def as_json(self) -> dict[str, int]:
        """The figures that are not zero."""
        return {name: value for name in self.__slots__ if (value := getattr(self, name))}


def fits_int64(text: str) -> bool:
    """Whether a canonical number is a whole one between -2^63 and 2^63 - 1."""
    if "." in text:
        return False
    return len(text) <= 18 or (len(text) <= 20 and -INT64_MAX - 1 <= int(text) <= INT64_MAX)


@dataclass(slots=True)
class Census:
    """Counts of all attributes; see `as_json` for the document census.json.

    :ivar empties: empty values were counted from the first item on, which they were not before version 1.2 of the format.
    """

    items: int = 0
    attributes: dict[str, dict[str, TypeCount]] = field(default_factory=dict)
    others: dict[str, int] = field(default_factory=dict)
    empties: bool = True

    @staticmethod
    def of(items: Iterable[bytes | msgspec.Raw]) -> "Census":
        """That of items given as wire JSON."""
        census = Census()
        for raw in items:
            census.add(canonical_attributes(parse_item(raw)))
        return census

    def add(self, attributes: dict[str, dict[str, Any]]) -> None:
        """Counts one item, given with canonical values."""
        self.items += 1
        known = self.attributes
        for name, value in attributes.items():
            ((kind, content),) = value.items()
            types = known.get(name)
            if types is None:
                if len(known) >= MAX_NAMES:
                    self.others[kind] = self.others.get(kind, 0) + 1
                    continue
                types = known[name] = {}
            count = types.get(kind)
            if count is None:
                count = types[kind] = TypeCount()
            count.count += 1
            if kind == "S" or kind == "B":
                size = len(content) if content.isascii() else len(content.encode())
                if size > count.max_bytes:
                    count.max_bytes = size
                elif not size:
                    count.empty += 1
            elif kind == "N":
                count.number(content)
            elif kind == "NS":
                for member in content:
                    count.number(member)
            elif kind == "SS" or kind == "BS":
                count.max_bytes = max(count.max_bytes, *(len(member.encode()) for member in content))

    def add_count(self, name: str, kind: str, count: TypeCount) -> None:
        """Adds what was counted of one type of one attribute elsewhere."""
        types = self.attributes.get(name)
        if types is None:
            if len(self.attributes) >= MAX_NAMES:
                self.others[kind] = self.others.get(kind, 0) + count.count
                return
            types = self.attributes[name] = {}
        types.setdefault(kind, TypeCount()).merge(count)

    def merge(self, other: "Census") -> None:
        """Adds another census. Names beyond the limit go to `others`, so the order of merging may decide which."""
        self.items += other.items
        self.empties = self.empties and other.empties
        for name, types in other.attributes.items():
            for kind, count in types.items():
                self.add_count(name, kind, count)
        for kind, values in other.others.items():
            self.others[kind] = self.others.get(kind, 0) + values

    def as_json(self) -> dict[str, Any]:
        """`{"format": 1, "items": n, "attributes": {name: {type: {count, …}}}, "others": {type: count}, "empties": true}`; without
        `empties`, and without the figure `empty`, when these are not known."""
        attributes = {
            name: {kind: count.as_json() for kind, count in types.items()} for name, types in self.attributes.items()
        }
        document = {"format": 1, "items": self.items, "attributes": attributes, "others": self.others}
        if self.empties:
            return document | {"empties": True}
        for figures in (one for types in attributes.values() for one in types.values()):
            figures.pop("empty", None)
        return document

    @staticmethod
    def from_json(document: dict[str, Any]) -> "Census":
        """Reads what `as_json` gave.

        :raises ValueError, KeyError, TypeError: for another document.
        """
        if document.get("format") != 1:
            raise ValueError("the census has a format that this version does not know")
        census = Census(
            items=int(document["items"]), others=dict(document["others"]), empties=document.get("empties") is True
        )
        for name, types in document["attributes"].items():
            census.attributes[name] = {kind: TypeCount(**figures) for kind, figures in types.items()}
        return census
