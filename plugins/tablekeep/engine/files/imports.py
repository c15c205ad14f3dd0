"""Files under a prefix → a backup set of service `s3`."""

import fnmatch
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import pyarrow as pa

from tablekeep.engine.backups.catalog import newest
from tablekeep.engine.backups.location import SetLocation, Shelf, new_backup_id
from tablekeep.engine.backups.manifest import Manifest
from tablekeep.engine.backups.s3 import S3Store
from tablekeep.engine.backups.sets import probe_conditional_writes, put_file
from tablekeep.engine.backups.spool import KeySpool
from tablekeep.engine.backups.store import AlreadyExistsError, ObjectInfo, Store
from tablekeep.engine.clients import SessionClients
from tablekeep.engine.clock import Clock, utc_text
from tablekeep.engine.errors import BadInputError, TransientError
from tablekeep.engine.export.convert import convert_files
from tablekeep.engine.export.finish import clear, finish_export, published, remove_orphans
from tablekeep.engine.export.imports import MANY, refuse_duplicates
from tablekeep.engine.export.plan import ExportPlan, save_plan
from tablekeep.engine.export.read import in_turn
from tablekeep.engine.export.report import ExportReport, report_of
from tablekeep.engine.export.sources import Source, SourceFile
from tablekeep.engine.files.columns import Typed, derive
from tablekeep.engine.files.description import BadRows, Files
from tablekeep.engine.files.parquet_rows import parquet_columns, parquet_schema
from tablekeep.engine.files.rejects import FOLDER, Rejects
from tablekeep.engine.files.rows import Reader, opened
from tablekeep.engine.items.census import Census, TypeCount
from tablekeep.engine.items.layout import MAX_COLUMNS, Layout, decide
from tablekeep.engine.items.rows import ROW
from tablekeep.engine.leases import Lease
from tablekeep.engine.names import check_table_name, parse_s3
from tablekeep.engine.progress import Progress

ENGINE, SERVICE = "files", "s3"
VERSION = 1
SAMPLED_FILES = 4
MAX_FILES = 100_000
FAIL = BadRows()


@dataclass(frozen=True)
class FilesImport:
    """What a caller asks for.

    :ivar source: `s3://bucket/prefix`. :ivar to: the root of the backups. :ivar name: of the backups' folder, as of a table.
    :ivar key: columns that tell rows apart; empty: the rows are numbered.
    """

    source: str
    to: str
    name: str
    files: Files
    key: Sequence[str] = ()
    bad_rows: BadRows = FAIL
    encryption: str | None = None
    owner: str | None = None


