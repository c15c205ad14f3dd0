"""A backup → a table in Athena, or why not. Nothing is moved: the table of Glue's catalog is pointed at the set where it lies.

The rules are those of every copy: only a set that is whole, never an older one over a newer one unless asked, never over a table that
others made unless it is adopted. The proof: every part lies there with its size, the table read back from Glue is the one that was
asked for, and the manifest is still there after the swap; else the swap is taken back.
"""

from tablekeep.engine.backups.catalog import newest_verified
from tablekeep.engine.backups.location import Shelf
from tablekeep.engine.backups.s3 import S3Store
from tablekeep.engine.backups.sets import BackupSet, open_backup, open_set
from tablekeep.engine.clients import Clients
from tablekeep.engine.clock import Clock, utc_text
from tablekeep.engine.copies.copy import CopyReport, Status, record_copy, source_of
from tablekeep.engine.copies.glue import GlueTable, glue_name, missing_parts
from tablekeep.engine.copies.ledger import Load
from tablekeep.engine.copies.target import Standing
from tablekeep.engine.errors import BadInputError, IntegrityError, PermanentError
from tablekeep.engine.progress import Progress


class AthenaTarget:
    """A table of Glue's Data Catalog. Making one connects to nothing.

    :param clients: for Glue: of the account and Region of the catalog.
    :raises BadInputError: for names that Athena does not take.
    """

    def __init__(self, clients: Clients, database: str, table: str) -> None:
        self.clients, self.table = clients, glue_name(database, table)

    @property
    def address(self) -> str:
        return f"athena://{self.clients.region}"


def register_backup(
    *,
    clients: Clients,
    clock: Clock,
    progress: Progress,
    backup: str,
    target: AthenaTarget,
    allow_older: bool = False,
    adopt: bool = False,
    actor: str,
    run: str,
    owner: str | None = None,
) -> CopyReport:
    """Points the target's table at a backup, and leaves a record beside the set.

    :param backup: the manifest's URI. :param allow_older: put a set with an earlier `as_of` over a later one.
    :param adopt: take over a table that others made. :param owner: the account that must own the bucket.
    :raises BadInputError: before anything was changed: no such backup or database, a table that is not ours.
    :raises TransientError: when somebody has changed the table meanwhile.
    :raises IntegrityError: when a part is missing, or Glue gives back another table than was asked for.
    """
    what = f"pointing {target.table} in {target.address} at {backup}"
    began = clock.monotonic()
    opened = open_backup(clients, backup, owner=owner)
    manifest = opened.manifest
    progress.phase("look")
    table = GlueTable(target.clients, target.table, what)
    standing = table.standing()
    status, reason = _decide(what, standing, table, opened, allow_older=allow_older, adopt=adopt)
    rows = manifest.items
    if status == "copied":
        load = Load(
            str(target.table), "replace", manifest.uri, manifest.backup_id, manifest.as_of, manifest.items, str(manifest.content),
            manifest.seal, clock.now(), actor, run,
        )  # fmt: skip
        _point(table, opened, load, what, progress)
    elif status == "skipped":
        assert standing.last is not None
        rows = standing.last.rows
    report = CopyReport(
        manifest.uri, manifest.backup_id, target.address, str(target.table), "replace", status, reason, rows, utc_text(manifest.as_of),
        str(manifest.content), round(clock.monotonic() - began, 3), status != "skipped",
    )  # fmt: skip
    if reason:
        progress.note(reason)
    if status != "unchanged":
        record_copy(opened, report, actor=actor, run=run, clock=clock)
    return report


def _decide(
    what: str, standing: Standing, table: GlueTable, opened: BackupSet, *, allow_older: bool, adopt: bool
) -> tuple[Status, str]:
    """What to do, and why."""
    last, manifest = standing.last, opened.manifest
    if not standing.exists:
        return "copied", ""
    if not standing.replaceable:
        raise BadInputError(
            what, "what has this name is a view, or has partitions or a format of its own", "name another table"
        )
    if last is None or source_of(last.backup) != source_of(manifest.uri):
        if adopt:
            return "copied", ""
        whose = "it has no mark of ours, so others made it" if last is None else f"it shows {source_of(last.backup)}"
        raise BadInputError(what, f"the table exists, and {whose}", "name another table, or give --adopt once")
    if last.backup_id != manifest.backup_id:
        if last.as_of > manifest.as_of and not allow_older:
            return "skipped", f"the table shows the newer backup {last.backup_id} (--allow-older puts this one there)"
        return "copied", ""
    if last.manifest_seal != manifest.seal:
        raise IntegrityError(what, "the table names this backup with another seal", "verify the backup")
    assert table.found is not None
    if not table.found.untouched:
        return "copied", "the table showed this backup, but somebody had changed what describes it: it was made anew"
    if missing_parts(opened.store, opened):
        return "copied", ""  # which fails, and says how many
    return "unchanged", f"the table shows this backup already, since {utc_text(last.loaded_at)}"


def _point(table: GlueTable, opened: BackupSet, load: Load, what: str, progress: Progress) -> None:
    gone = missing_parts(opened.store, opened)
    if gone:
        raise IntegrityError(
            what,
            f"{len(gone):,} of {len(opened.manifest.parts):,} parts are not there as the manifest says",
            "verify the backup",
        )
    progress.phase("swap")
    table.write_list(opened)
    columns = table.point_at(opened, load)
    try:
        still = open_set(opened.store, opened.manifest.location).manifest.seal == opened.manifest.seal
    except BadInputError:
        still = False
    if not still:
        table.take_back()
        raise IntegrityError(what, "the backup was deleted meanwhile; the table is as it was", "take a newer backup")
    if columns.by_number:
        progress.note("some names are not for Athena: columns are found by number, and comments tell the attributes")
    if columns.unreadable:
        where = "declared, but not to be asked for" if columns.by_number else "left out"
        progress.note(f"Athena has no type for {', '.join(columns.unreadable)}: {where}")


def register_newest(
    *,
    clients: Clients,
    clock: Clock,
    progress: Progress,
    shelf: Shelf,
    target: AthenaTarget,
    allow_older: bool = False,
    adopt: bool = False,
    actor: str,
    run: str,
    owner: str | None = None,
) -> CopyReport:
    """Points the table at the newest set of a shelf that a full verification found whole; see `register_backup` for the rest.

    :raises PermanentError: when no set of the shelf is verified.
    """
    manifest = newest_verified(S3Store(clients, shelf.bucket, owner=owner), shelf)
    if manifest is None:
        raise PermanentError(
            f"pointing {target.table} at the newest backup of {shelf.name}",
            f"no backup under s3://{shelf.bucket}/{shelf.prefix} is verified",
            "run `tablekeep verify BACKUP --level full`",
        )
    return register_backup(
        clients=clients, clock=clock, progress=progress, backup=manifest.uri, target=target, allow_older=allow_older, adopt=adopt,
        actor=actor, run=run, owner=owner,
    )  # fmt: skip
