"""What was sent to a target: counts and the key set's sum, with which its rows are compared; and what did not fit."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from tablekeep.engine.copies.keys import KeySum
from tablekeep.engine.errors import BadInputError

NAMED = 5_000
"""Misfits that are kept with their key's hash; beyond them they are counted only."""


@dataclass(frozen=True, slots=True)
class Reject:
    """A value that does not fit: which item's (SHA-256 of its canonical key), which column's, and why. Never the value."""

    key: str
    column: str
    reason: str


@dataclass
class Sent:
    """What was converted so far: what a target must hold after the load.

    :ivar nulls: by column, rows that are NULL. :ivar keys: the key set's sum. :ivar members: rows of each child table, by its suffix.
    :ivar shown: values of another type that their column shows, by column. :ivar kept: values that their column cannot hold, and that
        `_rest` does. :ivar misfits: those that count, by column and reason. :ivar rejects: the first of them, one by one.
    :ivar deletes: rows of a set of changes that are deletions. :ivar cut: texts that were cut, as the mapping says, by column.
    """

    rows: int = 0
    nulls: dict[str, int] = field(default_factory=dict)
    keys: KeySum = field(default_factory=KeySum)
    members: dict[str, int] = field(default_factory=dict)
    shown: dict[str, int] = field(default_factory=dict)
    kept: dict[str, int] = field(default_factory=dict)
    misfits: dict[tuple[str, str], int] = field(default_factory=dict)
    rejects: list[Reject] = field(default_factory=list)
    deletes: int = 0
    cut: dict[str, int] = field(default_factory=dict)

    @property
    def rejected(self) -> int:
        return sum(self.misfits.values())


class RejectedError(BadInputError):
    """More values do not fit than the mapping allows.

    :ivar rejects: for the reject table.
    """

    def __init__(self, what: str, why: str, todo: str, rejects: Sequence[Reject] = ()) -> None:
        super().__init__(what, why, todo)
        self.rejects = rejects


def differing_counts(sent: Sent, rows: int, nulls: dict[str, int], keys: KeySum | None = None) -> list[str]:
    """What differs between what was sent and what a staging table holds: one phrase each, empty when nothing does."""
    problems = [] if rows == sent.rows else [f"it has {rows:,} rows, {sent.rows:,} were sent"]
    problems += [
        f"column {name!r} has {nulls.get(name, -1):,} nulls, {expected:,} were sent"
        for name, expected in sent.nulls.items()
        if nulls.get(name, -1) != expected
    ]
    if keys is not None and not problems and keys != sent.keys:
        problems.append("its keys are not those that were sent")
    return problems
