"""ImportTable: the service makes the table from what was staged. It is not believed: the table is read back like any other."""

from typing import Any

import botocore.exceptions

from tablekeep.engine.clients import error_code, translate, translated
from tablekeep.engine.dynamodb.tables import creation_request
from tablekeep.engine.errors import BadInputError, IntegrityError
from tablekeep.engine.restore.making import Made, Making
from tablekeep.engine.restore.plan import Prepared

CREATION = (
    "TableName",
    "AttributeDefinitions",
    "KeySchema",
    "BillingMode",
    "ProvisionedThroughput",
    "SSESpecification",
    "GlobalSecondaryIndexes",
)
"""What ImportTable takes of CreateTable's parameters; the rest is set afterwards."""


def import_table(prepared: Prepared, prefix: str, making: Making, *, owner: str | None = None) -> Made:
    """Makes the table from the staged objects, waits, marks it as ours. Called again with the token it goes on with the same import.

    :param owner: the account of the bucket, when it is another one.
    :returns: with `trouble` when it ended otherwise than COMPLETED: then a part of the items is in the table.
    :raises BadInputError: when another table has that name by now.
    """
    plan, database = prepared.plan, making.database
    what = f"importing the table {plan.to_table}"
    source = {"S3Bucket": prepared.source.full.location.shelf.bucket, "S3KeyPrefix": prefix}
    arn = making.job or _start(prepared, making, source | ({"S3BucketOwner": owner} if owner else {}), what)
    making.begun(arn)
    making.progress.phase("import", plan.items)
    described: dict[str, Any] = {}

    def running() -> str | None:
        nonlocal described
        described = database.describe_import(ImportArn=arn)["ImportTableDescription"]
        if described["ImportStatus"] not in ("IN_PROGRESS", "CANCELLING"):
            return None
        return f"{described.get('ProcessedItemCount', 0):,} items so far ({arn})"

    making.wait(what, running)
    created = making.marked(plan.to_table)
    if described["ImportStatus"] == "COMPLETED":
        return Made(created)
    why = (
        f"it ended {described['ImportStatus']}: {described.get('FailureCode')}, {described.get('ErrorCount', 0):,} items refused,"
        f" {described.get('ImportedItemCount', 0):,} are in the table"
    )
    todo = (
        f"look into the log group /aws-dynamodb/imports; delete the table, which this restore has made (aws dynamodb delete-table"
        f" --region {plan.region} --table-name {plan.to_table}), and restore with --path batch-write"
    )
    return Made(created, IntegrityError(what, why, todo))


def _start(prepared: Prepared, making: Making, source: dict[str, str], what: str) -> str:
    plan = prepared.plan
    whole = creation_request(prepared.settings, plan.to_table, region=plan.region, indexes=plan.indexes_with)
    try:
        answer = making.database.import_table(
            ClientToken=f"{making.token}-import", S3BucketSource=source, InputFormat="DYNAMODB_JSON", InputCompressionType="GZIP",
            TableCreationParameters={name: whole[name] for name in CREATION if name in whole},
        )  # fmt: skip
        return str(answer["ImportTableDescription"]["ImportArn"])
    except botocore.exceptions.ClientError as error:
        if error_code(error) != "ResourceInUseException":
            raise translate(error, what) from error
    except botocore.exceptions.BotoCoreError as error:
        raise translate(error, what) from error
    arn = f"arn:aws:dynamodb:{plan.region}:{plan.account}:table/{plan.to_table}"
    with translated(what):  # the service forgets a token after eight hours
        known = find_import(making.database, arn, source["S3Bucket"], source["S3KeyPrefix"])
    if known is None:
        raise BadInputError(what, "another table has that name by now", "name another one")
    return str(known["ImportArn"])


def find_import(database: Any, table_arn: str, bucket: str, prefix: str) -> dict[str, Any] | None:
    """The description of the import that made the table from these objects; None when none did."""
    token: dict[str, str] = {}
    while True:
        page = database.list_imports(TableArn=table_arn, **token)
        for one in page["ImportSummaryList"]:
            source = one.get("S3BucketSource") or {}
            if (source.get("S3Bucket"), source.get("S3KeyPrefix")) == (bucket, prefix):
                found: dict[str, Any] = database.describe_import(ImportArn=one["ImportArn"])["ImportTableDescription"]
                return found
        if not page.get("NextToken"):
            return None
        token = {"NextToken": page["NextToken"]}
