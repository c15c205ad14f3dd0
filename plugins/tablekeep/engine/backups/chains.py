"""Chains: a full set and the increments that follow it without a gap, to the state of a later time.

A cut lies within a minute of its time, so the first increment after a full set begins at least two minutes before that set's cut (one
before the first page of a scan); each further one begins where the one before ended, or earlier: what overlaps is replayed and does no
harm. A gap breaks the chain. (Replaces I-10 of the design's invariants.)
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from tablekeep.engine.backups.manifest import Manifest
from tablekeep.engine.clock import utc_text
from tablekeep.engine.errors import IntegrityError

CUT = timedelta(minutes=1)
"""How far an item's state may lie from the time that was asked for: Developer Guide, "How it works"."""


@dataclass(frozen=True)
class Chain:
    """A full set and the increments to be folded into it, in their order.

    :ivar missing: the gap behind which there are more increments, which are of no use then.
    """

    full: Manifest
    increments: tuple[Manifest, ...] = ()
    missing: tuple[datetime, datetime] | None = None

    @property
    def newest(self) -> Manifest:
        return self.increments[-1] if self.increments else self.full

    @property
    def next_from(self) -> datetime:
        """When the next increment has to begin, at the latest."""
        return self.increments[-1].as_of if self.increments else begin_after(self.full)


def begin_after(full: Manifest) -> datetime:
    """When the first increment after a full set has to begin, at the latest."""
    if full.engine == "merge":  # it ends where its last increment does, to the write
        return full.as_of
    return full.consistent[0] - CUT


def chain(sets: Iterable[Manifest], *, table_id: str, until: datetime | None = None) -> Chain | None:
    """The chain from the newest full set, as far as it goes; None when there is no full set.

    :param until: no state later than this.
    :raises IntegrityError: when a set that it needs follows a set that was changed since.
    """
    mine = [one for one in sets if one.table_id == table_id and (until is None or one.as_of <= until)]
    full = max((one for one in mine if one.window is None), key=lambda one: (one.as_of, one.finished), default=None)
    if full is None:
        return None
    found, missing = following(mine, begin_after(full))
    if found and found[-1].as_of < full.consistent[1]:  # some items of the full set are newer than where these end
        found, missing = following([], begin_after(full))
    return Chain(full, tuple(found), missing)


def following(sets: Iterable[Manifest], edge: datetime) -> tuple[list[Manifest], tuple[datetime, datetime] | None]:
    """The increments that go on from a time without a gap, and the gap behind which there are more.

    :param sets: of one table id. :param edge: when the first of them has to begin, at the latest.
    :raises IntegrityError: when one follows a set that was changed since.
    """
    known, found = list(sets), list[Manifest]()
    left = sorted((one for one in known if one.window and one.as_of > edge), key=lambda one: one.as_of)
    while reachable := [one for one in left if one.window and one.window.since <= edge < one.as_of]:
        found.append(reachable[-1])  # the one that reaches farthest
        edge = found[-1].as_of
    _check_links(found, known)
    later = [one.window.since for one in left if one.window and one.window.since > edge]
    return found, (edge, min(later)) if later else None


def _check_links(increments: Sequence[Manifest], sets: Sequence[Manifest]) -> None:
    seals = {one.backup_id: one.seal for one in sets}
    for one in increments:
        for parent in one.parents:
            if seals.get(parent.backup_id, parent.sha256) != parent.sha256:
                raise IntegrityError(
                    f"following {one.uri}",
                    f"it follows {parent.backup_id} with another manifest than the one that lies there now",
                    "make a full backup; it begins a new chain",
                )


def gap_text(missing: tuple[datetime, datetime]) -> str:
    """`nothing holds the changes from … to …`."""
    return f"nothing holds the changes from {utc_text(missing[0])} to {utc_text(missing[1])}"
