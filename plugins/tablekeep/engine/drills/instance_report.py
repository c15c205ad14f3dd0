"""What a drill of an RDS snapshot found, as its record has it."""

from dataclasses import asdict, dataclass, field
from typing import Any

from tablekeep.engine.drills.report import Objectives, broken, missed

PHASES = ("find", "restore", "settings", "connect", "scan", "checks")
"""In the order in which they follow each other. The time to restore ends with `scan`: then every row has been read once."""


@dataclass
class InstanceDrillReport:
    """What a drill found.

    :ivar database: the instance or cluster; :ivar snapshot: its snapshot, None for a point in time; :ivar at: the state's time.
    :ivar chosen: how it was chosen. :ivar scratch: the instance or cluster that was made. :ivar endpoint: of it.
    :ivar compared: a record told what had to be in it. :ivar proved: nothing contradicts it, and some table came back exactly; without
        a record: the team's checks passed. :ivar passed: proved, within the objectives, settings and checks as they should be, and
        nothing left behind. :ivar problems: why it did not pass.
    :ivar tables, items, bytes: tables, rows, and bytes on disk that were read. :ivar equal, bounded: tables that came back exactly; that
        changed while the snapshot was made. :ivar told: verdicts of those that are not simply equal. :ivar marker: whether the row that
        was left before the snapshot is there; None where none was left.
    :ivar rto_seconds: until every table had been read once; None when nothing was proved.
    :ivar phases: seconds by phase, of those that ended. :ivar slowest: the tables whose first read took longest.
    :ivar settings: facts that differ, see `SettingDifference`; those that are `told` a drill leaves out on purpose.
    :ivar not_restored: what a restore would lack, with the command for each. :ivar checks: the team's own.
    :ivar usd: what the scratch instance has cost, None where a price is missing. :ivar page: the HTML page, an S3 URI.
    :ivar swept: scratch instances of dead drills that were removed at the beginning.
    """

    database: str
    family: str
    snapshot: str | None
    at: str
    chosen: str
    scratch: str
    started: str
    engine: str = ""
    source_region: str = ""
    region: str = ""
    compared: bool = False
    proved: bool = False
    passed: bool = False
    tables: int = 0
    items: int = 0
    bytes: int = 0
    equal: int = 0
    bounded: int = 0
    told: list[dict[str, Any]] = field(default_factory=list)
    marker: bool | None = None
    rto_seconds: float | None = None
    rpo_seconds: float = 0.0
    objectives: dict[str, float | None] = field(default_factory=dict)
    phases: dict[str, float] = field(default_factory=dict)
    slowest: list[dict[str, Any]] = field(default_factory=list)
    settings: list[dict[str, Any]] = field(default_factory=list)
    not_restored: list[dict[str, str]] = field(default_factory=list)
    checks: list[dict[str, Any]] = field(default_factory=list)
    swept: list[dict[str, Any]] = field(default_factory=list)
    endpoint: dict[str, Any] = field(default_factory=dict)
    members: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    torn_down: bool = False
    usd: float | None = None
    seconds: float = 0.0
    unit: str = "rows"
    page: str = ""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def judge(report: InstanceDrillReport, objectives: Objectives) -> None:
    """Adds what was missed to the problems, and says whether the drill passed."""
    report.problems += missed(objectives, report.rto_seconds, "measured", report.rpo_seconds)
    report.problems += broken(report.settings, report.checks)
    if not report.torn_down and not any(report.scratch in one for one in report.problems):
        report.problems.append(f"the scratch {report.family} {report.scratch} is left")
    report.passed = report.proved and report.torn_down and not report.problems
