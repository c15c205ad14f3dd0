"""What the stand-in knows of instances, clusters and snapshots, by account and Region."""

import functools
import re
import secrets
import subprocess
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from local_aws.postgres import find_binaries
from local_aws.rds.endpoint import Endpoint
from local_aws.rds.servers import Server
from local_aws.responses import ServiceError

Document = dict[str, Any]
NAMES = {
    "instance": ("DBInstance", 63),
    "snapshot": ("DBSnapshot", 255),
    "cluster": ("DBCluster", 63),
    "cluster-snapshot": ("DBClusterSnapshot", 63),
}
_IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:-[A-Za-z0-9]+)*\Z")


def now() -> datetime:
    """As the serialiser takes it: UTC without zone."""
    return datetime.now(UTC).replace(tzinfo=None)


@functools.cache
def engine_version() -> str:
    """Of the PostgreSQL that stands in for all of RDS's."""
    text = subprocess.run([str(find_binaries() / "postgres"), "--version"], capture_output=True, text=True).stdout
    return text.split()[2]


def family() -> str:
    """Of the parameter groups: `postgres18`."""
    return f"postgres{engine_version().partition('.')[0]}"


@dataclass
class Resource:
    """Something with a status that is asked for until it is what one waits for.

    :ivar document: in the API's form, without status and tags. :ivar status: as it is told now. :ivar then: what it becomes when it
        was asked for `polls` times; empty: it is gone then.
    """

    kind: str
    account: str
    region: str
    document: Document
    status: str = "creating"
    then: str = "available"
    polls: int = 0
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return str(self.document[f"{NAMES[self.kind][0]}Identifier"])

    @property
    def arn(self) -> str:
        return str(self.document[f"{NAMES[self.kind][0]}Arn"])

    def become(self, status: str, then: str, polls: int) -> None:
        self.status, self.then, self.polls = status, then, polls

    @property
    def settles(self) -> bool:
        return self.status != self.then

    def look(self) -> None:
        """A poll."""
        if self.settles and self.polls <= 0:
            self.status = self.then
        self.polls -= 1

    def tag_list(self) -> list[Document]:
        return [{"Key": key, "Value": value} for key, value in self.tags.items()]


@dataclass
class Database(Resource):
    """An instance or a cluster, with its server.

    :ivar server: None for an engine that nothing stands in for. :ivar bases: copies from which its past can be reached, oldest first.
    :ivar late: how many answers come late, see `Endpoint`. :ivar port: that was asked for. :ivar keeps_backups: its automated backups
        stay when it is deleted.
    """

    server: Server | None = None
    endpoint: Endpoint | None = None
    bases: list[tuple[datetime, Path]] = field(default_factory=list)
    late: int = 0
    port: int | None = None
    keeps_backups: bool = False
    cluster: str | None = None

    def open(self) -> None:
        """Makes it reachable."""
        if self.server is not None and self.endpoint is None:
            server = self.server
            self.endpoint = Endpoint(self.port, lambda: server.port, self.late)

    def close(self) -> None:
        if self.endpoint is not None:
            self.endpoint.close()
            self.endpoint = None


@dataclass
class Snapshot(Resource):
    """A snapshot of either kind.

    :ivar path: the copied data directory. :ivar of: what the document does not tell, for a restore. :ivar shared: accounts that may
        restore it. :ivar source: of a copy that is on its way.
    """

    path: Path | None = None
    of: Document = field(default_factory=dict)
    shared: set[str] = field(default_factory=set)
    source: "Snapshot | None" = None


