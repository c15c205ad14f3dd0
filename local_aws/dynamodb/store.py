"""Items and their order: what stands in moto's `Table.items` in place of its plain dictionaries.

moto's own scan walks the whole table for each page and compares each item with the start key until it is passed, so
that a table of n items costs n × pages; it also copies each item it returns. Here a table is kept in the order in
which it is scanned (hash of the partition key, then sort key), so that a page begins by bisection.
"""

import base64
import hashlib
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import msgspec
from moto.dynamodb.models.dynamo_type import DynamoType, Item, LimitedSizeDict

from local_aws.dynamodb.values import Wire, normal_item

HASH_SPACE = 1 << 64


class StoredItem(Item):
    """An item that holds either its wire form or moto's attributes.

    Whoever asks for `attrs` gets moto's objects and may change them; from then on they are the truth and the wire form
    is made anew when asked for. Everything that only reads (`wire`, `raw`, `view`) leaves the wire form in place.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> "StoredItem":
        return object.__new__(cls)  # not moto's, which keeps a list of all instances ever made

    def __init__(self, hash_key: DynamoType, range_key: DynamoType | None, wire: Wire, size: int) -> None:
        self.hash_key = hash_key
        self.range_key = range_key
        self._wire: Wire | None = wire
        self._raw: bytes | None = None
        self._bytes = size
        self._attrs: LimitedSizeDict | None = None

    @classmethod
    def of(cls, item: Item) -> "StoredItem":
        """:raises ServiceError: when the item breaks the service's rules."""
        if isinstance(item, cls) and item._wire is not None:
            return item
        wire, size = normal_item(to_wire(item.attrs))
        return cls(item.hash_key, item.range_key, wire, size)

    @property
    def attrs(self) -> Any:
        if self._attrs is None:
            assert self._wire is not None
            self._attrs = to_attributes(self._wire)
            self._wire = self._raw = None
        return self._attrs

    @attrs.setter
    def attrs(self, value: Any) -> None:
        self._attrs = value
        self._wire = self._raw = None

    @property
    def wire(self) -> Wire:
        """The item in the service's form. Do not change it."""
        if self._wire is not None:
            return self._wire
        return normal_item(to_wire(self._attrs or {}))[0]

    @property
    def raw(self) -> bytes:
        """The item's wire JSON."""
        if self._raw is None:
            raw = msgspec.json.encode(self.wire)
            if self._wire is None:
                return raw
            self._raw = raw
        return self._raw

    @property
    def bytes(self) -> int:
        """The service's accounting of the item's size."""
        return self._bytes if self._wire is not None else normal_item(to_wire(self._attrs or {}))[1]

    def view(self) -> Item:
        """A copy in moto's form, to evaluate its expressions on."""
        item = object.__new__(Item)
        item.hash_key, item.range_key, item.attrs = self.hash_key, self.range_key, to_attributes(self.wire)
        return item

    def size(self) -> int:
        return self.bytes

    def to_json(self, root_attr_name: str = "Attributes") -> dict[str, Any]:
        return self.view().to_json(root_attr_name) if self._wire is not None else super().to_json(root_attr_name)

    def describe_attrs(self, attributes: dict[str, Any] | None = None) -> dict[str, dict[str, Any]]:
        return self.view().describe_attrs(attributes)

    def project(self, projection_expressions: list[list[str]]) -> Item:
        return self.view().project(projection_expressions)

    def __deepcopy__(self, memo: dict[int, Any]) -> "StoredItem":
        return StoredItem(self.hash_key, self.range_key, self.wire, self.bytes)


def to_attributes(wire: Wire) -> LimitedSizeDict:
    """moto's form: binaries are bytes at the top level and base64 text below, as its parser leaves them."""
    attributes = LimitedSizeDict()
    for name, value in wire.items():
        dict.__setitem__(attributes, name, to_dynamo_type(value))
    return attributes


def to_dynamo_type(value: Wire) -> DynamoType:
    ((kind, content),) = value.items()
    if kind == "B":
        value = {"B": base64.b64decode(content)}
    elif kind == "BS":
        value = {"BS": [base64.b64decode(member) for member in content]}
    return DynamoType(value)


def to_wire(attributes: Any) -> Wire:
    return {name: _to_wire(value) for name, value in attributes.items()}


def _to_wire(value: Any) -> Wire:
    if isinstance(value, DynamoType):
        kind, content = value.type, value.value
    else:
        ((kind, content),) = value.items()
    if kind == "M":
        content = {name: _to_wire(inner) for name, inner in content.items()}
    elif kind == "L":
        content = [_to_wire(inner) for inner in content]
    elif kind == "B":
        content = _base64(content)
    elif kind == "BS":
        content = [_base64(member) for member in content]
    elif kind in {"SS", "NS"}:
        content = list(content)
    return {kind: content}


def _base64(content: Any) -> str:
    return base64.b64encode(content).decode() if isinstance(content, bytes) else content


