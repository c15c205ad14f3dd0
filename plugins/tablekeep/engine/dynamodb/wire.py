"""Items as the service's own JSON, in both directions, without a Python object per attribute value.

The wire client tries nothing twice: throttling, faults and lost connections are answered by one loop (`pacing`) that knows
the budget, the other workers, the clock and how long nothing has moved. A second loop inside botocore would hide throttles
and sleep where nobody can stop it.
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import botocore.exceptions
import botocore.parsers
import msgspec

from tablekeep.engine.clients import THROTTLING, SessionClients, error_code, translate
from tablekeep.engine.dynamodb.raw import RawClient
from tablekeep.engine.errors import IntegrityError, PermanentError, TablekeepError, ThrottledError, TransientError

BATCH_WRITE_ITEMS = 25
BATCH_GET_KEYS = 100
BATCH_WRITE_BYTES = 16 * 1024 * 1024
"""BatchWriteItem's limits: puts a request, and bytes of a request."""

CONDITION_FAILED = "ConditionalCheckFailedException"
RETRYABLE = {"ReplicatedWriteConflictException", "RequestTimeout", "RequestTimeoutException", "ServiceUnavailable"}
"""Codes below 500 that are modelled as retryable, or name a time-out."""


class WireThrottled(ThrottledError):
    """The service refused for capacity.

    :param reasons: `ThrottlingReasons[].reason` of the answer, such as `TableReadKeyRangeThroughputExceeded`; often empty.
    """

    reasons: tuple[str, ...] = ()

    def __init__(self, what: str, why: str, todo: str = "", reasons: tuple[str, ...] = ()) -> None:
        super().__init__(what, why, todo)
        self.reasons = reasons

    @property
    def hot_key_only(self) -> bool:
        """Whether every reason is a hot key range: then the other segments need not slow down."""
        return bool(self.reasons) and all("KeyRange" in reason for reason in self.reasons)


@dataclass(frozen=True, slots=True)
class Page:
    """One Scan answer.

    :param items: each item's wire JSON (`bytes(raw)`); keeps the whole answer in memory as long as one of them lives.
    :param last_key: LastEvaluatedKey as raw JSON, to be sent back as it is; None at the segment's end.
    :param consumed: read capacity units.
    :param byte_count: of the answer's body.
    :param asked_at, answered_at: when a scan sent the request and had the answer (aware, UTC).
    """

    items: list[msgspec.Raw]
    count: int
    scanned_count: int
    last_key: bytes | None
    consumed: float
    byte_count: int
    asked_at: datetime | None = None
    answered_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class GetAnswer:
    """Items found, keys that were not looked at (to be asked again), read capacity units."""

    items: list[msgspec.Raw]
    unprocessed: list[bytes]
    consumed: float


@dataclass(frozen=True, slots=True)
class WriteAnswer:
    """Items that were not written (to be sent again), write capacity units."""

    unprocessed: list[bytes]
    consumed: float


@dataclass(frozen=True, slots=True)
class PutAnswer:
    """Whether the item was written, the item that was there before (wire JSON), write capacity units."""

    written: bool
    there: bytes | None
    consumed: float


class _Capacity(msgspec.Struct):
    CapacityUnits: float = 0.0


class _Scan(msgspec.Struct):
    Count: int
    Items: list[msgspec.Raw]
    ScannedCount: int = 0
    LastEvaluatedKey: msgspec.Raw = msgspec.Raw()  # a union with None would not take an object
    ConsumedCapacity: _Capacity | None = None


class _Keys(msgspec.Struct):
    Keys: list[msgspec.Raw]


class _Get(msgspec.Struct):
    Responses: dict[str, list[msgspec.Raw]] = {}
    UnprocessedKeys: dict[str, _Keys] = {}
    ConsumedCapacity: list[_Capacity] = []


class _Put(msgspec.Struct):
    Item: msgspec.Raw


class _PutRequest(msgspec.Struct):
    PutRequest: _Put


class _Write(msgspec.Struct):
    UnprocessedItems: dict[str, list[_PutRequest]] = {}
    ConsumedCapacity: list[_Capacity] = []


class _PutItem(msgspec.Struct):
    Attributes: msgspec.Raw = msgspec.Raw()
    ConsumedCapacity: _Capacity | None = None


_put_decoder = msgspec.json.Decoder(_PutItem)
_scan_decoder = msgspec.json.Decoder(_Scan)
_get_decoder = msgspec.json.Decoder(_Get)
_write_decoder = msgspec.json.Decoder(_Write)


def _text(value: str) -> bytes:
    return msgspec.json.encode(value)


