"""Native exports that others made become backup sets, wherever they were copied to."""

from collections.abc import Sequence
from dataclasses import replace

from tablekeep.engine.backups.location import Shelf, new_backup_id
from tablekeep.engine.backups.s3 import S3Store
from tablekeep.engine.backups.sets import probe_conditional_writes
from tablekeep.engine.backups.store import AlreadyExistsError
from tablekeep.engine.clients import SessionClients
from tablekeep.engine.clock import Clock, utc_text
from tablekeep.engine.dynamodb.settings import VERSION, TableSettings, read_settings
from tablekeep.engine.errors import BadInputError, PermanentError, TransientError
from tablekeep.engine.export.convert import convert_files, plan_conversion
from tablekeep.engine.export.finish import finish_export
from tablekeep.engine.export.native import NativeExport, read_native
from tablekeep.engine.export.read import in_turn
from tablekeep.engine.export.report import ExportReport, report_of
from tablekeep.engine.leases import Lease
from tablekeep.engine.names import parse_s3
from tablekeep.engine.progress import Progress

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
