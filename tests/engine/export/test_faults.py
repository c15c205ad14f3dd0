"""What goes wrong around an export: storage that stumbles, rights that end, clocks that jump, a table that is written to meanwhile.

Numbers in the names are those of tests/FAULTS.md.
"""

import os
import random
import resource
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ConnectionClosedError

from tablekeep.engine.backups.s3 import S3Store
from tablekeep.engine.backups.sets import open_backup
from tablekeep.engine.backups.verify import verify_backup
from tablekeep.engine.clients import SessionClients
from tablekeep.engine.clock import SystemClock
from tablekeep.engine.dynamodb.settings import TableSettings
from tablekeep.engine.dynamodb.wire import WireClient
from tablekeep.engine.errors import IntegrityError, PermanentError, TransientError
from tablekeep.engine.items.canonical import canonical_item
from tablekeep.engine.progress import NoProgress
from tests.tables import BUCKET, clients, export, for_boto, make_bucket, make_table, orders

ID = "20300101T000000Z-0a0b0c0d"
PROJECT = Path(__file__).parents[3]


class Raw:
    """A body as botocore reads it."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self, **_: Any) -> Any:
        yield self._body


def answer(status: int, code: str) -> AWSResponse:
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>m</Message></Error>".encode()
    return AWSResponse("http://s3", status, {"content-type": "application/xml"}, Raw(body))


def faulty(service: str, decide: Callable[[str, Any], Any]) -> SessionClients:
    """Clients of which one answers as `decide(operation, request)` says, where that says something."""
    found, lock = clients(), threading.Lock()

    def before_send(request: Any, event_name: str, **_: Any) -> Any:
        with lock:
            return decide(event_name.rsplit(".", 1)[-1], request)

    found.client(service).meta.events.register(f"before-send.{service}", before_send)
    return found


def proof(backup: str, **more: Any) -> Any:
    common = {
        "clients": clients(),
        "clock": SystemClock(),
        "progress": NoProgress(),
        "actor": "t",
        "run": "t",
        "level": "full",
    }
    return verify_backup(**(common | more), backup=backup)  # type: ignore[arg-type]


def manifests() -> list[str]:
    return [info.key for info in S3Store(clients(), BUCKET).list("") if info.key.endswith("/manifest.json")]


@pytest.fixture
def aws(local_aws: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr("time.sleep", lambda _: None)  # botocore's pauses between its tries
    make_bucket(local_aws)
    make_table(local_aws, "orders", orders())
    return local_aws


@pytest.mark.parametrize("seed", range(3))
def test_f6_a_store_that_refuses_every_fifth_request_costs_nothing_but_time(aws: Any, seed: int) -> None:
    chance = random.Random(seed)
    refused: list[str] = []

    def decide(operation: str, _: Any) -> Any:
        if chance.random() < 0.2:
            refused.append(operation)
            return answer(503, "SlowDown") if chance.random() < 0.5 else answer(500, "InternalError")
        return None

    report = export("orders", clients=faulty("s3", decide), segments=3)
    assert refused
    assert report.items == 40
    assert proof(report.backup).ok


def test_f6_a_store_that_refuses_for_good_leaves_an_export_that_goes_on(aws: Any) -> None:
    def decide(operation: str, request: Any) -> Any:
        return answer(503, "SlowDown") if operation == "PutObject" and "/data/" in request.url else None

    with pytest.raises(TransientError, match="SlowDown"):
        export("orders", clients=faulty("s3", decide), backup_id=ID)
    assert not manifests()
    assert proof(export("orders", backup_id=ID).backup).ok


def test_f7_an_error_in_an_answer_of_200_is_an_error(aws: Any) -> None:
    def decide(operation: str, _: Any) -> Any:
        return answer(200, "InternalError") if operation == "CompleteMultipartUpload" else None

    store = S3Store(faulty("s3", decide), BUCKET)
    sink = store.open_write("big")
    sink.write(b"x" * 9_000_000)
    with pytest.raises(TransientError):
        sink.finish()
    assert S3Store(clients(), BUCKET).head("big") is None


@pytest.mark.parametrize("operation", ["PutObject", "GetObject", "HeadObject"])
def test_f8_f15_a_connection_that_is_reset_is_tried_again(aws: Any, operation: str) -> None:
    broken: list[str] = []

    def decide(asked: str, request: Any) -> Any:
        if asked == operation and len(broken) < 2:
            broken.append(asked)
            return ConnectionClosedError(endpoint_url=request.url)
        return None

    def raising(asked: str, request: Any) -> Any:
        found = decide(asked, request)
        if isinstance(found, Exception):
            raise found
        return found

    report = export("orders", clients=faulty("s3", raising))
    assert broken
    assert proof(report.backup).ok


@pytest.mark.parametrize("times", [1, 99])
def test_f9_a_byte_that_flips_on_the_way_heals_and_one_on_the_disk_does_not(
    aws: Any, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    backup = export("orders").backup
    real, flipped = S3Store.chunks, []

    def flipping(self: S3Store, key: str) -> Any:
        for piece in real(self, key):
            if "/data/" in key and len(flipped) < times:
                flipped.append(key)
                piece = piece[:9] + bytes([piece[9] ^ 1]) + piece[10:]
            yield piece

    monkeypatch.setattr(S3Store, "chunks", flipping)
    report = proof(backup)
    assert flipped
    assert report.ok == (times == 1)
    assert report.ok or "it is damaged" in report.problems[0]


@pytest.mark.parametrize("after", [0, 3, 6])
def test_f12_a_right_that_ends_in_the_middle_is_named_and_the_export_goes_on_later(aws: Any, after: int) -> None:
    written: list[str] = []

    def decide(operation: str, request: Any) -> Any:
        if operation == "PutObject":
            written.append(request.url)
        return answer(403, "AccessDenied") if len(written) > after and operation == "PutObject" else None

    with pytest.raises(PermanentError, match="AccessDenied") as caught:
        export("orders", clients=faulty("s3", decide), segments=4, backup_id=ID)
    assert BUCKET in str(caught.value)
    assert not manifests()
    assert proof(export("orders", segments=4, backup_id=ID).backup).ok


def test_f16_a_full_disk_is_told_in_words(aws: Any) -> None:
    make_table(aws, "many", [{"pk": {"S": f"{number:0900d}"}, "sk": {"N": "1"}} for number in range(600)])
    backup = export("many").backup

    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    for arguments, expected in (([], "this machine refused: File too large"), (["--json"], '"exit_code": 1')):
        done = subprocess.run(
            [sys.executable, "-m", "tablekeep", "verify", backup, "--quiet", *arguments], capture_output=True, text=True, check=False,
            env=os.environ | {"PYTHONPATH": str(PROJECT / "plugins")}, preexec_fn=small_files,
        )  # fmt: skip
        assert done.returncode == 1
        assert expected in done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        assert "TMPDIR" in done.stdout + done.stderr


class Jumping(SystemClock):
    """Goes an hour forth and back with every look."""

    looks = 0

    def now(self) -> datetime:
        self.looks += 1
        return super().now() + timedelta(hours=1 if self.looks % 2 else -1)


def test_f18_a_clock_that_jumps_harms_nothing(aws: Any) -> None:
    report = export("orders", clock=Jumping(), segments=3)
    assert report.items == 40
    assert proof(report.backup, clock=Jumping()).ok
    manifest = open_backup(clients(), report.backup).manifest
    assert manifest.consistent[0] <= manifest.consistent[1]


def test_f19_f20_a_table_that_is_written_to_while_it_is_read(aws: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    make_table(aws, "busy", orders(60))
    client, items, turn = aws.client("dynamodb"), orders(60), iter(range(1000))
    real = WireClient.scan

    def busy(self: WireClient, *given: Any, **more: Any) -> Any:
        number = next(turn)
        item = {name: for_boto(value) for name, value in items[number % 60].items()}
        key = {name: item[name] for name in ("pk", "sk")}
        client.delete_item(TableName="busy", Key=key)
        if number % 2:  # deleted and written again; the others are gone
            client.put_item(TableName="busy", Item=item | {"price": {"N": str(number)}})
        client.put_item(TableName="busy", Item={"pk": {"S": f"new-{number}"}, "sk": {"N": "1"}})
        return real(self, *given, **more | {"limit": 3})

    monkeypatch.setattr(WireClient, "scan", busy)
    report = export("busy", segments=2)
    assert proof(report.backup).ok  # no key twice among other things
    opened = open_backup(clients(), report.backup)
    known = {canonical_item(one) for one in items}
    kept = [one for part in opened.manifest.parts for page in opened.items(part) for one in page]
    assert len({one for one in kept if one in known}) > 20
    assert opened.manifest.consistent[0] < opened.manifest.consistent[1]


def test_f22_a_setting_that_changes_meanwhile_is_told(aws: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    quiet = open_backup(clients(), export("orders").backup).manifest
    assert "settings_changed" not in quiet.run
    client, real, turns = aws.client("dynamodb"), WireClient.scan, iter(range(1000))

    def changing(self: WireClient, *given: Any, **more: Any) -> Any:
        if next(turns) == 1:
            client.update_time_to_live(
                TableName="orders", TimeToLiveSpecification={"Enabled": True, "AttributeName": "until"}
            )
            client.update_table(TableName="orders", DeletionProtectionEnabled=True)
            client.put_item(TableName="orders", Item={"pk": {"S": "new"}, "sk": {"N": "1"}})
        return real(self, *given, **more | {"limit": 9})

    monkeypatch.setattr(WireClient, "scan", changing)
    opened = open_backup(clients(), export("orders").backup)
    assert opened.manifest.run["settings_changed"] == [
        "DescribeTable: DeletionProtectionEnabled", "DescribeTimeToLive: AttributeName", "DescribeTimeToLive: TimeToLiveStatus",
    ]  # fmt: skip
    assert TableSettings.from_document(opened.document("table")).ttl_attribute is None


def test_f10_a_part_of_another_backup_is_refused(aws: Any) -> None:
    one, other = (open_backup(clients(), export("orders").backup).manifest for _ in range(2))
    store = S3Store(clients(), BUCKET)
    store.put(one.location.key(one.parts[0].name), store.get(other.location.key(other.parts[0].name)))
    report = proof(one.uri)
    assert not report.ok
    assert one.parts[0].name in report.problems[0]


def test_f9_a_damaged_census_is_named(aws: Any) -> None:
    manifest = open_backup(clients(), export("orders").backup).manifest
    name = manifest.file("census").name
    S3Store(clients(), BUCKET).put(manifest.location.key(name), b"{}")
    with pytest.raises(IntegrityError, match="SHA-256"):
        open_backup(clients(), manifest.uri).document("census")