def import_files(
    *,
    clients: SessionClients,
    clock: Clock,
    progress: Progress,
    asked: FilesImport,
    as_of: datetime | None = None,
    backup_id: str | None = None,
    actor: str,
    run: str,
) -> ExportReport:
    """Makes a backup set of files; the newest one is the result when it was made of just these files in the same way.

    :param backup_id: see `export_table`; a try that died is begun anew.
    :raises BadInputError: when there are no files, or what is asked for cannot be. :raises TransientError: when files change meanwhile.
    :raises IntegrityError: for bad rows, one more than are allowed; for a key that is there twice. No backup exists then.
    """
    began = clock.monotonic()
    what = f"importing {asked.source}"
    check_table_name(asked.name)
    from_bucket, prefix = parse_s3(asked.source)
    origin = S3Store(clients, from_bucket)
    bucket, root = parse_s3(asked.to)
    if bucket == from_bucket and f"{root}/".startswith(f"{prefix}/" if prefix else ""):
        raise BadInputError(what, "the backups would lie among the files", "keep them under another prefix")
    store = S3Store(clients, bucket, owner=asked.owner, encryption=asked.encryption)
    store.check()
    probe_conditional_writes(store, root)
    shelf = Shelf(bucket, root, clients.account(), clients.region, SERVICE, asked.name)
    location = shelf.set(backup_id or new_backup_id(as_of or clock.now(), clock))
    if backup_id and (done := published(store, location)):
        return replace(report_of(done), reused=True)
    with Lease(store, shelf.lease_key, holder=actor, run=run, clock=clock, conflict=AlreadyExistsError) as lease:
        clear(store, location, progress)
        moment = clock.now()
        found = _found(origin, prefix, asked, what)
        digest = _digest(found, asked)
        before = newest(store, shelf)
        if before is not None and before.run.get("files", {}).get("sha256") == digest:
            return replace(report_of(before), reused=True)
        rejects = Rejects(asked.bad_rows, what)
        columns = _columns(origin, found, asked, what)
        key = _key(columns, asked, what)
        reader = Reader(origin, asked.files, columns, [name for name, _ in key], rejects)
        layout = _layout(origin, found, asked, reader, key, before)
        plan = _plan(store, location, asked, found, columns, key, layout, before, clock, moment, as_of, run)
        progress.phase("read", unit="rows")
        with KeySpool(MANY) as keys:
            _convert(store, plan, reader, found, keys, clock, progress)
            refuse_duplicates(keys, location)
        if [(one.key, one.etag) for one in found] != [
            (one.key, one.etag) for one in _found(origin, prefix, asked, what)
        ]:
            raise TransientError(
                what, "files were added, changed or removed meanwhile", "try again when their writer has ended"
            )
        details: dict[str, Any] = {
            "files": {"count": len(found), "bytes": sum(one.size for one in found), "sha256": digest}
        }
        details["rejected"] = len(rejects.lines)
        if rejects.lines:
            store.put(f"{shelf.prefix}/{FOLDER}/{location.backup_id}.jsonl", rejects.text())
            progress.note(
                f"bad rows that were left out: {len(rejects.lines):,}; {FOLDER}/{location.backup_id}.jsonl tells which"
            )
        made = finish_export(store, plan, lease, clock=clock, progress=progress, actor=actor, run=run, details=details)
        remove_orphans(store, made, progress)
    return replace(report_of(made), seconds=round(clock.monotonic() - began, 3))


def _found(origin: Store, prefix: str, asked: FilesImport, what: str) -> list[ObjectInfo]:
    """The files under the prefix that are meant, sorted by name."""
    start = f"{prefix}/" if prefix else ""
    found = [
        info
        for info in origin.list(start)
        if info.size and not any(part[:1] in ("_", ".") for part in info.key[len(start) :].split("/"))
        and fnmatch.fnmatchcase(info.key.rsplit("/", 1)[-1], asked.files.pattern)
    ]  # fmt: skip
    if not found:
        raise BadInputError(
            what, f"there are no files {asked.files.pattern!r} under it", "correct the prefix, or wait for the files"
        )
    if len(found) > MAX_FILES:
        raise BadInputError(what, f"there are {len(found):,} files", f"import at most {MAX_FILES:,} at a time")
    return found


def _digest(found: Sequence[ObjectInfo], asked: FilesImport) -> str:
    """Of the files' names and contents, as the store tells them, and of how they are read."""
    said = asked.files.model_dump_json() + asked.bad_rows.model_dump_json() + repr(list(asked.key)) + asked.source
    told = "".join(f"{one.key}\0{one.size}\0{one.etag}\0" for one in found)
    return hashlib.sha256((said + told).encode()).hexdigest()


def _columns(origin: Store, found: Sequence[ObjectInfo], asked: FilesImport, what: str) -> list[Typed]:
    """The columns with their types: those that are declared, or as a sample tells them."""
    declared = [Typed.of(one) for one in asked.files.columns]
    if asked.files.format == "parquet":
        with opened(origin, found[0]) as stream:
            told = parquet_columns(parquet_schema(stream, found[0].key))
        there = {one.name for one in told}
        if missing := [one.name for one in declared if one.name not in there]:
            raise BadInputError(what, f"{found[0].key} has no column {missing[0]!r}", "declare columns that are there")
        typed = {one.name: one for one in declared}
        return [typed.get(one.name, one) for one in told]
    if declared or asked.files.format == "json":
        return declared
    reader = Reader(origin, asked.files, [], [], Rejects(BadRows(to="reject", most=MANY), what))
    samples = [page for info in _sample(found) if (page := next(reader.pages(info), None))]
    names = list(samples[0].texts) if samples else []
    texts = [pa.concat_arrays([page.texts[name] for page in samples if name in page.texts]) for name in names]
    return derive(names, texts)


