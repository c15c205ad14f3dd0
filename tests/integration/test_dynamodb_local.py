"""What decides about exactness, against AWS's own emulator: the same results as the stand-in gives."""

import json
from typing import Any

import boto3
import pytest

from tablekeep.engine.backups.sets import open_backup
from tablekeep.engine.clock import SystemClock
from tablekeep.engine.items.canonical import canonical_item
from tablekeep.engine.items.hashing import ContentHash
from tablekeep.engine.progress import NoProgress
from tablekeep.engine.restore.compare import compare
from tablekeep.engine.restore.report import RestoreReport
from tablekeep.engine.restore.request import RestoreRequest
from tablekeep.engine.restore.table import restore_table
from tests.tables import clients, export, make_bucket, make_table, orders

pytestmark = pytest.mark.dynamodb_local

HARD = [
    {"pk": {"S": "numbers"}, "sk": {"N": "-0.00"}, "n": {"NS": ["1E2", "1E-130", "9.9999999999999999999999999999999999999E+125", "-1.50"]}},
    {"pk": {"S": "numbers"}, "sk": {"N": "12345678901234567890123456789012345678"}, "tiny": {"N": "-0.00000000000000000000000000000000000001"}},
    {"pk": {"S": "é\u0000\"\\\n\u2028😀"}, "sk": {"N": "1"}, "": {"S": "x"}},
    {"pk": {"S": "empty"}, "sk": {"N": "1"}, "s": {"S": ""}, "b": {"B": ""}, "l": {"L": []}, "m": {"M": {}}, "z": {"NULL": True}, "ss": {"SS": [""]}},
    {"pk": {"S": "sets"}, "sk": {"N": "1"}, "bs": {"BS": ["/w==", "AA==", "AAA="]}, "ss": {"SS": ["b", "a!", "a", "B"]}},
]  # fmt: skip


class Local:
    """DynamoDB Local as `make_table` takes a stand-in."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint

    def client(self, service: str) -> Any:
        return boto3.client(service, endpoint_url=self.endpoint, region_name="us-east-1")


def restored(to_table: str, backup: str, **more: Any) -> RestoreReport:
    request = RestoreRequest(to_table, backup, **more)
    return restore_table(request, clients=clients(), clock=SystemClock(), progress=NoProgress(), actor="t", run="t")


def test_dynamodb_local_and_the_stand_in_give_the_same_results(
    local_aws: Any, dynamodb_local_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_bucket(local_aws)
    items = [*orders(60), *({name: value for name, value in item.items() if name} for item in HARD)]
    expected = ContentHash.of(canonical_item(item) for item in items)
    make_table(local_aws, "orders", items)
    assert export("orders", segments=3).content_hash == str(expected)
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", dynamodb_local_endpoint)
    make_table(Local(dynamodb_local_endpoint), "orders", items)
    report = export("orders", segments=3)
    assert report.content_hash == str(expected)
    assert restored("again", report.backup).proved
    result = compare(clients=clients(), clock=SystemClock(), progress=NoProgress(), left="orders", right="again")
    assert result.equal
    database = clients().client("dynamodb")
    for number in (0, 1):
        database.delete_item(TableName="again", Key={name: items[number][name] for name in ("pk", "sk")})
    key = {name: items[2][name] for name in ("pk", "sk")}
    database.put_item(TableName="again", Item=key | {"price": {"N": "0"}})
    missing = restored("again", report.backup, mode="missing-only")
    assert (missing.written, missing.kept, missing.proved) == (2, 1, True)
    listed = restored("again", report.backup, mode="overwrite-listed-keys", keys=(json.dumps(key),))
    assert (listed.items, listed.replaced, listed.proved) == (1, 1, True)
    assert compare(clients=clients(), clock=SystemClock(), progress=NoProgress(), left="orders", right="again").equal
    backup = open_backup(clients(), report.backup)
    found = sorted(item for part in backup.manifest.parts for batch in backup.items(part) for item in batch)
    assert found == sorted(canonical_item(item) for item in items)
