"""Items that two sides hold otherwise: all counted, the first of them explained, in little memory."""

import tracemalloc
from collections.abc import Collection, Iterator
from typing import Any

import pytest

from tablekeep.engine.backups.spool import KeySpool
from tablekeep.engine.clock import SystemClock
from tablekeep.engine.errors import BadInputError
from tablekeep.engine.items.canonical import canonical_item, canonical_key
from tablekeep.engine.items.hashing import item_hash
from tablekeep.engine.progress import NoProgress
from tablekeep.engine.restore import differences
from tablekeep.engine.restore.compare import Comparison, compare
from tests.tables import clients, export, make_bucket, make_table, orders


@pytest.fixture
def aws(local_aws: Any) -> Any:
    make_bucket(local_aws)
    return local_aws


def compared(left: str, right: str, **more: Any) -> Comparison:
    return compare(clients=clients(), clock=SystemClock(), progress=NoProgress(), left=left, right=right, **more)


def changed(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One item less, one more, one with another price and without its tags."""
    other = {name: value for name, value in items[3].items() if name != "tags"} | {"price": {"S": "free"}}
    return [*items[1:3], other, *items[4:], {"pk": {"S": "secret"}, "sk": {"N": "1"}}]


@pytest.mark.parametrize("kinds", ["tables", "backups", "backup and table"])
def test_each_differing_item_is_named_by_its_attributes(aws: Any, kinds: str) -> None:
    make_table(aws, "one", orders())
    make_table(aws, "two", changed(orders()))
    left = "one" if kinds == "tables" else export("one", segments=3).backup
    right = export("two", segments=2).backup if kinds == "backups" else "two"
    result = compared(left, right)
    assert (result.left_only, result.right_only, result.different) == (1, 1, 1)
    told = {one["state"]: one for one in result.differing}
    assert told["different"]["attributes"] == [
        {"path": "price", "left": "N", "right": "S"}, {"path": "tags", "left": "SS", "right": None}
    ]  # fmt: skip
    assert told["left only"]["attributes"] == told["right only"]["attributes"] == []
    for hidden in ("customer", "secret", "free", "3.25"):
        assert hidden not in str(result.as_dict())
    shown = {one["state"]: one for one in compared(left, right, show_values=True).differing}
    assert shown["different"]["key"] == '{"pk":{"S":"customer-3"},"sk":{"N":"3"}}'
    assert shown["different"]["attributes"][0] == {
        "path": "price", "left": "N", "right": "S", "left_value": "3.25", "right_value": '"free"'
    }  # fmt: skip
    assert {one["path"] for one in shown["right only"]["attributes"]} == {"pk", "sk"}


def test_all_are_counted_and_some_are_named(aws: Any) -> None:
    make_table(aws, "one", orders())
    make_table(aws, "two", [item | {"price": {"N": "0"}} for item in orders()])
    result = compared("one", "two", limit=3)
    assert (result.different, len(result.differing)) == (40, 3)
    assert compared("one", "two", limit=0).differing == []
    with pytest.raises(BadInputError, match="the limit is -1"):
        compared("one", "two", limit=-1)


class Side:
    """Items that a test makes as they are asked for."""

    def __init__(self, count: int, value: str) -> None:
        self.count, self.value = count, value

    def expected(self) -> int:
        return self.count

    def _items(self) -> Iterator[tuple[bytes, bytes]]:
        for number in range(self.count):
            item: dict[str, Any] = {"pk": {"S": f"{number:06}"}, "value": {"S": self.value * 50_000}}
            yield canonical_key(item, ["pk"]), canonical_item(item)

    def spool(self, keys: KeySpool) -> None:
        for key, item in self._items():
            keys.add(key, item_hash(item).to_bytes(32, "big"))

    def pick(self, wanted: Collection[bytes]) -> Iterator[tuple[bytes, bytes]]:
        return ((key, item) for key, item in self._items() if key in wanted)


def test_memory_does_not_grow_with_the_items_that_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(differences, "IN_MEMORY", 1_000_000)
    left, right = Side(400, "x"), Side(400, "y")
    tracemalloc.start()
    try:
        found = differences.find(left, right, most=400)
        named = sum(len(one.told(values=True)["attributes"]) for one in differences.explain(left, right, found.keys))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (found.counts["different"], named) == (400, 400)
    assert peak < 8_000_000, "the items themselves have 40 MB"


def test_an_item_that_is_equal_by_the_second_look_is_told_so() -> None:
    key, item = next(Side(1, "x")._items())
    one = differences.ItemDifference(key, differences.DIFFERENT, item, item)
    assert one.told()["now"] == differences.EQUAL_NOW
