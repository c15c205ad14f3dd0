"""What is about to be made, written down beside the backups before the service is asked: none of its calls that make a table of a backup
takes tags, and whoever dies between the call and the marks leaves a table that carries none.

An intent stands for the marks only when the table's name, its source and the time at which it was made are what it says. Then the table
gets its marks, and everything that removes a table goes on to go by these alone.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

import botocore.exceptions
import msgspec

from tablekeep.engine.backups.location import Shelf
from tablekeep.engine.backups.store import NotFoundError, Store
from tablekeep.engine.clients import SessionClients, error_code, translated
from tablekeep.engine.clock import Clock, parse_utc
from tablekeep.engine.dynamodb.tables import CreatedTable, table_tags
from tablekeep.engine.errors import IntegrityError
from tablekeep.engine.marks import RUN_TAG
from tablekeep.engine.restore.imports import find_import
from tablekeep.engine.restore.making import POLL_SECONDS, mark
from tablekeep.engine.restore.service import is_restored

FOLDER = "_intents"
VERSION = 1
LIVES = timedelta(hours=24)
"""After this time a run is dead."""
SKEW = timedelta(minutes=15)
"""By how much this machine's clock may differ from the service's."""


@dataclass(frozen=True)
class Intent:
    """A table that a run is about to have made.

    :ivar at: when it was written; `until`: after this time the run is dead. :ivar path: of the restore.
    :ivar source: what the table must have been made of: of an import `bucket` and `prefix`; of a restore what its RestoreSummary says,
        `SourceTableArn` and `RestoreDateTime` (UTC text) or `SourceBackupArn`; of AWS Backup `RecoveryPointArn`.
    :ivar tags: the marks that it will get, but for the run's.
    """

    table: str
    account: str
    region: str
    run: str
    path: str
    at: str
    until: str
    source: dict[str, str]
    tags: dict[str, str]

    @property
    def arn(self) -> str:
        return f"arn:aws:dynamodb:{self.region}:{self.account}:table/{self.table}"


class Intents:
    """Those of one table's backups: `<name>/_intents/<account>-<region>-<table to be made>.json`."""

    def __init__(self, store: Store, shelf: Shelf) -> None:
        self.store, self._prefix = store, f"{shelf.prefix}/{FOLDER}/"

    def _key(self, account: str, region: str, table: str) -> str:
        return f"{self._prefix}{account}-{region}-{table}.json"

    def write(self, intent: Intent) -> None:
        """Before the service is asked."""
        document = {"version": VERSION, **asdict(intent)}
        key = self._key(intent.account, intent.region, intent.table)
        self.store.put(key, msgspec.json.encode(document, order="sorted"))

    def read(self, account: str, region: str, table: str) -> Intent | None:
        """Of one table; None when there is none."""
        try:
            return self._parse(self._key(account, region, table))
        except NotFoundError:
            return None

    def all(self, account: str, region: str) -> Iterator[Intent]:
        """Those of one account and Region. One that cannot be read stands for nothing, and is left out."""
        for info in list(self.store.list(f"{self._prefix}{account}-{region}-")):
            try:
                yield self._parse(info.key)
            except (NotFoundError, IntegrityError):  # another run has dropped it meanwhile
                continue

    def _parse(self, key: str) -> Intent:
        try:
            document: dict[str, Any] = msgspec.json.decode(self.store.get(key, max_bytes=64 * 1024))
            if document.pop("version") != VERSION:
                raise ValueError("another version")
            return Intent(**document)
        except (msgspec.DecodeError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise IntegrityError(
                f"reading {key}", f"it is no intent that this version knows ({error})", "remove it; look at the table that its name names"
            ) from None  # fmt: skip

    def drop(self, intent: Intent) -> None:
        """When the table is gone."""
        self.store.delete(self._key(intent.account, intent.region, intent.table))


def adopt(clients: SessionClients, intent: Intent, clock: Clock, *, wait: bool, mark_it: bool = True) -> str:
    """Gives the intent's table its marks, if it is the intent's.

    :param wait: for a table that is still being made; else it is left to its run. :param mark_it: False: only look.
    :returns: why it did not; empty when the table carries the marks now, carried marks before, or is not there.
    """
    if "RecoveryPointArn" in intent.source and not _job_ended(clients, intent, clock, wait=wait):
        return "AWS Backup is still making it"
    database = clients.client("dynamodb", intent.region)
    with translated(f"looking at table {intent.table}"):
        try:
            table = database.describe_table(TableName=intent.table)["Table"]
            if RUN_TAG in table_tags(database, table["TableArn"]):
                return ""
        except botocore.exceptions.ClientError as error:
            if error_code(error) == "ResourceNotFoundException":
                return ""
            raise
        if not parse_utc(intent.at) - SKEW <= table["CreationDateTime"] <= parse_utc(intent.until):
            return "it was not made when the intent beside the backups says"
        if not _of_source(clients, database, intent, table):
            return "it was not made of what the intent beside the backups says"
    if table["TableStatus"] != "ACTIVE" and not wait:
        return f"it is {table['TableStatus']}"
    where = database.meta.region_name
    created = CreatedTable(intent.table, str(table.get("TableId", "")), str(table["TableArn"]), where, intent.run)
    if mark_it:
        mark(clients, created, intent.tags, clock)
    return ""


def _of_source(clients: SessionClients, database: Any, intent: Intent, table: dict[str, Any]) -> bool:
    source = intent.source
    if "prefix" in source:
        found = find_import(database, str(table["TableArn"]), source["bucket"], source["prefix"])
        return found is not None and found.get("TableId") == table.get("TableId")
    if "RecoveryPointArn" in source:
        return any(one.get("CreatedResourceArn") == table["TableArn"] for one in _jobs(clients, intent))
    wanted: dict[str, Any] = dict(source)
    if "RestoreDateTime" in wanted:
        wanted["RestoreDateTime"] = parse_utc(wanted["RestoreDateTime"])
    return bool(wanted) and is_restored(table, wanted)


def _jobs(clients: SessionClients, intent: Intent) -> list[dict[str, Any]]:
    """AWS Backup's restore jobs of the intent's recovery point, since it was written; those that made another table left out."""
    vaults = clients.client("backup", intent.region)
    pages = vaults.get_paginator("list_restore_jobs").paginate(
        ByResourceType="DynamoDB", ByCreatedAfter=parse_utc(intent.at) - SKEW
    )
    return [
        one
        for page in pages
        for one in page["RestoreJobs"]
        if one.get("RecoveryPointArn") == intent.source["RecoveryPointArn"]
        and one.get("CreatedResourceArn", intent.arn) == intent.arn
    ]


def _job_ended(clients: SessionClients, intent: Intent, clock: Clock, *, wait: bool) -> bool:
    """AWS Backup makes the table some time after it was asked."""
    while True:
        with translated(f"looking for the restore job of table {intent.table}"):
            running = [one for one in _jobs(clients, intent) if one["Status"] in ("PENDING", "RUNNING")]
        if not running or not wait:
            return not running
        clock.sleep(POLL_SECONDS)
