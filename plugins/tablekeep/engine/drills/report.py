"""What a drill found, as its record has it, and how it compares with the drills before."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from tablekeep.engine.backups.location import Shelf
from tablekeep.engine.backups.records import read_records
from tablekeep.engine.backups.store import Store
from tablekeep.engine.restore.plan import predict
from tablekeep.engine.words import fact_text

PHASES = ("find", "verify", "create", "stage", "load", "indexes", "proof", "settings")
"""In the order in which they follow each other; their sum is the time that a restore takes."""


@dataclass(frozen=True)
class Objectives:
    """What the team has promised.

    :ivar rto_seconds: how long a restore may take, from finding the backup to its proof.
    :ivar rpo_seconds: how much time may be lost: age of the backup, counted from its scan's first page.
    """

    rto_seconds: float | None = None
    rpo_seconds: float | None = None

    def as_dict(self) -> dict[str, float | None]:
        return asdict(self)


@dataclass
class DrillReport:
    """What a drill found.

    :ivar chosen: how the backup was chosen. :ivar scope: how much of it was restored.
    :ivar compared: how the table was compared: `scan` or `keys`, see `restore.report`.
    :ivar proved: the scratch table had exactly the backup's content; of a sample by keys: every item of the sample, as it should be.
    :ivar passed: proved, within the objectives, settings and
        checks as they should be, and nothing left behind. :ivar problems: why it did not pass. :ivar phases: seconds by phase.
    :ivar items: restored; `all_items`: of the backup; `today_items`: of the newest.
    :ivar rto_seconds: from finding the backup to its proof; None when nothing was proved.
    :ivar predicted_seconds: of a whole restore at today's size; None, too, when nothing was proved.
    :ivar settings: facts that differ, see `SettingDifference`; those that are `told` a drill leaves out on purpose.
    :ivar differing: items that differ, up to 100: the key's hash, the state, and which attributes. :ivar checks: the team's own.
    :ivar swept: scratch tables of dead drills that were removed at the beginning; `left_alone`: tables that are named like one, and why
        they were not. :ivar source_backup: ARN of what AWS restored.
    :ivar restore_job: of AWS Backup, whose table was looked at instead of a scratch table; `posted`: the result that AWS Backup was told,
        and its words. :ivar page: the HTML page, an S3 URI.
    """

    table: str
    backup: str
    chosen: str
    scratch_table: str
    started: str
    scope: str = "all items"
    items: int = 0
    all_items: int = 0
    today_items: int = 0
    as_of: str = ""
    content_hash: str = ""
    proved: bool = False
    rto_seconds: float | None = None
    rpo_seconds: float = 0.0
    predicted_seconds: float | None = None
    objectives: dict[str, float | None] = field(default_factory=dict)
    phases: dict[str, float] = field(default_factory=dict)
    settings: list[dict[str, Any]] = field(default_factory=list)
    differing: list[dict[str, Any]] = field(default_factory=list)
    checks: list[dict[str, Any]] = field(default_factory=list)
    swept: list[dict[str, Any]] = field(default_factory=list)
    torn_down: bool = False
    passed: bool = False
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0
    selection: str | None = None
    page: str = ""
    left_alone: list[dict[str, Any]] = field(default_factory=list)
    source_backup: str = ""
    restore_job: str = ""
    posted: dict[str, str] | None = None
    compared: str = ""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def _seconds(seconds: float) -> str:
    """`1.2 s`, `7,200 s`."""
    return f"{seconds:,.1f}".removesuffix(".0") + " s"


def judge(report: DrillReport, objectives: Objectives) -> None:
    """Adds what was missed to the problems, and says whether the drill passed."""
    whole = report.predicted_seconds if report.selection else report.rto_seconds
    kind = "predicted for all items" if report.selection else "measured"
    report.problems += missed(objectives, whole, kind, report.rpo_seconds)
    report.problems += broken(report.settings, report.checks)
    if report.restore_job:  # the table is AWS Backup's
        report.passed = report.proved and not report.problems
        return
    if not report.torn_down and not any(report.scratch_table in one for one in report.problems):
        report.problems.append(f"the scratch table {report.scratch_table} is left")
    report.passed = report.proved and report.torn_down and not report.problems


def missed(objectives: Objectives, rto_seconds: float | None, how: str, rpo_seconds: float) -> list[str]:
    """Objectives that were missed, in words.

    :param rto_seconds: None when nothing was proved, which is a problem by itself. :param how: it was `measured` or predicted.
    """
    return [
        f"{name} missed: {_seconds(actual)} {words}, the objective is {_seconds(limit)}"
        for name, limit, actual, words in (
            ("RTO", objectives.rto_seconds, rto_seconds, how),
            ("RPO", objectives.rpo_seconds, rpo_seconds, "at the drill's start"),
        )
        if limit is not None and actual is not None and actual > limit
    ]


def broken(settings: Sequence[Mapping[str, Any]], checks: Sequence[Mapping[str, Any]]) -> list[str]:
    """Settings that differ though nothing announced it, and checks that failed, in words."""
    return [
        f"setting {one['name']} differs: {fact_text(one['actual'])} instead of {fact_text(one['expected'])}"
        for one in settings if not one["told"]
    ] + [f"check {one['name']} failed: {one['why']}" for one in checks if not one["passed"]]  # fmt: skip


def rto_text(seconds: float | None) -> str:
    """`512.3 s`, or that it was not reached."""
    return "not reached" if seconds is None else f"{seconds:.1f} s"


def predicted(phases: dict[str, float], items: int, all_items: int, *, compared: int) -> float:
    """Seconds that a restore of all items takes, from the phases of one of `items`, of which so many were `compared`."""
    loading = {name: phases[name] for name in PHASES if name in phases and name != "proof"}
    proving = {"proof": phases.get("proof", 0.0)}
    return round(predict(loading, items, all_items) + predict(proving, compared, all_items), 3)


def history(store: Store, shelf: Shelf, most: int = 30) -> list[dict[str, Any]]:
    """The last drills, oldest first: `at`, `passed`, `proved`, `rto_seconds`, `rpo_seconds`, `items`, `objective`, `sample`.

    `rto_seconds` is None of one that proved nothing, whatever an older version has written down.
    """
    return _brief(read_records(store, shelf, "drill"))[-most:]


def _brief(records: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    found = []
    for record in records:
        result = record["result"]
        found.append(
            {
                "at": record["at"], "passed": result["passed"], "proved": result["proved"],
                "rto_seconds": result["rto_seconds"] if result["proved"] else None, "rpo_seconds": result["rpo_seconds"],
                "items": result["items"], "sample": bool(result.get("selection")), "objective": result["objectives"].get("rto_seconds"),
                "unit": result.get("unit", "items"),
            }
        )  # fmt: skip
    return found