def key_bytes(key: DynamoType) -> bytes:
    """A partition key's value, the same for equal keys."""
    content = key.value
    if key.type == "B" and isinstance(content, str):
        content = base64.b64decode(content)
    return content if isinstance(content, bytes) else content.encode()


def key_hash(key: DynamoType) -> int:
    """Where in [0, 2^64) a partition lies. The service's hash is not known; this one is evenly spread and fixed."""
    return int.from_bytes(hashlib.md5(key_bytes(key), usedforsecurity=False).digest()[:8], "big")


def sort_value(key: DynamoType) -> Any:
    """What sort keys of one table are ordered by: strings by their UTF-8 bytes, numbers by value."""
    return Decimal(key.value) if key.type == "N" else key_bytes(key)


class Partition(dict[DynamoType, StoredItem]):
    """The items of one partition key, by sort key, and the sort keys in order."""

    def __init__(self) -> None:
        super().__init__()
        self.order: list[tuple[Any, DynamoType]] = []

    def __setitem__(self, key: DynamoType, item: Item) -> None:
        stored = StoredItem.of(item)
        if key not in self:
            insort(self.order, (sort_value(key), key), key=lambda entry: entry[0])
        super().__setitem__(key, stored)

    def __delitem__(self, key: DynamoType) -> None:
        self.pop(key)

    def pop(self, key: DynamoType, *default: Any) -> Any:
        if key in self:
            del self.order[bisect_left(self.order, sort_value(key), key=lambda entry: entry[0])]
        return super().pop(key, *default)

    def after(self, start: DynamoType | None) -> Iterator[StoredItem]:
        begin = 0 if start is None else bisect_right(self.order, sort_value(start), key=lambda entry: entry[0])
        for index in range(begin, len(self.order)):
            yield self[self.order[index][1]]

    def __deepcopy__(self, memo: dict[int, Any]) -> "Partition":
        copied = Partition()
        for key, item in self.items():
            dict.__setitem__(copied, key, item.__deepcopy__(memo))
        copied.order = list(self.order)
        return copied


class OrderedItems(dict[DynamoType, Any]):
    """All items of a table: a `StoredItem` by partition key, or with a sort key a `Partition`.

    :param has_range: whether the table has a sort key.
    """

    def __init__(self, has_range: bool) -> None:
        super().__init__()
        self.has_range = has_range
        self.order: list[tuple[int, bytes, DynamoType]] = []
        #: Items looked at by scans since the start: what tests of linear cost count.
        self.visited = 0

    def __setitem__(self, key: DynamoType, value: Any) -> None:
        stored = value if self.has_range else StoredItem.of(value)
        if key not in self:
            insort(self.order, (key_hash(key), key_bytes(key), key))
        super().__setitem__(key, stored)

    def __missing__(self, key: DynamoType) -> Partition:
        if not self.has_range:
            raise KeyError(key)
        partition = self[key] = Partition()
        return partition

    def __delitem__(self, key: DynamoType) -> None:
        self.pop(key)

    def pop(self, key: DynamoType, *default: Any) -> Any:
        if key in self:
            del self.order[bisect_left(self.order, (key_hash(key), key_bytes(key)), key=lambda entry: entry[:2])]
        return super().pop(key, *default)

    def find(self, hash_key: DynamoType, range_key: DynamoType | None) -> StoredItem | None:
        found = self.get(hash_key)
        if self.has_range and found is not None:
            found = found.get(range_key)
        return found

    def after(self, start: tuple[DynamoType, DynamoType | None] | None, low: int, high: int) -> Iterator[StoredItem]:
        """The items whose hash lies in [low, high), in order, from behind `start` (which need not exist any more)."""
        begin = bisect_left(self.order, low, key=lambda entry: entry[0])
        if start is not None:
            place = (key_hash(start[0]), key_bytes(start[0]))
            begin = max(begin, bisect_left(self.order, place, key=lambda entry: entry[:2]))
            if begin < len(self.order) and self.order[begin][:2] == place:
                if self.has_range and place[0] < high:
                    yield from self._counted(self[self.order[begin][2]].after(start[1]))
                begin += 1
        for index in range(begin, len(self.order)):
            place_hash, _, key = self.order[index]
            if place_hash >= high:
                return
            if self.has_range:
                yield from self._counted(self[key].after(None))
            else:
                self.visited += 1
                yield self[key]

    def _counted(self, items: Iterator[StoredItem]) -> Iterator[StoredItem]:
        for item in items:
            self.visited += 1
            yield item

    def __deepcopy__(self, memo: dict[int, Any]) -> "OrderedItems":
        copied = OrderedItems(self.has_range)
        for key, value in self.items():
            dict.__setitem__(copied, key, value.__deepcopy__(memo))
        copied.order = list(self.order)
        return copied


def segment_range(segment: int, total: int) -> tuple[int, int]:
    """The hashes [low, high) of one of `total` segments."""
    return -(-segment * HASH_SPACE // total), -(-(segment + 1) * HASH_SPACE // total)
