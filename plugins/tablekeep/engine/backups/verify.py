"""Verification: that what is stored decodes to exactly what the service returned, every segment complete, no key twice.

Levels: `list` compares names and sizes; `checksum` the store's own checksums too; `full` reads every part, decodes every
item, and proves hashes, buckets, counts per column and that no key is there twice, in bounded memory; `sample` reads some parts
so, another time the next ones: it finds damage, and proves nothing of the whole.
"""

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from tablekeep.engine.backups.location import MANIFEST
from tablekeep.engine.backups.manifest import Manifest, Part
from tablekeep.engine.backups.records import read_records, write_record
from tablekeep.engine.backups.sets import BackupSet, open_backup
from tablekeep.engine.backups.spool import KeySpool
from tablekeep.engine.backups.store import NotFoundError, ObjectInfo
from tablekeep.engine.clients import Clients
from tablekeep.engine.clock import Clock
from tablekeep.engine.errors import BadInputError, IntegrityError
from tablekeep.engine.items.changes import encoder_for, record_key
from tablekeep.engine.items.codec import Encoder
from tablekeep.engine.items.hashing import ContentHash, key_hash
from tablekeep.engine.progress import Progress

Level = Literal["list", "checksum", "full", "sample"]
MAX_PROBLEMS = 100


@dataclass
class VerifyReport:
    """What a verification found.

    :ivar ok: nothing is wrong. :ivar problems: one sentence each, at most 100.
    :ivar parts_read: of a sample; `next_part`: the number of the part with which the next sample begins.
    :ivar orphans: objects in the set's folder that the manifest does not name; reported, never read, no problem.
    """

    backup: str
    level: Level
    ok: bool = False
    problems: list[str] = field(default_factory=list)
    orphans: list[str] = field(default_factory=list)
    items: int = 0
    parts: int = 0
    bytes: int = 0
    content_hash: str = ""
    seconds: float = 0.0
    parts_read: int = 0
    next_part: int = 0

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def problem(self, text: str) -> None:
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(text)


def verify_backup(
    *,
    clients: Clients,
    clock: Clock,
    progress: Progress,
    backup: str,
    level: Level = "full",
    actor: str,
    run: str,
    record: bool = True,
    owner: str | None = None,
    share: tuple[int, int] | None = None,
    max_seconds: float | None = None,
) -> VerifyReport:
    """Verifies a backup by its manifest's URI and leaves a record beside the set.

    :param share: `(n, t)`: read the n-th of t equal groups of parts; n = 0: the group after the one that was read last.
    :param max_seconds: begin no further part after so long; the next sample begins there. Both make it a `sample`.
    :raises BadInputError: when there is no such backup. :raises IntegrityError: when its manifest is not whole.
    """
    opened = open_backup(clients, backup, owner=owner, incremental=True)
    if share is None and max_seconds is None:
        report = verify_set(opened, level, clock=clock, progress=progress)
    else:
        report = verify_sample(opened, share or (0, 1), max_seconds, clock=clock, progress=progress)
    if record:
        location = opened.manifest.location
        write_record(
            opened.store,
            location.shelf,
            "verify",
            report.as_dict(),
            backup_id=location.backup_id,
            actor=actor,
            run=run,
            clock=clock,
        )
    return report


def verify_set(opened: BackupSet, level: Level, *, clock: Clock, progress: Progress) -> VerifyReport:
    """Verifies an open set. What is wrong with it is in the report; only what keeps it from being read is raised."""
    manifest, started = opened.manifest, clock.monotonic()
    report = VerifyReport(
        manifest.uri, level, items=manifest.items, parts=len(manifest.parts), bytes=manifest.stored_bytes
    )
    present = {info.key: info for info in opened.store.list(manifest.location.prefix + "/")}
    _list(manifest, present, report)
    for role in ("table", "census"):
        _attempt(report, lambda role=role: opened.document(role))  # type: ignore[misc]
    if level == "checksum":
        progress.phase("checksum", len(manifest.parts), "parts")
        for part in manifest.parts:
            _attempt(report, lambda part=part: _checksum(opened, part))  # type: ignore[misc]
            progress.advance(1, part.size)
    if level == "full":
        _full(opened, report, progress)
    else:
        report.content_hash = str(manifest.content)
    report.ok = not report.problems
    report.seconds = round(clock.monotonic() - started, 3)
    return report


