"""What has changed between the mapping of the last load and the one that a new set asks for, and what becomes of it.

`evolve`: the table gets what the set asks for; a column only widens, and none is dropped, so that queries on it go on working.
`rest`: the columns stay as they are, and what they cannot hold goes to `_rest`. `fail`: the copy is refused.
"""

from dataclasses import dataclass, replace
from typing import Literal

from tablekeep.engine.copies.kinds import wider
from tablekeep.engine.copies.mapping import ChildTable, Mapping, SqlColumn, make_column
from tablekeep.engine.copies.paths import path_text
from tablekeep.engine.errors import BadInputError


@dataclass(frozen=True, slots=True)
class Drift:
    """One difference.

    :ivar what: `new`: an attribute or path without a column until now · `wider`: its values need a wider type · `other`: they are of
        another type now, which the column cannot take over · `gone`: the set has no such attribute any more.
    :ivar done: `added`, `widened`, `kept` (the column stays as it is; what it cannot hold goes to `_rest`).
    """

    what: Literal["new", "wider", "other", "gone"]
    column: str
    attribute: str
    before: str
    now: str
    done: Literal["added", "widened", "kept"]

    def __str__(self) -> str:
        match self.what:
            case "new":
                where = f"it has the column {self.column!r}" if self.done == "added" else "it is in `_rest`"
                return f"{self.attribute} is new ({self.now}): {where}"
            case "wider" | "other":
                verb = "widened" if self.done == "widened" else "left as it was"
                return f"{self.attribute} needs {self.now} now, not {self.before}: the column {self.column!r} is {verb}"
            case _:
                return f"{self.attribute} is in no item any more: the column {self.column!r} stays"


@dataclass(frozen=True)
class Evolution:
    """A mapping that goes on from the last one.

    :ivar mapping: what to load by. :ivar added, widened: columns that the table has to get, or whose type has to change.
    :ivar drifts: each difference, for the report.
    """

    mapping: Mapping
    added: tuple[SqlColumn, ...] = ()
    widened: tuple[SqlColumn, ...] = ()
    drifts: tuple[Drift, ...] = ()


def evolve(what: str, last: Mapping | None, wanted: Mapping) -> Evolution:
    """Joins both by the rules of the wanted one.

    :param last: the mapping of the table's last load; None when it is not known: the wanted one is taken as it is.
    :raises BadInputError: with `drift: fail` when they differ, and when the key does.
    """
    if last is None or last.dialect != wanted.dialect:
        return Evolution(wanted)
    if [one.path for one in last.columns if one.key] != [one.path for one in wanted.columns if one.key]:
        raise BadInputError(what, "the key is another one than that of the last load", "copy it to another table")
    rule = wanted.document.drift
    columns, drifts, added, widened = list[SqlColumn](), list[Drift](), list[SqlColumn](), list[SqlColumn]()
    by_path = {_identity(one): one for one in wanted.columns}
    for before in last.columns:
        now = by_path.pop(_identity(before), None)
        if now is None:
            if before.path is not None:
                drifts.append(_drift("gone", before, str(before.kind), "", "kept"))
                columns.append(before)
            continue
        kept, drift = _joined(before, now, wanted, rule)
        columns.append(kept)
        if drift is not None:
            drifts.append(drift)
            if drift.done == "widened":
                widened.append(kept)
    taken = {one.name.casefold() for one in columns}
    for now in by_path.values():
        if rule == "rest" and now.path is not None and wanted.rest is not None:
            drifts.append(_drift("new", now, "", str(now.kind), "kept"))
            continue
        made = _free(now, taken)
        taken.add(made.name.casefold())
        columns.append(made)
        added.append(made)
        if made.path is not None:
            drifts.append(_drift("new", made, "", str(made.kind), "added"))
    if rule == "fail" and (found := [one for one in drifts if one.what != "gone"]):
        told = "; ".join(str(one) for one in found[:5]) + (f" and {len(found) - 5} more" if len(found) > 5 else "")
        raise BadInputError(
            what, f"the set differs from the last load, and the mapping says drift: fail: {told}",
            "change the mapping, or choose drift: evolve or rest",
        )  # fmt: skip
    ordered = [one for one in columns if one.path is not None] + [one for one in columns if one.path is None]
    mapping = replace(wanted, columns=tuple(ordered), children=_children(last, wanted))
    return Evolution(mapping, tuple(added), tuple(widened), tuple(drifts))


def _identity(column: SqlColumn) -> object:
    return column.path if column.path is not None else column.name


def _joined(before: SqlColumn, now: SqlColumn, wanted: Mapping, rule: str) -> tuple[SqlColumn, Drift | None]:
    same = replace(now, name=before.name)
    if before.kind == now.kind and before.sql_type == now.sql_type:
        return same, None
    kind = wider(before.kind, now.kind)
    if kind == before.kind:  # a narrower one would do: the column stays
        return replace(before, format=now.format, typed=now.typed), None
    if kind is None or rule == "rest":
        what: Literal["wider", "other"] = "other" if kind is None else "wider"
        return before, _drift(what, before, str(before.kind), str(now.kind), "kept")
    made = make_column(
        before.name, kind, wanted.dialect, path=before.path, key=before.key, format=now.format, typed=now.typed
    )
    return made, _drift("wider", made, str(before.kind), str(kind), "widened")


def _free(column: SqlColumn, taken: set[str]) -> SqlColumn:
    name, number = column.name, 2
    while name.casefold() in taken:
        name, number = f"{column.name}~{number}", number + 1
    return replace(column, name=name)


def _drift(
    what: Literal["new", "wider", "other", "gone"],
    column: SqlColumn,
    before: str,
    now: str,
    done: Literal["added", "widened", "kept"],
) -> Drift:
    return Drift(what, column.name, path_text(column.path or ()) or column.name, before, now, done)


def _children(last: Mapping, wanted: Mapping) -> tuple[ChildTable, ...]:
    kept = {child.suffix for child in wanted.children}
    return (*wanted.children, *(child for child in last.children if child.suffix not in kept))