class WireClient:
    """Scan, BatchGetItem and BatchWriteItem of one Region; safe to share between threads.

    Every method raises `WireThrottled`, `TransientError` (a fault, a lost connection, a damaged answer), `PermanentError` or
    `BadInputError`, and no message carries a value of an item.
    """

    def __init__(self, clients: SessionClients, region: str | None = None) -> None:
        self._raw = RawClient(clients, "dynamodb", region)

    @property
    def region(self) -> str:
        return self._raw.region

    def close(self) -> None:
        """Closes the connections."""
        self._raw.close()

    def scan(
        self,
        table: str,
        *,
        segment: int = 0,
        total: int = 1,
        start_key: bytes | None = None,
        consistent: bool = False,
        limit: int | None = None,
    ) -> Page:
        """One page (at most 1 MB of items) of one segment.

        :raises IntegrityError: when `Count` is not the number of items.
        """
        parts = [b'{"TableName":', _text(table), b',"ReturnConsumedCapacity":"TOTAL"']
        if total > 1:
            parts.append(f',"Segment":{segment},"TotalSegments":{total}'.encode())
        if consistent:
            parts.append(b',"ConsistentRead":true')
        if limit is not None:
            parts.append(f',"Limit":{limit}'.encode())
        if start_key is not None:
            parts += [b',"ExclusiveStartKey":', start_key]
        parts.append(b"}")
        what = f"reading table {table}"
        sent = [] if start_key is None else [start_key]
        body = self._call("Scan", {"TableName": table}, b"".join(parts), what, sent)
        answer = _decoded(_scan_decoder, body, what)
        if answer.Count != len(answer.Items):
            raise IntegrityError(
                what,
                f"a page of segment {segment} says Count {answer.Count} and holds {len(answer.Items)} items",
                "run it again; if it stays, report it to AWS",
            )
        return Page(
            items=answer.Items,
            count=answer.Count,
            scanned_count=answer.ScannedCount,
            last_key=bytes(answer.LastEvaluatedKey) if bytes(answer.LastEvaluatedKey) not in (b"", b"null") else None,
            consumed=answer.ConsumedCapacity.CapacityUnits if answer.ConsumedCapacity else 0.0,
            byte_count=len(body),
        )

    def batch_get(self, table: str, keys: Sequence[bytes], *, consistent: bool = True) -> GetAnswer:
        """Up to 100 items by key.

        :param keys: each the JSON object of the key attributes, `{"pk":{"S":"a"}}`.
        """
        read = b',"ConsistentRead":true' if consistent else b""
        request = b'{"RequestItems":{%b:{"Keys":[%b]%b}},"ReturnConsumedCapacity":"TOTAL"}' % (
            _text(table),
            b",".join(keys),
            read,
        )
        what = f"reading {len(keys)} keys of table {table}"
        body = self._call("BatchGetItem", {"RequestItems": {table: {"Keys": []}}}, request, what, keys)
        answer = _decoded(_get_decoder, body, what)
        return GetAnswer(
            items=[item for items in answer.Responses.values() for item in items],
            unprocessed=[bytes(key) for rest in answer.UnprocessedKeys.values() for key in rest.Keys],
            consumed=sum(part.CapacityUnits for part in answer.ConsumedCapacity),
        )

    def batch_write(self, table: str, items: Sequence[bytes]) -> WriteAnswer:
        """Puts up to 25 items (at most 16 MB together).

        :param items: each an item's wire JSON; goes into the request unparsed.
        :raises IntegrityError: when the service finds a key twice among them.
        """
        puts = b",".join([b'{"PutRequest":{"Item":%b}}' % item for item in items])
        request = b'{"RequestItems":{%b:[%b]},"ReturnConsumedCapacity":"TOTAL"}' % (_text(table), puts)
        what = f"writing {len(items)} items to table {table}"
        body = self._call("BatchWriteItem", {"RequestItems": {table: []}}, request, what, items)
        answer = _decoded(_write_decoder, body, what)
        return WriteAnswer(
            unprocessed=[bytes(put.PutRequest.Item) for rest in answer.UnprocessedItems.values() for put in rest],
            consumed=sum(part.CapacityUnits for part in answer.ConsumedCapacity),
        )

    def put(self, table: str, item: bytes, *, absent: str | None = None, condition: bytes = b"") -> PutAnswer:
        """Puts one item.

        :param item: its wire JSON. :param absent: name of the partition key: only where no item has the item's key.
        :param condition: members of the request that make another condition, with a comma before each.
        """
        told = b',"ReturnValuesOnConditionCheckFailure":"ALL_OLD"'
        if absent is not None:
            names = b'"ExpressionAttributeNames":{"#k":%b}' % _text(absent)
            condition = b',"ConditionExpression":"attribute_not_exists(#k)",' + names
        condition = condition + told if condition else b',"ReturnValues":"ALL_OLD"'
        request = b'{"TableName":%b,"Item":%b,"ReturnConsumedCapacity":"TOTAL"%b}' % (_text(table), item, condition)
        what = f"writing an item to table {table}"
        try:
            body = self._raw.call("PutItem", {"TableName": table, "Item": {}}, request)
        except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError) as error:
            if isinstance(error, botocore.exceptions.ClientError) and error_code(error) == CONDITION_FAILED:
                there = error.response.get("Item")
                return PutAnswer(False, msgspec.json.encode(there) if there else None, 0.0)  # bytes become base64
            failure = classified(error, what, [item])
        except botocore.parsers.ResponseParserError:
            failure = TransientError(
                what, "PutItem was answered by something that is not the service", "check the endpoint"
            )
        else:
            answer = _decoded(_put_decoder, body, what)
            old = bytes(answer.Attributes)
            consumed = answer.ConsumedCapacity.CapacityUnits if answer.ConsumedCapacity else 0.0
            return PutAnswer(True, old if old not in (b"", b"null", b"{}") else None, consumed)
        raise failure  # outside of the except clause, as in `_call`

    def table_id(self, table: str) -> str:
        """The id that a table keeps for life and no other table gets, a later one of its name included."""
        what = f"describing table {table}"
        body = self._call("DescribeTable", {"TableName": table}, None, what, [])
        return str(json.loads(body)["Table"].get("TableId", ""))

    def _call(
        self, operation: str, params: dict[str, Any], body: bytes | None, what: str, sent: Sequence[bytes]
    ) -> bytes:
        try:
            return self._raw.call(operation, params, body)
        except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError) as error:
            failure = classified(error, what, sent)
        except botocore.parsers.ResponseParserError:  # its text quotes the answer
            failure = TransientError(
                what, f"{operation} was answered by something that is not the service", "check the endpoint"
            )
        raise failure  # outside of the except clause: the original, which may quote a value, is not chained


