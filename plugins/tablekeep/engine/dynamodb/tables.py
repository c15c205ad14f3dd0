"""Tables: the settings that a backup keeps, and a new table made from them."""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import botocore.exceptions

from tablekeep.engine.clients import Clients, error_code, translate, translated
from tablekeep.engine.clock import Clock, utc_text
from tablekeep.engine.errors import BadInputError, PermanentError, TransientError

WAIT_SECONDS = 1800.0


@dataclass(frozen=True)
class TableSettings:
    """Every Describe* answer that rebuilding the table needs, verbatim; the document `table.json`.

    :ivar answers: operation → its answer. :ivar refused: operation → the error code with which it was refused.
    """

    answers: dict[str, Any]
    refused: dict[str, str]

    @property
    def table(self) -> dict[str, Any]:
        """DescribeTable's `Table`."""
        described: dict[str, Any] = self.answers["DescribeTable"]["Table"]
        return described

    @property
    def name(self) -> str:
        return str(self.table["TableName"])

    @property
    def arn(self) -> str:
        return str(self.table["TableArn"])

    @property
    def account(self) -> str:
        return self.arn.split(":")[4]

    @property
    def region(self) -> str:
        return self.arn.split(":")[3]

    @property
    def table_id(self) -> str:
        return str(self.table.get("TableId") or "unknown")

    @property
    def key(self) -> list[tuple[str, str]]:
        """Name and type of the key's attributes, partition key first."""
        types = {one["AttributeName"]: one["AttributeType"] for one in self.table["AttributeDefinitions"]}
        schema = sorted(self.table["KeySchema"], key=lambda one: one["KeyType"] != "HASH")
        return [(one["AttributeName"], types[one["AttributeName"]]) for one in schema]

    @property
    def item_count(self) -> int:
        """Up to six hours old: an expectation for progress, never a proof."""
        return int(self.table.get("ItemCount") or 0)

    @property
    def size_bytes(self) -> int:
        return int(self.table.get("TableSizeBytes") or 0)

    def as_json(self) -> dict[str, Any]:
        return {"format": 1, "answers": self.answers, "refused": self.refused}

    @staticmethod
    def from_json(document: dict[str, Any]) -> "TableSettings":
        """Reads what `as_json` gave; unknown answers of later versions are kept."""
        return TableSettings(dict(document["answers"]), dict(document["refused"]))


def _verbatim(value: Any) -> Any:
    """An answer as JSON: times as UTC text, bytes as base64, without the transport's metadata."""
    if isinstance(value, dict):
        return {name: _verbatim(one) for name, one in value.items() if name != "ResponseMetadata"}
    if isinstance(value, list | tuple):
        return [_verbatim(one) for one in value]
    if isinstance(value, datetime):
        return utc_text(value)
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def describe_table(clients: Clients, name: str, region: str | None = None) -> dict[str, Any]:
    """DescribeTable's `Table`.

    :raises BadInputError: when there is no such table.
    """
    try:
        described: dict[str, Any] = clients.client("dynamodb", region).describe_table(TableName=name)["Table"]
    except botocore.exceptions.ClientError as error:
        if error_code(error) == "ResourceNotFoundException":
            raise BadInputError(
                f"reading the table {name}",
                f"there is no such table in {region or clients.region}",
                "check its name, the Region and the account",
            ) from None
        raise translate(error, f"reading the table {name}") from error
    except botocore.exceptions.BotoCoreError as error:
        raise translate(error, f"reading the table {name}") from error
    return described


def read_settings(clients: Clients, name: str, region: str | None = None) -> TableSettings:
    """All settings of a table. Only DescribeTable must succeed; what else is refused is listed with its error code.

    :raises BadInputError: when there is no such table.
    """
    table = describe_table(clients, name, region)
    dynamodb, arn = clients.client("dynamodb", region), table["TableArn"]
    answers: dict[str, Any] = {"DescribeTable": _verbatim({"Table": table})}
    refused: dict[str, str] = {}

    def scaling(operation: str) -> Callable[[], Any]:
        def ask() -> Any:
            client = clients.client("application-autoscaling", region)
            return getattr(client, operation)(ServiceNamespace="dynamodb", ResourceId=f"table/{name}")

        return ask

    asks: dict[str, Callable[[], Any]] = {
        "DescribeTimeToLive": lambda: dynamodb.describe_time_to_live(TableName=name),
        "DescribeContinuousBackups": lambda: dynamodb.describe_continuous_backups(TableName=name),
        "ListTagsOfResource": lambda: {"Tags": _tags(dynamodb, arn)},
        "DescribeContributorInsights": lambda: dynamodb.describe_contributor_insights(TableName=name),
        "DescribeKinesisStreamingDestination": lambda: dynamodb.describe_kinesis_streaming_destination(TableName=name),
        "GetResourcePolicy": lambda: dynamodb.get_resource_policy(ResourceArn=arn),
        "DescribeScalableTargets": scaling("describe_scalable_targets"),
        "DescribeScalingPolicies": scaling("describe_scaling_policies"),
    }
    for operation, ask in asks.items():
        try:
            answers[operation] = _verbatim(ask())
        except botocore.exceptions.ClientError as error:
            refused[operation] = error_code(error)
        except botocore.exceptions.BotoCoreError as error:
            refused[operation] = type(error).__name__
    return TableSettings(answers, refused)


def _tags(dynamodb: Any, arn: str) -> list[dict[str, str]]:
    tags: list[dict[str, str]] = []
    token: dict[str, str] = {}
    while True:
        answer = dynamodb.list_tags_of_resource(ResourceArn=arn, **token)
        tags += answer.get("Tags", [])
        if not answer.get("NextToken"):
            return tags
        token = {"NextToken": answer["NextToken"]}


