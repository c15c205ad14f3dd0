"""Reading goes wrong while a restore writes: it heals or stops before the part, and the next try goes on."""

from typing import Any

import pytest

from tablekeep.engine.backups.s3 import S3Store
from tablekeep.engine.backups.sets import open_backup
from tablekeep.engine.backups.store import NotFoundError
from tablekeep.engine.clock import SystemClock
from tablekeep.engine.errors import IntegrityError, PermanentError
from tablekeep.engine.progress import NoProgress
from tablekeep.engine.restore import load, steps
from tablekeep.engine.restore.request import RestoreRequest
from tablekeep.engine.restore.table import restore_table
from tests.tables import clients, export, make_bucket, make_table, orders


@pytest.fixture
def backup(local_aws: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """A set of five parts that are restored one by one."""
    make_bucket(local_aws)
    make_table(local_aws, "orders", [item | {"pk": {"S": f"customer-{n}"}} for n, item in enumerate(orders())])
    monkeypatch.setattr(load, "LANES", 1)
    monkeypatch.setattr(steps, "LANES", 1)
    return export("orders", segments=5).backup


def restore(backup: str) -> Any:
    return restore_table(
        RestoreRequest("again", backup),
        clients=clients(),
        clock=SystemClock(),
        progress=NoProgress(),
        actor="t",
        run="t",
    )


def spoiling(monkeypatch: pytest.MonkeyPatch, backup: str, number: int, fault: str, times: int) -> list[int]:
    """Gives a part otherwise than it lies there, the first `times` times it is read."""
    real, spoiled = S3Store.chunks, list[int]()
    manifest = open_backup(clients(), backup).manifest
    key, other = (manifest.location.key(manifest.parts[one].name) for one in (number, number - 1))

    def chunks(self: S3Store, wanted: str) -> Any:
        if wanted != key or len(spoiled) == times:
            yield from real(self, wanted)
            return
        spoiled.append(1)
        if fault == "removed":
            raise NotFoundError(f"reading {wanted}", "there is no such object")
        for piece in real(self, other if fault == "swapped" else wanted):
            if fault == "flipped":
                yield piece[:-7] + bytes([piece[-7] ^ 4]) + piece[-6:]
            else:
                yield piece[:-100] if fault == "truncated" else piece

    monkeypatch.setattr(S3Store, "chunks", chunks)
    return spoiled


FAULTS = ["flipped", "truncated", "swapped", "removed"]


def count(aws: Any) -> int:
    return int(aws.client("dynamodb").scan(TableName="again", Select="COUNT")["Count"])


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_wrong_on_the_first_read_only_heals(backup: str, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    spoiled = spoiling(monkeypatch, backup, 2, fault, 1)
    assert restore(backup).proved
    assert spoiled == [1]


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_wrong_on_every_read_stops_before_the_part_and_the_next_try_goes_on(
    backup: str, local_aws: Any, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    manifest = open_backup(clients(), backup).manifest
    spoiling(monkeypatch, backup, 2, fault, 99)
    with pytest.raises((IntegrityError, PermanentError), match=manifest.parts[2].name):
        restore(backup)
    assert count(local_aws) == manifest.parts[0].rows + manifest.parts[1].rows
    monkeypatch.undo()
    report = restore(backup)
    assert report.proved
    assert report.resumed == 2


@pytest.mark.parametrize("fault", ["missing", "swapped", "of another backup", "truncated", "empty"])
def test_parts_that_are_not_what_the_manifest_says_are_named_and_not_restored(
    backup: str, local_aws: Any, fault: str
) -> None:
    opened = open_backup(clients(), backup)
    store, parts = opened.store, opened.manifest.parts
    keys = [opened.manifest.location.key(part.name) for part in parts]
    content = store.get(keys[0])
    if fault == "missing":
        store.delete(keys[0])
    elif fault == "swapped":
        store.put(keys[0], store.get(keys[1]))
        store.put(keys[1], content)
    elif fault == "of another backup":
        other = open_backup(clients(), export("orders", segments=5).backup).manifest
        store.put(keys[0], store.get(other.location.key(other.parts[0].name)))
    else:
        store.put(keys[0], content[:-100] if fault == "truncated" else b"")
    with pytest.raises((IntegrityError, PermanentError), match=parts[0].name):
        restore(backup)
    assert count(local_aws) == 0
