"""Backups that others made become backup sets, wherever they were copied to: DynamoDB's own exports, full and incremental, and those of
AWS Data Pipeline.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from tablekeep.engine.backups.location import SetLocation, Shelf, new_backup_id
from tablekeep.engine.backups.s3 import S3Store
from tablekeep.engine.backups.sets import probe_conditional_writes
from tablekeep.engine.backups.spool import KeySpool
from tablekeep.engine.backups.store import AlreadyExistsError
from tablekeep.engine.clients import SessionClients
from tablekeep.engine.clock import Clock, utc_text
from tablekeep.engine.dynamodb.settings import VERSION, TableSettings, read_settings
from tablekeep.engine.errors import BadInputError, IntegrityError, PermanentError, TransientError
from tablekeep.engine.export.convert import convert_files, plan_conversion
from tablekeep.engine.export.datapipeline import folder_time, pipeline_files
from tablekeep.engine.export.finish import finish_export
from tablekeep.engine.export.native import SUMMARY, read_native
from tablekeep.engine.export.read import in_turn
from tablekeep.engine.export.report import ExportReport, report_of
from tablekeep.engine.export.sources import Source, native_source
from tablekeep.engine.items.hashing import key_hash
from tablekeep.engine.leases import Lease
from tablekeep.engine.names import check_table_name, parse_s3
from tablekeep.engine.progress import Progress

Key = Sequence[tuple[str, str]]
DATA_PIPELINE = "datapipeline"
MOST_KEYS = 5
MANY = 20_000_000
"""Items for which room is made when nobody says how many there are."""


def import_set(
    *,
    clients: SessionClients,
    clock: Clock,
    progress: Progress,
    source: str,
    to: str,
    table: str | None = None,
    key: Key | None = None,
    as_of: datetime | None = None,
    encryption: str | None = None,
    owner: str | None = None,
    actor: str,
    run: str,
) -> ExportReport:
    """Makes a backup set of what another program has written.

    :param source: `s3://bucket/…/AWSDynamoDB/<export id>`, or the folder of a Data Pipeline backup. :param to: the root of the backups.
    :param table, as_of: of a Data Pipeline backup, which tells neither; the folder's name may tell the time.
    :param key: name and type of the key's attributes, partition key first, for a table that is gone: no export tells them.
    :raises BadInputError: when there is no such export, or something that it does not tell is not given.
    :raises IntegrityError: when a file is damaged or missing, counts differ, or a key is there twice; no backup exists then.
    """
    began = clock.monotonic()
    from_bucket, folder = parse_s3(source)
    origin = S3Store(clients, from_bucket)
    if folder.endswith(SUMMARY) or origin.head(f"{folder}/{SUMMARY}") or origin.head(f"{folder}/_started"):
        _refuse_given(source, table, as_of)
        found = native_source(origin, read_native(origin, folder))
        settings = _settings(clients, clock, source, found, key)
    else:
        found, settings = _data_pipeline(clients, clock, progress, origin, source, folder, table, as_of, key)
    bucket, root = parse_s3(to)
    store = S3Store(clients, bucket, owner=owner, encryption=encryption)
    store.check()
    probe_conditional_writes(store, root)
    _, _, _, region, account, _ = found.table["arn"].split(":", 5)
    shelf = Shelf(bucket, root, account, region, "dynamodb", found.table["name"])
    options = {"source": source, "encryption": encryption}
    with Lease(store, shelf.lease_key, holder=actor, run=run, clock=clock, conflict=AlreadyExistsError) as lease:
        location = shelf.set(new_backup_id(found.as_of, clock))
        plan = plan_conversion(clock, store, location, found, settings, options=options, run=run)
        progress.phase("convert", found.items or None)
        with KeySpool(found.items or MANY) as keys:
            every = in_turn(range(plan.segments))
            convert_files(store, plan, found, every, clock=clock, progress=progress, on_keys=keys.add_keys)
            refuse_duplicates(keys, location)
        made = finish_export(store, plan, lease, clock=clock, progress=progress, actor=actor, run=run)
    return replace(report_of(made), seconds=round(clock.monotonic() - began, 3))


def _refuse_given(source: str, table: str | None, as_of: datetime | None) -> None:
    for name, value in (("table", table), ("as-of", as_of)):
        if value is not None:
            raise BadInputError(f"importing {source}", f"--{name} is given, and the export tells it", "leave it out")


def _data_pipeline(
    clients: SessionClients,
    clock: Clock,
    progress: Progress,
    origin: S3Store,
    source: str,
    folder: str,
    table: str | None,
    as_of: datetime | None,
    key: Key | None,
) -> tuple[Source, TableSettings]:
    what = f"importing {source}"
    files, complete = pipeline_files(origin, folder)
    if table is None:
        raise BadInputError(what, "a Data Pipeline backup does not tell its table", "give --table NAME")
    check_table_name(table)
    moment = as_of or folder_time(folder)
    if moment is None:
        raise BadInputError(
            what, "the folder's name does not tell when it was made", "give --as-of 2020-01-31T02:00:00Z"
        )
    if not complete:
        progress.note(
            "there is no manifest, so nothing says whether these are all files: count the items that you expect"
        )
    account, region = clients.account(), clients.region
    arn = f"arn:aws:dynamodb:{region}:{account}:table/{table}"
    # it tells no id: only a table that was there already may be the one that it was made of
    told = Source(
        {"name": table, "arn": arn, "id": f"unknown-{DATA_PIPELINE}"},
        DATA_PIPELINE,
        moment,
        (moment, moment),
        0,
        tuple(files),
    )
    return told, _settings(clients, clock, source, told, key)


def refuse_duplicates(keys: KeySpool, location: SetLocation) -> None:
    """What others wrote may hold a key twice, in a folder to which the files of two exports were copied."""
    twice = [key_hash(one) for one in keys.duplicates()]
    if twice:
        some = ", ".join(twice[:MOST_KEYS])
        raise IntegrityError(
            f"importing to {location.uri}", f"{len(twice):,} keys are there more than once ({some})",
            "import the folder of one export alone; nobody can know which of two items is the right one",
        )  # fmt: skip


def _settings(clients: SessionClients, clock: Clock, source: str, found: Source, key: Key | None) -> TableSettings:
    """The table's own, when it is still there; else what the export and `key` tell.

    :raises BadInputError: when neither tells the key.
    """
    table = found.table
    region = table["arn"].split(":")[3]
    try:
        live = read_settings(clients, table["arn"], region, clock=clock)
        if live.table_id == table["id"] or (found.engine == DATA_PIPELINE and key is None):
            return live
    except (BadInputError, PermanentError, TransientError):
        if key is None:
            raise
    if key is None:
        raise BadInputError(
            f"importing {source}",
            f"the table {table['name']} was made anew since, so its key may differ",
            "give the key of the table that was exported",
        )
    roles = [{"AttributeName": name, "KeyType": role} for (name, _), role in zip(key, ("HASH", "RANGE"), strict=False)]
    description: dict[str, Any] = {
        "TableName": table["name"],
        "TableArn": table["arn"],
        "TableId": table["id"],
        "TableStatus": "GONE",
        "KeySchema": roles,
        "AttributeDefinitions": [{"AttributeName": name, "AttributeType": kind} for name, kind in key],
        "BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"},
        "ItemCount": found.items,
    }
    answers = {"DescribeTable": {"answer": {"Table": description}}, "everything else": {"refused": "TableIsGone"}}
    return TableSettings({"version": VERSION, "read_at": utc_text(clock.now()), "region": region, "answers": answers})
