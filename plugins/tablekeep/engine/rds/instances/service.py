"""RDS's calls, one piece for instances and for clusters: what is there, in which state, and waiting for another one."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

import botocore.exceptions

from tablekeep.engine.clients import SessionClients, error_code, translate, translated
from tablekeep.engine.clock import Clock, utc_text
from tablekeep.engine.errors import BadInputError, PermanentError, TransientError
from tablekeep.engine.progress import Progress

Family = Literal["instance", "cluster"]
Thing = Literal["instance", "cluster", "instance-snapshot", "cluster-snapshot"]
Description = dict[str, Any]


@dataclass(frozen=True)
class Words:
    """How the API calls a thing: `DBInstance`, `db_instance`, `DBInstanceStatus`."""

    name: str
    method: str
    status: str
    tag: str


API: dict[str, Words] = {
    "instance": Words("DBInstance", "db_instance", "DBInstanceStatus", "db"),
    "cluster": Words("DBCluster", "db_cluster", "Status", "cluster"),
    "instance-snapshot": Words("DBSnapshot", "db_snapshot", "Status", "snapshot"),
    "cluster-snapshot": Words("DBClusterSnapshot", "db_cluster_snapshot", "Status", "cluster-snapshot"),
}
GONE = {"DBInstanceNotFound", "DBClusterNotFoundFault", "DBSnapshotNotFound", "DBClusterSnapshotNotFoundFault"}
TAKEN = {"DBSnapshotAlreadyExists", "DBClusterSnapshotAlreadyExistsFault"}
BROKEN = {
    "failed", "incompatible-restore", "incompatible-parameters", "incompatible-network", "incompatible-option-group", "restore-error",
    "incompatible-credentials", "inaccessible-encryption-credentials", "insufficient-capacity", "storage-full",
}  # fmt: skip
"""States out of which a thing does not come by waiting (RDS User Guide, "Viewing Amazon RDS DB instance status")."""
POLL_SECONDS = 15.0
NOTE_SECONDS = 120.0
_IDENTIFIER = re.compile(r"[A-Za-z](?:-?[A-Za-z0-9])*\Z")


def check_identifier(name: str, what: str, most: int = 63) -> str:
    """The name, if RDS allows it.

    :param what: what is named, for the error: `the instance`. :raises BadInputError: else.
    """
    if not _IDENTIFIER.match(name) or len(name) > most:
        raise BadInputError(
            f"naming {what} {name[:80]!r}",
            f"a name has 1 to {most} letters, digits and single hyphens, and begins with a letter",
            "give the identifier, not an ARN or an endpoint",
        )
    return name


def describe(clients: SessionClients, thing: Thing, name: str, region: str | None = None) -> Description | None:
    """The thing's description; None when there is none."""
    words, client = API[thing], clients.client("rds", region)
    try:
        answer = getattr(client, f"describe_{words.method}s")(**{f"{words.name}Identifier": name})
    except botocore.exceptions.ClientError as error:
        if error_code(error) in GONE:
            return None
        raise translate(error, f"describing {name}") from error
    except botocore.exceptions.BotoCoreError as error:
        raise translate(error, f"describing {name}") from error
    found: Description = answer[f"{words.name}s"][0]
    return found


def need(clients: SessionClients, thing: Thing, name: str, what: str, region: str | None = None) -> Description:
    """The same. :param what: what is being done. :raises BadInputError: when there is none."""
    found = describe(clients, thing, name, region)
    if found is None:
        where = region or clients.region
        raise BadInputError(
            what, f"there is no {thing.replace('-', ' ')} {name} in {where}", "correct the name or the Region"
        )
    return found


def every(clients: SessionClients, thing: Thing, region: str | None = None, **given: Any) -> list[Description]:
    """All of them. :param given: parameters of the call, such as `SnapshotType`."""
    words = API[thing]
    found: list[Description] = []
    with translated(f"listing the {thing.replace('-', ' ')}s"):
        pages = clients.client("rds", region).get_paginator(f"describe_{words.method}s").paginate(**given)
        for page in pages:
            found += page[f"{words.name}s"]
    return found


