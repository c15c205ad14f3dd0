"""Copies one backup set to a database, or says why not."""

from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from tablekeep.engine.backups.chains import begin_after, gap_text
from tablekeep.engine.backups.location import parse_manifest_uri
from tablekeep.engine.backups.manifest import Manifest
from tablekeep.engine.backups.records import write_record
from tablekeep.engine.backups.sets import BackupSet, open_backup
from tablekeep.engine.clients import Clients
from tablekeep.engine.clock import Clock, utc_text
from tablekeep.engine.copies.ddl import rejects_of
from tablekeep.engine.copies.derive import derive_mapping
from tablekeep.engine.copies.document import MappingDocument
from tablekeep.engine.copies.drift import Evolution, evolve
from tablekeep.engine.copies.ledger import Load, packed
from tablekeep.engine.copies.mapping import Mapping
from tablekeep.engine.copies.modes import Mode
from tablekeep.engine.copies.names import check_identifier
from tablekeep.engine.copies.sent import RejectedError
from tablekeep.engine.copies.target import Loaded, Session, Standing, Target, Work
from tablekeep.engine.errors import BadInputError, IntegrityError
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
    :ivar drift: what has changed since the last load, a sentence each. :ivar sets: how many were brought in, one after the other.
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
    sets: int = 1

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"drift": list(self.drift)}


