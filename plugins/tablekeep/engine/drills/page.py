"""A drill as a page for people: no script, no outside file, prints on one or two sheets."""

import html
from importlib.resources import files
from string import Template
from typing import Any

from tablekeep.engine.drills.report import PHASES, DrillReport, fact_text
from tablekeep.engine.restore.words import attributes_text

WIDTH, HEIGHT = 720, 220
COLOURS = {
    "find": "#7b8794", "verify": "#9fb3c8", "create": "#829ab1", "stage": "#5a7d9a",
    "load": "#2f6f4f", "indexes": "#5b8c5a", "proof": "#b8860b",
    "settings": "#8d6a9f",
}  # fmt: skip


def drill_page(report: DrillReport, before: list[dict[str, Any]]) -> str:
    """The page.

    :param before: the drills before this one, see `report.history`.
    """
    template = Template(files("tablekeep").joinpath("drill.html").read_text())
    return template.substitute(
        title=_(f"Restore drill of {report.table}, {report.started[:10]}"),
        verdict="passed" if report.passed else "failed",
        headline=_(_headline(report)),
        facts="".join(f"<tr><th>{_(name)}</th><td>{value}</td></tr>" for name, value in _facts(report)),
        problems=_list("What is wrong", report.problems),
        phases=phase_picture(report),
        legend="".join(_legend(report)),
        history=history_picture([*before, _now(report)]),
        settings=_settings(report),
        differing=_differing(report),
        checks=_checks(report),
    )


def _(text: object) -> str:
    return html.escape(str(text))


