"""The rows of a child table: the members of a set, each under the key of its item."""

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tablekeep.engine.copies.cells import Misfit, cell_of
from tablekeep.engine.copies.mapping import ChildTable

_MEMBER = {"SS": "S", "NS": "N", "BS": "B"}
_MEMBER_OF_LIST = "L"


def member_rows(
    child: ChildTable, values: list[dict[str, Any] | None], missed: Callable[[int, str], None]
) -> tuple[Any, Any]:
    """Which row each member belongs to, and the members' cells.

    :param values: by row the attribute's value, typed; None where there is none. :param missed: called with a row and a reason for a
        value that is no set or list of what the column takes; it has no members then.
    """
    rows, cells = list[int](), list[Any]()
    for row, value in enumerate(values):
        if value is None or "NULL" in value:
            continue
        ((kind, content),) = value.items()
        if kind in _MEMBER:
            members = [{_MEMBER[kind]: one} for one in content]
        elif kind == _MEMBER_OF_LIST:
            members = content
        else:
            missed(row, f"of type {kind}")
            continue
        try:
            found = [cell_of(child.member, one) for one in members]
        except Misfit as misfit:
            missed(row, misfit.reason)
            continue
        if any(one is None for one in found) or (kind == _MEMBER_OF_LIST and len(set(map(repr, found))) < len(found)):
            missed(row, "a list with NULL or with a member twice")
            continue
        rows += [row] * len(found)
        cells += found
    return pa.array(rows, pa.int32()), pa.array(cells, child.member.arrow)


def child_arrays(rows: Any, members: Any, key: list[Any]) -> list[Any]:
    """The arrays of the child table's columns."""
    return [*(pc.take(array, rows) for array in key), members]