def _sample(found: Sequence[ObjectInfo]) -> list[ObjectInfo]:
    step = max(1, len(found) // SAMPLED_FILES)
    return list(found[::step][:SAMPLED_FILES])


def _key(columns: Sequence[Typed], asked: FilesImport, what: str) -> tuple[tuple[str, str], ...]:
    kinds = {one.name: one.cells.kind for one in columns}
    if not asked.key:
        if ROW in kinds:
            raise BadInputError(what, f"there is a column called {ROW}", "name the key")
        return ((ROW, "N"),)
    unknown = [name for name in asked.key if name not in kinds]
    if unknown or len(set(asked.key)) != len(asked.key):
        raise BadInputError(
            what, f"the key's column {unknown[0] if unknown else asked.key[0]!r} is not declared, or is there twice",
            "declare the key's columns with their types",
        )  # fmt: skip
    return tuple((name, kinds[name]) for name in asked.key)


def _layout(
    origin: Store, found: Sequence[ObjectInfo], asked: FilesImport, reader: Reader, key: Any, before: Manifest | None
) -> Layout:
    """The set's columns: as types tell them, else by a sample, and by the set before."""
    pins = [pin for one in reader.columns[:MAX_COLUMNS] if (pin := one.pin) is not None]
    sample = Census()
    sampler = Reader(
        origin, asked.files, reader.columns, [name for name, _ in key], Rejects(BadRows(to="reject", most=MANY), "")
    )
    for info in _sample(found):
        sample.merge(Census.of(next(sampler.items(info), [])))
    for one in reader.columns:
        if one.cells.kind == "N":
            sample.attributes[one.name] = {"N": sample.attributes.get(one.name, {}).get("N", TypeCount())}
    kinds = {one.name: one.cells.kind for one in reader.columns} | {ROW: "N"}
    known = None
    if before is not None:
        kept = tuple(one for one in before.layout.columns if kinds.get(one.attribute, one.type) == one.type)
        known = Layout(before.layout.schema, kept)
    return decide(sample, list(key), known, pins)


def _plan(
    store: Store,
    location: SetLocation,
    asked: FilesImport,
    found: Sequence[ObjectInfo],
    columns: Sequence[Typed],
    key: tuple[tuple[str, str], ...],
    layout: Layout,
    before: Manifest | None,
    clock: Clock,
    moment: datetime,
    as_of: datetime | None,
    run: str,
) -> ExportPlan:
    document = {
        "version": VERSION,
        "service": SERVICE,
        "source": asked.source,
        "read_at": utc_text(moment),
        "files": [{"key": one.key, "bytes": one.size, "etag": one.etag} for one in found],
        "format": asked.files.model_dump(exclude={"columns"}),
        "columns": [{"name": one.name, "type": str(one.kind), "derived": one.derived} for one in columns],
        "key": [name for name, _ in key],
    }
    file = put_file(store, location, "table", document, int(clock.token(4), 16))
    names = {
        "name": asked.name,
        "arn": asked.source,
        "id": f"files-{asked.name}",
    }  # a prefix may have the day in its name
    return save_plan(
        store,
        ExportPlan(
            location, {"source": asked.source, "encryption": asked.encryption}, names, key, len(found), layout, file, {}, as_of or moment,
            clock.now(), None, 0, run, before.layout.schema if before else 0, engine=ENGINE, consistent=(moment, moment),
        ),
    )  # fmt: skip


def _convert(
    store: Store,
    plan: ExportPlan,
    reader: Reader,
    found: Sequence[ObjectInfo],
    keys: KeySpool,
    clock: Clock,
    progress: Progress,
) -> None:
    def file(info: ObjectInfo) -> SourceFile:
        return SourceFile(info.key, None, lambda: reader.items(info))

    assert plan.consistent
    source = Source(plan.table, ENGINE, plan.as_of, plan.consistent, 0, tuple(file(one) for one in found))
    # one after the other: rows without a key are numbered through all files
    convert_files(
        store, plan, source, in_turn(range(len(found))), clock=clock, progress=progress, on_keys=keys.add_keys
    )
