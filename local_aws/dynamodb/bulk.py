"""StartBulkPutItems and what belongs to it, by the API's model alone (botocore 1.44, dynamodb 2012-08-10): whoever wrote this has not seen
the service. An item that is refused leaves the others written; an operation that fails leaves what it wrote.

The form of a condition in the input is not known, so a line that holds more than an item is refused here; that of the output is not known
either, and is a line of JSON for each item that was not written.
"""

import json
import secrets
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec
from moto.s3.exceptions import S3ClientError
from moto.s3.models import s3_backends

from local_aws.dynamodb.imports import TOKEN_HOURS, objects, take
from local_aws.dynamodb.tables import TableRules, find_table, scope
from local_aws.dynamodb.values import invalid
from local_aws.responses import ServiceError

if TYPE_CHECKING:
    from local_aws.application import Switches

LEAST_UNITS = 1024
OUTPUTS = {"ERROR", "CONDITION_CHECK_FAILURE"}
REQUEST = {
    "ClientToken", "InputS3Configuration", "OutputS3Configuration", "TableName", "MaxWriteRequestUnits", "PerformanceTier",
}  # fmt: skip


class BulkOperations:
    """The operations of this process, by ARN and by client token."""

    def __init__(self, switches: "Switches", now: Callable[[], datetime]) -> None:
        self._switches, self._now = switches, now
        self._operations: dict[str, dict[str, Any]] = {}
        self._tokens: dict[str, tuple[dict[str, Any], str, datetime]] = {}
        self.operations: dict[str, Callable[[dict[str, Any], dict[str, Any]], bytes]] = {
            "StartBulkPutItems": self._start,
            "DescribeBulkOperation": self._describe,
            "ListBulkOperations": self._list,
            "CancelBulkOperation": self._cancel,
        }

    def reset(self) -> None:
        self._operations.clear()
        self._tokens.clear()

    def _start(self, environ: dict[str, Any], body: dict[str, Any]) -> bytes:
        if unknown := sorted(set(body) - REQUEST):
            raise invalid(f"StartBulkPutItems has no member {unknown[0]}")
        token = body.get("ClientToken") or secrets.token_hex(8)
        asked = {name: value for name, value in body.items() if name != "ClientToken"}
        if token in self._tokens and self._now() - self._tokens[token][2] < TOKEN_HOURS:
            before, arn, _ = self._tokens[token]
            if before != asked:
                raise ServiceError(
                    "IdempotentParameterMismatchException", "The client token was used with other parameters"
                )
            return self._answer(arn)
        self._check(body)
        table, now = find_table(environ, body.get("TableName")), self._now()
        arn = f"{table.table_arn}/bulk-operation/{int(now.timestamp() * 1000):014d}-{secrets.token_hex(4)}"
        described = self._put(scope(environ)[0], table, body) | {
            "BulkOperationArn": arn, "ClientToken": token, "StartTime": now.timestamp(), "EndTime": now.timestamp(),
            "TableDetails": [{"TableName": table.name, "TableId": table.table_id}],
            "InputS3Configuration": body["InputS3Configuration"], "OutputS3Configuration": body["OutputS3Configuration"],
            "PerformanceTier": body.get("PerformanceTier", "STANDARD"),
        }  # fmt: skip
        if "MaxWriteRequestUnits" in body:
            described["MaxWriteRequestUnits"] = body["MaxWriteRequestUnits"]
        self._operations[arn] = described
        self._tokens[token] = (asked, arn, now)
        running = {
            name: value for name, value in described.items() if name not in ("EndTime", "FailureCode", "FailureMessage")
        }
        return msgspec.json.encode({"BulkOperationDescription": running | {"BulkOperationStatus": "IN_PROGRESS"}})

    @staticmethod
    def _check(body: dict[str, Any]) -> None:
        given, output = body.get("InputS3Configuration") or {}, body.get("OutputS3Configuration") or {}
        if given.get("InputFormat") != "DYNAMODB_JSON":
            raise invalid("The stand-in takes DYNAMODB_JSON only")
        if not output.get("S3Bucket") or not output.get("OutputType") or set(output["OutputType"]) - OUTPUTS:
            raise invalid("OutputS3Configuration needs a bucket, and one or both output types")
        if body.get("MaxWriteRequestUnits", LEAST_UNITS) < LEAST_UNITS:
            raise invalid(f"MaxWriteRequestUnits must be at least {LEAST_UNITS}")
        if body.get("PerformanceTier", "STANDARD") not in ("STANDARD", "ACCELERATED"):
            raise invalid("PerformanceTier must be STANDARD or ACCELERATED")

    def _put(self, account: str, table: Any, body: dict[str, Any]) -> dict[str, Any]:
        counts = {"ProcessedItemCount": 0, "FailedItemCount": 0, "ProcessedInputBytes": 0}
        rules, refused, ends = TableRules.of(table), list[dict[str, Any]](), self._switches.dynamodb_fail_after
        source = body["InputS3Configuration"]
        try:
            for content in objects(account, source, source.get("InputCompressionType")):
                counts["ProcessedInputBytes"] += len(content)
                for line in content.splitlines():
                    if ends and counts["ProcessedItemCount"] >= ends:
                        return counts | _failed("S3AccessDenied", "An object could not be read any more")
                    counts["ProcessedItemCount"] += 1
                    if not take(self._switches, rules, line, counts["ProcessedItemCount"], self._now()):
                        counts["FailedItemCount"] += 1
                        refused.append({"Error": "Item validation failed", "Record": line.decode(errors="replace")})
        except S3ClientError:
            return counts | _failed("S3NoSuchBucket", "The bucket does not exist")
        self._report(account, body["OutputS3Configuration"], refused)
        status = "COMPLETED_WITH_ERRORS" if refused else "COMPLETED"
        return counts | {"BulkOperationStatus": status, "TotalInputBytes": counts["ProcessedInputBytes"]}

    @staticmethod
    def _report(account: str, output: dict[str, Any], refused: list[dict[str, Any]]) -> None:
        if refused and "ERROR" in output["OutputType"]:
            store = s3_backends[output.get("S3BucketOwner", account)]["aws"]
            text = "\n".join(json.dumps(one) for one in refused)
            store.put_object(output["S3Bucket"], f"{output.get('S3KeyPrefix', '')}error-0.json", text.encode())

    def _describe(self, environ: dict[str, Any], body: dict[str, Any]) -> bytes:
        return self._answer(str(body.get("BulkOperationArn")))

    def _answer(self, arn: str) -> bytes:
        if arn not in self._operations:
            raise ServiceError("ResourceNotFoundException", "There is no such bulk operation")
        return msgspec.json.encode({"BulkOperationDescription": self._operations[arn]})

    def _list(self, environ: dict[str, Any], body: dict[str, Any]) -> bytes:
        members = ("BulkOperationArn", "BulkOperationStatus", "StartTime", "EndTime")
        listed = [{name: one[name] for name in members} for one in reversed(self._operations.values())]
        return msgspec.json.encode({"BulkOperationsSummaryList": listed[: body.get("MaxResults", 10)]})

    def _cancel(self, environ: dict[str, Any], body: dict[str, Any]) -> bytes:
        self._answer(str(body.get("BulkOperationArn")))
        raise invalid("The bulk operation has ended")


def _failed(code: str, message: str) -> dict[str, str]:
    return {"BulkOperationStatus": "FAILED", "FailureCode": code, "FailureMessage": message}
