"""ImportTable: a new table from DynamoDB JSON on S3, by the service's rules. moto's own parses otherwise and never refuses an item.

An item that is refused makes the import FAILED, and the others are in the table; a key twice overwrites without an error (Developer
Guide, "DynamoDB data import from Amazon S3").
"""

import gzip
import secrets
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
from moto.dynamodb.models import dynamodb_backends
from moto.s3.exceptions import S3ClientError
from moto.s3.models import s3_backends

from local_aws.dynamodb.snapshots import put
from local_aws.dynamodb.tables import TableRules, scope
from local_aws.dynamodb.values import invalid
from local_aws.responses import ServiceError

if TYPE_CHECKING:
    from local_aws.application import Switches

CREATION = {
    "TableName", "AttributeDefinitions", "KeySchema", "BillingMode", "ProvisionedThroughput", "OnDemandThroughput", "SSESpecification",
    "GlobalSecondaryIndexes",
}  # fmt: skip
TOKEN_HOURS = timedelta(hours=8)


class Imports:
    """The imports of this process, by ARN and by client token."""

    def __init__(self, switches: "Switches", now: Callable[[], datetime]) -> None:
        self._switches, self._now = switches, now
        self._imports: dict[str, dict[str, Any]] = {}
        self._tokens: dict[str, tuple[dict[str, Any], str, datetime]] = {}
        self.operations = {"ImportTable": self._import, "DescribeImport": self._describe, "ListImports": self._list}

    def reset(self) -> None:
        self._imports.clear()
        self._tokens.clear()

    def _import(self, environ: dict[str, Any], body: dict[str, Any]) -> bytes:
        token = body.get("ClientToken") or secrets.token_hex(8)
        asked = {name: value for name, value in body.items() if name != "ClientToken"}
        if token in self._tokens and self._now() - self._tokens[token][2] < TOKEN_HOURS:
            before, arn, _ = self._tokens[token]
            if before != asked:
                raise ServiceError("ImportConflictException", "The client token was used with other parameters")
            return self._answer(arn)
        creation = body["TableCreationParameters"]
        if unknown := sorted(set(creation) - CREATION):
            raise invalid(f"TableCreationParameters has no member {unknown[0]}")
        if body.get("InputFormat") != "DYNAMODB_JSON":
            raise invalid("The stand-in imports DYNAMODB_JSON only")
        account, region = scope(environ)
        backend, name = dynamodb_backends[account][region], creation["TableName"]
        if name in backend.tables:
            raise ServiceError("ResourceInUseException", f"Table already exists: {name}")
        table = backend.create_table(
            name, schema=creation["KeySchema"], throughput=creation.get("ProvisionedThroughput"), attr=creation["AttributeDefinitions"],
            global_indexes=creation.get("GlobalSecondaryIndexes"), indexes=None, streams=None,
            billing_mode=creation.get("BillingMode", "PROVISIONED"), sse_specification=creation.get("SSESpecification"), tags=[],
            deletion_protection_enabled=False, warm_throughput=None,
        )  # fmt: skip
        now = self._now()
        table.created_at = now.replace(tzinfo=None)
        arn = f"{table.table_arn}/import/{int(now.timestamp() * 1000):014d}-{secrets.token_hex(4)}"
        self._imports[arn] = self._load(account, table, body) | {
            "ImportArn": arn, "TableArn": table.table_arn, "TableId": table.table_id, "S3BucketSource": body["S3BucketSource"],
            "InputFormat": "DYNAMODB_JSON", "StartTime": now.timestamp(), "EndTime": now.timestamp(),
        }  # fmt: skip
        self._tokens[token] = (asked, arn, now)
        return msgspec.json.encode({"ImportTableDescription": self._imports[arn] | {"ImportStatus": "IN_PROGRESS"}})

    def _load(self, account: str, table: Any, body: dict[str, Any]) -> dict[str, Any]:
        counts = {"ProcessedItemCount": 0, "ImportedItemCount": 0, "ErrorCount": 0, "ProcessedSizeBytes": 0}
        rules, ends = TableRules.of(table), self._switches.dynamodb_fail_after
        try:
            for content in objects(account, body["S3BucketSource"], body.get("InputCompressionType")):
                counts["ProcessedSizeBytes"] += len(content)
                for line in content.splitlines():
                    if ends and counts["ProcessedItemCount"] >= ends:
                        return counts | failed("S3AccessDenied", "An object could not be read any more")
                    counts["ProcessedItemCount"] += 1
                    taken = take(self._switches, rules, line, counts["ProcessedItemCount"], self._now())
                    counts["ImportedItemCount" if taken else "ErrorCount"] += 1
        except S3ClientError:
            return counts | failed("S3NoSuchBucket", "The bucket does not exist")
        if counts["ErrorCount"]:
            return counts | failed("ItemValidationError", "Some items were refused")
        return counts | {"ImportStatus": "COMPLETED"}

    def _describe(self, environ: dict[str, Any], body: dict[str, Any]) -> bytes:
        return self._answer(str(body.get("ImportArn")))

    def _answer(self, arn: str) -> bytes:
        if arn not in self._imports:
            raise ServiceError("ImportNotFoundException", "Import not found")
        return msgspec.json.encode({"ImportTableDescription": self._imports[arn]})

    def _list(self, environ: dict[str, Any], body: dict[str, Any]) -> bytes:
        members = ("ImportArn", "ImportStatus", "TableArn", "S3BucketSource", "InputFormat", "StartTime", "EndTime")
        listed = [
            {name: one[name] for name in members}
            for one in reversed(self._imports.values())
            if body.get("TableArn") in (None, one["TableArn"])
        ]
        return msgspec.json.encode({"ImportSummaryList": listed})


def take(switches: "Switches", rules: TableRules, line: bytes, number: int, now: datetime) -> bool:
    """Puts one line's item; False for one that is refused, and for a line that holds anything else.

    :param number: of the line, from 1.
    """
    if switches.dynamodb_refuse_every and number % switches.dynamodb_refuse_every == 0:
        return False
    try:
        document = msgspec.json.decode(line)
        if set(document) != {"Item"}:
            return False
        put(rules, msgspec.json.encode(document["Item"]), now)
    except (ServiceError, msgspec.DecodeError, KeyError, TypeError):
        return False
    return True


def failed(code: str, message: str) -> dict[str, str]:
    """The members of a description that failed."""
    return {"ImportStatus": "FAILED", "FailureCode": code, "FailureMessage": message}


def objects(account: str, source: dict[str, Any], compression: str | None) -> Iterator[bytes]:
    """The objects under a prefix, unpacked.

    :param account: of the requester: another account's bucket is read only when `S3BucketOwner` names it.
    :raises S3ClientError: when there is no such bucket.
    """
    store = s3_backends[source.get("S3BucketOwner", account)]["aws"]
    keys, *_ = store.list_objects(
        store.head_bucket(source["S3Bucket"]), prefix=source.get("S3KeyPrefix"), delimiter=None, marker=None, max_keys=None
    )  # fmt: skip
    for key in keys:
        yield gzip.decompress(key.value) if compression == "GZIP" else key.value
