"""What a drill is asked to do."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from tablekeep.engine.clock import Clock
from tablekeep.engine.drills.checks import Check
from tablekeep.engine.drills.choice import Choose
from tablekeep.engine.drills.report import Objectives
from tablekeep.engine.dynamodb.budget import TokenBucket
from tablekeep.engine.restore.request import Path


@dataclass(frozen=True)
class DrillRequest:
    """What is to be drilled.

    :ivar backups: the root of the backups, `s3://bucket/prefix`. :ivar choose, within: see `choice.choose`.
    :ivar percent: so much of the backup at least, in whole parts; all of it when not given. See `choice.Scope`.
    :ivar path: how the scratch table gets its items: with `pitr` the service's own recovery is drilled, with `backup` what AWS keeps, and
        the backup set proves it. :ivar backup_arn, backup_role: with `backup`, see `RestoreRequest`.
    :ivar restore_job, testing_plan, max_seconds: see `restore_test`: no scratch table is made, that of AWS Backup is looked at.
    :ivar max_wcu: write capacity units a second. :ivar max_rcu: read capacity units a second, of the comparison.
    :ivar max_usd: the money that loading the scratch table may cost.
    """

    backups: str
    table: str
    choose: Choose = "latest"
    within: timedelta | None = None
    percent: float | None = None
    path: Path = "auto"
    objectives: Objectives = field(default_factory=Objectives)
    max_wcu: float | None = None
    max_rcu: float | None = None
    max_usd: float | None = None
    checks: Sequence[Check] = ()
    backup_arn: str | None = None
    backup_role: str | None = None
    restore_job: str | None = None
    testing_plan: str | None = None
    max_seconds: float | None = None

    def reads(self, clock: Clock) -> TokenBucket | None:
        """Budget of the comparison's reads; None without a limit."""
        return TokenBucket(self.max_rcu, clock) if self.max_rcu else None
