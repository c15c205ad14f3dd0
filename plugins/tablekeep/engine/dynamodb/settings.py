"""Every answer of the service that is needed to build a table again, verbatim: the `table.json` of a backup set.

The document::

    {"version": 1, "read_at": "2026-11-23T02:00:00.123Z", "region": "us-east-1",
     "answers": {"DescribeTable": {"answer": {"Table": {…}}},
                 "DescribeTimeToLive": {"refused": "AccessDeniedException"},
                 "DescribeContributorInsights/index/by_date": {"answer": {…}},
                 "application-autoscaling:DescribeScalingPolicies": {"answer": {"ScalingPolicies": […]}}}}

A call is named as the service names it, after `service:` unless it is DynamoDB's, before `/index/NAME` when it is about an index.
An answer is the JSON body as it came, fields that this version does not know included; times are ISO 8601 text where botocore
knows that a number is a time, binaries stay base64, the pages of a list are joined. `refused` is the error code.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import botocore.config
import botocore.exceptions
import botocore.model
import botocore.parsers

from tablekeep.engine.clients import SessionClients, error_code, translate
from tablekeep.engine.clock import Clock, SystemClock, utc_text
from tablekeep.engine.dynamodb.raw import RawClient
from tablekeep.engine.errors import BadInputError, IntegrityError, TablekeepError

VERSION = 1
ABSENT = {"PolicyNotFoundException"}
"""Codes by which a service says that there is nothing to describe."""

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class KeyAttribute:
    """A key attribute: its name, `HASH` or `RANGE`, and its type `S`, `N` or `B`."""

    name: str
    role: str
    type: str


@dataclass(frozen=True, slots=True)
class TableSettings:
    """What was found out about one table; the document is shown in this module's docstring."""

    document: Document

    @classmethod
    def from_document(cls, document: Document) -> "TableSettings":
        """:raises IntegrityError: when it is not what `as_document` gave, or of a later version."""
        settings = cls(document)
        try:
            if document["version"] != VERSION:
                raise IntegrityError(
                    "reading a table's settings",
                    f"version {document['version']!r} is not known",
                    "use a newer Tablekeep",
                )
            if not (settings.table and settings.key_schema and settings.arn):  # DynamoDB Local gives no TableId
                raise ValueError("a field is empty")
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise IntegrityError(
                "reading a table's settings",
                f"the document is not complete ({type(error).__name__}: {error})",
                "use another backup",
            ) from None
        return settings

    @staticmethod
    def refused_in(document: Document) -> dict[str, str]:
        """Call and error code of all that was refused; of a document that describes no table of DynamoDB, nothing."""
        return dict(TableSettings.from_document(document).not_known) if "answers" in document else {}

    def as_document(self) -> Document:
        """The JSON document."""
        return self.document

    def answer(self, call: str) -> Document | None:
        """The answer to a call, None when it was refused or not asked."""
        found: Document | None = self.document["answers"].get(call, {}).get("answer")
        return found

    @property
    def not_known(self) -> tuple[tuple[str, str], ...]:
        """(call, error code) of everything that was refused, sorted."""
        answers = self.document["answers"].items()
        return tuple(
            sorted((call, entry["refused"]) for call, entry in answers if entry.get("refused", "") not in {"", *ABSENT})
        )

    @property
    def description(self) -> Document:
        """`Table` of DescribeTable's answer."""
        table: Document = self.document["answers"]["DescribeTable"]["answer"]["Table"]
        return table

    @property
    def table(self) -> str:
        return str(self.description["TableName"])

    @property
    def arn(self) -> str:
        return str(self.description["TableArn"])

    @property
    def region(self) -> str:
        """As the ARN names it."""
        return self.arn.split(":")[3]

    @property
    def account(self) -> str:
        """The twelve digits in the ARN."""
        return self.arn.split(":")[4]

    @property
    def table_id(self) -> str:
        return str(self.description.get("TableId", ""))

    @property
    def status(self) -> str:
        return str(self.description.get("TableStatus", ""))

    @property
    def item_count(self) -> int:
        """Up to six hours old: for progress only."""
        return int(self.description.get("ItemCount", 0))

    @property
    def size_bytes(self) -> int:
        """Up to six hours old: for progress and prices only."""
        return int(self.description.get("TableSizeBytes", 0))

    @property
    def key_schema(self) -> tuple[KeyAttribute, ...]:
        """The partition key, then the sort key if there is one."""
        types = {entry["AttributeName"]: entry["AttributeType"] for entry in self.description["AttributeDefinitions"]}
        keys = [
            KeyAttribute(k["AttributeName"], k["KeyType"], types[k["AttributeName"]])
            for k in self.description["KeySchema"]
        ]
        return tuple(sorted(keys, key=lambda key: key.role))

    @property
    def key_names(self) -> tuple[str, ...]:
        return tuple(key.name for key in self.key_schema)

    @property
    def billing_mode(self) -> str:
        """`PROVISIONED` or `PAY_PER_REQUEST`. A table that never was on demand has no BillingModeSummary."""
        mode = (self.description.get("BillingModeSummary") or {}).get("BillingMode")
        if mode:
            return str(mode)
        return (
            "PROVISIONED"
            if (self.description.get("ProvisionedThroughput") or {}).get("ReadCapacityUnits")
            else "PAY_PER_REQUEST"
        )

    @property
    def capacity(self) -> tuple[int, int] | None:
        """Provisioned (read, write) capacity units; None for a table on demand."""
        if self.billing_mode != "PROVISIONED":
            return None
        throughput = self.description["ProvisionedThroughput"]
        return int(throughput["ReadCapacityUnits"]), int(throughput["WriteCapacityUnits"])

    @property
    def global_indexes(self) -> tuple[str, ...]:
        return tuple(index["IndexName"] for index in self.description.get("GlobalSecondaryIndexes") or [])

    @property
    def local_indexes(self) -> tuple[str, ...]:
        return tuple(index["IndexName"] for index in self.description.get("LocalSecondaryIndexes") or [])

    @property
    def ttl_attribute(self) -> str | None:
        """The attribute by which items expire; None when that is off or not known."""
        description = (self.answer("DescribeTimeToLive") or {}).get("TimeToLiveDescription") or {}
        on = description.get("TimeToLiveStatus") in {"ENABLED", "ENABLING"}
        return str(description["AttributeName"]) if on and description.get("AttributeName") else None

    @property
    def point_in_time_recovery(self) -> bool | None:
        """None when it is not known."""
        answer = self.answer("DescribeContinuousBackups")
        if answer is None:
            return None
        recovery = (answer.get("ContinuousBackupsDescription") or {}).get("PointInTimeRecoveryDescription") or {}
        return bool(recovery.get("PointInTimeRecoveryStatus") == "ENABLED")

    @property
    def stream_view(self) -> str | None:
        """`NEW_AND_OLD_IMAGES`, …; None without a stream."""
        stream = self.description.get("StreamSpecification") or {}
        return str(stream["StreamViewType"]) if stream.get("StreamEnabled") else None

    @property
    def tags(self) -> dict[str, str]:
        """Empty, too, when they are not known."""
        answer = self.answer("ListTagsOfResource") or {}
        return {str(tag["Key"]): str(tag["Value"]) for tag in answer.get("Tags") or []}


