"""The stand-in's ImportTable: what is refused makes it FAILED with the rest imported, a token is paid once."""

import gzip
import json
from typing import Any

import botocore.exceptions
import pytest

from tests.tables import make_bucket, make_table

GOOD = [{"pk": {"S": f"a{n}"}, "n": {"N": "1.50"}} for n in range(3)]


def imported(aws: Any, lines: list[Any], name: str = "again", token: str = "t1") -> dict[str, Any]:
    body = gzip.compress(
        "\n".join(json.dumps({"Item": one}) if isinstance(one, dict) else one for one in lines).encode()
    )
    aws.client("s3").put_object(Bucket="source", Key="x/1.json.gz", Body=body)
    client = aws.client("dynamodb")
    started = client.import_table(
        ClientToken=token, S3BucketSource={"S3Bucket": "source", "S3KeyPrefix": "x/"}, InputFormat="DYNAMODB_JSON",
        InputCompressionType="GZIP",
        TableCreationParameters={
            "TableName": name, "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}], "BillingMode": "PAY_PER_REQUEST",
        },
    )["ImportTableDescription"]  # fmt: skip
    assert started["ImportStatus"] in ("IN_PROGRESS", "COMPLETED")
    found: dict[str, Any] = client.describe_import(ImportArn=started["ImportArn"])["ImportTableDescription"]
    return found


@pytest.fixture
def aws(local_aws: Any) -> Any:
    make_bucket(local_aws, "source")
    return local_aws


def count(aws: Any, name: str = "again") -> int:
    return int(aws.client("dynamodb").scan(TableName=name, Select="COUNT")["Count"])


def test_items_come_in_as_the_service_stores_them(aws: Any) -> None:
    found = imported(aws, GOOD)
    assert (found["ImportStatus"], found["ImportedItemCount"], found["ErrorCount"]) == ("COMPLETED", 3, 0)
    assert aws.client("dynamodb").get_item(TableName="again", Key={"pk": {"S": "a1"}})["Item"]["n"] == {"N": "1.5"}


def test_refused_items_fail_the_import_and_the_others_are_there(aws: Any) -> None:
    found = imported(aws, [*GOOD, {"pk": {"S": ""}}, {"pk": {"N": "1"}}, "no json"])
    assert (found["ImportStatus"], found["FailureCode"], found["ErrorCount"]) == ("FAILED", "ItemValidationError", 3)
    assert count(aws) == 3


def test_a_key_twice_is_no_error(aws: Any) -> None:
    found = imported(aws, [*GOOD, GOOD[0] | {"n": {"N": "2"}}])
    assert (found["ImportStatus"], found["ImportedItemCount"], count(aws)) == ("COMPLETED", 4, 3)


def test_one_token_is_one_import_and_a_table_that_exists_is_refused(aws: Any) -> None:
    first = imported(aws, GOOD)
    assert imported(aws, GOOD)["ImportArn"] == first["ImportArn"]
    with pytest.raises(botocore.exceptions.ClientError, match="ImportConflict"):
        imported(aws, GOOD, name="other")
    make_table(aws, "there", [])
    with pytest.raises(botocore.exceptions.ClientError, match="ResourceInUse"):
        imported(aws, GOOD, name="there", token="t2")