def _throughput(described: dict[str, Any]) -> dict[str, Any]:
    """ProvisionedThroughput as CreateTable takes it: DescribeTable's answer has fields that it refuses."""
    throughput = described.get("ProvisionedThroughput") or {}
    read, write = int(throughput.get("ReadCapacityUnits") or 0), int(throughput.get("WriteCapacityUnits") or 0)
    return {"ProvisionedThroughput": {"ReadCapacityUnits": max(read, 1), "WriteCapacityUnits": max(write, 1)}}


def _on_demand(table: dict[str, Any]) -> bool:
    return (table.get("BillingModeSummary") or {}).get("BillingMode") == "PAY_PER_REQUEST"


def _index(described: dict[str, Any]) -> dict[str, Any]:
    return {name: described[name] for name in ("IndexName", "KeySchema", "Projection") if name in described}


def creation_request(settings: TableSettings, name: str, tags: dict[str, str]) -> dict[str, Any]:
    """CreateTable's arguments by whitelist. Global secondary indexes are left out: they are made after the load, one at a time,
    because a table may hold items that a table created with the index refuses.
    """
    table = settings.table
    local = table.get("LocalSecondaryIndexes") or []
    keys = [*table["KeySchema"], *(key for index in local for key in index["KeySchema"])]
    needed = {key["AttributeName"] for key in keys}
    request: dict[str, Any] = {
        "TableName": name,
        "KeySchema": table["KeySchema"],
        "AttributeDefinitions": [one for one in table["AttributeDefinitions"] if one["AttributeName"] in needed],
        "BillingMode": "PAY_PER_REQUEST" if _on_demand(table) else "PROVISIONED",
    }
    if not _on_demand(table):
        request |= _throughput(table)
    if local:
        request["LocalSecondaryIndexes"] = [_index(one) for one in local]
    if (table.get("TableClassSummary") or {}).get("TableClass"):
        request["TableClass"] = table["TableClassSummary"]["TableClass"]
    if tags:
        request["Tags"] = [{"Key": key, "Value": value} for key, value in tags.items()]
    return request


def create_table(
    clients: Clients,
    settings: TableSettings,
    name: str,
    clock: Clock,
    *,
    tags: dict[str, str],
    region: str | None = None,
) -> str:
    """Makes a new, empty table and waits until it is ACTIVE; returns its TableId.

    :raises BadInputError: when a table of this name exists; it is not touched.
    """
    dynamodb = clients.client("dynamodb", region)
    what = f"creating the table {name}"
    try:
        dynamodb.create_table(**creation_request(settings, name, tags))
    except botocore.exceptions.ClientError as error:
        if error_code(error) == "ResourceInUseException":
            raise BadInputError(
                what, "a table of this name exists; a restore never writes to it", "give another --to-table"
            ) from None
        raise translate(error, what) from error
    except botocore.exceptions.BotoCoreError as error:
        raise translate(error, what) from error
    return str(_until_active(clients, name, clock, region).get("TableId") or "unknown")


def _until_active(clients: Clients, name: str, clock: Clock, region: str | None) -> dict[str, Any]:
    began = clock.monotonic()
    while True:
        table = describe_table(clients, name, region)
        indexes = table.get("GlobalSecondaryIndexes") or []
        if table["TableStatus"] == "ACTIVE" and all(one.get("IndexStatus", "ACTIVE") == "ACTIVE" for one in indexes):
            return table
        if clock.monotonic() - began > WAIT_SECONDS:
            raise TransientError(
                f"waiting for the table {name}",
                f"it is {table['TableStatus']} after {WAIT_SECONDS:.0f} s",
                "look at it in the console",
            )
        clock.sleep(0.2 if clock.monotonic() - began < 2 else 5.0)


def add_indexes(
    clients: Clients, settings: TableSettings, name: str, clock: Clock, *, region: str | None = None
) -> list[str]:
    """Adds the global secondary indexes one at a time, each until it is ACTIVE; returns their names."""
    dynamodb, table = clients.client("dynamodb", region), settings.table
    added = []
    for described in table.get("GlobalSecondaryIndexes") or []:
        create = _index(described) | ({} if _on_demand(table) else _throughput(described))
        needed = {key["AttributeName"] for key in described["KeySchema"]} | {name for name, _ in settings.key}
        definitions = [one for one in table["AttributeDefinitions"] if one["AttributeName"] in needed]
        with translated(f"adding the index {described['IndexName']} to the table {name}"):
            dynamodb.update_table(
                TableName=name, AttributeDefinitions=definitions, GlobalSecondaryIndexUpdates=[{"Create": create}]
            )
        _until_active(clients, name, clock, region)
        added.append(str(described["IndexName"]))
    return added


def delete_created_table(
    clients: Clients, name: str, table_id: str, clock: Clock, *, region: str | None = None
) -> None:
    """Deletes a table that this run created, known by its TableId; any other table of that name stays.

    :raises PermanentError: when the table is another one.
    """
    table = describe_table(clients, name, region)
    if str(table.get("TableId") or "unknown") != table_id or table_id == "unknown":
        raise PermanentError(
            f"deleting the table {name}",
            "it is not the table that this run created",
            "nothing was deleted; look at it by hand",
        )
    with translated(f"deleting the table {name}"):
        clients.client("dynamodb", region).delete_table(TableName=name)
    began = clock.monotonic()
    while clock.monotonic() - began < WAIT_SECONDS:
        try:
            describe_table(clients, name, region)
        except BadInputError:
            return
        clock.sleep(0.2)
    raise TransientError(
        f"deleting the table {name}", f"it is still there after {WAIT_SECONDS:.0f} s", "look at it in the console"
    )
