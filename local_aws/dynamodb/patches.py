"""What is changed inside moto 5.2: the tables' store, exact arithmetic in updates, and DescribeTable.

Applied once a process. Everything that moto does to items afterwards goes through the ordered store.
"""

import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal, localcontext
from typing import Any

from moto.dynamodb.exceptions import ConditionalCheckFailed, IncorrectDataType, MockValidationException
from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.dynamo_type import DynamoType, Item
from moto.dynamodb.models.table import RestoredPITTable, RestoredTable, Table

from local_aws.dynamodb.store import OrderedItems, StoredItem
from local_aws.dynamodb.tables import CREATING, RESTORED, TableRules
from local_aws.dynamodb.values import plain
from local_aws.responses import ServiceError

_current = threading.local()
_applied = False


@contextmanager
def request(operation: str, body: dict[str, Any]) -> Iterator[None]:
    """The request that moto works on in this thread: it hands its backend only a part of it."""
    _current.operation, _current.body = operation, body
    try:
        yield
    finally:
        _current.operation, _current.body = "", {}


def apply() -> None:
    global _applied
    if _applied:
        return
    _applied = True
    _patch_tables()
    _patch_updates()
    DynamoType.__add__ = _add  # type: ignore[method-assign]
    DynamoType.__sub__ = _subtract  # type: ignore[method-assign]


def _patch_tables() -> None:
    initialise, describe, update_table = Table.__init__, Table.describe, DynamoDBBackend.update_table

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        initialise(self, *args, **kwargs)
        self.items = OrderedItems(self.has_range_key)
        self.table_id = str(uuid.uuid4())
        body = getattr(_current, "body", {}) if getattr(_current, "operation", "") == "CreateTable" else {}
        self.table_class = body.get("TableClass")
        self.on_demand_throughput = body.get("OnDemandThroughput")

    def described(self: Any, base_key: str = "TableDescription") -> dict[str, Any]:
        result = describe(self, base_key)
        table = result[base_key]
        table["TableId"] = self.table_id
        table["TableSizeBytes"] = sum(item.bytes for item in all_items(self))
        if self.billing_mode != "PAY_PER_REQUEST":
            table.pop("BillingModeSummary", None)
        if self.table_class:
            table["TableClassSummary"] = {"TableClass": self.table_class}
        if self.on_demand_throughput:
            table["OnDemandThroughput"] = self.on_demand_throughput
        _tell_restore(self, table)
        for member in ("GlobalSecondaryIndexes", "LocalSecondaryIndexes"):
            for index in table[member]:
                index["IndexArn"] = f"{self.table_arn}/index/{index['IndexName']}"
                rules = TableRules.of(self)
                inside = [item for item in all_items(self) if rules.index_contains(index["IndexName"], item)]
                index["ItemCount"] = len(inside)
                index["IndexSizeBytes"] = sum(item.bytes for item in inside)
            if not table[member]:
                del table[member]  # the service leaves out what a table does not have
        return result

    def update(self: Any, name: str, attr_definitions: Any, *args: Any, **kwargs: Any) -> Any:
        table = self.get_table(name)
        if attr_definitions:
            # the request may define the new index's attributes only
            merged = {a["AttributeName"]: a for a in [*table.attr, *attr_definitions]}
            attr_definitions = list(merged.values())
        done = update_table(self, name, attr_definitions, *args, **kwargs)
        used = set(done.attribute_keys)
        done.attr = [a for a in done.attr if a["AttributeName"] in used]
        body = getattr(_current, "body", {})
        done.table_class = body.get("TableClass", done.table_class)
        done.on_demand_throughput = body.get("OnDemandThroughput", done.on_demand_throughput)
        return done

    Table.__init__ = __init__  # type: ignore[method-assign]
    Table.describe = described  # type: ignore[method-assign]
    for restored in (RestoredTable, RestoredPITTable):
        # their own describe calls super().describe(), which is the patched one
        assert restored.__mro__[1] is Table
    DynamoDBBackend.update_table = update  # type: ignore[method-assign]


def _tell_restore(restored: Table, table: dict[str, Any]) -> None:
    """What DescribeTable says of a table that was restored; each answer brings it nearer to ACTIVE."""
    if summary := restored.__dict__.get(RESTORED):
        creating = restored.__dict__.get(CREATING, 0)
        table["RestoreSummary"] = summary | {"RestoreInProgress": creating > 0}
        if creating > 0:
            table["TableStatus"] = "CREATING"
            restored.__dict__[CREATING] = creating - 1


def all_items(table: Table) -> list[StoredItem]:
    if table.has_range_key:
        return [item for partition in table.items.values() for item in partition.values()]
    return list(table.items.values())  # type: ignore[arg-type]


def _patch_updates() -> None:
    update_item = DynamoDBBackend.update_item

    def update(self: Any, table_name: str, key: dict[str, Any], *args: Any, **kwargs: Any) -> Item:
        """moto changes the stored item in place; the result is checked and brought into the service's form, and
        an update that fails leaves the item as it was."""
        table = self.get_table(table_name)
        rules = TableRules.of(table)
        hash_key, range_key = self.get_keys_value(table, key)
        before = rules.items.find(hash_key, range_key)
        kept = None if before is None else StoredItem(hash_key, range_key, before.wire, before.bytes)
        records = len(table.stream_shard.items) if table.stream_shard is not None else 0
        try:
            changed = update_item(self, table_name, key, *args, **kwargs)
            stored = StoredItem.of(changed)
            rules.check_index_keys(stored.wire)
        except Exception as error:
            if table.stream_shard is not None and not isinstance(error, ConditionalCheckFailed):
                del table.stream_shard.items[records:]
            _put_back(rules, hash_key, range_key, kept)
            if isinstance(error, ServiceError):
                raise MockValidationException(error.message) from None
            raise
        answer = stored.view()
        _put_back(rules, hash_key, range_key, stored)
        return answer

    DynamoDBBackend.update_item = update  # type: ignore[method-assign]


def _put_back(rules: TableRules, hash_key: DynamoType, range_key: DynamoType | None, item: StoredItem | None) -> None:
    items = rules.items
    if item is None:
        if hash_key in items:
            items[hash_key].pop(range_key, None) if range_key is not None else items.pop(hash_key)
    elif range_key is not None:
        items[hash_key][range_key] = item
    else:
        items[hash_key] = item


def _add(self: DynamoType, other: DynamoType) -> DynamoType:
    return _sum(self, other, 1)


def _subtract(self: DynamoType, other: DynamoType) -> DynamoType:
    return _sum(self, other, -1)


def _sum(left: DynamoType, right: DynamoType, sign: int) -> DynamoType:
    """Exact, where moto adds with 28 digits; a result beyond 38 digits is refused when it is stored.

    UNCONFIRMED: the service may round such a result instead.
    """
    if left.type != right.type:
        raise TypeError("Different types of operandi is not allowed.")
    if not left.is_number():
        raise IncorrectDataType()
    with localcontext() as context:
        context.prec = 300
        total = Decimal(left.value) + sign * Decimal(right.value)
    negative, digits, exponent = total.as_tuple()
    shown = "".join(map(str, digits)).lstrip("0")
    trimmed = shown.rstrip("0")
    if not trimmed:
        return DynamoType({"N": "0"})
    text = plain(trimmed, int(exponent) + len(shown) - len(trimmed))
    return DynamoType({"N": ("-" if negative else "") + text})
