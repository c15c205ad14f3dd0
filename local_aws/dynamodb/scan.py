"""Scan: pages of 1 MB by bisection, in segments."""

from collections.abc import Callable
from typing import Any

import msgspec
from moto.core.exceptions import JsonRESTError
from moto.dynamodb.comparisons import create_condition_expression_parser, get_filter_expression
from moto.dynamodb.models.dynamo_type import DynamoType, Item
from moto.dynamodb.responses import ProjectionExpressionParser, validate_attributes_used, validate_select

from local_aws.dynamodb.store import HASH_SPACE, StoredItem, key_hash, segment_range, to_dynamo_type, to_wire
from local_aws.dynamodb.tables import TableRules
from local_aws.dynamodb.values import Wire, invalid, normal_item, normal_value
from local_aws.responses import ServiceError

PAGE_BYTES = 1024 * 1024
MAX_SEGMENTS = 1_000_000

Start = tuple[DynamoType, DynamoType | None]


def scan(rules: TableRules, body: dict[str, Any]) -> bytes:
    """The answer to one Scan request, as JSON.

    A page ends before the item that would take the size of what was read, before any filter, over 1 MB, or at `Limit`
    items; then LastEvaluatedKey is given, even when no item follows.

    :raises ServiceError: for what the service refuses.
    """
    low, high = segment_of(body)
    limit = body.get("Limit")
    if limit is not None and limit < 1:
        raise invalid(
            f"1 validation error detected: Value '{limit}' at 'limit' failed to satisfy constraint: "
            "Member must have value greater than or equal to 1"
        )
    index = body.get("IndexName")
    check_index(rules, index, body)
    start = start_of(rules, body, low, high)
    keep, show = readers(rules, body)
    counting = body.get("Select") == "COUNT"

    shown: list[bytes] = []
    scanned = count = size = 0
    last: StoredItem | None = None
    more = False
    for item in rules.items.after(start, low, high):
        if index is not None and not rules.index_contains(index, item):
            continue
        if scanned == limit or (scanned and size + item.bytes > PAGE_BYTES):
            more = True
            break
        size += item.bytes
        scanned += 1
        last = item
        if keep is None or keep(item):
            count += 1
            if not counting:
                shown.append(item.raw if show is None else show(item))
    parts = [b'{"Count":%d,"ScannedCount":%d' % (count, scanned)]
    if not counting:
        parts += [b',"Items":[', b",".join(shown), b"]"]
    if last is not None and (more or scanned == limit):
        parts += [b',"LastEvaluatedKey":', msgspec.json.encode(last_key(rules, index, last))]
    capacity = capacity_of(rules, body, index, size)
    if capacity:
        parts += [b',"ConsumedCapacity":', msgspec.json.encode(capacity)]
    parts.append(b"}")
    return b"".join(parts)


def segment_of(body: dict[str, Any]) -> tuple[int, int]:
    """The hashes [low, high) that the request asks for."""
    segment, total = body.get("Segment"), body.get("TotalSegments")
    if segment is None and total is None:
        return 0, HASH_SPACE
    if total is None:
        raise invalid(
            "The TotalSegments parameter is required but was not present in the request when Segment parameter is present"
        )
    if segment is None:
        raise invalid(
            "The Segment parameter is required but was not present in the request when parameter TotalSegments is present"
        )
    if not isinstance(total, int) or not 1 <= total <= MAX_SEGMENTS:
        bound = (
            "less than or equal to 1000000" if isinstance(total, int) and total > 1 else "greater than or equal to 1"
        )
        raise invalid(
            f"1 validation error detected: Value '{total}' at 'totalSegments' failed to satisfy constraint: "
            f"Member must have value {bound}"
        )
    if not isinstance(segment, int) or segment < 0:
        raise invalid(
            f"1 validation error detected: Value '{segment}' at 'segment' failed to satisfy constraint: "
            "Member must have value greater than or equal to 0"
        )
    if segment >= total:
        raise invalid(
            "The Segment parameter is zero-based and must be less than parameter TotalSegments: "
            f"Segment: {segment} is not less than TotalSegments: {total}"
        )
    return segment_range(segment, total)


def check_index(rules: TableRules, index: str | None, body: dict[str, Any]) -> None:
    if index is None:
        return
    names = {i.name for i in rules.table.all_indexes()}
    if index not in names:
        raise invalid(f"The table does not have the specified index: {index}")
    if body.get("ConsistentRead") and index in {i.name for i in rules.table.global_indexes}:
        raise invalid("Consistent reads are not supported on global secondary indexes")


def start_of(rules: TableRules, body: dict[str, Any], low: int, high: int) -> Start | None:
    given = body.get("ExclusiveStartKey")
    if given is None:
        return None
    names = set(rules.key_names)
    if body.get("IndexName"):
        names |= {key["AttributeName"] for key in rules.table.get_index(body["IndexName"]).schema}
    if not isinstance(given, dict) or set(given) != names:
        raise invalid("The provided starting key is invalid")
    try:
        start = rules.key({name: given[name] for name in rules.key_names})
    except ServiceError as error:
        raise invalid(f"The provided starting key is invalid: {error.message}") from None
    if not low <= key_hash(start[0]) < high:
        raise invalid(
            "The provided starting key is invalid: Invalid ExclusiveStartKey. Please use ExclusiveStartKey with correct "
            f"Segment. TotalSegments: {body['TotalSegments']} Segment: {body['Segment']}"
        )
    return start


