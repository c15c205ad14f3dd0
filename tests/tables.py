"""Tables and backups that tests make: real calls to the stand-in, nothing replaced."""

import base64
from typing import Any

from tablekeep.engine.backups.verify import verify_backup
from tablekeep.engine.clients import SessionClients
from tablekeep.engine.clock import SystemClock
from tablekeep.engine.export.table import ExportReport, export_table
from tablekeep.engine.progress import NoProgress

BUCKET = "tablekeep-tests"
ROOT = f"s3://{BUCKET}/backups"


def for_boto(value: Any) -> Any:
    """Wire JSON as boto3 takes it: bytes where the wire has base64."""
    if isinstance(value, list):
        return [for_boto(one) for one in value]
    ((kind, content),) = value.items()
    if kind == "B":
        return {kind: base64.b64decode(content)}
    if kind == "BS":
        return {kind: [base64.b64decode(one) for one in content]}
    if kind == "L":
        return {kind: for_boto(content)}
    if kind == "M":
        return {kind: {name: for_boto(one) for name, one in content.items()}}
    return value


def make_table(local_aws: Any, name: str, items: list[dict[str, Any]], *, sort_key: bool = True, **more: Any) -> None:
    """A table with the key pk (S) and sk (N), holding items given as wire JSON."""
    client = local_aws.client("dynamodb")
    keys = [{"AttributeName": "pk", "KeyType": "HASH"}] + (
        [{"AttributeName": "sk", "KeyType": "RANGE"}] if sort_key else []
    )
    types = [{"AttributeName": "pk", "AttributeType": "S"}] + (
        [{"AttributeName": "sk", "AttributeType": "N"}] if sort_key else []
    )
    more.setdefault("BillingMode", "PAY_PER_REQUEST")
    types += more.pop("AttributeDefinitions", [])
    client.create_table(TableName=name, KeySchema=keys, AttributeDefinitions=types, **more)
    for item in items:
        client.put_item(TableName=name, Item={attribute: for_boto(value) for attribute, value in item.items()})


def make_bucket(local_aws: Any, name: str = BUCKET) -> None:
    local_aws.client("s3").create_bucket(Bucket=name)


def clients() -> SessionClients:
    """Clients as the command line makes them: the environment points to the stand-in."""
    return SessionClients(region="us-east-1")


def export(table: str, **more: Any) -> ExportReport:
    """A backup of a table under ROOT."""
    common = {
        "clients": clients(),
        "clock": SystemClock(),
        "progress": NoProgress(),
        "to": ROOT,
        "actor": "test",
        "run": "test",
    }
    return export_table(**({"table": table} | common | more))


def verify(backup: str) -> None:
    """Verifies a backup at level full; it must be whole."""
    report = verify_backup(
        clients=clients(),
        clock=SystemClock(),
        progress=NoProgress(),
        backup=backup,
        level="full",
        actor="test",
        run="test",
    )
    assert report.ok, report.problems


def orders(count: int = 40) -> list[dict[str, Any]]:
    """Items of all ten types, sparse and nested, with numbers that no float holds."""
    items: list[dict[str, Any]] = []
    for n in range(count):
        item: dict[str, Any] = {
            "pk": {"S": f"customer-{n % 7}"}, "sk": {"N": str(n)}, "price": {"N": f"{n}.25"}, "paid": {"BOOL": n % 2 == 0},
            "tags": {"SS": ["new", f"t{n}"]}, "sizes": {"NS": ["1", "2.5"]}, "hashes": {"BS": ["AAE=", "/w=="]}, "raw": {"B": "AAECAwQ="},
            "lines": {"L": [{"M": {"sku": {"S": "a"}, "n": {"N": "2"}}}, {"NULL": True}, {"L": []}]}, "address": {"M": {}},
        }  # fmt: skip
        if n % 5 == 0:
            item["note"] = {"NULL": True}
        if n % 9 == 0:
            item |= {
                "exact": {"N": "12345678901234567890123456789.123456789"},
                "Price": {"S": ""},
                "_rest": {"S": "mine"},
            }
        items.append(item)
    return items
