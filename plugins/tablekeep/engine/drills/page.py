"""A drill as a page for people: no script, no outside file, prints on one or two sheets. Whatever was drilled, it is this page."""

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from string import Template
from typing import Any

from tablekeep.engine.words import fact_text

WIDTH, HEIGHT = 720, 220


@dataclass(frozen=True)
class PageView:
    """What the page shows. Texts are escaped here; `facts` and `sections` are HTML, made with `escaped`.

    :ivar phases: seconds by phase, in their order. :ivar colours: of the phases. :ivar drills: this one last, those before it, see
        `report.history`. :ivar facts: (name, HTML). :ivar sections: (title, HTML); those without HTML are left out.
    """

    title: str
    headline: str
    passed: bool
    facts: Sequence[tuple[str, str]]
    problems: Sequence[str]
    phases: Mapping[str, float]
    colours: Mapping[str, str]
    drills: list[dict[str, Any]]
    sections: Sequence[tuple[str, str]]


def render(view: PageView) -> str:
    """The page."""
    template = Template(files("tablekeep").joinpath("drill.html").read_text())
    return template.substitute(
        title=escaped(view.title),
        verdict="passed" if view.passed else "failed",
        headline=escaped(view.headline),
        facts="".join(f"<tr><th>{escaped(name)}</th><td>{value}</td></tr>" for name, value in view.facts),
        problems=_problems(view.problems),
        phases=_phase_picture(view),
        legend="".join(_legend(view)),
        history=history_picture(view.drills),
        sections="".join(f"<h2>{escaped(title)}</h2>{content}" for title, content in view.sections if content),
    )


def escaped(text: object) -> str:
    """Text as HTML."""
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


def time_text(utc: str) -> str:
    """`2026-11-25 21:31:59 UTC` of `2026-11-25T21:31:59.282Z`."""
    return f"{utc[:10]} {utc[11:19]} UTC" if utc[10:11] == "T" else utc


def measured(seconds: float | None, limit: float | None) -> str:
    """A duration beside its objective, as HTML. :param seconds: None for one that did not come to its end."""
    if seconds is None:
        return "<strong>not reached</strong>"
    text = seconds_text(seconds)
    if limit is None:
        return f"{text} (no objective)"
    word = "within" if seconds <= limit else "<strong>beyond</strong>"
    return f"{text}, {word} the objective of {seconds_text(limit)}"


def _phase_picture(view: PageView) -> str:
    """The phases as one bar, to scale."""
    phases = [(name, seconds) for name, seconds in view.phases.items() if seconds]
    whole = sum(seconds for _name, seconds in phases)
    if not whole:
        return "<p>Nothing was restored.</p>"
    pieces, at = [], 0.0
    for name, seconds in phases:
        width = seconds / whole * WIDTH
        box = f'x="{at:.1f}" y="0" width="{max(width, 0.5):.1f}" height="34" fill="{view.colours[name]}"'
        pieces.append(f"<rect {box}><title>{name}: {seconds_text(seconds)}</title></rect>")
        if width > 70:
            pieces.append(f'<text x="{at + width / 2:.1f}" y="22" text-anchor="middle" fill="#fff">{name}</text>')
        at += width
    return f'<svg viewBox="0 0 {WIDTH} 34" role="img" aria-label="Phases of the restore">{"".join(pieces)}</svg>'


def _legend(view: PageView) -> list[str]:
    return [
        f'<li><span style="background:{view.colours[name]}"></span>{name} {seconds_text(seconds)}</li>'
        for name, seconds in view.phases.items()
    ]


def history_picture(drills: list[dict[str, Any]]) -> str:
    """Time to restore, drill by drill, against the objective; a drill that did not pass is a cross, at the bottom when it proved nothing:
    such a one has no time."""
    limits = [one["objective"] for one in drills if one["objective"]]
    objective = drills[-1]["objective"]
    reached = [one["rto_seconds"] for one in drills if one["rto_seconds"] is not None]
    if not reached:
        return "<p>No drill has proved anything yet.</p>"
    longest = max(reached)
    # an objective far above all that was measured would press the curve flat; its line is told in words then
    shown = bool(limits) and objective is not None and objective <= longest * 4
    top = max(longest, objective if shown and objective else 0) * 1.15 or 1.0
    left, bottom = 90, HEIGHT - 26
    step = (WIDTH - left - 20) / max(1, len(drills) - 1)
    middle = (left + WIDTH) / 2
    points = [
        (left + number * step if len(drills) > 1 else middle, bottom - (one["rto_seconds"] or 0) / top * (bottom - 14))
        for number, one in enumerate(drills)
    ]
    line = " ".join(
        f"{x:.1f},{y:.1f}" for (x, y), one in zip(points, drills, strict=True) if one["rto_seconds"] is not None
    )
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
        took = "not reached" if one["rto_seconds"] is None else seconds_text(one["rto_seconds"])
        title = f"<title>{escaped(one['at'][:16])}: {took}, {one['items']:,} {one.get('unit', 'items')}</title>"
        if one["passed"]:
            pieces.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="#2f6f4f">{title}</circle>')
        else:
            cross = f"M{x - 5:.1f} {y - 5:.1f}L{x + 5:.1f} {y + 5:.1f}M{x - 5:.1f} {y + 5:.1f}L{x + 5:.1f} {y - 5:.1f}"
            pieces.append(f'<path d="{cross}" stroke="#b03a2e" stroke-width="3">{title}</path>')
    pieces.append(
        f'<text x="{points[0][0]:.1f}" y="{HEIGHT - 6}" text-anchor="middle">{escaped(drills[0]["at"][:10])}</text>'
    )
    if len(drills) > 1:
        pieces.append(
            f'<text x="{points[-1][0]:.1f}" y="{HEIGHT - 6}" text-anchor="end">{escaped(drills[-1]["at"][:10])}</text>'
        )
    told = (
        f"<p>The objective of {seconds_text(objective)} lies far above this picture.</p>"
        if objective and not shown
        else ""
    )
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="Time to restore, drill by drill">{"".join(pieces)}</svg>{told}'


def _problems(lines: Sequence[str]) -> str:
    if not lines:
        return ""
    return f"<h2>What is wrong</h2><ul class='problems'>{''.join(f'<li>{escaped(line)}</li>' for line in lines)}</ul>"


def settings_table(settings: Sequence[Mapping[str, Any]], source: str, scratch: str) -> str:
    """Settings that differ: `{"name", "expected", "actual", "told"}`; `told` ones a drill leaves out on purpose.

    :param source, scratch: headings of the two sides.
    """
    if not settings:
        return ""
    rows = "".join(
        f"<tr><th>{escaped(one['name'])}</th><td>{escaped(fact_text(one['expected']))}</td><td>{escaped(fact_text(one['actual']))}</td>"
        f"<td>{'left out in drills' if one['told'] else '<strong class=word>DIFFERS</strong>'}</td></tr>"
        for one in settings
    )  # fmt: skip
    return f"<table><tr><th>Setting</th><th>{source}</th><th>{scratch}</th><th></th></tr>{rows}</table>"


def checks_table(checks: Sequence[Mapping[str, Any]]) -> str:
    """The team's own checks: `{"name", "passed", "why"}`."""
    if not checks:
        return ""
    rows = "".join(f"<tr><th>{escaped(one['name'])}</th><td>{_passed(one)}</td></tr>" for one in checks)
    return f"<table>{rows}</table>"


def _passed(check: Mapping[str, Any]) -> str:
    return "passed" if check["passed"] else f"<strong>failed</strong>: {escaped(check['why'])}"
