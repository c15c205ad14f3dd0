"""moto's tables, and what an item or a key must be to enter one."""

from dataclasses import dataclass
from typing import Any

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.dynamodb.models import dynamodb_backends
from moto.dynamodb.models.dynamo_type import DynamoType
from moto.dynamodb.models.table import Table
from moto.iam.models import get_account_id_from

from local_aws.dynamodb.store import OrderedItems, StoredItem, to_dynamo_type
from local_aws.dynamodb.values import (
    PARAMETERS,
    Wire,
    check_key_size,
    invalid,
    normal_item,
    normal_key_value,
    normal_value,
)
from local_aws.responses import ServiceError

RESTORED = "_local_aws_restored"
"""Attribute of a table that a restore made: its RestoreSummary."""
CREATING = "_local_aws_creating"
"""Attribute of such a table: how often DescribeTable still says CREATING."""


def find_table(environ: dict[str, Any], name: Any) -> Table:
    """The table in the account and Region that the request is signed for.

    :param name: name or ARN.
    :raises ServiceError: ResourceNotFoundException.
    """
    if not isinstance(name, str):
        raise invalid(
            "1 validation error detected: Value null at 'tableName' failed to satisfy constraint: "
            "Member must not be null"
        )
    account, region = scope(environ)
    tables: dict[str, Table] = dynamodb_backends[account][region].tables
    table = tables.get(name)
    if table is None and name.startswith("arn:"):
        table = next((t for t in list(tables.values()) if t.table_arn == name), None)
    if table is None:
        raise ServiceError("ResourceNotFoundException", "Requested resource not found")
    return table


def scope(environ: dict[str, Any]) -> tuple[str, str]:
    """Account and Region of a signed request."""
    authorization = environ.get("HTTP_AUTHORIZATION", "")
    _, _, credential = authorization.partition("Credential=")
    parts = credential.partition(",")[0].split("/")
    if len(parts) < 3:
        return DEFAULT_ACCOUNT_ID, "us-east-1"
    return environ.get("HTTP_X_MOTO_ACCOUNT_ID") or get_account_id_from(parts[0]), parts[2]


@dataclass(frozen=True)
class IndexKey:
    attribute: str
    type: str
    role: str
    index: str


@dataclass(frozen=True)
class TableRules:
    """What a table asks of items: read once a request."""

    table: Table
    hash_name: str
    hash_type: str
    range_name: str | None
    range_type: str | None
    index_keys: tuple[IndexKey, ...]

    @classmethod
    def of(cls, table: Table) -> "TableRules":
        types = {a["AttributeName"]: a["AttributeType"] for a in table.attr}
        own = {table.hash_key_attr, table.range_key_attr}
        keys = [
            IndexKey(key["AttributeName"], types.get(key["AttributeName"], "S"), key["KeyType"], index.name)
            for index in table.all_indexes()
            for key in index.schema
            if key["AttributeName"] not in own
        ]
        return cls(
            table,
            table.hash_key_attr,
            table.hash_key_type,
            table.range_key_attr,
            table.range_key_type,
            tuple(keys),
        )

    @property
    def items(self) -> OrderedItems:
        return self.table.items  # type: ignore[return-value]

    @property
    def key_names(self) -> list[str]:
        return [self.hash_name] if self.range_name is None else [self.hash_name, self.range_name]

    def item(self, item: Any, *, indexed: bool = True) -> StoredItem:
        """An item as it will be stored.

        :param indexed: False for one that was in the table before it had its indexes, which did not check it.
        :raises ServiceError: when the service would refuse it in this table.
        """
        self._check_keys_present(item)
        wire, size = normal_item(item)
        hash_value = self._key(wire, self.hash_name, self.hash_type, "HASH")
        range_value = self._key(wire, self.range_name, self.range_type, "RANGE") if self.range_name else None
        if indexed:
            self.check_index_keys(wire)
        return StoredItem(hash_value, range_value, wire, size)

    def _check_keys_present(self, item: Any) -> None:
        for name in self.key_names:
            if not isinstance(item, dict) or name not in item:
                raise invalid(f"{PARAMETERS}Missing the key {name} in the item")

    def _key(self, wire: Wire, name: str, expected: str | None, role: str) -> DynamoType:
        normal_key_value(name, wire[name], str(expected), role)
        return to_dynamo_type(wire[name])

    def check_index_keys(self, wire: Wire) -> None:
        """Items of a table with an index must have the index's type in its key attributes, or not have them.

        An index that is added later does not check the items that are there; they are not in the index.
        """
        for key in self.index_keys:
            value = wire.get(key.attribute)
            if value is None:
                continue
            ((kind, content),) = value.items()
            if kind != key.type:
                raise invalid(
                    f"{PARAMETERS}Type mismatch for Index Key {key.attribute} "
                    f"Expected: {key.type} Actual: {kind} IndexName: {key.index}"
                )
            if content == "":
                what = "string" if kind == "S" else "binary"
                raise invalid(
                    "One or more parameter values are not valid. A value specified for a secondary index key is not "
                    f"supported. The AttributeValue for a key attribute cannot contain an empty {what} value. "
                    f"IndexName: {key.index}, IndexKey: {key.attribute}"
                )
            check_key_size(key.attribute, kind, normal_value(value)[1], key.role)

    def key(self, key: Any) -> tuple[DynamoType, DynamoType | None]:
        """A request's `Key`.

        :raises ServiceError: when it has not exactly the table's key attributes.
        """
        if not isinstance(key, dict) or set(key) != set(self.key_names):
            raise invalid("The provided key element does not match the schema")
        found: list[DynamoType | None] = []
        for name, expected, role in (
            (self.hash_name, self.hash_type, "HASH"),
            (self.range_name, self.range_type, "RANGE"),
        ):
            if name is None:
                found.append(None)
                continue
            if not isinstance(key[name], dict) or expected not in key[name]:
                raise invalid("The provided key element does not match the schema")
            found.append(to_dynamo_type(normal_key_value(name, key[name], str(expected), role)[0]))
        hash_value, range_value = found
        assert hash_value is not None
        return hash_value, range_value

    def put(self, item: StoredItem) -> StoredItem | None:
        """Store an item and tell the table's stream.

        :return: the item that it replaces.
        """
        old = self.items.find(item.hash_key, item.range_key)
        if item.range_key is None:
            self.items[item.hash_key] = item
        else:
            self.items[item.hash_key][item.range_key] = item
        if self.table.stream_shard is not None and (old is None or old.wire != item.wire):
            # a put that changes nothing writes no stream record (developer guide, "Change data capture")
            self.table.stream_shard.add(old, item)
        return old

    def delete(self, hash_key: DynamoType, range_key: DynamoType | None) -> StoredItem | None:
        old = self.items.find(hash_key, range_key)
        if old is not None:
            self.table.delete_item(hash_key, range_key)
            if self.items.has_range and not self.items[hash_key]:
                del self.items[hash_key]
        return old

    def index_contains(self, index_name: str, item: StoredItem) -> bool:
        """Whether a secondary index has an entry for the item: its key attributes are there with the index's types."""
        wire = item.wire
        index = self.table.get_index(index_name)
        types = {a["AttributeName"]: a["AttributeType"] for a in self.table.attr}
        for key in index.schema:
            value = wire.get(key["AttributeName"])
            if value is None:
                return False
            ((kind, content),) = value.items()
            if kind != types.get(key["AttributeName"], kind) or content == "":
                return False
        return True
