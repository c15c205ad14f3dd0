"""The page of a table's drill."""

from typing import Any

from tablekeep.engine.drills.page import (
    PageView,
    checks_table,
    escaped,
    measured,
    render,
    seconds_text,
    settings_table,
    time_text,
)
from tablekeep.engine.drills.report import PHASES, DrillReport
from tablekeep.engine.restore.report import BY_KEY, BY_SCAN
from tablekeep.engine.restore.words import attributes_text

COLOURS = {
    "find": "#7b8794", "verify": "#9fb3c8", "create": "#829ab1", "stage": "#5a7d9a",
    "load": "#2f6f4f", "indexes": "#5b8c5a", "proof": "#b8860b",
    "settings": "#8d6a9f",
}  # fmt: skip


HOW = {BY_SCAN: "the table was read whole", BY_KEY: "each item of the sample was asked for by its key"}


def drill_page(report: DrillReport, before: list[dict[str, Any]]) -> str:
    """The page.

    :param before: the drills before this one, see `report.history`.
    """
    sections = [
        ("Settings", _settings(report)),
        ("Items that differ", _differing(report)),
        ("Checks of the team", checks_table(report.checks)),
    ]
    phases = {name: report.phases[name] for name in PHASES if name in report.phases}
    title = f"Restore drill of {report.table}, {report.started[:10]}"
    drills = [*before, _now(report)]
    return render(
        PageView(
            title, _headline(report), report.passed, _facts(report), report.problems, phases, COLOURS, drills, sections
        )
    )


def _headline(report: DrillReport) -> str:
    if not report.proved:
        return "The backup could NOT be proved restorable. Look into it today."
    if report.passed:
        what, which = "The backup", "every one of"
        if report.selection and report.compared == BY_KEY:
            which = f"of {report.all_items:,} items every one of a sample of"
        elif report.selection:
            what = "A sample of the backup"
        took = seconds_text(report.rto_seconds or 0.0)
        return f"{what} was restored in {took}, and {which} {report.items:,} items came back exactly."
    seen = "looked up" if report.compared == BY_KEY else "restored"
    return f"The backup is restorable: all {report.items:,} items that were {seen} came back exactly. But the drill did not pass."


def _facts(report: DrillReport) -> list[tuple[str, str]]:
    promised = report.objectives
    return [
        ("Table", escaped(report.table)),
        (
            "Backup",
            f"as of {escaped(time_text(report.as_of))}, {escaped(report.chosen)}<br><code>{escaped(report.backup)}</code>",
        ),
        ("Compared", f"{report.items:,} of {report.all_items:,} items: {escaped(report.scope)}"),
        (
            "Time to restore (RTO)",
            measured(report.rto_seconds, None if report.selection else promised.get("rto_seconds")),
        ),
        (
            f"At today's {report.today_items:,} items",
            measured(report.predicted_seconds, promised.get("rto_seconds"))
            + (", reckoned from this drill" if report.predicted_seconds is not None else ""),
        ),
        ("Data that would be lost (RPO)", measured(report.rpo_seconds, promised.get("rpo_seconds"))),
        (
            "Proof",
            f"{escaped(HOW.get(report.compared, report.compared))}, content hash <code>{escaped(report.content_hash)}</code>"
            if report.proved
            else "<strong>none</strong>",
        ),
        *_by_aws(report),
        ("Left behind", _left(report)),
        ("Drill", f"began {escaped(time_text(report.started))}, took {seconds_text(report.seconds)}"),
    ]


def _by_aws(report: DrillReport) -> list[tuple[str, str]]:
    facts = [("Restored by AWS", f"<code>{escaped(report.source_backup)}</code>")] if report.source_backup else []
    if report.posted:
        facts.append(("AWS Backup was told", escaped(f"{report.posted['status']}: {report.posted['message']}")))
    return facts


def _left(report: DrillReport) -> str:
    if report.restore_job:
        return f"{escaped(report.scratch_table)}, which AWS Backup made for its restore test and removes by itself"
    return "nothing" if report.torn_down else f"<strong>{escaped(report.scratch_table)}</strong>"


def _now(report: DrillReport) -> dict[str, Any]:
    return {
        "at": report.started, "passed": report.passed, "proved": report.proved, "rto_seconds": report.rto_seconds,
        "items": report.items, "sample": bool(report.selection), "objective": report.objectives.get("rto_seconds"),
    }  # fmt: skip


def _settings(report: DrillReport) -> str:
    same = "<p>Keys, indexes, projections, billing, class, encryption and stream are as in the backup.</p>"
    return settings_table(report.settings, "Backup", "Scratch table") or (same if report.proved else "")


def _differing(report: DrillReport) -> str:
    if not report.differing:
        return ""
    rows = "".join(
        f"<tr><td><code>{escaped(one['key'])}</code></td><td>{escaped(one['state'])}</td><td>{escaped(attributes_text(one))}</td></tr>"
        for one in report.differing
    )
    head = "<tr><th>Key (SHA-256)</th><th></th><th>Attributes that differ (type in the backup | in the table)</th></tr>"
    return f"<table>{head}{rows}</table>"
