"""The DynamoDB operations that move many items, answered without moto; the others go to moto with strict values."""

import io
import math
import re
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import msgspec
from moto.dynamodb.models.dynamo_type import DynamoType
from moto.dynamodb.models.table import Table

from local_aws.dynamodb import patches
from local_aws.dynamodb.history import watching
from local_aws.dynamodb.recovery import Recovery
from local_aws.dynamodb.scan import scan
from local_aws.dynamodb.tables import CREATING, TableRules, find_table
from local_aws.dynamodb.values import Wire, invalid, normal_value
from local_aws.responses import Response, ServiceError, dynamodb_response, json_error

if TYPE_CHECKING:
    from local_aws.application import Switches

NAMESPACE = "com.amazonaws.dynamodb.v20120810"
NAMESPACES = {
    "ValidationException": "com.amazon.coral.validate",
    "SerializationException": "com.amazon.coral.service",
}
BATCH_PUTS = 25
BATCH_KEYS = 100
BATCH_BYTES = 16 * 1024 * 1024


#: Operations that moto does not have, answered as for a table without the feature.
NOT_IN_MOTO: dict[str, dict[str, Any]] = {
    "DescribeContributorInsights": {"ContributorInsightsStatus": "DISABLED"},
    "DescribeKinesisStreamingDestination": {"KinesisDataStreamDestinations": []},
}


