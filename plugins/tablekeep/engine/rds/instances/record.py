"""The record of a snapshot: how the instance was set, and what was in it. A drill compares with it, a restore takes settings from it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from tablekeep.engine.backups.location import Shelf
from tablekeep.engine.backups.records import read_records
from tablekeep.engine.backups.store import Store
from tablekeep.engine.names import parse_s3
from tablekeep.engine.rds.instances.contents import Contents
from tablekeep.engine.rds.instances.service import Family

SERVICE = "rds"


def shelf_of(records: str, account: str, region: str, database: str) -> Shelf:
    """Where the records of an instance or cluster lie.

    :param records: `s3://bucket/prefix`. :param region: of the instance.
    """
    bucket, root = parse_s3(records)
    return Shelf(bucket, root, account, region, SERVICE, database)


@dataclass
class SnapshotReport:
    """A snapshot, as its record has it.

    :ivar database: the instance's or cluster's name; `resource`: its id. :ivar at: the time whose state it holds, as RDS tells it.
    :ivar settings: description of the instance or cluster; `members`: of a cluster's instances.
    :ivar before, after: what its databases held before and after, by name; empty without a login.
    :ivar marker: `{"table", "token", "at"}` of the row that was left before it. :ivar notes: what could not be done.
    """

    snapshot: str
    arn: str
    family: Family
    database: str
    resource: str
    engine: str
    at: str
    gigabytes: int
    encrypted: bool
    settings: dict[str, Any]
    members: list[dict[str, Any]] = field(default_factory=list)
    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)
    marker: dict[str, str] | None = None
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_dict(document: Mapping[str, Any]) -> "SnapshotReport":
        """:raises TypeError: for a document of another version."""
        return SnapshotReport(**document)

    def looks(self) -> dict[str, tuple[Contents, Contents]]:
        """By database, what was there before and after."""
        return {
            name: (Contents.from_dict(one), Contents.from_dict(self.after[name]))
            for name, one in self.before.items() if name in self.after
        }  # fmt: skip


def own_records(store: Store, shelf: Shelf) -> list[SnapshotReport]:
    """The records of an instance's snapshots, newest first."""
    found = [SnapshotReport.from_dict(record["result"]) for record in read_records(store, shelf, "snapshot")]
    return sorted(found, key=lambda one: one.at, reverse=True)
