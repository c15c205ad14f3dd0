"""Scratch instances and clusters: named and marked when they are made, removed by what they carry, and by nothing else."""

from tablekeep.engine.clients import SessionClients, translated
from tablekeep.engine.clock import Clock
from tablekeep.engine.drills.marks import PREFIX, dead, run_part
from tablekeep.engine.drills.scratch import Swept
from tablekeep.engine.rds.instances.created import (
    Created,
    await_deletion,
    begin_deletion,
    find_created,
    resource_of,
    tagged,
)
from tablekeep.engine.rds.instances.service import API, Awaited, Family, Wait

FAMILIES: tuple[Family, ...] = ("cluster", "instance")
"""Clusters first: they take their instances with them."""


def scratch_instance(database: str, run: str) -> str:
    """One name for a run's tries, within the 63 characters of RDS, with room for the number of a cluster's instance."""
    return f"{PREFIX}{database.lower()[:28].strip('-')}-{run_part(run)}"


def tear_down_instance(clients: SessionClients, family: Family, name: str, run: str, wait: Wait) -> bool:
    """Removes the run's scratch instance or cluster, if it is there, and proves that nothing of it is left: neither it, nor instances
    of a cluster, nor automated backups.

    :raises TablekeepError: when it cannot be removed.
    """
    created = find_created(clients, family, name, run)
    if created is None:
        return True
    members = _names(clients, "instance", name, run) if family == "cluster" else []
    begin_deletion(clients, created, prefix=PREFIX)
    await_deletion(created, wait)
    for member in members:
        wait(Awaited("instance", member, clients.region, "gone"))
    return not _left(clients, created)


def _left(clients: SessionClients, created: Created) -> list[str]:
    """What is still there of a scratch instance or cluster."""
    found = [one for family in FAMILIES for one in _names(clients, family, created.name, created.run)]
    if created.family == "instance":
        with translated(f"looking for automated backups of {created.name}"):
            backups = clients.client("rds").describe_db_instance_automated_backups(DbiResourceId=created.resource)
        found += [f"an automated backup of {created.name}" for _ in backups["DBInstanceAutomatedBackups"]]
    return found


def _names(clients: SessionClients, family: Family, name: str, run: str) -> list[str]:
    names = [str(found[f"{API[family].name}Identifier"]) for found, _ in tagged(clients, family, name)]
    return [one for one in names if find_created(clients, family, one, run) is not None]


def sweep_instances(clients: SessionClients, clock: Clock, *, dry_run: bool = False) -> list[Swept]:
    """Removes scratch instances and clusters of this account and Region whose time is over: those with the name and all three marks.
    Does not wait until they are gone.

    :param dry_run: only tell.
    """
    swept = []
    for family in FAMILIES:
        for found, tags in tagged(clients, family, PREFIX):
            name = str(found[f"{API[family].name}Identifier"])
            marks = dead(name, tags, clock)
            if (
                marks is None
                or found[API[family].status] == "deleting"
                or found.get("DBClusterIdentifier", name) != name
            ):
                continue
            run, until = marks
            created = Created(family, name, resource_of(found, family), clients.region, run)
            if not dry_run:
                begin_deletion(clients, created, prefix=PREFIX)
            swept.append(Swept(name, run, until, not dry_run))
    return swept
