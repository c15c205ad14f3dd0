"""StartBulkPutItems: the service writes what was staged to a table that exists.

Exercised against the API's model alone (botocore 1.44, dynamodb 2012-08-10), never against AWS: opt-in, and `auto` never takes it. No
parameter of the request takes a condition; the model speaks of conditions only where it says what the service writes of those that failed,
and not of how they are written in the input. So only items that may be put unconditionally are given to it.
"""

from typing import Any

from tablekeep.engine.clients import translated
from tablekeep.engine.errors import IntegrityError
from tablekeep.engine.restore.making import Making
from tablekeep.engine.restore.plan import Prepared

RUNNING = ("IN_PROGRESS", "CANCELLING")
OUTPUT = "output/"
"""Below the staged objects, where the service tells which items it refused, and why."""


def bulk_put(
    prepared: Prepared, prefix: str, making: Making, *, owner: str | None = None
) -> tuple[dict[str, int], IntegrityError | None]:
    """Gives the service the staged objects and waits. Called again with the token it goes on with the same operation, for eight hours;
    after that by its ARN.

    :param owner: the account of the bucket, when it is another one.
    :returns: `processed` and `failed` items, and `reported`: objects in which the service tells of items that it did not write; and what
        went wrong when it ended otherwise than COMPLETED or left items out: then a part of them may be in the table.
    """
    plan, database = prepared.plan, making.database
    what = f"writing to the table {plan.to_table} by StartBulkPutItems"
    store, bucket = prepared.source.store, prepared.source.full.location.shelf.bucket
    arn = making.job
    if not arn:
        where = {"S3Bucket": bucket} | ({"S3BucketOwner": owner} if owner else {})
        limit = {"MaxWriteRequestUnits": int(plan.max_wcu)} if plan.max_wcu else {}
        with translated(what):
            answer = database.start_bulk_put_items(
                ClientToken=f"{making.token}-bulk", TableName=plan.to_table, **limit,
                InputS3Configuration={
                    **where, "S3KeyPrefix": f"{prefix}input/", "InputFormat": "DYNAMODB_JSON", "InputCompressionType": "GZIP"
                },
                OutputS3Configuration={
                    **where, "S3KeyPrefix": f"{prefix}{OUTPUT}", "OutputType": ["ERROR", "CONDITION_CHECK_FAILURE"]
                },
            )  # fmt: skip
        arn = str(answer["BulkOperationDescription"]["BulkOperationArn"])
    making.begun(arn)
    making.progress.phase("bulk put", plan.items)
    described: dict[str, Any] = {}

    def running() -> str | None:
        nonlocal described
        described = database.describe_bulk_operation(BulkOperationArn=arn)["BulkOperationDescription"]
        if described["BulkOperationStatus"] not in RUNNING:
            return None
        return f"{described.get('ProcessedItemCount', 0):,} items so far ({arn})"

    making.wait(what, running)
    counts = {
        "processed": int(described.get("ProcessedItemCount", 0)),
        "failed": int(described.get("FailedItemCount", 0)),
        "reported": sum(1 for one in store.list(f"{prefix}{OUTPUT}") if one.size),
    }
    status = described["BulkOperationStatus"]
    if status == "COMPLETED" and not counts["failed"] and not counts["reported"]:
        return counts, None
    reason = f": {described['FailureCode']}" if described.get("FailureCode") else ""
    told = f"; it tells of them in s3://{bucket}/{prefix}{OUTPUT}" if counts["reported"] else ""
    return counts, IntegrityError(
        what, f"it ended {status}{reason}: {counts['processed']:,} items processed, {counts['failed']:,} of them refused{told}",
        "what was written stays; put the rest with --mode missing-only",
    )  # fmt: skip