def _decoded(decoder: "msgspec.json.Decoder[Any]", body: bytes, what: str) -> Any:
    try:
        return decoder.decode(body)
    except msgspec.DecodeError as error:
        # msgspec names offsets and types only. An answer that breaks off is a lost connection by another name.
        failure = TransientError(what, f"the answer of {len(body)} bytes cannot be read ({error})", "try again")
    raise failure


def classified(error: Exception, what: str, sent: Iterable[bytes] = ()) -> TablekeepError:
    """The engine's error for what a data call raised.

    :param sent: the items or keys of the request; their values are taken out of the service's message.
    """
    if isinstance(error, botocore.exceptions.SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(error):
        return PermanentError(
            what, "the endpoint's certificate is not trusted", "check the endpoint, the proxy and AWS_CA_BUNDLE"
        )
    if not isinstance(error, botocore.exceptions.ClientError):
        return translate(error, what)
    code = error_code(error)
    details = dict(error.response.get("Error", {}))
    details["Message"] = without_values(str(details.get("Message", "")), sent)
    safe = botocore.exceptions.ClientError({**error.response, "Error": details}, error.operation_name)
    why = f"{error.operation_name} answered {code}: {details['Message'] or 'no message'}"
    if code in THROTTLING:
        listed = error.response.get("ThrottlingReasons") or error.response.get("throttlingReasons") or []
        reasons = tuple(sorted({str(entry.get("reason", "")) for entry in listed} - {""}))
        return WireThrottled(what, why, "try again later, or with a smaller budget", reasons)
    if code in RETRYABLE:
        return TransientError(what, why, "try again")
    if code == "ValidationException" and "duplicate" in details["Message"].lower():
        return IntegrityError(
            what, f"the service found a key twice in one request ({why})", "verify the source: each key may occur once"
        )
    if code == "ResourceNotFoundException":
        return PermanentError(what, why, "the table is not there, or was deleted meanwhile")
    return translate(safe, what)


def without_values(message: str, sent: Iterable[bytes]) -> str:
    """`message` with every word that is a value (or a nested map's key) in one of `sent` replaced by `[value]`."""
    found: set[str] = set()
    for body in sent:
        try:
            item = json.loads(body)
        except ValueError:
            return "[message not shown: it answers a request that is not valid JSON]"
        for value in item.values():
            found.update(text for text in _values(value) if text and text in message)
    for text in sorted(found, key=len, reverse=True):
        message = re.sub(rf"(?<!\w){re.escape(text)}(?!\w)", "[value]", message)
    return message


def _values(value: Any) -> Iterator[str]:
    if not isinstance(value, dict):
        return
    for kind, content in value.items():
        if kind == "M":
            for name, member in content.items():
                yield name
                yield from _values(member)
        elif kind == "L":
            for member in content:
                yield from _values(member)
        elif isinstance(content, list):
            yield from (str(member) for member in content)
        elif isinstance(content, str):
            yield content
