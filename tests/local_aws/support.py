"""What the tests of the stand-in share."""

from collections.abc import Callable
from typing import Any

import botocore.exceptions

from local_aws.server import LocalAws


def refused(call: Callable[..., Any], **arguments: Any) -> tuple[str, int, str]:
    """Code, HTTP status and message of the error that a call ends with."""
    try:
        call(**arguments)
    except botocore.exceptions.ClientError as error:
        response = error.response
        return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Message"]
    raise AssertionError("it was accepted")


def create_table(aws: LocalAws, name: str = "items", *, index: bool = False) -> Any:
    """A table with keys `p` (S) and `s` (N), and with the index `by-g` on `g` (S)."""
    client = aws.client("dynamodb", retries={"total_max_attempts": 1})
    attributes = {"p": "S", "s": "N"} | ({"g": "S"} if index else {})
    extra: dict[str, Any] = {}
    if index:
        key = [{"AttributeName": "g", "KeyType": "HASH"}]
        extra["GlobalSecondaryIndexes"] = [
            {"IndexName": "by-g", "KeySchema": key, "Projection": {"ProjectionType": "ALL"}}
        ]
    client.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "p", "KeyType": "HASH"}, {"AttributeName": "s", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": n, "AttributeType": t} for n, t in attributes.items()],
        BillingMode="PAY_PER_REQUEST",
        **extra,
    )
    return client


def fill(client: Any, count: int, *, name: str = "items", size: int = 10) -> None:
    """`count` items, seven to a partition."""
    items = [{"p": {"S": f"p{i // 7}"}, "s": {"N": str(i)}, "v": {"S": "x" * size}} for i in range(count)]
    for begin in range(0, count, 25):
        requests = [{"PutRequest": {"Item": item}} for item in items[begin : begin + 25]]
        assert not client.batch_write_item(RequestItems={name: requests})["UnprocessedItems"]


def scan_all(client: Any, name: str = "items", **arguments: Any) -> list[list[dict[str, Any]]]:
    """The pages of a scan."""
    pages = []
    start: dict[str, Any] = {}
    while True:
        page = client.scan(TableName=name, **arguments, **start)
        pages.append(page["Items"])
        if "LastEvaluatedKey" not in page:
            return pages
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
