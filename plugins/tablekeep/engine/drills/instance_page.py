"""The page of a drill of an RDS snapshot."""

from collections.abc import Mapping, Sequence
from typing import Any

from tablekeep.engine.drills.instance_report import PHASES, InstanceDrillReport
from tablekeep.engine.drills.page import (
    PageView,
    checks_table,
    escaped,
    measured,
    render,
    seconds_text,
    settings_table,
)
from tablekeep.engine.progress import size_text

COLOURS = {
    "find": "#7b8794", "restore": "#2f6f4f", "settings": "#8d6a9f", "connect": "#829ab1", "scan": "#b8860b", "checks": "#5a7d9a",
}  # fmt: skip


def instance_drill_page(report: InstanceDrillReport, before: list[dict[str, Any]]) -> str:
    """The page.

    :param before: the drills before this one, see `report.history`.
    """
    sections = [
        ("Settings", _settings(report)),
        ("Tables of which more is to be said", _tables(report.told)),
        ("Slowest to be read for the first time", _slowest(report.slowest)),
        ("Checks of the team", checks_table(report.checks)),
        ("What a restore would lack", _lacking(report.not_restored)),
        ("Notes", "".join(f"<p>{escaped(one)}</p>" for one in report.notes)),
    ]
    phases = {name: report.phases[name] for name in PHASES if name in report.phases}
    title = f"Restore drill of the {report.family} {report.database}, {report.started[:10]}"
    drills = [*before, _now(report)]
    return render(
        PageView(
            title, _headline(report), report.passed, _facts(report), report.problems, phases, COLOURS, drills, sections
        )
    )


def _headline(report: InstanceDrillReport) -> str:
    state = "The snapshot" if report.snapshot else "The point in time"
    if not report.proved:
        return f"{state} could NOT be proved restorable. Look into it today."
    came = f"all {report.items:,} rows were read"
    if report.compared:
        came = f"{report.equal:,} of {report.tables:,} tables came back exactly"
        came += f", and {report.bounded:,} that changed meanwhile lie within their bounds" if report.bounded else ""
    if report.passed:
        return f"{state} was restored and readable in {seconds_text(report.rto_seconds or 0.0)}; {came}."
    return f"{state} is restorable: {came}. But the drill did not pass."


def _facts(report: InstanceDrillReport) -> list[tuple[str, str]]:
    promised = report.objectives
    scan = report.phases.get("scan") or 0.0
    rate = f", {size_text(int(report.bytes / scan))} a second" if scan and report.bytes else ""
    marker = {
        True: "the marker is there",
        False: "<strong>the marker is not there</strong>",
        None: "no marker was left",
    }[report.marker]
    proof = "<strong>none</strong>"
    if report.proved:
        proof = f"{report.equal:,} of {report.tables:,} tables are equal, {report.bounded:,} within bounds; {marker}"
        proof = proof if report.compared else "the checks of the team; nothing told what had to be in it"
    what = f"<code>{escaped(report.snapshot)}</code>" if report.snapshot else "automated backups"
    return [
        (report.family.capitalize(), f"{escaped(report.database)}, {escaped(report.engine)}, {escaped(report.source_region)}"),
        ("State", f"of {escaped(report.at)}, {escaped(report.chosen)}<br>{what}"),
        ("Restored", f"in {escaped(report.region)}: {report.tables:,} tables, {report.items:,} rows, {size_text(report.bytes)}"),
        ("Time to restore (RTO)", measured(report.rto_seconds, promised.get("rto_seconds"))),
        ("First read of everything", f"{seconds_text(scan)}{rate}" if scan else "not measured"),
        ("Data that would be lost (RPO)", measured(report.rpo_seconds, promised.get("rpo_seconds"))),
        ("Proof", proof),
        ("Left behind", "nothing" if report.torn_down else f"<strong>{escaped(report.scratch)}</strong>"),
        ("Cost", "not known: a price is missing" if report.usd is None else f"about {report.usd:,.2f} dollars"),
        ("Drill", f"began {escaped(report.started)}, took {seconds_text(report.seconds)}"),
    ]  # fmt: skip


def _now(report: InstanceDrillReport) -> dict[str, Any]:
    return {
        "at": report.started, "passed": report.passed, "proved": report.proved, "rto_seconds": report.rto_seconds, "items": report.items,
        "sample": False, "objective": report.objectives.get("rto_seconds"), "unit": report.unit,
    }  # fmt: skip


def _settings(report: InstanceDrillReport) -> str:
    same = "<p>Every setting is as the source's.</p>"
    return settings_table(report.settings, "Source", "Scratch") or (same if report.proved else "")


def _tables(told: Sequence[Mapping[str, Any]]) -> str:
    if not told:
        return ""
    rows = "".join(
        f"<tr><th>{escaped(one['table'])}</th><td>{_state(one['state'])}</td><td>{escaped(one['why'])}</td></tr>"
        for one in told
    )
    return f"<table>{rows}</table>"


def _state(state: str) -> str:
    return f"<strong>{escaped(state)}</strong>" if state in ("different", "missing") else escaped(state)


def _slowest(slowest: Sequence[Mapping[str, Any]]) -> str:
    if not slowest:
        return ""
    rows = "".join(
        f"<tr><th>{escaped(one['table'])}</th><td>{seconds_text(one['seconds'])}</td></tr>" for one in slowest
    )
    return f"<table>{rows}</table>"


def _lacking(lacking: Sequence[Mapping[str, str]]) -> str:
    if not lacking:
        return ""
    rows = "".join(
        f"<tr><th>{escaped(one['name'])}</th><td>{escaped(one['why'])}<br><code>{escaped(one['command'])}</code></td></tr>"
        for one in lacking
    )
    return f"<table>{rows}</table>"
