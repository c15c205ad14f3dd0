"""Reading goes wrong while a restore writes: it heals or stops before the part, and the next try goes on."""

from typing import Any

import pytest

from tablekeep.engine.backups.s3 import S3Store
from tablekeep.engine.backups.sets import open_backup
from tablekeep.engine.clock import SystemClock
from tablekeep.engine.errors import IntegrityError, PermanentError
from tablekeep.engine.progress import NoProgress
from tablekeep.engine.restore import load
from tablekeep.engine.restore.request import RestoreRequest
from tablekeep.engine.restore.table import restore_table
from tests.tables import clients, export, make_bucket, make_table, orders


@pytest.fixture
def backup(local_aws: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """A set of five parts that are restored one by one."""
    make_bucket(local_aws)
    make_table(local_aws, "orders", [item | {"pk": {"S": f"customer-{n}"}} for n, item in enumerate(orders())])
    monkeypatch.setattr(load.waves, "__defaults__", (1,))
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


def flipping(monkeypatch: pytest.MonkeyPatch, part: str, times: int) -> list[int]:
    """Flips a byte of the part, the first `times` times it is read."""
    real, flipped = S3Store.chunks, list[int]()

    def chunks(self: S3Store, key: str) -> Any:
        for piece in real(self, key):
            if key.endswith(part) and len(flipped) < times:
                flipped.append(1)
                yield piece[:-7] + bytes([piece[-7] ^ 4]) + piece[-6:]
            else:
                yield piece

    monkeypatch.setattr(S3Store, "chunks", chunks)
    return flipped


def count(aws: Any) -> int:
    return int(aws.client("dynamodb").scan(TableName="again", Select="COUNT")["Count"])


def test_a_byte_that_was_flipped_once_on_its_way_heals(backup: str, monkeypatch: pytest.MonkeyPatch) -> None:
    part = open_backup(clients(), backup).manifest.parts[2].name
    flipped = flipping(monkeypatch, part, 1)
    assert restore(backup).proved
    assert flipped == [1]


def test_a_damaged_part_stops_the_restore_before_it_and_the_next_try_goes_on(
    backup: str, local_aws: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = open_backup(clients(), backup).manifest
    flipping(monkeypatch, manifest.parts[2].name, 99)
    with pytest.raises(IntegrityError, match=r"part-.* is damaged"):
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
