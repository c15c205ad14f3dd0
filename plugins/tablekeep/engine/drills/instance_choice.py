"""Which state of an RDS instance a drill takes: a snapshot of ours, an automated one, or a point in time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, get_args

from tablekeep.engine.clients import SessionClients
from tablekeep.engine.clock import Clock, parse_utc, utc_text
from tablekeep.engine.drills.choice import Choose
from tablekeep.engine.errors import BadInputError
from tablekeep.engine.rds.instances.marked import Listed, list_snapshots
from tablekeep.engine.rds.instances.record import SnapshotReport
from tablekeep.engine.rds.instances.service import Family, describe
from tablekeep.engine.rds.instances.source import restore_window

Take = Literal["ours", "automated", "point-in-time"]
TAKES: tuple[str, ...] = get_args(Take)


@dataclass(frozen=True)
class ChosenState:
    """:ivar snapshot: its name; None for a point in time, which is `at`. :ivar words: how it was chosen."""

    family: Family
    snapshot: str | None
    at: datetime | None
    words: str


def choose_state(
    database: str,
    home: str,
    take: Take,
    how: Choose,
    within: timedelta | None,
    records: Sequence[SnapshotReport],
    *,
    clients: SessionClients,
    clock: Clock,
) -> ChosenState:
    """One of the snapshots in the clients' Region; or a point in time between the looks of such a snapshot's record, so that what it
    holds is known. A drill is a test: what was never drilled may be taken.

    :param home: the source's Region. :param records: newest first. :param within: no older than this, for `random` and `oldest`.
    :raises BadInputError: when there is none.
    """
    family = _family(database, home, records, clients)
    if take == "point-in-time":
        return _moment(database, home, family, how, within, records, clients, clock)
    kind = "ours" if take == "ours" else "automated"
    found = [
        one
        for one in list_snapshots(clients, family, database, [clients.region], [one.snapshot for one in records])
        if one.kind == kind and one.status == "available"
    ]
    chosen, words = _one(found, how, within, clock, database, f"{kind} snapshot")
    told = words if chosen.compared else f"{words}; no record tells what is in it"
    return ChosenState(family, chosen.snapshot, None, told)


def _family(database: str, home: str, records: Sequence[SnapshotReport], clients: SessionClients) -> Family:
    if records:
        return records[0].family
    return "instance" if describe(clients, "cluster", database, home) is None else "cluster"


def _one(
    found: Sequence[Listed], how: Choose, within: timedelta | None, clock: Clock, database: str, what: str
) -> tuple[Listed, str]:
    """:param found: newest first."""
    since = clock.now() - within if within and how != "latest" else None
    fitting = [one for one in found if since is None or parse_utc(one.at) >= since]
    if not fitting:
        why = f"no {what} is so young as {utc_text(since)}" if since and found else f"there is no {what} of it"
        raise BadInputError(f"drilling {database}", why, "make one with `tablekeep rds snapshot`")
    if how == "latest":
        return fitting[0], f"the latest of {len(found)}"
    window = f" of the last {within.days} days" if within else ""
    if how == "oldest":
        return fitting[-1], f"the oldest of {len(fitting)}{window}"
    number = int(clock.token(4), 16) % len(fitting)
    return fitting[number], f"at random, number {number + 1} of {len(fitting)}{window}"


def _moment(
    database: str, home: str, family: Family, how: Choose, within: timedelta | None, records: Sequence[SnapshotReport],
    clients: SessionClients, clock: Clock,
) -> ChosenState:  # fmt: skip
    live = describe(clients, family, database, home)
    if live is None or home != clients.region:
        raise BadInputError(
            f"drilling {database}",
            "a point in time is restored in the source's Region, while it is there",
            "drill its snapshots",
        )
    earliest, newest = restore_window(clients, live, family)
    if newest is None:
        raise BadInputError(f"drilling {database}", "it keeps no automated backups", "drill its snapshots")
    known = [
        Listed(one.snapshot, home, "ours", _between(one), "available", 0, False, "", True)
        for one in records
        if one.before
        and (earliest is None or earliest < parse_utc(_between(one)))
        and parse_utc(_between(one)) < newest
    ]
    if not known:
        return ChosenState(family, None, newest, "the latest point in time; no record tells what was there then")
    chosen, words = _one(known, how, within, clock, database, "recorded point in time")
    return ChosenState(
        family, None, parse_utc(chosen.at), f"the time of the snapshot {chosen.snapshot}, {words} that are recorded"
    )


def _between(record: SnapshotReport) -> str:
    """A time after the first looks and the marker and before the second ones: the snapshot's own, where it is one."""
    looks = record.looks().values()
    first = max(one.at for one, _ in looks)
    last = min(other.at for _, other in looks)
    middle = parse_utc(first) + (parse_utc(last) - parse_utc(first)) / 2
    return record.at if first <= record.at <= last else utc_text(middle)