def verify_sample(
    opened: BackupSet, share: tuple[int, int], max_seconds: float | None, *, clock: Clock, progress: Progress
) -> VerifyReport:
    """Reads some parts whole, and looks at the names and sizes of all; see `verify_backup` for the share.

    :raises BadInputError: for a share that is none.
    """
    number, groups = share
    if not (groups >= 1 and 0 <= number <= groups):
        raise BadInputError(
            "reading the share", f"{number}/{groups} is none", "for example 3/7, or 7 for the next seventh"
        )
    manifest, started = opened.manifest, clock.monotonic()
    report = verify_set(opened, "list", clock=clock, progress=progress)
    report.level, count = "sample", len(manifest.parts)
    each = -(-count // groups)
    first = (number - 1) * each if number else _next_part(opened)
    progress.phase("verify", each, "parts")
    again = encoder_for(manifest.layout, manifest.key_names)
    with KeySpool(manifest.items) as keys:
        for part in [*manifest.parts[first:], *manifest.parts[: first if not number else 0]][:each]:
            if report.parts_read and max_seconds is not None and clock.monotonic() - started > max_seconds:
                break
            _attempt(report, lambda part=part: _part(opened, part, again, keys, progress))  # type: ignore[misc]
            report.parts_read += 1
            progress.advance(1)
        for key in keys.duplicates():
            report.problem(f"the key {key_hash(key)} is there twice")
    report.next_part = (first + report.parts_read) % count if count else 0
    report.ok = not report.problems
    report.seconds = round(clock.monotonic() - started, 3)
    return report


def _next_part(opened: BackupSet) -> int:
    """Where the last sample of this set ended."""
    found, location = 0, opened.manifest.location
    for record in read_records(opened.store, location.shelf, "verify"):
        if record["backup_id"] == location.backup_id and record["result"]["level"] == "sample":
            found = int(record["result"]["next_part"])
    return found


def _attempt(report: VerifyReport, action: Callable[[], object]) -> None:
    try:
        action()
    except (IntegrityError, NotFoundError) as error:
        report.problem(f"{error.what}: {error.why}")


def _list(manifest: Manifest, present: dict[str, ObjectInfo], report: VerifyReport) -> None:
    prefix = manifest.location.prefix + "/"
    named = {one.name: one.size for one in manifest.parts} | {one.name: one.size for one in manifest.files}
    for name, size in named.items():
        info = present.get(prefix + name)
        if info is None:
            report.problem(f"{'the part ' if name.startswith('data/') else ''}{name} is missing")
        elif info.size != size:
            report.problem(f"{name} has {info.size:,} bytes, the manifest says {size:,}")
    for key in present:
        name = key[len(prefix) :]
        if name != MANIFEST and name not in named and not name.startswith("_state/"):
            report.orphans.append(name)


def _checksum(opened: BackupSet, part: Part) -> None:
    key = opened.manifest.location.key(part.name)
    info = opened.store.head(key)
    if info is None:
        raise IntegrityError(f"reading the part {part.name}", "it is missing")
    if part.checksum is not None and info.checksum is not None:
        if info.checksum != part.checksum:
            raise IntegrityError(
                f"reading the part {part.name}", "the store's checksum differs from the manifest's: it is damaged"
            )
        return
    digest = hashlib.sha256()
    for piece in opened.store.chunks(key):
        digest.update(piece)
    if digest.hexdigest() != part.sha256:
        raise IntegrityError(f"reading the part {part.name}", "its SHA-256 differs from the manifest's: it is damaged")


def _full(opened: BackupSet, report: VerifyReport, progress: Progress) -> None:
    """Decodes every item and encodes it again under the manifest's layout: hashes, buckets and columns must come out the same."""
    manifest = opened.manifest
    progress.phase("verify", manifest.items)
    again = encoder_for(manifest.layout, manifest.key_names)
    whole = True
    with KeySpool(manifest.items) as keys:
        for part in manifest.parts:
            before = len(report.problems)
            _attempt(report, lambda part=part: _part(opened, part, again, keys, progress))  # type: ignore[misc]
            whole = whole and len(report.problems) == before
        for key in keys.duplicates():
            report.problem(f"the key {key_hash(key)} is there twice")
    report.content_hash = str(again.hasher.whole)
    if not whole:
        return
    if again.hasher.whole != manifest.content:
        report.problem(f"the items' content hash is {again.hasher.whole}, the manifest says {manifest.content}")
    if tuple(again.hasher.buckets) != manifest.buckets:
        report.problem("the items' buckets differ from the manifest's")
    figures = {name: (one.nulls, one.misfits) for name, one in again.counts.items()}
    if (
        figures != {name: (one.nulls, one.misfits) for name, one in manifest.columns.items()}
        or again.rest_rows != manifest.rest_rows
    ):
        report.problem("the columns' nulls and misfits differ from the manifest's")
    census = opened.document("census")
    again.census.empties = census.get("empties") is True  # a figure that sets of before 1.2 lack
    if again.census.as_json() != census:
        report.problem("census.json differs from what the items hold")


def _part(opened: BackupSet, part: Part, again: Encoder, keys: KeySpool, progress: Progress) -> None:
    rows, total = 0, ContentHash()
    for items in opened.items(part):
        encoded = again.encode(items)
        rows += encoded.batch.num_rows
        total = total + ContentHash(encoded.batch.num_rows, encoded.total)
        if opened.manifest.layout.changes:
            for item in items:
                keys.add(record_key(item, opened.manifest.layout, opened.manifest.key_names))
        else:
            keys.add_keys(encoded.keys)
        progress.advance(len(items), encoded.raw_bytes)
    if total != part.content:
        raise IntegrityError(
            f"reading the part {part.name}", f"its content hash is {total}, the manifest says {part.content}"
        )