@dataclass(frozen=True)
class _Question:
    """What has to be decided: whether a set is brought in.

    :ivar session: for what only a look tells.
    """

    what: str
    standing: Standing
    manifest: Manifest
    mode: Mode
    mapping_hash: str
    allow_older: bool
    adopt: bool
    session: Session


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

    :param backup: the manifest's URI; of a set of changes with the mode `incremental`. :param mode: `replace` when not given.
    :param mapping: what is written of it; else all is derived. :param allow_older: put a set with an earlier `as_of` over a later one.
    :param adopt: take over a table that others made. :param owner: the account that must own the bucket.
    :raises BadInputError: before anything was changed: no such backup, a table that is not ours, values it cannot hold, a gap.
    :raises TransientError: the database cannot be reached, or another copy to the table runs.
    :raises IntegrityError: for a damaged part, or counts that differ; the old table stays.
    """
    mode = mode or Mode()
    what = f"copying {backup} to {target.table}"
    if mode.name not in target.modes:
        raise BadInputError(
            what, f"the mode {mode.name!r} is not built for {target.dialect}", f"use {', '.join(sorted(target.modes))}"
        )
    opened = open_backup(clients, backup, owner=owner, incremental=mode.name == "incremental")
    return copy_set(
        opened, clock=clock, progress=progress, target=target, mode=mode, mapping=mapping or MappingDocument(), allow_older=allow_older,
        adopt=adopt, actor=actor, run=run,
    )  # fmt: skip


def copy_set(
    opened: BackupSet,
    *,
    clock: Clock,
    progress: Progress,
    target: Target,
    mode: Mode,
    mapping: MappingDocument,
    allow_older: bool = False,
    adopt: bool = False,
    actor: str,
    run: str,
) -> CopyReport:
    """`copy_backup`, with a set that is open; the target has the mode."""
    began, manifest = clock.monotonic(), opened.manifest
    what = f"copying {manifest.uri} to {target.table}"
    if mode.name in ("upsert", "incremental") and manifest.keyless:
        raise BadInputError(
            what, "the table that it is of has no key: its rows are numbered, and the numbers of another backup are others",
            "use replace",
        )  # fmt: skip
    progress.phase("look")
    wanted = derive_mapping(opened, target.dialect, mapping, progress, stamp=mode.name == "append")
    if wanted.children and not target.child_tables:
        raise BadInputError(what, f"tables of sets are not built for {target.dialect}", "use sets: json in the mapping")
    _check_names(target, wanted)
    try:
        with target.session(clock) as session:
            standing = session.standing()
            last = standing.last if standing.exists else None
            evolution = evolve(what, last.last_mapping if last is not None else None, wanted)
            question = _Question(what, standing, manifest, mode, evolution.mapping.hash, allow_older, adopt, session)
            status, reason, rows = _decide(question)
            report = CopyReport(
                manifest.uri, manifest.backup_id, target.address, str(target.table), str(mode), status, reason, rows,
                utc_text(manifest.as_of), str(manifest.content), 0.0, status != "skipped",
            )  # fmt: skip
            if status == "copied":
                for drift in evolution.drifts:
                    progress.note(str(drift))
                load = new_load(target, mode, manifest, evolution.mapping, clock=clock, actor=actor, run=run)
                done = session.load(Work(opened, mode, evolution, load, adopt), progress=progress)
                report = _filled(report, done, evolution)
    except RejectedError as error:
        if mapping.misfits_to == "reject":
            target.keep_rejects(manifest.backup_id, tuple(error.rejects), clock)
        raise
    report = replace(report, seconds=round(clock.monotonic() - began, 3))
    if reason:
        progress.note(reason)
    if status != "unchanged":
        record_copy(opened, report, actor=actor, run=run, clock=clock)
    return report


def _check_names(target: Target, mapping: Mapping) -> None:
    """That the tables beside the target can have their names.

    :raises BadInputError: else, before anything was changed.
    """
    beside = [child.beside(target.table) for child in mapping.children]
    if mapping.document.misfits_to == "reject":
        beside.append(rejects_of(target.table))
    for name in beside:
        check_identifier(name.table, target.dialect, "the table")


def new_load(
    target: Target, mode: Mode, manifest: Manifest, mapping: Mapping, *, clock: Clock, actor: str, run: str
) -> Load:
    """The ledger's line of a load that is about to be made."""
    edge = manifest.as_of if manifest.window else begin_after(manifest)
    return Load(
        str(target.table), str(mode), manifest.uri, manifest.backup_id, manifest.as_of, manifest.items, str(manifest.content),
        manifest.seal, clock.now(), actor, run, edge=edge, source_id=manifest.table_id, mapping_hash=mapping.hash,
        mapping=packed(mapping.text),
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


def _decide(question: _Question) -> tuple[Status, str, int]:
    """What to do, why, and how many rows the table has if it stays."""
    what, standing, manifest, mode = question.what, question.standing, question.manifest, question.mode
    last = standing.last
    if not standing.exists:
        if manifest.window:
            raise BadInputError(
                what, "the table does not exist, and the set holds changes only", "copy a full set first"
            )
        return "copied", "", 0
    if not standing.replaceable:
        raise BadInputError(what, "what has this name is no ordinary table (a view, a partition)", "name another table")
    if last is None:
        if question.adopt and not manifest.window:
            return "copied", "", 0
        raise BadInputError(
            what,
            "the table exists and is not in our ledger, so others made it",
            "name another table, or give --adopt once to have it taken over",
        )
    _check_same(question, last)
    if mode.name == "append":
        if question.session.loaded(manifest.backup_id) is not None:
            return "unchanged", "the table has the rows of this backup already", question.session.rows()
    elif last.backup_id == manifest.backup_id:
        return _again(question, last, question.session.rows())
    if last.as_of > manifest.as_of and not question.allow_older:
        reason = (
            f"the table holds the newer backup {last.backup_id}, so this one was left out (--allow-older puts it there)"
        )
        return "skipped", reason, question.session.rows()
    if manifest.window:
        _check_gap(what, last, manifest)
    return "copied", "", 0


def _check_same(question: _Question, last: Load) -> None:
    """That the table holds what goes with the set."""
    what, manifest = question.what, question.manifest
    if source_of(last.backup) != source_of(manifest.uri) and not question.adopt:
        raise BadInputError(
            what,
            f"the table holds a copy of {source_of(last.backup)}, and this is a backup of {source_of(manifest.uri)}",
            "name another table, or give --adopt once",
        )
    if last.appended != (question.mode.name == "append") and not (question.adopt and question.mode.name == "replace"):
        now = f"{question.mode.name!r} would mix them" if last.appended else "each key is there once"
        raise BadInputError(
            what,
            f"the table was filled by the mode {last.mode!r}, and {now}",
            "name another table, or use the mode that it was filled by",
        )
    if manifest.window and last.source_id != manifest.table_id:
        raise BadInputError(
            what,
            "these are changes of another table than the one that was copied: it was made anew under its name",
            "copy a full set of it first",
        )


def _check_gap(what: str, last: Load, manifest: Manifest) -> None:
    assert manifest.window is not None
    if last.edge is not None and manifest.window.since <= last.edge:
        return
    missing = "it is not known until when the table's rows are whole"
    if last.edge is not None:
        missing = gap_text((last.edge, manifest.window.since))
    raise BadInputError(
        what, f"changes are missing: {missing}", "copy the sets in between first, or a full one that is newer"
    )


def _again(question: _Question, last: Load, rows: int) -> tuple[Status, str, int]:
    """The newest load was of this very set."""
    if last.manifest_seal != question.manifest.seal:
        raise IntegrityError(question.what, "the ledger knows this backup with another seal", "verify the backup")
    if last.mapping_hash != question.mapping_hash:
        return "copied", "the table holds this backup, but by another mapping: it was loaded again", 0
    exactly = question.mode.name == "replace" or not (question.mode.keep_absent or question.manifest.window)
    if exactly and rows != last.rows:
        reason = f"the table held this backup, but {rows:,} rows instead of {last.rows:,}: it was loaded again"
        return "copied", reason, 0
    return "unchanged", f"the table holds this backup already, since {utc_text(last.loaded_at)}", rows


def source_of(uri: str) -> str:
    """Which table a backup is of: `123456789012/us-east-1/dynamodb/orders`."""
    shelf = parse_manifest_uri(uri).shelf
    return f"{shelf.account}/{shelf.region}/{shelf.service}/{shelf.name}"


def record_copy(opened: BackupSet, report: CopyReport, *, actor: str, run: str, clock: Clock) -> None:
    """Leaves the record of a copy beside its set."""
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