def seconds_text(seconds: float) -> str:
    """`4.2 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{hours // 24} d {hours % 24} h" if hours % 24 else f"{hours // 24} d"


def _headline(report: DrillReport) -> str:
    if not report.proved:
        return "The backup could NOT be proved restorable. Look into it today."
    if report.passed:
        what = "A sample of the backup" if report.selection else "The backup"
        return f"{what} was restored in {seconds_text(report.rto_seconds)}, and every one of {report.items:,} items came back exactly."
    return f"The backup is restorable: all {report.items:,} items that were restored came back exactly. But the drill did not pass."


def _facts(report: DrillReport) -> list[tuple[str, str]]:
    promised = report.objectives
    return [
        ("Table", _(report.table)),
        ("Backup", f"as of {_(report.as_of)}, {_(report.chosen)}<br><code>{_(report.backup)}</code>"),
        ("Restored", f"{report.items:,} of {report.all_items:,} items: {_(report.scope)}"),
        (
            "Time to restore (RTO)",
            _measured(report.rto_seconds, None if report.selection else promised.get("rto_seconds")),
        ),
        (
            f"At today's {report.today_items:,} items",
            f"{_measured(report.predicted_seconds, promised.get('rto_seconds'))}, reckoned from this drill",
        ),
        ("Data that would be lost (RPO)", _measured(report.rpo_seconds, promised.get("rpo_seconds"))),
        ("Proof", f"content hash <code>{_(report.content_hash)}</code>" if report.proved else "<strong>none</strong>"),
        ("Left behind", "nothing" if report.torn_down else f"<strong>{_(report.scratch_table)}</strong>"),
        ("Drill", f"began {_(report.started)}, took {seconds_text(report.seconds)}"),
    ]


def _measured(seconds: float, limit: float | None) -> str:
    text = seconds_text(seconds) if seconds else "not measured"
    if limit is None:
        return f"{text} (no objective)"
    word = "within" if seconds <= limit else "<strong>beyond</strong>"
    return f"{text}, {word} the objective of {seconds_text(limit)}"


def phase_picture(report: DrillReport) -> str:
    """The phases as one bar, to scale."""
    phases = [(name, report.phases[name]) for name in PHASES if report.phases.get(name)]
    whole = sum(seconds for _name, seconds in phases)
    if not whole:
        return "<p>Nothing was restored.</p>"
    pieces, at = [], 0.0
    for name, seconds in phases:
        width = seconds / whole * WIDTH
        box = f'x="{at:.1f}" y="0" width="{max(width, 0.5):.1f}" height="34" fill="{COLOURS[name]}"'
        pieces.append(f"<rect {box}><title>{name}: {seconds_text(seconds)}</title></rect>")
        if width > 70:
            pieces.append(f'<text x="{at + width / 2:.1f}" y="22" text-anchor="middle" fill="#fff">{name}</text>')
        at += width
    return f'<svg viewBox="0 0 {WIDTH} 34" role="img" aria-label="Phases of the restore">{"".join(pieces)}</svg>'


def _legend(report: DrillReport) -> list[str]:
    return [
        f'<li><span style="background:{COLOURS[name]}"></span>{name} {seconds_text(report.phases[name])}</li>'
        for name in PHASES if name in report.phases
    ]  # fmt: skip


def _now(report: DrillReport) -> dict[str, Any]:
    return {
        "at": report.started, "passed": report.passed, "proved": report.proved, "rto_seconds": report.rto_seconds,
        "items": report.items, "sample": bool(report.selection), "objective": report.objectives.get("rto_seconds"),
    }  # fmt: skip


def history_picture(drills: list[dict[str, Any]]) -> str:
    """Time to restore, drill by drill, against the objective; a drill that did not pass is a cross."""
    limits = [one["objective"] for one in drills if one["objective"]]
    objective = drills[-1]["objective"]
    longest = max(one["rto_seconds"] for one in drills)
    # an objective far above all that was measured would press the curve flat; its line is told in words then
    shown = bool(limits) and objective is not None and objective <= longest * 4
    top = max(longest, objective if shown and objective else 0) * 1.15 or 1.0
    left, bottom = 90, HEIGHT - 26
    step = (WIDTH - left - 20) / max(1, len(drills) - 1)
    middle = (left + WIDTH) / 2
    points = [
        (left + number * step if len(drills) > 1 else middle, bottom - one["rto_seconds"] / top * (bottom - 14))
        for number, one in enumerate(drills)
    ]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    pieces = [
        f'<line x1="{left}" y1="{bottom}" x2="{WIDTH}" y2="{bottom}" stroke="#9aa5b1"/>',
        f'<text x="{left - 8}" y="{bottom + 4}" text-anchor="end">0</text>',
        f'<text x="{left - 8}" y="{bottom - longest / top * (bottom - 14) + 4:.1f}" text-anchor="end">{seconds_text(longest)}</text>',
        f'<polyline points="{line}" fill="none" stroke="#2f6f4f" stroke-width="1.5"/>',
    ]
    if shown and objective:
        y = bottom - objective / top * (bottom - 14)
        pieces.append(
            f'<line x1="{left}" y1="{y:.1f}" x2="{WIDTH}" y2="{y:.1f}" stroke="#b03a2e" stroke-dasharray="6 4"/>'
        )
        pieces.append(
            f'<text x="{left + 12}" y="{y - 5:.1f}" fill="#b03a2e">objective {seconds_text(objective)}</text>'
        )
    for (x, y), one in zip(points, drills, strict=True):
        title = f"<title>{_(one['at'][:16])}: {seconds_text(one['rto_seconds'])}, {one['items']:,} items</title>"
        if one["passed"]:
            pieces.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="#2f6f4f">{title}</circle>')
        else:
            cross = f"M{x - 5:.1f} {y - 5:.1f}L{x + 5:.1f} {y + 5:.1f}M{x - 5:.1f} {y + 5:.1f}L{x + 5:.1f} {y - 5:.1f}"
            pieces.append(f'<path d="{cross}" stroke="#b03a2e" stroke-width="3">{title}</path>')
    pieces.append(
        f'<text x="{points[0][0]:.1f}" y="{HEIGHT - 6}" text-anchor="middle">{_(drills[0]["at"][:10])}</text>'
    )
    if len(drills) > 1:
        pieces.append(
            f'<text x="{points[-1][0]:.1f}" y="{HEIGHT - 6}" text-anchor="end">{_(drills[-1]["at"][:10])}</text>'
        )
    told = (
        f"<p>The objective of {seconds_text(objective)} lies far above this picture.</p>"
        if objective and not shown
        else ""
    )
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="Time to restore, drill by drill">{"".join(pieces)}</svg>{told}'


def _list(title: str, lines: list[str]) -> str:
    return (
        f"<h2>{title}</h2><ul class='problems'>{''.join(f'<li>{_(line)}</li>' for line in lines)}</ul>" if lines else ""
    )


def _settings(report: DrillReport) -> str:
    if not report.settings:
        return (
            "<p>Keys, indexes, projections, billing, class, encryption and stream are as in the backup.</p>"
            if report.proved
            else ""
        )
    rows = "".join(
        f"<tr><th>{_(one['name'])}</th><td>{_(fact_text(one['expected']))}</td><td>{_(fact_text(one['actual']))}</td>"
        f"<td>{'left out in drills' if one['told'] else '<strong>DIFFERS</strong>'}</td></tr>"
        for one in report.settings
    )  # fmt: skip
    return f"<table><tr><th>Setting</th><th>Backup</th><th>Scratch table</th><th></th></tr>{rows}</table>"


def _differing(report: DrillReport) -> str:
    if not report.differing:
        return ""
    rows = "".join(
        f"<tr><td><code>{_(one['key'])}</code></td><td>{_(one['state'])}</td><td>{_(attributes_text(one))}</td></tr>"
        for one in report.differing
    )
    head = "<tr><th>Key (SHA-256)</th><th></th><th>Attributes that differ (type in the backup | in the table)</th></tr>"
    return f"<h2>Items that differ</h2><table>{head}{rows}</table>"


def _checks(report: DrillReport) -> str:
    if not report.checks:
        return ""
    rows = "".join(f"<tr><th>{_(one['name'])}</th><td>{_passed(one)}</td></tr>" for one in report.checks)
    return f"<h2>Checks of the team</h2><table>{rows}</table>"


def _passed(check: dict[str, Any]) -> str:
    return "passed" if check["passed"] else f"<strong>failed</strong>: {_(check['why'])}"