def last_key(rules: TableRules, index: str | None, item: StoredItem) -> Wire:
    names = rules.key_names
    if index is not None:
        names = names + [
            k["AttributeName"] for k in rules.table.get_index(index).schema if k["AttributeName"] not in names
        ]
    return {name: item.wire[name] for name in names}


def capacity_of(rules: TableRules, body: dict[str, Any], index: str | None, size: int) -> Wire | None:
    from local_aws.dynamodb.operations import consumed, read_units

    units = read_units(size, consistent=bool(body.get("ConsistentRead")))
    capacity: Wire | None = consumed(body, rules.table, units).get("ConsumedCapacity")
    if capacity and index is not None and "Table" in capacity:
        kind = (
            "GlobalSecondaryIndexes"
            if index in {i.name for i in rules.table.global_indexes}
            else "LocalSecondaryIndexes"
        )
        capacity |= {"Table": {"CapacityUnits": 0.0}, kind: {index: {"CapacityUnits": units}}}
    return capacity


Keep = Callable[[StoredItem], bool]
Show = Callable[[StoredItem], bytes]


def readers(rules: TableRules, body: dict[str, Any]) -> tuple[Keep | None, Show | None]:
    """What decides whether an item is returned, and what of it; None for everything.

    Expressions are moto's: evaluated on a copy of the item in moto's form.
    """
    try:
        return _readers(rules, body)
    except JsonRESTError as error:
        raise invalid(str(getattr(error, "message", error))) from None


def _readers(rules: TableRules, body: dict[str, Any]) -> tuple[Keep | None, Show | None]:
    names = body.get("ExpressionAttributeNames") or {}
    values = {name: normal_value(value)[0] for name, value in (body.get("ExpressionAttributeValues") or {}).items()}
    for member in ("FilterExpression", "ProjectionExpression"):
        if body.get(member) == "":
            raise invalid(f"Invalid {member}: The expression can not be empty;")
    parser = create_condition_expression_parser(body.get("FilterExpression"), names, values)
    try:
        parser.parse()
    except ValueError as error:
        raise invalid(f"Bad Filter Expression: {error}") from None
    projection = ProjectionExpressionParser(body.get("ProjectionExpression"), names)
    paths = projection.parse()
    used = parser.expr_attr_names_found + projection.expr_attr_names_found
    validate_attributes_used(names, used, validation_error_prefix=False)
    validate_select(
        operation="Scan",
        select=body.get("Select"),
        projection_expression=body.get("ProjectionExpression"),
        attributes_to_get=body.get("AttributesToGet"),
        table=rules.table,
        index_name=body.get("IndexName"),
    )
    return _filter(body, names, values), _projection(rules, body, paths)


def _filter(body: dict[str, Any], names: dict[str, str], values: Wire) -> Keep | None:
    tests: list[Callable[[Item], bool]] = []
    if body.get("FilterExpression"):
        # moto's own form of values: binaries at the top are bytes
        typed = {name: _moto_form(value) for name, value in values.items()}
        tests.append(get_filter_expression(body["FilterExpression"], names, typed).expr)
    for name, condition in (body.get("ScanFilter") or {}).items():
        objects = [to_dynamo_type(normal_value(v)[0]) for v in condition.get("AttributeValueList", [])]
        tests.append(_legacy_test(name, condition["ComparisonOperator"], objects))
    if not tests:
        return None
    return lambda item: (view := item.view()) is not None and all(test(view) for test in tests)


def _legacy_test(name: str, operator: str, objects: list[DynamoType]) -> Callable[[Item], bool]:
    def test(item: Item) -> bool:
        value = item.attrs.get(name)
        if value is None:
            return operator == "NULL"
        return operator != "NULL" and value.compare(operator, objects)

    return test


def _moto_form(value: Wire) -> Wire:
    typed = to_dynamo_type(value)
    return {typed.type: typed.value} if typed.type in {"B", "BS"} else value


def _projection(rules: TableRules, body: dict[str, Any], paths: list[list[str]]) -> Show | None:
    if body.get("AttributesToGet"):
        paths = [[name] for name in body["AttributesToGet"]]
    if paths:
        if all(len(path) == 1 and "[" not in path[0] for path in paths):
            wanted = [path[0] for path in paths]
            return lambda item: msgspec.json.encode({name: item.wire[name] for name in wanted if name in item.wire})
        return lambda item: msgspec.json.encode(normal_item(to_wire(item.project(paths).attrs))[0])
    if body.get("IndexName"):
        index = rules.table.get_index(body["IndexName"])
        kind = index.projection.get("ProjectionType")
        if kind in {"KEYS_ONLY", "INCLUDE"}:
            names = {*rules.key_names, *index.schema_key_attrs, *index.projection.get("NonKeyAttributes", [])}
            return lambda item: msgspec.json.encode({n: v for n, v in item.wire.items() if n in names})
    return None
