"""Copies a backup set to a database, or says why not."""

from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from tablekeep.engine.backups.catalog import newest_verified
from tablekeep.engine.backups.chains import begin_after
from tablekeep.engine.backups.location import Shelf, parse_manifest_uri
from tablekeep.engine.backups.manifest import Manifest
from tablekeep.engine.backups.records import write_record
from tablekeep.engine.backups.s3 import S3Store
from tablekeep.engine.backups.sets import BackupSet, open_backup
from tablekeep.engine.clients import Clients
from tablekeep.engine.clock import Clock, utc_text
from tablekeep.engine.copies.convert import RejectedError
from tablekeep.engine.copies.derive import derive_mapping
from tablekeep.engine.copies.document import MappingDocument
from tablekeep.engine.copies.drift import Evolution, evolve
from tablekeep.engine.copies.ledger import Load, packed
from tablekeep.engine.copies.mapping import Mapping
from tablekeep.engine.copies.modes import Mode
from tablekeep.engine.copies.target import Loaded, Session, Standing, Target, Work
from tablekeep.engine.errors import BadInputError, IntegrityError, PermanentError
from tablekeep.engine.progress import Progress

Status = Literal["copied", "unchanged", "skipped"]


@dataclass(frozen=True)
class CopyReport:
    """What a copy did.

    :ivar status: `copied`: the table holds the backup, counted before the swap and after · `unchanged`: it held it already,
        and has as many rows · `skipped`: it holds a newer one and stays. :ivar reason: for the latter two, one sentence.
    :ivar target: address and table, without user and password. :ivar rows: of the table now.
    :ivar nulls: NULL cells by column. :ivar shown: values of another type that their column shows all the same, by column.
    :ivar cut: texts that were cut, by column. :ivar kept: values that their column cannot hold, and that `_rest` does.
    :ivar rejected: values in the reject table, by column.
    :ivar inserted, updated, deleted: rows, where the mode tells. :ivar mapping: the mapping's hash.
    :ivar drift: what has changed since the last load, a sentence each.
    """

    backup: str
    backup_id: str
    target: str
    table: str
    mode: str
    status: Status
    reason: str
    rows: int
    as_of: str
    content_hash: str
    seconds: float
    verified: bool
    nulls: dict[str, int] = field(default_factory=dict)
    shown: dict[str, int] = field(default_factory=dict)
    cut: dict[str, int] = field(default_factory=dict)
    kept: dict[str, int] = field(default_factory=dict)
    rejected: dict[str, int] = field(default_factory=dict)
    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    mapping: str = ""
    drift: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"drift": list(self.drift)}


def copy_backup(
    *,
    clients: Clients,
    clock: Clock,
    progress: Progress,
    backup: str,
    target: Target,
    mode: Mode | None = None,
    mapping: MappingDocument | None = None,
    allow_older: bool = False,
    adopt: bool = False,
    actor: str,
    run: str,
    owner: str | None = None,
) -> CopyReport:
    """Brings a backup into the target's table, and leaves a record beside the set.

    :param backup: the manifest's URI. :param mode: `replace` when not given. :param mapping: what is written of it; else all is derived.
    :param allow_older: put a set with an earlier `as_of` over a later one. :param adopt: take over a table that others made.
    :param owner: the account that must own the bucket.
    :raises BadInputError: before anything was changed: no such backup, a table that is not ours, values it cannot hold.
    :raises TransientError: the database cannot be reached, or another copy to the table runs.
    :raises IntegrityError: for a damaged part, or counts that differ; the old table stays.
    """
    mode = mode or Mode()
    what = f"copying {backup} to {target.table}"
    if mode.name not in target.modes:
        raise BadInputError(
            what, f"the mode {mode.name!r} is not built for {target.dialect}", f"use {', '.join(sorted(target.modes))}"
        )
    began = clock.monotonic()
    opened = open_backup(clients, backup, owner=owner)
    manifest = opened.manifest
    if mode.name in ("upsert", "incremental") and manifest.keyless:
        raise BadInputError(
            what, "the table that it is of has no key: its rows are numbered, and the numbers of another backup are others",
            "use replace",
        )  # fmt: skip
    progress.phase("look")
    wanted = derive_mapping(opened, target.dialect, mapping or MappingDocument(), progress, stamp=mode.name == "append")
    if wanted.children and not target.child_tables:
        raise BadInputError(what, f"tables of sets are not built for {target.dialect}", "use sets: json in the mapping")
    blank = CopyReport(
        manifest.uri, manifest.backup_id, target.address, str(target.table), str(mode), "copied", "", manifest.items,
        utc_text(manifest.as_of), str(manifest.content), 0.0, True,
    )  # fmt: skip
    try:
        with target.session(clock) as session:
            standing = session.standing()
            status, reason, rows = _decide(
                what, standing, manifest, session, mode, wanted, allow_older=allow_older, adopt=adopt
            )
            report = replace(blank, status=status, reason=reason, rows=rows, verified=status != "skipped")
            if status == "copied":
                evolution = evolve(
                    what, standing.last.last_mapping if standing.last and standing.exists else None, wanted
                )
                load = new_load(target, mode, manifest, evolution.mapping, clock=clock, actor=actor, run=run)
                for drift in evolution.drifts:
                    progress.note(str(drift))
                done = session.load(Work(opened, mode, evolution, load), progress=progress)
                report = _filled(report, done, evolution)
    except RejectedError as error:
        if wanted.document.misfits_to == "reject":
            target.keep_rejects(manifest.backup_id, tuple(error.rejects), clock)
        raise
    report = replace(report, seconds=round(clock.monotonic() - began, 3))
    if reason:
        progress.note(reason)
    if status != "unchanged":
        _record(opened, report, actor=actor, run=run, clock=clock)
    return report


