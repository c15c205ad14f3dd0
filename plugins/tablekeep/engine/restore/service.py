"""The service makes the new table: ImportTable from staged DynamoDB JSON, or its own RestoreTableToPointInTime. Neither is believed:
the table is read back like any other."""

import gzip
import hashlib
from typing import Any

import botocore.exceptions

from tablekeep.engine.backups.store import Store
from tablekeep.engine.clients import SessionClients, error_code, translate, translated
from tablekeep.engine.clock import Clock
from tablekeep.engine.dynamodb.tables import CREATION_TAG, CreatedTable, await_active, creation_request
from tablekeep.engine.errors import BadInputError, IntegrityError
from tablekeep.engine.items.hashing import ContentHash
from tablekeep.engine.marks import RUN_TAG
from tablekeep.engine.progress import Progress
from tablekeep.engine.restore.plan import Prepared
from tablekeep.engine.restore.state import Loaded

CREATION = (
    "TableName",
    "AttributeDefinitions",
    "KeySchema",
    "BillingMode",
    "ProvisionedThroughput",
    "SSESpecification",
    "GlobalSecondaryIndexes",
)
"""What ImportTable takes of CreateTable's parameters; the rest is set afterwards."""
UNRESTORABLE = {"InvalidRestoreTimeException", "PointInTimeRecoveryUnavailableException", "TableNotFoundException"}
POLL_SECONDS = 10.0
NOTE_SECONDS = 120.0


def stage(prepared: Prepared, prefix: str, progress: Progress) -> Loaded:
    """Writes what is wanted as gzip of DynamoDB JSON, an object a unit, and reckons its content hash.

    :param prefix: key prefix of the objects, with a slash at the end.
    :raises IntegrityError: for a damaged part.
    """
    source, loaded = prepared.source, Loaded()
    progress.phase("stage", prepared.plan.items)
    with source:
        for number, unit in enumerate(source.units):
            sink = source.store.open_write(f"{prefix}{number:06d}.json.gz")
            try:
                with gzip.GzipFile(fileobj=_Sink(sink), mode="wb", compresslevel=1, mtime=0) as file:
                    for page in source.items(unit):
                        picked = prepared.selection.pick(page)
                        file.write(b"".join([b'{"Item":%b}\n' % item for item in picked]))
                        loaded.content += ContentHash.of(picked)
                        progress.advance(len(page))
                sink.finish()
            except BaseException:
                sink.abort()
                raise
    loaded.written = loaded.items
    return loaded


class _Sink:
    """A part's sink as a file."""

    def __init__(self, sink: Any) -> None:
        self._sink = sink

    def write(self, data: bytes) -> int:
        return int(self._sink.write(bytes(data)))

    def flush(self) -> None:
        """gzip calls it."""


def clear_stage(store: Store, prefix: str) -> None:
    """Removes the staged objects."""
    for info in list(store.list(prefix)):
        store.delete(info.key)


