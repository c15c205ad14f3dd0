"""Scratch tables: named and marked when they are made, removed by what they carry, and by nothing else."""

import hashlib
import re
from dataclasses import asdict, dataclass
from datetime import timedelta

import botocore.exceptions

from tablekeep.engine.clients import SessionClients, error_code, translated
from tablekeep.engine.clock import Clock, parse_utc, utc_text
from tablekeep.engine.dynamodb.tables import (
    RUN_TAG,
    CreatedTable,
    delete_table_created_by_run,
    find_created_table,
    table_tags,
)

PREFIX = "tablekeep-drill-"
"""Every scratch table's name begins so; no other table is ever deleted."""
DRILL_TAG = "tablekeep:drill"
UNTIL_TAG = "tablekeep:drill-until"
"""After this time a scratch table belongs to nobody: its run is dead."""
LIVES = timedelta(hours=24)


@dataclass(frozen=True)
class Swept:
    """A scratch table of a dead run. `removed` is False when it was only looked at."""

    table: str
    run: str
    until: str
    removed: bool

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


def scratch_name(table: str, run: str) -> str:
    """One name for a run's tries: a second one meets what the first left."""
    return f"{PREFIX}{re.sub('[^A-Za-z0-9_.-]', '-', table)[:200]}-{hashlib.sha256(run.encode()).hexdigest()[:12]}"


def scratch_tags(run: str, clock: Clock) -> dict[str, str]:
    """The marks, beside `tablekeep:run`, which `create_table` sets."""
    return {DRILL_TAG: hashlib.sha256(run.encode()).hexdigest()[:32], UNTIL_TAG: utc_text(clock.now() + LIVES)}


def tear_down(clients: SessionClients, name: str, run: str, clock: Clock) -> bool:
    """Removes the run's scratch table, if it is there; tells whether nothing of that name and run is left.

    :raises TablekeepError: when it cannot be removed.
    """
    created = find_created_table(clients, name, run=run)
    if created is not None:
        delete_table_created_by_run(clients, created, run=run, name_prefix=PREFIX, clock=clock)
    return find_created_table(clients, name, run=run) is None


def sweep(clients: SessionClients, clock: Clock, *, dry_run: bool = False) -> list[Swept]:
    """Removes the scratch tables of this account and Region whose time is over: those that carry the name and all three marks.

    :param dry_run: only tell.
    """
    database, found = clients.client("dynamodb"), []
    with translated("looking for scratch tables that dead drills have left"):
        names = [
            name for page in database.get_paginator("list_tables").paginate() for name in page["TableNames"] if name.startswith(PREFIX)
        ]  # fmt: skip
    for name in names:
        if (one := _dead(clients, name, clock)) is not None:
            created, until = one
            if not dry_run:
                delete_table_created_by_run(clients, created, run=created.run, name_prefix=PREFIX, clock=clock)
            found.append(Swept(name, created.run, until, not dry_run))
    return found


def _dead(clients: SessionClients, name: str, clock: Clock) -> tuple[CreatedTable, str] | None:
    database = clients.client("dynamodb")
    try:
        described = database.describe_table(TableName=name)["Table"]
        tags = table_tags(database, described["TableArn"])
    except botocore.exceptions.ClientError as error:
        if error_code(error) == "ResourceNotFoundException":
            return None
        raise
    run, until = tags.get(RUN_TAG), tags.get(UNTIL_TAG)
    if not run or not until or tags.get(DRILL_TAG) != hashlib.sha256(run.encode()).hexdigest()[:32]:
        return None
    try:
        over = parse_utc(until) < clock.now()
    except ValueError:
        return None
    if not over:
        return None
    where = database.meta.region_name
    return CreatedTable(name, str(described.get("TableId", "")), str(described["TableArn"]), where, run), until