def family_of(clients: SessionClients, name: str, what: str) -> Family:
    """Whether a name is that of an instance or of a cluster.

    :raises BadInputError: when it is neither, or a member of a cluster, whose data is the cluster's.
    """
    instance = describe(clients, "instance", name)
    if instance is not None and instance.get("DBClusterIdentifier"):
        cluster = instance["DBClusterIdentifier"]
        raise BadInputError(what, f"{name} is a member of the cluster {cluster}", f"name the cluster {cluster}")
    if instance is not None:
        return "instance"
    if describe(clients, "cluster", name) is not None:
        return "cluster"
    raise BadInputError(
        what, f"there is no instance or cluster {name} in {clients.region}", "correct the name or the Region"
    )


def tags_of(description: Description) -> dict[str, str]:
    """As a dict."""
    return {one["Key"]: one["Value"] for one in description.get("TagList") or []}


def as_tags(tags: dict[str, str]) -> list[dict[str, str]]:
    """As a request takes them."""
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]


def plain(value: Any) -> Any:
    """A description as JSON: times as text."""
    if isinstance(value, datetime):
        return utc_text(value)
    if isinstance(value, Mapping):
        return {name: plain(one) for name, one in value.items() if name != "ResponseMetadata"}
    return [plain(one) for one in value] if isinstance(value, list | tuple) else value


def endpoint_of(description: Description, family: Family) -> dict[str, Any]:
    """`{"Address", "Port"}`. :raises TransientError: while there is none."""
    if family == "instance":
        endpoint: dict[str, Any] = description.get("Endpoint") or {}
    else:
        endpoint = {"Address": description.get("Endpoint"), "Port": description.get("Port")}
    if not endpoint.get("Address"):
        raise TransientError("finding the endpoint", "RDS names none yet", "wait until it is available")
    return endpoint


def translated_quota(error: botocore.exceptions.ClientError, what: str) -> Exception:
    """Limits on snapshots pass when others are done or deleted."""
    if error_code(error) == "SnapshotQuotaExceeded":
        message = error.response["Error"].get("Message", "")
        return TransientError(
            what, f"SnapshotQuotaExceeded: {message}", "wait until other copies are done, or delete old snapshots"
        )
    return translate(error, what)


@dataclass(frozen=True)
class Awaited:
    """Something that takes time, as text of JSON can carry it.

    :ivar goal: `available`, or `gone`. :ivar hours: after so many it is given up.
    """

    thing: Thing
    name: str
    region: str
    goal: Literal["available", "gone"] = "available"
    hours: float = 24.0

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def what(self) -> str:
        """As an error begins."""
        return f"waiting until the {self.thing.replace('-', ' ')} {self.name} is {self.goal}"


class Wait(Protocol):
    """Comes back when what is awaited has come about. Airflow's ends the try instead, and begins it anew when it has."""

    def __call__(self, awaited: Awaited) -> None:
        """:raises PermanentError: when it cannot come about any more. :raises TransientError: when it took too long."""
        ...


def settled(clients: SessionClients, awaited: Awaited) -> bool:
    """Whether it has come about.

    :raises PermanentError: when it cannot any more: it is gone, or in a state out of which no waiting leads.
    """
    found = describe(clients, awaited.thing, awaited.name, awaited.region)
    if found is None:
        if awaited.goal == "gone":
            return True
        raise PermanentError(awaited.what, "it is not there any more", "somebody or something deleted it; run it again")
    status = str(found[API[awaited.thing].status])
    if awaited.goal == "available" and status in BROKEN:
        raise PermanentError(
            awaited.what, f"it is {status}", "look at its events in the console; it does not become available by itself"
        )
    return awaited.goal == "available" and status == "available"


class PollingWait:
    """Asks now and then, in this process.

    :param poll_seconds: between two questions.
    """

    def __init__(
        self, clients: SessionClients, clock: Clock, progress: Progress, poll_seconds: float = POLL_SECONDS
    ) -> None:
        self._clients, self._clock, self._progress, self._poll = clients, clock, progress, poll_seconds

    def __call__(self, awaited: Awaited) -> None:
        began = noted = self._clock.monotonic()
        while not settled(self._clients, awaited):
            now = self._clock.monotonic()
            if now - began > awaited.hours * 3600:
                raise TransientError(
                    awaited.what, f"it is not after {(now - began) / 3600:.1f} hours", "look at it in the console"
                )
            if now - noted >= NOTE_SECONDS:
                noted = now
                self._progress.note(f"{awaited.what}: {(now - began) / 60:.0f} minutes so far")
            self._clock.sleep(self._poll)