class DynamoDb:
    """Answers `DynamoDB_20120810.*` requests, one at a time for the whole process: moto's tables have no locks."""

    def __init__(self, switches: "Switches") -> None:
        patches.apply()
        self._switches = switches
        self.lock = threading.RLock()
        self._counts = {"writes": 0, "reads": 0, "requests": 0}
        self._own: dict[str, Callable[[dict[str, Any], dict[str, Any]], bytes | None]] = {
            "Scan": lambda environ, body: scan(TableRules.of(find_table(environ, body.get("TableName"))), body),
            "BatchWriteItem": self._batch_write_item,
            "BatchGetItem": self._batch_get_item,
            "PutItem": self._put_item,
            "GetItem": self._get_item,
        }
        self.recovery = Recovery(switches)

    def reset(self) -> None:
        self._counts = dict.fromkeys(self._counts, 0)
        self.recovery.reset()

    def __call__(
        self, operation: str, environ: dict[str, Any], start_response: Callable[..., Any], moto: Callable[..., Any]
    ) -> Iterable[bytes]:
        try:
            body = parse(environ["local_aws.body"])
            with self.lock:
                if operation in NOT_IN_MOTO:
                    table = find_table(environ, body.get("TableName"))
                    answer = msgspec.json.encode({"TableName": table.name} | NOT_IN_MOTO[operation])
                    return dynamodb_response(answer)(start_response)
                refuse_while_made(operation, environ, body)
                if operation == "DeleteTable":
                    self.recovery.ondemand.table_goes(environ, body.get("TableName"))
                recovery = self.recovery.operations.get(operation)
                if recovery is not None:
                    return dynamodb_response(recovery(environ, body))(start_response)
                with watching(operation, environ, body, self.recovery.now()):
                    return self._answer(operation, environ, body, start_response, moto)
        except ServiceError as error:
            return error_response(error)(start_response)

    def _answer(
        self,
        operation: str,
        environ: dict[str, Any],
        body: dict[str, Any],
        start_response: Callable[..., Any],
        moto: Callable[..., Any],
    ) -> Iterable[bytes]:
        own = self._own.get(operation)
        if own is not None:
            self._throttle()
            given = own(environ, body)
            if given is not None:
                return dynamodb_response(given)(start_response)
        strict = self._strict(operation, environ, body)
        if strict is not None:
            data = msgspec.json.encode(strict)
            environ |= {"wsgi.input": io.BytesIO(data), "CONTENT_LENGTH": str(len(data))}
        with patches.request(operation, body):
            # moto's answers are whole when it returns, so the lock may go
            return list(moto(environ, start_response))

    def _throttle(self) -> None:
        self._counts["requests"] += 1
        every = self._switches.dynamodb_throttle_every
        if every and self._counts["requests"] % every == 0:
            raise ServiceError(
                "ProvisionedThroughputExceededException",
                "The level of configured provisioned throughput for the table was exceeded. "
                "Consider increasing your provisioning level with the UpdateTable API.",
            )

    def _strict(self, operation: str, environ: dict[str, Any], body: dict[str, Any]) -> dict[str, Any] | None:
        """The request with every attribute value in the service's form, or None where it has none."""
        if operation in {"CreateTable", "UpdateTable"}:
            check_names(body)
        if operation == "PutItem":
            rules = TableRules.of(find_table(environ, body.get("TableName")))
            body = body | {"Item": rules.item(body.get("Item")).wire}
        if operation == "TransactWriteItems":
            return body | {"TransactItems": [self._strict_action(environ, a) for a in body.get("TransactItems", [])]}
        return strict_values(body) if operation in VALUE_OPERATIONS else None

    def _strict_action(self, environ: dict[str, Any], action: dict[str, Any]) -> dict[str, Any]:
        checked = {}
        for kind, content in action.items():
            if kind == "Put":
                rules = TableRules.of(find_table(environ, content.get("TableName")))
                content = content | {"Item": rules.item(content.get("Item")).wire}
            checked[kind] = strict_values(content)
        return checked

    def _put_item(self, environ: dict[str, Any], body: dict[str, Any]) -> bytes | None:
        if not PLAIN_PUT.issuperset(body) or body.get("ReturnValues", "NONE") != "NONE":
            return None
        table = find_table(environ, body.get("TableName"))
        rules = TableRules.of(table)
        item = rules.item(body.get("Item"))
        rules.put(item)
        return msgspec.json.encode(consumed(body, table, write_units(item.bytes)))

    def _get_item(self, environ: dict[str, Any], body: dict[str, Any]) -> bytes | None:
        if not PLAIN_GET.issuperset(body):
            return None
        table = find_table(environ, body.get("TableName"))
        rules = TableRules.of(table)
        item = rules.items.find(*rules.key(body.get("Key")))
        answer: dict[str, Any] = {} if item is None else {"Item": msgspec.Raw(item.raw)}
        units = read_units(item.bytes if item else 0, consistent=bool(body.get("ConsistentRead")))
        return msgspec.json.encode(answer | consumed(body, table, units))

    def _batch_get_item(self, environ: dict[str, Any], body: dict[str, Any]) -> bytes | None:
        requests = body.get("RequestItems")
        if not isinstance(requests, dict) or not requests:
            raise invalid(
                "1 validation error detected: Value at 'requestItems' failed to satisfy constraint: "
                "Member must have length greater than or equal to 1"
            )
        if not all(PLAIN_BATCH_GET.issuperset(request) for request in requests.values()):
            return None
        if sum(len(request["Keys"]) for request in requests.values()) > BATCH_KEYS:
            raise invalid("Too many items requested for the BatchGetItem call")
        found: dict[str, list[msgspec.Raw]] = {}
        left: dict[str, dict[str, Any]] = {}
        units: dict[str, float] = {}
        total = 0
        for name, request in requests.items():
            rules = TableRules.of(find_table(environ, name))
            keys = [rules.key(key) for key in request["Keys"]]
            refuse_duplicates(keys)
            found[name], units[name] = [], 0.0
            looked = len(keys) - self._keys_left(len(keys))
            for number, (key, given) in enumerate(zip(keys, request["Keys"], strict=True)):
                item = rules.items.find(*key)
                size = item.bytes if item else 0
                if total + size > BATCH_BYTES or number >= looked:
                    left.setdefault(name, request | {"Keys": []})["Keys"].append(given)
                    continue
                total += size
                units[name] += read_units(size, consistent=bool(request.get("ConsistentRead")))
                if item is not None:
                    found[name].append(msgspec.Raw(item.raw))
        answer: dict[str, Any] = {"Responses": found, "UnprocessedKeys": left}
        return msgspec.json.encode(answer | consumed_by_table(body, units))

    def _batch_write_item(self, environ: dict[str, Any], body: dict[str, Any]) -> bytes:
        requests = body.get("RequestItems")
        if not isinstance(requests, dict) or not requests or not all(requests.values()):
            raise invalid(
                "1 validation error detected: Value at 'requestItems' failed to satisfy constraint: "
                "Member must have length greater than or equal to 1"
            )
        if sum(map(len, requests.values())) > BATCH_PUTS:
            raise invalid("Too many items requested for the BatchWriteItem call")
        if len(environ["local_aws.body"]) > BATCH_BYTES:  # as transmitted: escapes and base64 count
            raise invalid("Request size has exceeded the maximum allowed size of 16 MB")
        # Nothing is written before everything is valid: the service refuses a bad batch as a whole.
        checked = {name: self._batch_of(environ, name, listed) for name, listed in requests.items()}
        left = self._left_unprocessed(requests)
        units: dict[str, float] = {}
        for name, (rules, writes) in checked.items():
            units[name] = 0.0
            kept = len(writes) - len(left.get(name, []))
            for key, item in writes[:kept]:
                if item is None:
                    old = rules.delete(*key)
                    units[name] += write_units(old.bytes if old else 0)
                else:
                    old = rules.put(item)
                    units[name] += write_units(max(item.bytes, old.bytes if old else 0))
        return msgspec.json.encode({"UnprocessedItems": left} | consumed_by_table(body, units))

    def _batch_of(self, environ: dict[str, Any], name: str, listed: list[Any]) -> tuple[TableRules, list[Any]]:
        rules = TableRules.of(find_table(environ, name))
        writes: list[Any] = []
        for request in listed:
            if not isinstance(request, dict) or len(request) != 1:
                raise invalid(
                    "Supplied WriteRequest must contain exactly one of the supported request types: "
                    "PutRequest or DeleteRequest"
                )
            ((kind, content),) = request.items()
            if kind == "PutRequest":
                item = rules.item(content.get("Item"))
                writes.append(((item.hash_key, item.range_key), item))
            else:
                writes.append((rules.key(content.get("Key")), None))
        refuse_duplicates([key for key, _ in writes])
        return rules, writes

    def _keys_left(self, count: int) -> int:
        self._counts["reads"] += 1
        every = self._switches.dynamodb_unprocessed_every
        return count // 2 if every and self._counts["reads"] % every == 0 else 0

    def _left_unprocessed(self, requests: dict[str, list[Any]]) -> dict[str, list[Any]]:
        self._counts["writes"] += 1
        every = self._switches.dynamodb_unprocessed_every
        if not every or self._counts["writes"] % every:
            return {}
        return {name: listed[len(listed) // 2 :] for name, listed in requests.items() if len(listed) > 1}


CHANGES_TABLES = {
    "DeleteTable",
    "UpdateTable",
    "TagResource",
    "UntagResource",
    "UpdateTimeToLive",
    "UpdateContinuousBackups",
}
MOVES_ITEMS = {"Scan", "Query", "GetItem", "PutItem", "UpdateItem", "DeleteItem", "BatchGetItem", "BatchWriteItem"}


def refuse_while_made(operation: str, environ: dict[str, Any], body: dict[str, Any]) -> None:
    """:raises ServiceError: for what the service does not do with a table that is CREATING."""
    if operation not in CHANGES_TABLES | MOVES_ITEMS:
        return
    for name in [body.get("TableName") or body.get("ResourceArn"), *(body.get("RequestItems") or {})]:
        if name is None or find_table(environ, name).__dict__.get(CREATING, 0) <= 0:
            continue
        if operation in CHANGES_TABLES:
            raise ServiceError("ResourceInUseException", f"Table is being created: {name}")
        raise ServiceError("ResourceNotFoundException", "Requested resource not found")


NAME = re.compile("[A-Za-z0-9_.-]{3,255}")
PLAIN_PUT = frozenset(["TableName", "Item", "ReturnValues", "ReturnConsumedCapacity", "ReturnItemCollectionMetrics"])
PLAIN_GET = frozenset(["TableName", "Key", "ConsistentRead", "ReturnConsumedCapacity"])
PLAIN_BATCH_GET = frozenset(["Keys", "ConsistentRead"])
VALUE_OPERATIONS = frozenset(
    ["PutItem", "UpdateItem", "DeleteItem", "GetItem", "BatchGetItem", "Query", "TransactGetItems"]
)
# Where requests hold attribute values, and how deep below the member they lie.
VALUE_MEMBERS = {"Key": 0, "Item": 0, "ExpressionAttributeValues": 0, "ExclusiveStartKey": 0}
WRAPPED_MEMBERS = frozenset(["AttributeUpdates", "Expected", "KeyConditions", "QueryFilter"])


def strict_values(body: dict[str, Any]) -> dict[str, Any]:
    """A request with every attribute value in the service's form.

    :raises ServiceError: for a value that the service refuses.
    """
    strict = dict(body)
    for member in VALUE_MEMBERS:
        if isinstance(body.get(member), dict):
            strict[member] = {name: normal_value(value)[0] for name, value in body[member].items()}
    for member in WRAPPED_MEMBERS:
        if isinstance(body.get(member), dict):
            strict[member] = {name: strict_condition(value) for name, value in body[member].items()}
    return strict


def check_names(body: dict[str, Any]) -> None:
    """:raises ServiceError: for a table or index name that the service does not allow (moto looks at tables only)."""
    created = [update.get("Create") or {} for update in body.get("GlobalSecondaryIndexUpdates") or []]
    indexes = [*(body.get("GlobalSecondaryIndexes") or []), *(body.get("LocalSecondaryIndexes") or []), *created]
    for name in [body.get("TableName", ""), *(i["IndexName"] for i in indexes if "IndexName" in i)]:
        if not NAME.fullmatch(name) and not name.startswith("arn:"):
            raise invalid(
                "Invalid table/index name.  Table/index names must be between 3 and 255 characters long, "
                "and may contain only the characters a-z, A-Z, 0-9, '_', '-', and '.'"
            )


def strict_condition(condition: Any) -> Any:
    if not isinstance(condition, dict):
        return condition
    strict = dict(condition)
    if "Value" in condition:
        strict["Value"] = normal_value(condition["Value"])[0]
    if "AttributeValueList" in condition:
        strict["AttributeValueList"] = [normal_value(value)[0] for value in condition["AttributeValueList"]]
    return strict


def parse(body: bytes) -> dict[str, Any]:
    """:raises ServiceError: SerializationException when the body is not a JSON object in UTF-8."""
    try:
        parsed = msgspec.json.decode(body or b"{}")
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ServiceError("SerializationException", "The request body is not valid JSON in UTF-8") from None
    if not isinstance(parsed, dict):
        raise ServiceError("SerializationException", "Unexpected value type in payload: an object was expected")
    return parsed


def error_response(error: ServiceError) -> Response:
    return json_error(error, NAMESPACES.get(error.code, NAMESPACE))


def refuse_duplicates(keys: list[tuple[DynamoType, DynamoType | None]]) -> None:
    if len(set(keys)) != len(keys):
        raise invalid("Provided list of item keys contains duplicates")


def read_units(size: int, *, consistent: bool) -> float:
    """4 KB a unit, half of it for an eventually consistent read; an absent item costs as the smallest."""
    return max(1, math.ceil(size / 4096)) * (1.0 if consistent else 0.5)


def write_units(size: int) -> float:
    """1 KB a unit. What the indexes consume is not counted here, unlike in the service."""
    return float(max(1, math.ceil(size / 1024)))


def consumed(body: dict[str, Any], table: Table, units: float) -> dict[str, Any]:
    """The answer's ConsumedCapacity, as far as the request asks for it."""
    wanted = body.get("ReturnConsumedCapacity", "NONE")
    if wanted not in {"NONE", "TOTAL", "INDEXES"}:
        raise invalid(
            f"1 validation error detected: Value '{wanted}' at 'returnConsumedCapacity' failed to satisfy constraint: "
            "Member must satisfy enum value set: [INDEXES, TOTAL, NONE]"
        )
    if wanted == "NONE":
        return {}
    capacity: dict[str, Any] = {"TableName": table.name, "CapacityUnits": units}
    if wanted == "INDEXES":
        capacity["Table"] = {"CapacityUnits": units}
    return {"ConsumedCapacity": capacity}


def consumed_by_table(body: dict[str, Any], units: dict[str, float]) -> dict[str, Any]:
    wanted = body.get("ReturnConsumedCapacity", "NONE")
    if wanted == "NONE":
        return {}
    listed: list[Wire] = [{"TableName": name, "CapacityUnits": spent} for name, spent in units.items()]
    if wanted == "INDEXES":
        listed = [entry | {"Table": {"CapacityUnits": entry["CapacityUnits"]}} for entry in listed]
    return {"ConsumedCapacity": listed}
