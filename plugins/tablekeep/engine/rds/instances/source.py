"""Where a restored state comes from: the source as it is now or as its record has it, and a snapshot or a point in time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tablekeep.engine.backups.location import Shelf
from tablekeep.engine.backups.store import Store
from tablekeep.engine.clients import SessionClients, translated
from tablekeep.engine.clock import utc_text
from tablekeep.engine.errors import BadInputError, TransientError
from tablekeep.engine.rds.instances.created import resource_of
from tablekeep.engine.rds.instances.marked import is_ours
from tablekeep.engine.rds.instances.record import SnapshotReport, own_records
from tablekeep.engine.rds.instances.request import InstanceRestoreRequest
from tablekeep.engine.rds.instances.service import API, Description, Family, Thing, describe, every, need, plain


@dataclass(frozen=True)
class Origin:
    """The state that is restored.

    :ivar snapshot: description of the snapshot; None for a point in time. :ivar at: its time, `latest` for the latest one.
    :ivar settings: the source's description, `members` of a cluster's instances; `settings_from` says whence.
    :ivar record: of the snapshot, where there is one. :ivar live: the source is there.
    """

    family: Family
    database: str
    resource: str
    engine: str
    snapshot: Description | None
    at: str
    settings: Description
    members: Sequence[Description]
    settings_from: str
    record: SnapshotReport | None
    live: bool
    notes: tuple[str, ...] = ()

    @property
    def thing(self) -> Thing:
        return "instance-snapshot" if self.family == "instance" else "cluster-snapshot"

    @property
    def snapshot_name(self) -> str | None:
        return str(self.snapshot[f"{API[self.thing].name}Identifier"]) if self.snapshot else None


def find_origin(
    request: InstanceRestoreRequest, clients: SessionClients, store: Store, shelf: Shelf, what: str
) -> Origin:
    """Looks at source, records and snapshots.

    :param clients: of the Region to which is restored. :param shelf: of the source's records.
    :raises BadInputError: when there is nothing to restore, or nobody knows how the source was set.
    """
    live, family = _live(request, clients)
    records = own_records(store, shelf)
    if request.by_time:
        return _by_time(request, clients, live, family, records, what)
    snapshot, family = _snapshot(request, clients, family, records, what)
    words = API["instance-snapshot" if family == "instance" else "cluster-snapshot"]
    name = str(snapshot[f"{words.name}Identifier"])
    record = next((one for one in records if one.snapshot == name), None)
    resource = str(snapshot.get("DbiResourceId" if family == "instance" else "DbClusterResourceId") or "")
    moment = snapshot.get("OriginalSnapshotCreateTime") or snapshot["SnapshotCreateTime"]
    notes = []
    if live is not None and resource and resource_of(live, family) != resource:
        notes.append("another instance has the source's name by now: the settings are those of the snapshot's record")
        live = None
    settings, members, whence = _settings(request, clients, live, family, record, what)
    if live is not None and record is not None and (changed := _changed(live, record, family)):
        notes.append(
            f"since the snapshot these settings were changed: {', '.join(changed)}; they are restored as they are now"
        )
    return Origin(
        family, request.database, resource, str(snapshot["Engine"]), snapshot, utc_text(moment), settings, members, whence, record,
        live is not None, tuple(notes),
    )  # fmt: skip


def _live(request: InstanceRestoreRequest, clients: SessionClients) -> tuple[Description | None, Family]:
    instance = describe(clients, "instance", request.database, request.home)
    if instance is not None:
        return instance, "instance"
    cluster = describe(clients, "cluster", request.database, request.home)
    return cluster, "cluster" if cluster is not None else "instance"


def _snapshot(
    request: InstanceRestoreRequest, clients: SessionClients, family: Family, records: Sequence[SnapshotReport], what: str
) -> tuple[Description, Family]:  # fmt: skip
    """The snapshot that is asked for, else the newest one of ours in the Region; available, and of this database."""
    if records:
        family = records[0].family
    thing: Thing = "instance-snapshot" if family == "instance" else "cluster-snapshot"
    words, source = API[thing], f"{API[family].name}Identifier"
    if request.snapshot is not None:
        found = need(clients, thing, request.snapshot, what)
        if str(found[source]).lower() != request.database.lower():
            raise BadInputError(
                what, f"{request.snapshot} is a snapshot of {found[source]}", "name one of the right source"
            )
    else:
        ours = [
            one for one in every(clients, thing, **{source: request.database})
            if is_ours(one, str(one[f"{words.name}Identifier"])) and one["Status"] == "available"
        ]  # fmt: skip
        if not ours:
            raise BadInputError(
                what,
                f"there is no snapshot of ours of it in {clients.region}",
                "name one, or make one with `tablekeep rds snapshot`",
            )
        found = max(ours, key=lambda one: one.get("OriginalSnapshotCreateTime") or one["SnapshotCreateTime"])
    if found["Status"] != "available":
        raise TransientError(what, f"the snapshot is {found['Status']}", "wait until it is available")
    return found, family


def _settings(
    request: InstanceRestoreRequest, clients: SessionClients, live: Description | None, family: Family,
    record: SnapshotReport | None, what: str,
) -> tuple[Description, Sequence[Description], str]:  # fmt: skip
    if live is not None:
        return live, _members(request, clients, live, what), "the source as it is now"
    if record is not None:
        return record.settings, record.members, f"the record of the snapshot, {record.at[:16]}Z"
    raise BadInputError(
        what,
        f"{request.database} is not there any more in {request.home}, and no record tells how it was set",
        "restore it by hand, and set parameter group, subnet group, security groups, Multi-AZ and deletion protection yourself",
    )


def _members(
    request: InstanceRestoreRequest, clients: SessionClients, cluster: Description, what: str
) -> list[Description]:
    """Of a cluster, the writer first."""
    listed = sorted(cluster.get("DBClusterMembers") or [], key=lambda one: not one.get("IsClusterWriter"))
    return [need(clients, "instance", one["DBInstanceIdentifier"], what, request.home) for one in listed]


def _changed(live: Description, record: SnapshotReport, family: Family) -> list[str]:
    from tablekeep.engine.rds.instances.settings import facts

    now, then = facts(plain(live), family), facts(record.settings, family)
    return sorted(name for name in now if now[name] != then.get(name))


def _by_time(
    request: InstanceRestoreRequest, clients: SessionClients, live: Description | None, family: Family,
    records: Sequence[SnapshotReport], what: str,
) -> Origin:  # fmt: skip
    if live is None or request.home != clients.region:
        raise BadInputError(
            what, "a point in time is restored from the source's automated backups, in its own Region, while it is there",
            "restore a snapshot",
        )  # fmt: skip
    earliest, newest = restore_window(clients, live, family)
    if newest is None:
        raise BadInputError(what, f"{request.database} keeps no automated backups", "restore a snapshot")
    if request.at is not None and (request.at > newest or (earliest and request.at < earliest)):
        since = utc_text(earliest) if earliest else "its oldest backup"
        raise BadInputError(
            what, f"{utc_text(request.at)} lies outside of {since} to {utc_text(newest)}", "give a time in it"
        )
    record = next((one for one in records if request.at is not None and _within(request.at, one)), None)
    at = utc_text(request.at) if request.at else "latest"
    note = () if request.at else (f"the latest time is {utc_text(newest)} now",)
    return Origin(
        family, request.database, resource_of(live, family), str(live["Engine"]), None, at, live, _members(request, clients, live, what),
        "the source as it is now", record, True, note,
    )  # fmt: skip


def _within(at: datetime, record: SnapshotReport) -> bool:
    """Whether a time lies between the two looks of a record, so that what they tell holds for it."""
    looks = record.looks()
    moment = utc_text(at)
    return bool(looks) and all(before.at <= moment <= after.at for before, after in looks.values())


def restore_window(
    clients: SessionClients, description: Description, family: Family
) -> tuple[datetime | None, datetime | None]:
    """Earliest and latest time to which a source can be restored; None where RDS does not say, or there is none."""
    newest: datetime | None = description.get("LatestRestorableTime")
    if family == "cluster":
        return description.get("EarliestRestorableTime"), newest
    with translated(f"asking for the automated backups of {description['DBInstanceIdentifier']}"):
        backups: list[Any] = clients.client("rds").describe_db_instance_automated_backups(
            DbiResourceId=description["DbiResourceId"]
        )["DBInstanceAutomatedBackups"]
    window = (backups[0].get("RestoreWindow") or {}) if backups else {}
    return window.get("EarliestTime"), newest
