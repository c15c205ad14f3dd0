"""Scratch tables: named and marked when they are made, removed by what they carry, and by nothing else."""

import re
from dataclasses import asdict, dataclass

import botocore.exceptions

from tablekeep.engine.clients import SessionClients, error_code, translated
from tablekeep.engine.clock import Clock
from tablekeep.engine.drills.marks import PREFIX, dead, run_part
from tablekeep.engine.dynamodb.tables import (
    CreatedTable,
    delete_table_created_by_run,
    find_created_table,
    table_tags,
)


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
    return f"{PREFIX}{re.sub('[^A-Za-z0-9_.-]', '-', table)[:200]}-{run_part(run)}"


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
    if (marks := dead(name, tags, clock)) is None:
        return None
    run, until = marks
    where = database.meta.region_name
    return CreatedTable(name, str(described.get("TableId", "")), str(described["TableArn"]), where, run), until