def read_settings(
    clients: SessionClients, table: str, region: str | None = None, *, clock: Clock | None = None
) -> TableSettings:
    """Asks the service everything about `table`.

    Only DescribeTable must succeed; of every other call that fails the error code is kept.

    :param table: name or ARN.
    :raises BadInputError: when there is no such table.
    :raises TablekeepError: when DescribeTable fails for another reason.
    """
    database = _Asker(RawClient(clients, "dynamodb", region, attempts=4), "")
    try:
        description = database.ask("DescribeTable", {"TableName": table})["Table"]
    except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError) as error:
        raise _no_table(clients, table, database.client.region, error) from None
    answers: Document = {"DescribeTable": {"answer": {"Table": description}}}
    name, arn = description["TableName"], description["TableArn"]
    for call, operation, params, joined in _table_calls(name, arn, description):
        answers[call] = database.try_to(operation, params, joined)
    indexes = [index["IndexName"] for index in description.get("GlobalSecondaryIndexes") or []]
    answers |= _scaling_answers(clients, database.client.region, name, indexes)
    key_arn = (description.get("SSEDescription") or {}).get("KMSMasterKeyArn")
    if key_arn:
        keys = _Asker(RawClient(clients, "kms", region, attempts=2, timeout_seconds=(5, 10)), "kms")
        answers[keys.name("DescribeKey")] = keys.try_to("DescribeKey", {"KeyId": key_arn})
    read_at = utc_text((clock or SystemClock()).now())
    return TableSettings({"version": VERSION, "read_at": read_at, "region": database.client.region, "answers": answers})


def _table_calls(name: str, arn: str, description: Document) -> Iterator[tuple[str, str, Document, str | None]]:
    """(the call's name in the document, operation, parameters, the list to join over pages)."""
    yield "DescribeTimeToLive", "DescribeTimeToLive", {"TableName": name}, None
    yield "DescribeContinuousBackups", "DescribeContinuousBackups", {"TableName": name}, None
    yield "ListTagsOfResource", "ListTagsOfResource", {"ResourceArn": arn}, "Tags"
    yield "DescribeKinesisStreamingDestination", "DescribeKinesisStreamingDestination", {"TableName": name}, None
    yield "GetResourcePolicy", "GetResourcePolicy", {"ResourceArn": arn}, None
    yield "DescribeContributorInsights", "DescribeContributorInsights", {"TableName": name}, None
    for index in description.get("GlobalSecondaryIndexes") or []:
        params = {"TableName": name, "IndexName": index["IndexName"]}
        yield f"DescribeContributorInsights/index/{index['IndexName']}", "DescribeContributorInsights", params, None
    if description.get("Replicas"):
        yield "DescribeTableReplicaAutoScaling", "DescribeTableReplicaAutoScaling", {"TableName": name}, None