def import_table(
    prepared: Prepared,
    prefix: str,
    *,
    clients: SessionClients,
    clock: Clock,
    progress: Progress,
    run: str,
    token: str,
    tags: dict[str, str],
) -> CreatedTable:
    """Makes the table from the staged objects, waits, marks it as ours. Called again with the token it goes on with the same import.

    :raises IntegrityError: when the service refused items: the others are in the table, which is not to be used.
    """
    plan, database = prepared.plan, clients.client("dynamodb")
    what = f"importing the table {plan.to_table}"
    bucket = prepared.source.full.location.shelf.bucket
    whole = creation_request(prepared.settings, plan.to_table, region=plan.region, indexes=plan.indexes_with)
    request = {
        "ClientToken": f"{token}-import",
        "S3BucketSource": {"S3Bucket": bucket, "S3KeyPrefix": prefix},
        "InputFormat": "DYNAMODB_JSON",
        "InputCompressionType": "GZIP",
        "TableCreationParameters": {name: whole[name] for name in CREATION if name in whole},
    }
    with translated(what):
        described = database.import_table(**request)["ImportTableDescription"]
    arn, began = described["ImportArn"], clock.monotonic()
    progress.phase("import", plan.items)
    noted = began
    while described["ImportStatus"] in ("IN_PROGRESS", "CANCELLING"):
        if clock.monotonic() - noted > NOTE_SECONDS:
            noted = clock.monotonic()
            progress.note(f"{arn}: {described.get('ProcessedItemCount', 0):,} items so far")
        with translated(what):
            described = database.describe_import(ImportArn=arn)["ImportTableDescription"]
        if described["ImportStatus"] == "IN_PROGRESS":
            clock.sleep(POLL_SECONDS)
    if described["ImportStatus"] != "COMPLETED":
        raise IntegrityError(
            what,
            f"it ended {described['ImportStatus']}: {described.get('FailureCode')}, {described.get('ErrorCount', 0):,} items refused,"
            f" {described.get('ImportedItemCount', 0):,} are in the table",
            "look into the log group /aws-dynamodb/imports; delete the table, and restore with --path batch-write",
        )
    return _marked(clients, plan.to_table, run, token, tags, clock, progress)


def restore_to_point_in_time(
    prepared: Prepared,
    *,
    clients: SessionClients,
    clock: Clock,
    progress: Progress,
    run: str,
    token: str,
    tags: dict[str, str],
) -> CreatedTable:
    """The service restores the table as of the backup's time. A second try finds the table and waits for it.

    :raises BadInputError: when the service does not keep that time any more, or the table is gone.
    """
    plan, database = prepared.plan, clients.client("dynamodb")
    what = f"restoring {plan.source_table} to {plan.to_table} by point-in-time recovery"
    progress.phase("restore")
    try:
        database.restore_table_to_point_in_time(
            SourceTableArn=prepared.settings.arn, TargetTableName=plan.to_table, RestoreDateTime=prepared.source.manifest.as_of,
            BillingModeOverride=prepared.settings.billing_mode,
        )  # fmt: skip
    except botocore.exceptions.ClientError as error:
        code = error_code(error)
        if code in UNRESTORABLE:
            todo = "leave the path to auto: the backup needs no table"
            raise BadInputError(what, f"the service answered {code}", todo) from None
        if code != "TableAlreadyExistsException":
            raise translate(error, what) from error
        _check_ours(clients, prepared, what)
    return _marked(clients, plan.to_table, run, token, tags, clock, progress)


def _check_ours(clients: SessionClients, prepared: Prepared, what: str) -> None:
    """That the table there is what an earlier try asked for: the same source, the same time."""
    with translated(what):
        table = clients.client("dynamodb").describe_table(TableName=prepared.plan.to_table)["Table"]
    summary = table.get("RestoreSummary") or {}
    if (
        summary.get("SourceTableArn") != prepared.settings.arn
        or summary.get("RestoreDateTime") != prepared.source.manifest.as_of
    ):
        raise BadInputError(what, "another table has that name by now", "name another one")


def _marked(
    clients: SessionClients, name: str, run: str, token: str, tags: dict[str, str], clock: Clock, progress: Progress
) -> CreatedTable:
    database = clients.client("dynamodb")
    with translated(f"describing table {name}"):
        table = database.describe_table(TableName=name)["Table"]
    created = CreatedTable(name, str(table.get("TableId", "")), str(table["TableArn"]), database.meta.region_name, run)
    await_active(clients, created, clock=clock, progress=progress, timeout_seconds=7 * 86400.0)
    labels = {**tags, RUN_TAG: run, CREATION_TAG: token}
    with translated(f"tagging table {name}"):
        database.tag_resource(
            ResourceArn=created.arn, Tags=[{"Key": key, "Value": value} for key, value in labels.items()]
        )
    return created


def stage_prefix(prepared: Prepared, token: str) -> str:
    """Where the staged objects of a restore lie."""
    shelf = prepared.source.full.location.shelf
    return f"{shelf.prefix}/_restores/import-{hashlib.sha256(token.encode()).hexdigest()[:16]}/"
