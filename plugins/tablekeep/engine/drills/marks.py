"""What marks a drill's scratch table or instance as its own: nothing without all of it is ever removed."""

import hashlib
from collections.abc import Mapping
from datetime import timedelta

from tablekeep.engine.clock import Clock, parse_utc, utc_text
from tablekeep.engine.marks import RUN_TAG

PREFIX = "tablekeep-drill-"
"""Every scratch table's and instance's name begins so; nothing else is ever deleted."""
DRILL_TAG = "tablekeep:drill"
UNTIL_TAG = "tablekeep:drill-until"
"""After this time it belongs to nobody: its run is dead."""
LIVES = timedelta(hours=24)


def scratch_tags(run: str, clock: Clock, lives: timedelta = LIVES) -> dict[str, str]:
    """The marks, beside the tag of the run, which is set by whatever makes the thing."""
    return {DRILL_TAG: hashlib.sha256(run.encode()).hexdigest()[:32], UNTIL_TAG: utc_text(clock.now() + lives)}


def run_part(run: str) -> str:
    """What a scratch name ends with: one for all tries of a run, so that a second one meets what the first left."""
    return hashlib.sha256(run.encode()).hexdigest()[:12]


def dead(name: str, tags: Mapping[str, str], clock: Clock) -> tuple[str, str] | None:
    """(run, until) of a scratch thing whose time is over; None for one that lives, or that lacks a mark."""
    run, until = tags.get(RUN_TAG), tags.get(UNTIL_TAG)
    if not name.startswith(PREFIX) or not run or not until:
        return None
    if tags.get(DRILL_TAG) != hashlib.sha256(run.encode()).hexdigest()[:32]:
        return None
    try:
        over = parse_utc(until) < clock.now()
    except ValueError:
        return None
    return (run, until) if over else None
