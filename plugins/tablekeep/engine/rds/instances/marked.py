"""Which snapshots of an instance or cluster there are, and which of them are ours: those that carry our marks, and no others."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tablekeep.engine.clients import SessionClients
from tablekeep.engine.clock import utc_text
from tablekeep.engine.rds.instances.service import API, Description, Family, Thing, every, tags_of

SNAPSHOT_TAG = "tablekeep:snapshot-run"
"""On a snapshot of ours: the run that made it. A restore takes a snapshot's tags over when it is given none, so this is never the tag by
which an instance is known as ours."""
COPY_TAG = "tablekeep:copy-of"
"""On a copy of ours: ARN of the snapshot that it was made of, its end where it is longer than a tag. RDS itself tells it of copies from
other Regions and accounts only (RDS API, `SourceDBSnapshotIdentifier`)."""
PREFIX = "tablekeep-"


def is_ours(description: Description, name: str) -> bool:
    """Whether a snapshot was made, or copied, by us: it has our tag and our name. A copy that others made with its tags has only one."""
    return name.startswith(PREFIX) and SNAPSHOT_TAG in tags_of(description)


def copied_from(description: Description) -> str:
    """ARN of the snapshot that a copy was made of, of ours at least its end; empty for no copy that is known as one."""
    return tags_of(description).get(COPY_TAG) or str(
        description.get("SourceDBSnapshotIdentifier") or description.get("SourceDBClusterSnapshotArn") or ""
    )


@dataclass(frozen=True)
class Listed:
    """One snapshot, as `tablekeep rds list` shows it.

    :ivar kind: `ours`, `automated`, `manual`, `awsbackup` or `shared`. :ivar compared: there is a record of what was in it.
    """

    snapshot: str
    region: str
    kind: str
    at: str
    status: str
    gigabytes: int
    encrypted: bool
    source: str
    compared: bool = False

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def list_snapshots(
    clients: SessionClients, family: Family, database: str, regions: Sequence[str], recorded: Iterable[str] = ()
) -> list[Listed]:
    """All snapshots of an instance or cluster, automated ones too, newest first.

    :param regions: where to look: its own and those of copies. :param recorded: names of snapshots with a record.
    """
    thing: Thing = "instance-snapshot" if family == "instance" else "cluster-snapshot"
    words, source, known = API[thing], API[family].name, set(recorded)
    found = []
    for region in dict.fromkeys(regions):
        for one in every(clients, thing, region, **{f"{source}Identifier": database}):
            name = str(one[f"{words.name}Identifier"])
            ours = is_ours(one, name)
            moment = one.get("OriginalSnapshotCreateTime") or one.get("SnapshotCreateTime")
            found.append(
                Listed(
                    name, region, "ours" if ours else str(one.get("SnapshotType", "manual")), utc_text(moment) if moment else "",
                    str(one["Status"]), int(one.get("AllocatedStorage") or 0), bool(one.get("Encrypted", one.get("StorageEncrypted"))),
                    str(one.get("SourceDBSnapshotIdentifier") or one.get("SourceDBClusterSnapshotArn") or ""), name in known,
                )
            )  # fmt: skip
    return sorted(found, key=lambda one: (one.at, one.region), reverse=True)
