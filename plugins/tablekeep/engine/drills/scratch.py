"""Scratch tables: named and marked when they are made, removed by what they carry, and by nothing else."""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import botocore.exceptions

from tablekeep.engine.clients import SessionClients, error_code, translated
from tablekeep.engine.clock import Clock, parse_utc
from tablekeep.engine.drills.marks import PREFIX, UNTIL_TAG, is_over, run_part
from tablekeep.engine.dynamodb.tables import (
    delete_table_created_by_run,
    find_created_table,
    table_tags,
)
from tablekeep.engine.errors import PermanentError
from tablekeep.engine.marks import RUN_TAG
from tablekeep.engine.restore.intents import Intent, Intents, adopt
from tablekeep.engine.restore.stage import clear_stage


@dataclass(frozen=True)
class Swept:
    """A scratch table of a dead run. `removed` is False when it was only looked at."""

    table: str
    run: str
    until: str
    removed: bool

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


@dataclass(frozen=True)
class LeftAlone:
    """A table that has a scratch table's name and cannot be shown to be one: a person has to look at it."""

    table: str
    why: str

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


@dataclass(frozen=True)
class Sweep:
    """What a sweeper found."""

    tables: list[Swept]
    left_alone: list[LeftAlone]


def scratch_name(table: str, run: str) -> str:
    """One name for a run's tries: a second one meets what the first left."""
    return f"{PREFIX}{re.sub('[^A-Za-z0-9_.-]', '-', table)[:200]}-{run_part(run)}"


def tear_down(clients: SessionClients, name: str, run: str, clock: Clock, intents: Intents | None = None) -> bool:
    """Removes the run's scratch table, if it is there; tells whether nothing of that name and run is left.

    :param intents: where the run has written down that a service would make the table; it may be there without its marks, and is waited
        for while it is being made.
    :raises PermanentError: when another table has its name. :raises TablekeepError: when it cannot be removed.
    """
    intent = intents.read(clients.account(), clients.region, name) if intents else None
    if intent is not None and intent.run == run:
        why = adopt(clients, intent, clock, wait=True)
        if why:
            raise PermanentError(f"removing the scratch table {name}", why, "look at it by hand: it is not touched")
    created = find_created_table(clients, name, run=run)
    if created is not None:
        delete_table_created_by_run(clients, created, run=run, name_prefix=PREFIX, clock=clock)
    gone = find_created_table(clients, name, run=run) is None
    if gone and intents is not None and intent is not None:
        _forget(intents, intent)
    return gone


def _forget(intents: Intents, intent: Intent) -> None:
    """What was staged, then the intent."""
    if "prefix" in intent.source:
        clear_stage(intents.store, intent.source["prefix"])
    intents.drop(intent)


def sweep(clients: SessionClients, clock: Clock, *, dry_run: bool = False, intents: Sequence[Intents] = ()) -> Sweep:
    """Removes the scratch tables of this account and Region whose time is over: those that carry the name and all three marks, and
    those that a run has written down before it asked a service for them, when name, source and time are what it wrote.

    :param dry_run: only tell. :param intents: where runs have written them down.
    """
    account, now = clients.account(), clock.now()
    written = {one.table: (one, folder) for folder in intents for one in folder.all(account, clients.region)}
    dead = {name: intent for name, (intent, _) in written.items() if parse_utc(intent.until) < now}
    foreign = {
        name: why
        for name, intent in dead.items()
        if (why := adopt(clients, intent, clock, wait=False, mark_it=not dry_run))
    }
    found = Sweep([], [LeftAlone(name, why) for name, why in foreign.items()])
    for name in _named_so(clients):
        marks = _marks(clients, name)
        if marks is None or name in foreign:
            continue
        if RUN_TAG not in marks and name in written:
            intent, _ = written[name]
            if name not in dead:
                continue  # its run may be alive, and marks it when it is made
            marks = {**intent.tags, RUN_TAG: intent.run}  # as it would be marked, where it is only looked at
        over = is_over(marks, clock)
        if isinstance(over, str):
            found.left_alone.append(LeftAlone(name, over))
        elif over:
            if not dry_run:
                _remove(clients, name, marks[RUN_TAG], clock)
            found.tables.append(Swept(name, marks[RUN_TAG], marks[UNTIL_TAG], not dry_run))
    for name, intent in dead.items():
        if not dry_run and name not in foreign and _marks(clients, name) is None:
            _forget(written[name][1], intent)
    return found


def _named_so(clients: SessionClients) -> list[str]:
    pages = clients.client("dynamodb").get_paginator("list_tables").paginate()
    with translated("looking for scratch tables that dead drills have left"):
        return [name for page in pages for name in page["TableNames"] if name.startswith(PREFIX)]


def _remove(clients: SessionClients, name: str, run: str, clock: Clock) -> None:
    created = find_created_table(clients, name, run=run)
    if created is not None:
        delete_table_created_by_run(clients, created, run=run, name_prefix=PREFIX, clock=clock)


def _marks(clients: SessionClients, name: str) -> dict[str, str] | None:
    """The table's tags; None when it is gone."""
    database = clients.client("dynamodb")
    with translated(f"looking at the marks of table {name}"):
        try:
            return table_tags(database, database.describe_table(TableName=name)["Table"]["TableArn"])
        except botocore.exceptions.ClientError as error:
            if error_code(error) == "ResourceNotFoundException":
                return None
            raise
