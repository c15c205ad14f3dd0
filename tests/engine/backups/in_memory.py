"""Backups in memory, made of one that a released version wrote: many of them cost nothing."""

import dataclasses
import hashlib
from datetime import datetime, timedelta
from typing import Any

import msgspec

from tablekeep.engine.backups.location import Shelf
from tablekeep.engine.backups.manifest import Manifest, Window, parse_manifest
from tablekeep.engine.backups.records import write_record
from tablekeep.engine.backups.sealed import seal, unseal
from tablekeep.engine.backups.sets import BackupSet, open_set, publish
from tablekeep.engine.backups.store import MemoryStore
from tablekeep.engine.clock import SystemClock
from tests.engine.backups.test_golden_sets import opened


def golden() -> BackupSet:
    """A full set of 25 orders, by itself in its store."""
    return opened("1.0")[-1]


def forged(backup: BackupSet, edit: Any, files: dict[str, Any] | None = None) -> BackupSet:
    """The set with an edited manifest whose seal is right: what a program with a fault, or a liar, publishes.

    :param edit: changes the document. :param files: new contents of `table` or `census`, entered in the manifest.
    """
    location, store = backup.manifest.location, backup.store
    document = unseal(store.get(location.manifest_key), "it")
    for role, content in (files or {}).items():
        text = msgspec.json.encode(content)
        (entry,) = [one for one in document["files"] if one["role"] == role]
        store.put(location.key(entry["name"]), text)
        entry |= {"size": len(text), "sha256": hashlib.sha256(text).hexdigest()}
    edit(document)
    store.put(location.manifest_key, seal(document))
    return open_set(store, location)


class History:
    """A table's backups at times that a test names, counted in hours before now; the newest first."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self._pattern = golden().manifest
        self.shelf: Shelf = self._pattern.location.shelf
        self.now: datetime = self.store.now()

    def add(self, hours: float, *, full: bool = True, verified: bool = True) -> str:
        """Publishes one, with an object beside its manifest; gives its id."""
        as_of = self.now - timedelta(hours=hours)
        location = self.shelf.set(f"{as_of:%Y%m%dT%H%M%SZ}-{int(hours * 10):08x}")
        minute = timedelta(minutes=1)
        manifest: Manifest = dataclasses.replace(
            self._pattern, location=location, as_of=as_of, consistent=(as_of - minute, as_of), parents=()
        )
        if not full:  # what makes it one for retention; its layout does not matter there
            self._increment(manifest, Window(as_of - timedelta(hours=1), as_of, True))
        else:
            publish(self.store, manifest)
        self.store.put(f"{location.prefix}/data/part", b"x")
        if verified:
            self.judge(location.backup_id, True)
        return location.backup_id

    def _increment(self, manifest: Manifest, window: Window) -> None:
        made = opened("1.1")[1].manifest
        changed = dataclasses.replace(
            made, location=manifest.location, as_of=window.to, consistent=(window.since, window.to), window=window, parents=(),
            table=manifest.table,
        )  # fmt: skip
        parse_manifest(changed.text(), changed.location)
        publish(self.store, changed)

    def judge(self, backup_id: str, ok: bool) -> None:
        """As a verification at level full would."""
        self.record("verify", backup_id, {"ok": ok, "level": "full"})

    def record(self, kind: Any, backup_id: str, result: dict[str, Any]) -> None:
        write_record(
            self.store, self.shelf, kind, result, backup_id=backup_id, actor="t", run="t", clock=SystemClock()
        )  # fmt: skip

    def manifests(self) -> list[str]:
        """Ids of the sets that have one."""
        keys = [info.key for info in self.store.list(self.shelf.prefix)]
        return sorted(key.split("/")[-2] for key in keys if key.endswith("/manifest.json"))