def new_load(
    target: Target, mode: Mode, manifest: Manifest, mapping: Mapping, *, clock: Clock, actor: str, run: str
) -> Load:
    """The ledger's line of a load that is about to be made."""
    return Load(
        str(target.table), str(mode), manifest.uri, manifest.backup_id, manifest.as_of, manifest.items, str(manifest.content),
        manifest.seal, clock.now(), actor, run, edge=manifest.as_of if manifest.window else begin_after(manifest),
        mapping_hash=mapping.hash, mapping=packed(mapping.text),
    )  # fmt: skip


def _filled(report: CopyReport, done: Loaded, evolution: Evolution) -> CopyReport:
    sent = done.sent
    rejected: dict[str, int] = {}
    for (column, _), count in sent.misfits.items():
        rejected[column] = rejected.get(column, 0) + count
    return replace(
        report, rows=done.rows, nulls=dict(sent.nulls), shown=dict(sent.shown), cut=dict(sent.cut), kept=dict(sent.kept),
        rejected=rejected, inserted=done.inserted, updated=done.updated, deleted=done.deleted, mapping=evolution.mapping.hash,
        drift=tuple(str(drift) for drift in evolution.drifts),
    )  # fmt: skip


def _decide(
    what: str,
    standing: Standing,
    manifest: Manifest,
    session: Session,
    mode: Mode,
    wanted: Mapping,
    *,
    allow_older: bool,
    adopt: bool,
) -> tuple[Status, str, int]:
    """What to do, why, and how many rows the table has if it stays."""
    last = standing.last
    if not standing.exists:
        return "copied", "", 0
    if not standing.replaceable:
        raise BadInputError(what, "what has this name is no ordinary table (a view, a partition)", "name another table")
    if last is None:
        if adopt:
            return "copied", "", 0
        raise BadInputError(
            what,
            "the table exists and is not in our ledger, so others made it",
            "name another table, or give --adopt once to have it replaced with all that it holds",
        )
    if _source(last.backup) != _source(manifest.uri) and not adopt:
        raise BadInputError(
            what,
            f"the table holds a copy of {_source(last.backup)}, and this is a backup of {_source(manifest.uri)}",
            "name another table, or give --adopt once",
        )
    rows = session.rows()
    if last.backup_id == manifest.backup_id:
        return _again(what, last, manifest, rows)
    if last.as_of > manifest.as_of and not allow_older:
        reason = (
            f"the table holds the newer backup {last.backup_id}, so this one was left out (--allow-older puts it there)"
        )
        return "skipped", reason, rows
    return "copied", "", 0


def _again(what: str, last: Load, manifest: Manifest, rows: int) -> tuple[Status, str, int]:
    """The newest load was of this very set."""
    if last.manifest_seal != manifest.seal:
        raise IntegrityError(what, "the ledger knows this backup with another seal", "verify the backup")
    if rows == last.rows:
        return "unchanged", f"the table holds this backup already, since {utc_text(last.loaded_at)}", rows
    return "copied", f"the table held this backup, but {rows:,} rows instead of {last.rows:,}: it was loaded again", 0


def _source(uri: str) -> str:
    """Which table a backup is of: `123456789012/us-east-1/dynamodb/orders`."""
    shelf = parse_manifest_uri(uri).shelf
    return f"{shelf.account}/{shelf.region}/{shelf.service}/{shelf.name}"


def _record(opened: BackupSet, report: CopyReport, *, actor: str, run: str, clock: Clock) -> None:
    location = opened.manifest.location
    write_record(
        opened.store,
        location.shelf,
        "copy",
        report.as_dict(),
        backup_id=location.backup_id,
        actor=actor,
        run=run,
        clock=clock,
    )


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

    :raises PermanentError: when no set of the shelf is verified.
    """
    store = S3Store(clients, shelf.bucket, owner=owner)
    manifest = newest_verified(store, shelf)
    if manifest is None:
        raise PermanentError(
            f"copying the newest backup of {shelf.name} to {target.table}",
            f"no backup under s3://{shelf.bucket}/{shelf.prefix} is verified",
            "run `tablekeep verify BACKUP --level full`",
        )
    return copy_backup(
        clients=clients, clock=clock, progress=progress, backup=manifest.uri, target=target, mode=mode, mapping=mapping,
        allow_older=allow_older, adopt=adopt, actor=actor, run=run, owner=owner,
    )  # fmt: skip
