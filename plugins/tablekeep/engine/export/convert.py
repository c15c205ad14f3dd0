"""A native export → a backup set: the same plan, states and finish as a scan's, with a data file for each segment."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from tablekeep.engine.backups.catalog import newest
from tablekeep.engine.backups.location import SetLocation, Shelf, new_backup_id
from tablekeep.engine.backups.s3 import S3Store
from tablekeep.engine.backups.sets import probe_conditional_writes, put_file
from tablekeep.engine.backups.store import AlreadyExistsError, Store
from tablekeep.engine.clients import SessionClients
from tablekeep.engine.clock import Clock, utc_text
from tablekeep.engine.dynamodb.settings import VERSION, TableSettings, read_settings
from tablekeep.engine.errors import BadInputError, IntegrityError, PermanentError, TransientError
from tablekeep.engine.export.finish import finish_export
from tablekeep.engine.export.native import NativeExport, NativeFile, items_of, open_file, read_native
from tablekeep.engine.export.plan import ExportPlan, check_same, load_plan, save_plan
from tablekeep.engine.export.read import TakeNumber, Tally, in_turn
from tablekeep.engine.export.report import ExportReport, report_of
from tablekeep.engine.export.segments import ScannedSegment
from tablekeep.engine.items.canonical import canonical_attributes, parse_item
from tablekeep.engine.items.census import Census
from tablekeep.engine.items.layout import Layout, decide
from tablekeep.engine.items.shapes import Learned
from tablekeep.engine.leases import Lease
from tablekeep.engine.names import parse_s3
from tablekeep.engine.progress import Progress

CUT = timedelta(minutes=1)
"""How far an item's state may lie from the time that was asked for: Developer Guide, "How it works"."""
SAMPLED_FILES = 4

Key = Sequence[tuple[str, str]]


def import_native(
    *,
    clients: SessionClients,
    clock: Clock,
    progress: Progress,
    source: str,
    to: str,
    key: Key | None = None,
    encryption: str | None = None,
    owner: str | None = None,
    actor: str,
    run: str,
) -> ExportReport:
    """Makes a backup set of a full native export, whoever made it and wherever it was copied to.

    :param source: `s3://bucket/…/AWSDynamoDB/<export id>`. :param to: the root of the backups.
    :param key: name and type of the key's attributes, partition key first, for a table that is gone: an export does not tell them.
    :raises BadInputError: when there is no such export, or the table is gone and `key` is not given.
    :raises IntegrityError: when a file is damaged or missing, or counts differ; no backup exists then.
    """
    began = clock.monotonic()
    from_bucket, folder = parse_s3(source)
    origin = S3Store(clients, from_bucket)
    export = read_native(origin, folder)
    settings = _settings(clients, clock, export, key)
    bucket, root = parse_s3(to)
    store = S3Store(clients, bucket, owner=owner, encryption=encryption)
    store.check()
    probe_conditional_writes(store, root)
    shelf = Shelf(bucket, root, export.account, export.region, "dynamodb", export.table)
    with Lease(store, shelf.lease_key, holder=actor, run=run, clock=clock, conflict=AlreadyExistsError) as lease:
        location = shelf.set(new_backup_id(export.as_of, clock))
        plan = plan_conversion(
            clock,
            origin,
            store,
            location,
            export,
            settings,
            options={"source": source, "encryption": encryption},
            run=run,
        )
        progress.phase("convert", export.items)
        convert_files(origin, store, plan, export.files, in_turn(range(plan.segments)), clock=clock, progress=progress)
        made = finish_export(store, plan, lease, clock=clock, progress=progress, actor=actor, run=run)
    return replace(report_of(made), seconds=round(clock.monotonic() - began, 3))


