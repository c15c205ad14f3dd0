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


def is_over(tags: Mapping[str, str], clock: Clock) -> bool | str:
    """Whether the time of a marked thing is over; in words why it is not known to be a drill's, when its marks are not whole."""
    run, until = tags.get(RUN_TAG), tags.get(UNTIL_TAG)
    if not run:
        return "it carries no mark of a drill, and no intent beside the backups stands for it"
    if not until or tags.get(DRILL_TAG) != hashlib.sha256(run.encode()).hexdigest()[:32]:
        return "its marks are not those of a drill"
    try:
        return parse_utc(until) < clock.now()
    except ValueError:
        return f"its mark {UNTIL_TAG} is no time"


def dead(name: str, tags: Mapping[str, str], clock: Clock) -> tuple[str, str] | None:
    """(run, until) of a scratch thing whose time is over; None for one that lives, or that lacks a mark."""
    if not name.startswith(PREFIX) or is_over(tags, clock) is not True:
        return None
    return tags[RUN_TAG], tags[UNTIL_TAG]
