"""What a person asks of a restore of an instance or a cluster."""

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tablekeep.engine.errors import BadInputError
from tablekeep.engine.rds.instances.service import check_identifier

SKIPPABLE = (
    "Multi-AZ", "deletion protection", "backup retention", "backup window", "maintenance window", "copy tags to snapshots", "tags",
    "log exports", "storage autoscaling", "enhanced monitoring", "performance insights", "minor upgrades",
)  # fmt: skip
"""Settings that a request may leave out; the others decide whether the instance can be used at all."""


_PLAIN = {"deletion protection": False, "copy tags to snapshots": False, "log exports": []}
SCRATCH: dict[str, dict[str, Any]] = {
    "instance": {"backup retention": 0, "Multi-AZ": False, **_PLAIN},
    "cluster": {"backup retention": 1, **_PLAIN},
}
"""What a scratch instance is given instead of the source's: automated backups would outlive it, a second zone doubles its price."""


@dataclass(frozen=True)
class Placement:
    """What is given otherwise than the source has it; must be given where it belongs to another Region.

    :ivar instance_class: `db.r6g.large`; of a cluster for each member.
    """

    instance_class: str | None = None
    parameter_group: str | None = None
    option_group: str | None = None
    subnet_group: str | None = None
    security_groups: tuple[str, ...] | None = None
    multi_az: bool | None = None

    def given(self, family: str) -> dict[str, Any]:
        """By the names of settings, without what is not given."""
        group = "parameter group" if family == "instance" else "cluster parameter group"
        found = {
            "class": self.instance_class,
            group: self.parameter_group,
            "option group": self.option_group,
            "subnet group": self.subnet_group,
            "security groups": sorted(self.security_groups) if self.security_groups else None,
            "Multi-AZ": self.multi_az,
        }
        return {name: one for name, one in found.items() if one is not None}


@dataclass(frozen=True)
class InstanceRestoreRequest:
    """What is to be restored, and as what.

    :ivar database: name of the instance or cluster whose state it is; :ivar home: its Region.
    :ivar records: root of its records. :ivar to: name of the new one.
    :ivar snapshot: by name, in the Region of the clients; else the newest one of ours there.
    :ivar at: instead a point in time; :ivar latest: instead the latest one.
    :ivar skip: settings that are left out. :ivar writer_only: of a cluster one instance only.
    :ivar scratch: it lives for a drill: no backups, one zone, nothing that keeps it from being deleted.
    :ivar max_usd: what the new instance may cost in its first `hours`.
    """

    database: str
    records: str
    to: str
    home: str
    snapshot: str | None = None
    at: datetime | None = None
    latest: bool = False
    placement: Placement = field(default_factory=Placement)
    skip: tuple[str, ...] = ()
    writer_only: bool = False
    scratch: bool = False
    patterns_refused: Sequence[str] = ()
    accounts: Sequence[str] = ()
    max_usd: float | None = None
    hours: float = 24.0

    @property
    def by_time(self) -> bool:
        return self.at is not None or self.latest

    def check(self) -> "InstanceRestoreRequest":
        """:raises BadInputError: for what contradicts itself or is refused."""
        check_identifier(self.to, "the new instance")
        what = f"restoring {self.database} to {self.to}"
        if self.to.lower() == self.database.lower():
            raise BadInputError(
                what, "a restore makes a new instance, and the source has that name", "give another name"
            )
        if sum((self.snapshot is not None, self.at is not None, self.latest)) > 1:
            raise BadInputError(what, "a snapshot and a time are named", "give one of them")
        if self.at is not None and self.at.tzinfo is None:
            raise BadInputError(what, "the time has no zone", "write it in UTC, for example 2026-11-23T02:00:00Z")
        if unknown := sorted(set(self.skip) - set(SKIPPABLE)):
            raise BadInputError(what, f"{unknown[0]} cannot be left out", f"name one of {', '.join(SKIPPABLE)}")
        for pattern in self.patterns_refused:
            if fnmatch.fnmatchcase(self.to, pattern):
                raise BadInputError(what, f"the pipeline refuses names like {pattern}", "give another name")
        return self
