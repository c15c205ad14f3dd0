"""Copies the newest verified state of a table: its newest full set, or the changes since the last load, in their order."""

from dataclasses import replace
from typing import Any

from tablekeep.engine.backups.catalog import judged, list_shelf, newest_verified
from tablekeep.engine.backups.chains import chain, following, gap_text
from tablekeep.engine.backups.location import Shelf
from tablekeep.engine.backups.manifest import Manifest
from tablekeep.engine.backups.s3 import S3Store
from tablekeep.engine.backups.sets import BackupSet
from tablekeep.engine.clients import Clients
from tablekeep.engine.clock import Clock
from tablekeep.engine.copies.copy import CopyReport, copy_backup, copy_set
from tablekeep.engine.copies.document import MappingDocument
from tablekeep.engine.copies.ledger import Load
from tablekeep.engine.copies.modes import Mode
from tablekeep.engine.copies.target import Target
from tablekeep.engine.errors import PermanentError
from tablekeep.engine.progress import Progress


def copy_newest(
    *,
    clients: Clients,
    clock: Clock,
    progress: Progress,
    shelf: Shelf,
    target: Target,
    mode: Mode | None = None,
    mapping: MappingDocument | None = None,
    allow_older: bool = False,
    adopt: bool = False,
    actor: str,
    run: str,
    owner: str | None = None,
) -> CopyReport:
    """Copies the newest set of a shelf that a full verification found whole; see `copy_backup` for the rest.

    With the mode `incremental`: every verified set of changes since the table's last load, one after the other; where these have a gap,
    or nothing was loaded yet, the newest full set first.

    :returns: the last set's report, with the rows of all.
    :raises PermanentError: when no set of the shelf is verified. :raises BadInputError: for a gap that no full set closes.
    """
    mode = mode or Mode()
    store = S3Store(clients, shelf.bucket, owner=owner)
    common: dict[str, Any] = {
        "clock": clock, "progress": progress, "target": target, "mode": mode, "allow_older": allow_older, "adopt": adopt, "actor": actor,
        "run": run,
    }  # fmt: skip
    what = f"copying the newest backup of {shelf.name} to {target.table}"
    if mode.name != "incremental" or mode.name not in target.modes:
        manifest = newest_verified(store, shelf)
        if manifest is None:
            raise _nothing(what, shelf)
        return copy_backup(clients=clients, backup=manifest.uri, mapping=mapping, owner=owner, **common)
    whole, _ = judged(store, shelf)
    sets = [one for one in list_shelf(store, shelf).backups if one.backup_id in whole]
    with target.session(clock) as session:
        standing = session.standing()
    last = standing.last if standing.exists else None
    todo = _steps(what, sets, last, shelf)
    report: CopyReport | None = None
    for one in todo:
        done = copy_set(BackupSet(store, one), mapping=mapping or MappingDocument(), **common)
        report = done if report is None else _joined(report, done)
    assert report is not None
    return report


def _steps(what: str, sets: list[Manifest], last: Load | None, shelf: Shelf) -> list[Manifest]:
    """The sets that bring the table up to date, in their order; the last one that it has when there is nothing to do.

    :param sets: verified ones, newest first. :param last: the table's last load.
    """
    if not sets:
        raise _nothing(what, shelf)
    mine = [one for one in sets if one.table_id == sets[0].table_id]
    missing = None
    if last is not None and last.edge is not None and last.source_id == mine[0].table_id:
        increments, missing = following(mine, last.edge)
        increments = [one for one in increments if one.as_of > last.as_of]
        full = next((one for one in mine if one.backup_id == last.backup_id and one.window is None), None)
        if full is not None and increments and increments[-1].as_of < full.consistent[1]:
            increments = []  # some items of the full set are newer than where these end: they would be set back
        if missing is None:
            newer = [
                one
                for one in mine
                if one.window is None and one.as_of > (increments[-1].as_of if increments else last.as_of)
            ]
            # a full set beyond the changes, where there are none that lead to it
            return [*increments, *newer[:1]] or [
                next((one for one in mine if one.backup_id == last.backup_id), mine[0])
            ]
    found = chain(mine, table_id=mine[0].table_id)
    if found is None or (last is not None and missing is not None and found.full.as_of <= last.as_of):
        raise PermanentError(
            what,
            f"changes are missing: {gap_text(missing)}" if missing else "there is no verified full set to begin with",
            "make a full backup; the copy goes on from it",
        )
    return [found.full, *found.increments]


def _joined(first: CopyReport, then: CopyReport) -> CopyReport:
    """The report of two sets, one after the other."""
    return replace(
        then, sets=first.sets + 1, inserted=first.inserted + then.inserted, updated=first.updated + then.updated,
        deleted=first.deleted + then.deleted, seconds=round(first.seconds + then.seconds, 3), drift=(*first.drift, *then.drift),
    )  # fmt: skip


def _nothing(what: str, shelf: Shelf) -> PermanentError:
    return PermanentError(
        what,
        f"no backup under s3://{shelf.bucket}/{shelf.prefix} is verified",
        "run `tablekeep verify BACKUP --level full`",
    )
