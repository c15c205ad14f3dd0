"""Whether a restored table is what it must be: judged by a look before the snapshot and one after it. Pure functions.

Equal is claimed where the rows are exactly those of one of the two looks. Where a table changed between them, the snapshot holds
something in between: of the old rows at least those that the second look still saw, at most those of the first. Whatever lies outside
of that is damage; what lies inside is told as bounds, never as equal.
"""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from tablekeep.engine.rds.instances.contents import Contents, TableContents

State = Literal["equal", "bounds", "different", "missing", "not compared"]


@dataclass(frozen=True)
class Verdict:
    """Of one table; `why` in words: counts, never values."""

    table: str
    state: State
    rows: int
    why: str

    @property
    def bad(self) -> bool:
        return self.state in ("different", "missing")

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def judge(before: Contents, after: Contents, restored: Contents) -> list[Verdict]:
    """A verdict for each table of the looks and of the restored database, sorted by name.

    :param restored: read with the horizon of `before`; so was `after`.
    """
    names = sorted({*before.tables, *after.tables, *restored.tables, *before.not_read})
    return [_verdict(name, before, after, restored) for name in names]


def _verdict(name: str, before: Contents, after: Contents, restored: Contents) -> Verdict:
    first, last, now = before.tables.get(name), after.tables.get(name), restored.tables.get(name)
    rows = now.rows if now else 0
    if first is None and name in before.not_read:
        return Verdict(name, "not compared", rows, before.not_read[name])
    if first is None or last is None:
        when = "made" if first is None else "removed"
        there = "it is there" if now else "it is not there"
        return Verdict(name, "not compared", rows, f"it was {when} while the snapshot was made; {there}")
    if now is None:
        why = restored.not_read.get(name, f"it is not there, and had {first.rows:,} rows")
        return Verdict(name, "missing", 0, why)
    if lost := _shape(first, last, now):
        return Verdict(name, "different", rows, f"its {lost} are not as they were")
    if (now.rows, now.hash) in ((first.rows, first.hash), (last.rows, last.hash)):
        return Verdict(name, "equal", rows, f"all {now.rows:,} rows came back exactly")
    return _between(name, first, last, now)


def _shape(first: TableContents, last: TableContents, now: TableContents) -> str:
    return " and ".join(
        part for part, one in now.shape.items() if one not in (first.shape.get(part), last.shape.get(part))
    )


def _between(name: str, first: TableContents, last: TableContents, now: TableContents) -> Verdict:
    """Of a table that is neither as before nor as after."""
    quiet = (first.rows, first.hash, first.old_rows) == (last.rows, last.hash, last.old_rows)
    if quiet and first.changes is not None and first.changes == last.changes:
        if now.rows != first.rows:
            return Verdict(name, "different", now.rows, f"it has {now.rows:,} rows instead of {first.rows:,}")
        others = max(now.rows - now.old_rows, first.old_rows - now.old_rows)
        told = f", {others:,} of them written after the reference" if others > 0 else ""
        return Verdict(name, "different", now.rows, f"its {now.rows:,} rows are not the reference's{told}")
    if now.old_rows < last.old_rows:
        why = f"of {last.old_rows:,} rows that did not change meanwhile, {now.old_rows:,} are there"
        return Verdict(name, "different", now.rows, why)
    if now.old_rows > first.old_rows:
        why = f"it has {now.old_rows:,} rows from before the reference, which saw {first.old_rows:,}"
        return Verdict(name, "different", now.rows, why)
    for look in (last, first):
        if now.old_rows == look.old_rows and now.old_hash != look.old_hash:
            return Verdict(
                name, "different", now.rows, f"its {now.old_rows:,} rows that did not change are not what they were"
            )
    if now.old_rows == last.old_rows:
        why = f"all {now.old_rows:,} rows that did not change came back exactly"
    else:
        why = f"{now.old_rows:,} of the reference's rows are there, and must be from {last.old_rows:,} to {first.old_rows:,}"
    newer = now.rows - now.old_rows
    return Verdict(
        name,
        "bounds",
        now.rows,
        f"it changed while the snapshot was made: {why}; of {newer:,} newer rows nothing is claimed",
    )