def _scaling_answers(clients: SessionClients, region: str, table: str, indexes: list[str]) -> Document:
    # A private network often reaches DynamoDB only: short time limits, and no second call after a lost connection.
    scaling = _Asker(
        RawClient(clients, "application-autoscaling", region, attempts=2, timeout_seconds=(5, 10)),
        "application-autoscaling",
    )
    resources = [f"table/{table}", *(f"table/{table}/index/{index}" for index in indexes)]
    answers: Document = {}
    call = scaling.name("DescribeScalableTargets")
    answers[call] = scaling.try_to(
        "DescribeScalableTargets", {"ServiceNamespace": "dynamodb", "ResourceIds": resources}, "ScalableTargets"
    )
    for operation, joined in (
        ("DescribeScalingPolicies", "ScalingPolicies"),
        ("DescribeScheduledActions", "ScheduledActions"),
    ):
        found: list[Any] = []
        answer: Document = {"answer": {joined: found}}
        for resource in resources:
            part = scaling.try_to(operation, {"ServiceNamespace": "dynamodb", "ResourceId": resource}, joined)
            if "refused" in part:
                answer = part
                break
            listed = part["answer"].get(joined) or []
            found += [entry for entry in listed if entry.get("ResourceId") == resource]
        answers[scaling.name(operation)] = answer
    return answers


class _Asker:
    """Calls that answer with a document. After a lost connection an optional call is not tried a second time."""

    def __init__(self, client: RawClient, prefix: str) -> None:
        self.client = client
        self._prefix = prefix
        self._lost: str | None = None

    def name(self, operation: str) -> str:
        return f"{self._prefix}:{operation}"

    def ask(self, operation: str, params: Document, joined: str | None = None) -> Document:
        """The answer; with `joined`, all pages of that list in one."""
        shape = self.client.model.operation_model(operation).output_shape
        answer: Document = {}
        token: Document = {}
        while True:
            page = _readable(shape, json.loads(self.client.call(operation, {**params, **token})))
            rest = page.pop("NextToken", None) if joined else None
            if joined and answer:
                answer[joined] = (answer.get(joined) or []) + (page.get(joined) or [])
            else:
                answer = page
            if not rest:
                return answer
            token = {"NextToken": rest}

    def try_to(self, operation: str, params: Document, joined: str | None = None) -> Document:
        """`{"answer": …}` or `{"refused": error code}`."""
        if self._lost is not None:
            return {"refused": self._lost}
        try:
            return {"answer": self.ask(operation, params, joined)}
        except botocore.exceptions.ClientError as error:
            return {"refused": error_code(error)}
        except (
            botocore.exceptions.BotoCoreError,
            botocore.model.OperationNotFoundError,
            botocore.parsers.ResponseParserError,
            TablekeepError,
            ValueError,
        ) as error:
            # OperationNotFoundError: a botocore that does not know the call yet. ValueError: an answer that is no JSON.
            if isinstance(error, botocore.exceptions.HTTPClientError | botocore.exceptions.ConnectionError):
                self._lost = type(error).__name__
            return {"refused": type(error).__name__}


def _readable(shape: Any, value: Any) -> Any:
    """`value` as it came, with times as text where the model knows that a number is one."""
    kind = getattr(shape, "type_name", None)
    if kind == "structure" and isinstance(value, dict):
        return {name: _readable(shape.members.get(name), member) for name, member in value.items()}
    if kind == "list" and isinstance(value, list):
        return [_readable(shape.member, member) for member in value]
    if kind == "map" and isinstance(value, dict):
        return {name: _readable(shape.value, member) for name, member in value.items()}
    if kind == "timestamp" and isinstance(value, int | float):
        return utc_text(datetime.fromtimestamp(value, UTC))
    return value


def _no_table(clients: SessionClients, table: str, region: str, error: Exception) -> TablekeepError:
    what = f"describing table {table}"
    if not isinstance(error, botocore.exceptions.ClientError) or error_code(error) != "ResourceNotFoundException":
        return translate(error, what)
    who = _account(clients, region)
    where = f"account {who} in Region {region}" if who else f"Region {region} for these credentials"
    return BadInputError(what, f"there is no such table in {where}", "check the name, the Region and the account")


def _account(clients: SessionClients, region: str) -> str | None:
    """The commonest cause of a table that is not there is another account; naming it is worth no long wait."""
    config = botocore.config.Config(
        connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 1}
    )
    try:
        sts = clients.session.client(
            "sts", region_name=region, endpoint_url=clients._endpoints.get("sts"), config=config
        )
        return str(sts.get_caller_identity()["Account"])
    except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError, botocore.parsers.ResponseParserError):
        return None  # ResponseParserError: AWS_ENDPOINT_URL points to something that only knows DynamoDB