def plan_conversion(
    clock: Clock,
    origin: Store,
    store: Store,
    location: SetLocation,
    export: NativeExport,
    settings: TableSettings,
    *,
    options: dict[str, str | None],
    run: str,
) -> ExportPlan:
    """Samples some files, decides the columns and keeps the plan; an earlier try's holds."""
    found = load_plan(store, location)
    if found is not None:
        check_same(found, dict(options), export.table_id)
        return found
    before = newest(store, location.shelf, table_id=export.table_id)
    key = tuple((one.name, one.type) for one in settings.key_schema)
    layout = _sampled(origin, export, key, before.layout if before else None)
    file = put_file(store, location, "table", settings.as_document(), int(clock.token(4), 16))
    return save_plan(
        store,
        ExportPlan(
            location, dict(options), {"name": export.table, "arn": export.table_arn, "id": export.table_id}, key, len(export.files),
            layout, file, dict(settings.not_known), export.as_of, clock.now(), None, export.items, run,
            before.layout.schema if before else 0, engine="pitr", consistent=(export.as_of - CUT, export.as_of + CUT),
        ),
    )  # fmt: skip


def convert_files(
    origin: Store,
    store: Store,
    plan: ExportPlan,
    files: Sequence[NativeFile],
    take: TakeNumber,
    *,
    clock: Clock,
    progress: Progress,
) -> Tally:
    """Converts data files, each checked against the export's manifest; those that an earlier try has converted are kept.

    :raises IntegrityError: for a file that is damaged or holds another number of items than the manifest says.
    """
    attempt, learned, tally = int(clock.token(4), 16), Learned(plan.key_names), Tally()
    begins, ends = (utc_text(time) for time in plan.consistent or ())
    while (number := take()) is not None:
        state = ScannedSegment(store, plan, number, attempt, learned)
        file = files[number]
        if not state.done:
            try:
                with open_file(origin, file) as spool:
                    for items in items_of(spool, file.key):
                        state.writer.add(items)
                        state.items += len(items)
                        progress.advance(len(items))
            except BaseException:
                state.writer.abort()
                raise
            if state.items != file.items:
                state.writer.abort()
                raise IntegrityError(
                    f"reading {origin.address}/{file.key}",
                    f"it holds {state.items:,} items and the manifest says {file.items:,}",
                    "use another export",
                )
            state.began, state.ended, state.pages = begins, ends, 1
            state.close()
            state.finish()
        else:
            progress.advance(state.items)
            tally.kept_parts += state.kept
        tally.segments, tally.items = tally.segments + 1, tally.items + state.items
        tally.parts += len(state.writer.parts)
    return tally


def _sampled(origin: Store, export: NativeExport, key: Key, before: Layout | None) -> Layout:
    """The columns, from the beginnings of some files and the columns of the set before."""
    sample = Census()
    step = max(1, len(export.files) // SAMPLED_FILES)
    for file in export.files[::step][:SAMPLED_FILES]:
        with open_file(origin, file) as spool:
            for raw in next(items_of(spool, file.key), []):
                sample.add(canonical_attributes(parse_item(raw)))
    return decide(sample, list(key), before)


def _settings(clients: SessionClients, clock: Clock, export: NativeExport, key: Key | None) -> TableSettings:
    """The table's own, when it is still there; else what the export and `key` tell.

    :raises BadInputError: when neither tells the key.
    """
    try:
        found = read_settings(clients, export.table_arn, export.region, clock=clock)
        if found.table_id == export.table_id:
            return found
    except (BadInputError, PermanentError, TransientError):
        if key is None:
            raise
    if key is None:
        raise BadInputError(
            f"importing {export.arn}",
            f"the table {export.table} was made anew since, so its key may differ",
            "give the key of the table that was exported",
        )
    table = {
        "TableName": export.table,
        "TableArn": export.table_arn,
        "TableId": export.table_id,
        "TableStatus": "GONE",
        "KeySchema": [
            {"AttributeName": name, "KeyType": role} for (name, _), role in zip(key, ("HASH", "RANGE"), strict=False)
        ],
        "AttributeDefinitions": [{"AttributeName": name, "AttributeType": kind} for name, kind in key],
        "BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"},
        "ItemCount": export.items,
    }
    answers = {"DescribeTable": {"answer": {"Table": table}}, "everything else": {"refused": "TableIsGone"}}
    return TableSettings(
        {"version": VERSION, "read_at": utc_text(clock.now()), "region": export.region, "answers": answers}
    )
