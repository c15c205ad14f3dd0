"""A DynamoDB client whose item bodies stay bytes, in both directions.

botocore's response parser takes most of the time of a scan (facts are in docs/architecture.md); here it is replaced for
successful answers alone, and the body of BatchWriteItem is put in before the request is signed.
"""

import base64
import threading
from typing import Any

import botocore.config
import botocore.parsers
import botocore.session
import msgspec

from tablekeep.engine.clients import SessionClients, translated
from tablekeep.engine.errors import IntegrityError

RETRIES = {"mode": "standard", "total_max_attempts": 3}
"""botocore retries network faults and 5xx a little; what remains, throttling above all, is ours to answer."""


class _Answer(msgspec.Struct):
    Items: list[msgspec.Raw] = []
    Count: int = -1
    ScannedCount: int = -1
    LastEvaluatedKey: dict[str, dict[str, Any]] | None = None
    ConsumedCapacity: dict[str, Any] | None = None


class _BatchAnswer(msgspec.Struct):
    UnprocessedItems: dict[str, list[dict[str, dict[str, msgspec.Raw]]]] = {}
    ConsumedCapacity: list[dict[str, Any]] = []


class Page(msgspec.Struct, frozen=True):
    """One page of a scan.

    :ivar items: the items' wire JSON. :ivar last_key: where the next page begins; None at the segment's end.
    :ivar consumed: read capacity units that the page cost.
    """

    items: list[msgspec.Raw]
    last_key: dict[str, dict[str, Any]] | None
    consumed: float


class _RawParser:
    """Gives a successful answer's body as it came; errors take botocore's way."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def parse(self, response: dict[str, Any], shape: Any) -> dict[str, Any]:
        if response["status_code"] >= 300:
            parsed: dict[str, Any] = self._inner.parse(response, shape)
            return parsed
        metadata = {"HTTPStatusCode": response["status_code"], "HTTPHeaders": dict(response["headers"])}
        return {"Body": response["body"], "ResponseMetadata": metadata}


class _RawParserFactory(botocore.parsers.ResponseParserFactory):  # type: ignore[misc]
    def create_parser(self, protocol_name: str) -> _RawParser:
        return _RawParser(super().create_parser(protocol_name))


class WireClient:
    """Scan and BatchWriteItem of one Region. Safe to share between threads.

    :raises: every method raises the engine's errors: ThrottledError for throttling, TransientError for lost connections.
    """

    def __init__(self, clients: SessionClients, region: str | None = None) -> None:
        session = botocore.session.Session(
            profile=clients.session.profile_name if clients.session.profile_name != "default" else None
        )
        # the same, refreshable credentials as the boto3 session, not a second look-up
        session._credentials = clients.session.get_credentials()
        session.register_component("response_parser_factory", _RawParserFactory())
        config = botocore.config.Config(retries=RETRIES, connect_timeout=10, read_timeout=70, max_pool_connections=32)
        where = region or clients.region
        endpoint = clients.client("dynamodb", region).meta.endpoint_url
        self._client = session.create_client("dynamodb", region_name=where, endpoint_url=endpoint, config=config)
        self._body = threading.local()
        self._client.meta.events.register("before-call.dynamodb.BatchWriteItem", self._replace_body)
        self._pages: msgspec.json.Decoder[_Answer] = msgspec.json.Decoder(_Answer)
        self._batches: msgspec.json.Decoder[_BatchAnswer] = msgspec.json.Decoder(_BatchAnswer)

    def scan_page(
        self,
        table: str,
        segment: int = 0,
        total_segments: int = 1,
        start: dict[str, dict[str, Any]] | None = None,
        *,
        consistent: bool = False,
    ) -> Page:
        """One page of one segment.

        :param start: the last page's `last_key`.
        :raises IntegrityError: when Count differs from the items that came.
        """
        arguments: dict[str, Any] = {
            "TableName": table,
            "ConsistentRead": consistent,
            "ReturnConsumedCapacity": "TOTAL",
        }
        if total_segments > 1:
            arguments |= {"Segment": segment, "TotalSegments": total_segments}
        if start:
            arguments["ExclusiveStartKey"] = {name: _for_botocore(value) for name, value in start.items()}
        with translated(f"scanning the table {table}"):
            body = self._client.scan(**arguments)["Body"]
        try:
            answer = self._pages.decode(body)
        except msgspec.DecodeError as error:
            raise IntegrityError(
                f"scanning the table {table}", f"a page cannot be read ({type(error).__name__})"
            ) from None
        if answer.Count != len(answer.Items):
            raise IntegrityError(
                f"scanning the table {table}", f"a page counts {answer.Count} items and holds {len(answer.Items)}"
            )
        consumed = float((answer.ConsumedCapacity or {}).get("CapacityUnits", 0.0))
        return Page(answer.Items, answer.LastEvaluatedKey or None, consumed)

    def put_batch(self, table: str, items: list[bytes]) -> tuple[list[bytes], float]:
        """Puts up to 25 items, given as wire JSON, with one BatchWriteItem.

        :returns: the items that the service did not take, and the write capacity units consumed.
        """
        requests = b",".join(b'{"PutRequest":{"Item":' + item + b"}}" for item in items)
        name = msgspec.json.encode(table)
        self._body.text = b'{"RequestItems":{' + name + b":[" + requests + b']},"ReturnConsumedCapacity":"TOTAL"}'
        # botocore checks these arguments and builds a body of them, which _replace_body throws away
        stand_in = {table: [{"PutRequest": {"Item": {"_": {"S": ""}}}}]}
        with translated(f"writing to the table {table}"):
            body = self._client.batch_write_item(RequestItems=stand_in)["Body"]
        answer = self._batches.decode(body)
        left = [bytes(request["PutRequest"]["Item"]) for request in answer.UnprocessedItems.get(table, ())]
        return left, sum(float(one.get("CapacityUnits", 0.0)) for one in answer.ConsumedCapacity)

    def _replace_body(self, params: dict[str, Any], **_: Any) -> None:
        params["body"] = self._body.text


def _for_botocore(value: dict[str, Any]) -> dict[str, Any]:
    """A key attribute as botocore takes it: B as bytes, for it would encode base64 text once more."""
    ((kind, content),) = value.items()
    return {kind: base64.b64decode(content) if kind == "B" else content}
