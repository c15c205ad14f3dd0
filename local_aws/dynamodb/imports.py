"""ImportTable: a new table from DynamoDB JSON on S3, by the service's rules. moto's own parses otherwise and never refuses an item.

An item that is refused makes the import FAILED, and the others are in the table; a key twice overwrites without an error (Developer
Guide, "DynamoDB data import from Amazon S3").
"""

import gzip
import secrets
from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec
from moto.dynamodb.models import dynamodb_backends
from moto.s3.exceptions import S3ClientError
from moto.s3.models import s3_backends

from local_aws.dynamodb.history import Write, log_of
from local_aws.dynamodb.store import OrderedItems
from local_aws.dynamodb.tables import TableRules, scope
from local_aws.dynamodb.values import invalid
from local_aws.responses import ServiceError

CREATION = {
    "TableName", "AttributeDefinitions", "KeySchema", "BillingMode", "ProvisionedThroughput", "OnDemandThroughput", "SSESpecification",
    "GlobalSecondaryIndexes",
}  # fmt: skip


class Imports:
    """The imports of this process, by ARN and by client token."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._imports: dict[str, dict[str, Any]] = {}
        self._tokens: dict[str, tuple[dict[str, Any], str]] = {}
        self.operations = {"ImportTable": self._import, "DescribeImport": self._describe}

    def reset(self) -> None:
        self._imports.clear()
        self._tokens.clear()

    def _import(self, environ: dict[str, Any], body: dict[str, Any]) -> bytes:
        token = body.get("ClientToken") or secrets.token_hex(8)
        asked = {name: value for name, value in body.items() if name != "ClientToken"}
        if token in self._tokens:
            before, arn = self._tokens[token]
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
        table.items = OrderedItems(table.has_range_key)  # type: ignore[assignment]
        arn = f"{table.table_arn}/import/{int(self._now().timestamp() * 1000):014d}-{secrets.token_hex(4)}"
        self._imports[arn] = self._load(account, table, body) | {
            "ImportArn": arn,
            "TableArn": table.table_arn,
            "TableId": table.table_id,
        }
        self._tokens[token] = (asked, arn)
        return msgspec.json.encode({"ImportTableDescription": self._imports[arn] | {"ImportStatus": "IN_PROGRESS"}})

    def _load(self, account: str, table: Any, body: dict[str, Any]) -> dict[str, Any]:
        source, counts = (
            body["S3BucketSource"],
            {"ProcessedItemCount": 0, "ImportedItemCount": 0, "ErrorCount": 0, "ProcessedSizeBytes": 0},
        )
        store, rules = s3_backends[account]["aws"], TableRules.of(table)
        try:
            keys, *_ = store.list_objects(
                store.head_bucket(source["S3Bucket"]),
                prefix=source.get("S3KeyPrefix"),
                delimiter=None,
                marker=None,
                max_keys=None,
            )
        except S3ClientError:
            return counts | {
                "ImportStatus": "FAILED",
                "FailureCode": "S3NoSuchBucket",
                "FailureMessage": "The bucket does not exist",
            }
        for key in keys:
            content = gzip.decompress(key.value) if body.get("InputCompressionType") == "GZIP" else key.value
            counts["ProcessedSizeBytes"] += len(content)
            for line in content.splitlines():
                counts["ProcessedItemCount"] += 1
                try:
                    item = msgspec.json.decode(line)["Item"]
                    stored = rules.item(item)
                    rules.put(stored)
                    wanted = {name: item[name] for name in rules.key_names}
                    log_of(table).append(
                        Write(self._now(), msgspec.json.encode(wanted, order="sorted"), None, msgspec.json.encode(item))
                    )
                    counts["ImportedItemCount"] += 1
                except (ServiceError, msgspec.DecodeError, KeyError):
                    counts["ErrorCount"] += 1
        if counts["ErrorCount"]:
            return counts | {
                "ImportStatus": "FAILED",
                "FailureCode": "ItemValidationError",
                "FailureMessage": "Some items were refused",
            }
        return counts | {"ImportStatus": "COMPLETED"}

    def _describe(self, environ: dict[str, Any], body: dict[str, Any]) -> bytes:
        return self._answer(str(body.get("ImportArn")))

    def _answer(self, arn: str) -> bytes:
        if arn not in self._imports:
            raise ServiceError("ImportNotFoundException", "Import not found")
        return msgspec.json.encode({"ImportTableDescription": self._imports[arn]})
