"""Which of our own snapshots may go. Others' are never touched, automated ones neither: RDS removes these itself."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from typing import Any

import botocore.exceptions

from tablekeep.engine.backups.retention import STALE, Keep, by_periods
from tablekeep.engine.clients import SessionClients, error_code, translate
from tablekeep.engine.clock import Clock, parse_utc
from tablekeep.engine.rds.instances.marked import Listed, copied_from, is_ours, list_snapshots
from tablekeep.engine.rds.instances.service import API, GONE, Family, Thing, describe, every, tags_of

PIN_TAG = "tablekeep:keep"
"""Whoever sets it on a snapshot, to whatever value, keeps it."""


@dataclass
class Judged:
    """One snapshot of ours: kept, and why; or to be deleted (`why` is empty)."""

    snapshot: str
    region: str
    at: str
    gigabytes: int
    why: list[str] = field(default_factory=list)


@dataclass
class SnapshotExpiry:
    """What would be or was deleted. `stopped`: why nothing is deleted at all."""

    database: str
    snapshots: list[Judged]
    stopped: str = ""
    deleted: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def judge_snapshots(
    listed: Sequence[Listed], keep: Keep, *, pinned: Iterable[str], copying: Iterable[str] = ()
) -> list[Judged]:
    """A verdict for each of our snapshots of one Region; a pure function.

    :param listed: newest first. :param pinned: names. :param copying: names of those of which a copy is on its way.
    """
    whole = [one for one in listed if one.status == "available"]
    reasons = {
        one.snapshot: why
        for one, why in zip(whole, by_periods([parse_utc(one.at) for one in whole], keep), strict=True)
    }
    for one in whole[: keep.minimum]:
        reasons[one.snapshot].append("minimum")
    pins, flying = set(pinned), set(copying)
    found = []
    for one in listed:
        why = list(reasons.get(one.snapshot, []))
        why += ["pinned"] if one.snapshot in pins else []
        why += ["its copy is on its way"] if one.snapshot in flying else []
        why += [one.status] if one.status not in ("available", "failed") else []
        found.append(Judged(one.snapshot, one.region, one.at, one.gigabytes, why))
    return found


def expire_snapshots(
    database: str,
    family: Family,
    keep: Keep,
    *,
    clients: SessionClients,
    clock: Clock,
    confirm: bool,
    regions: Sequence[str] = (),
    stale: timedelta = STALE,
) -> SnapshotExpiry:
    """Looks at our snapshots of one instance or cluster, and with `confirm` deletes those that no rule keeps.

    :param regions: where copies lie, beside the Region of the clients; the rules hold for each by itself.
    :param stale: age of the newest from which on nothing is deleted.
    """
    keep.check()
    thing: Thing = "instance-snapshot" if family == "instance" else "cluster-snapshot"
    places = list(dict.fromkeys([clients.region, *regions]))
    ours = [one for one in list_snapshots(clients, family, database, places) if one.kind == "ours"]
    copying = _copying(clients, thing, family, database, places)
    expiry = SnapshotExpiry(database, [])
    for region in places:
        here = [one for one in ours if one.region == region]
        pinned = [one.snapshot for one in here if PIN_TAG in _tags(clients, thing, one)]
        expiry.snapshots += judge_snapshots(here, keep, pinned=pinned, copying=copying)
    expiry.stopped = _stopped(ours, clock, stale)
    if confirm and not expiry.stopped:
        for one in expiry.snapshots:
            if not one.why and _delete(clients, thing, one):
                expiry.deleted.append(one.snapshot)
    return expiry


def _stopped(ours: Sequence[Listed], clock: Clock, stale: timedelta) -> str:
    newest = next((one for one in ours if one.status == "available"), None)
    if newest is None:
        return "no snapshot of ours is available" if ours else ""
    age = clock.now() - parse_utc(newest.at)
    if age > stale:
        return f"the newest snapshot is {age.total_seconds() / 3600:,.0f} hours old"
    return ""


def _copying(clients: SessionClients, thing: Thing, family: Family, database: str, regions: Sequence[str]) -> set[str]:
    """Names of snapshots of which a copy is not yet whole: a source that is deleted then takes the copy with it."""
    return {
        copied_from(one).rpartition(":")[2]
        for region in regions
        for one in every(clients, thing, region, **{f"{API[family].name}Identifier": database})
        if one["Status"] not in ("available", "failed") and copied_from(one)
    }


def _tags(clients: SessionClients, thing: Thing, one: Listed) -> dict[str, str]:
    return tags_of(describe(clients, thing, one.snapshot, one.region) or {})


def _delete(clients: SessionClients, thing: Thing, one: Judged) -> bool:
    """Deletes one of ours: its marks are looked at once more."""
    found = describe(clients, thing, one.snapshot, one.region)
    if found is None or not is_ours(found, one.snapshot):
        return False
    words, client = API[thing], clients.client("rds", one.region)
    what = f"deleting the snapshot {one.snapshot}"
    try:
        getattr(client, f"delete_{words.method}")(**{f"{words.name}Identifier": one.snapshot})
    except botocore.exceptions.ClientError as error:
        if error_code(error) not in GONE:
            raise translate(error, what) from error
    except botocore.exceptions.BotoCoreError as error:
        raise translate(error, what) from error
    return True