class State:
    """All of them. A name is found in its account and Region only, an ARN anywhere."""

    def __init__(self) -> None:
        self._all: dict[tuple[str, str, str, str], Resource] = {}
        self.retained: list[Database] = []
        """Instances that were deleted and whose automated backups stay."""

    def add(self, resource: Resource) -> None:
        self._all[resource.kind, resource.account, resource.region, resource.id.lower()] = resource

    def remove(self, resource: Resource) -> None:
        self._all.pop((resource.kind, resource.account, resource.region, resource.id.lower()), None)

    def every(self, kind: str, account: str | None = None, region: str | None = None) -> Iterator[Any]:
        """Sorted by name."""
        for (one, whose, where, _), resource in sorted(self._all.items(), key=lambda pair: pair[0]):
            if one == kind and account in (None, whose) and region in (None, where):
                yield resource

    def by_arn(self, arn: str) -> Any:
        return next((one for one in self._all.values() if one.arn == arn), None)

    def find(self, kind: str, account: str, region: str, name: str) -> Any:
        """By name or ARN; None when there is none."""
        if name.startswith("arn:"):
            found = self.by_arn(name)
            return found if found is not None and found.kind == kind else None
        return self._all.get((kind, account, region, name.lower()))

    def clear(self) -> None:
        self._all.clear()
        self.retained.clear()


MISSING: dict[str, tuple[str, str]] = {
    "instance": ("DBInstanceNotFound", "DBInstance {} not found."),
    "snapshot": ("DBSnapshotNotFound", "DBSnapshot {} not found."),
    "cluster": ("DBClusterNotFoundFault", "DBCluster {} not found."),
    "cluster-snapshot": ("DBClusterSnapshotNotFoundFault", "DBClusterSnapshot {} not found."),
}
TAKEN: dict[str, tuple[str, str]] = {
    "instance": ("DBInstanceAlreadyExists", "DB instance already exists"),
    "snapshot": (
        "DBSnapshotAlreadyExists",
        "Cannot create the snapshot because one with the identifier {} already exists.",
    ),
    "cluster": ("DBClusterAlreadyExistsFault", "DB Cluster already exists"),
    "cluster-snapshot": (
        "DBClusterSnapshotAlreadyExistsFault",
        "Cannot create the snapshot because one with the identifier {} already exists.",
    ),
}


def missing(kind: str, name: str) -> ServiceError:
    code, text = MISSING[kind]
    return ServiceError(code, text.format(name), 404)


def check_identifier(kind: str, name: str, parameter: str) -> None:
    """:raises ServiceError: InvalidParameterValue."""
    longest = NAMES[kind][1]
    if not _IDENTIFIER.match(name) or len(name) > longest:
        raise ServiceError(
            "InvalidParameterValue",
            f"The parameter {parameter} is not a valid identifier. Identifiers must begin with a letter; must contain only ASCII "
            f"letters, digits, and hyphens; and must not end with a hyphen or contain two consecutive hyphens.",
        )


def arn_of(kind: str, account: str, region: str, name: str) -> str:
    part = {"instance": "db", "snapshot": "snapshot", "cluster": "cluster", "cluster-snapshot": "cluster-snapshot"}[
        kind
    ]
    return f"arn:aws:rds:{region}:{account}:{part}:{name}"


def resource_id(prefix: str) -> str:
    """`db-…`: what stays when a thing is renamed, and differs when its name is used again."""
    return f"{prefix}-{secrets.token_hex(13).upper()}"


def still_there(found: Iterable[Any], remove: Callable[[Any], None], name: str | None) -> list[Any]:
    """Those that are left when each was asked for once more; the others are removed.

    :param name: that was asked for. :raises ServiceError: when it is the one that is gone.
    """
    left = []
    for one in found:
        one.look()
        if one.status:
            left.append(one)
            continue
        remove(one)
        if name:
            raise missing(one.kind, name)
    return left


def page(found: list[Document], body: Document) -> tuple[list[Document], str | None]:
    """One page, and the marker of the next."""
    start, size = int(body.get("Marker") or 0), int(body.get("MaxRecords") or 100)
    rest = str(start + size) if start + size < len(found) else None
    return found[start : start + size], rest


Handler = Callable[[Document, str, str], Document]
"""An operation: parameters, account, Region → result."""
