"""Batches of a set → batches of the target's columns, and what must hold in the target afterwards.

A column is read through `_rest`, never without it. A value of another type is put in its column where the SQL type holds
it exactly: a number as its text in a text column, any value but NULL in a JSON column. It stays in the target's `_rest`
too, with its type, unless the column alone tells that type (JSON's own string, number, boolean, object, array).
So nothing is lost, and one can ask `_rest` which values are not of their column's type.
"""

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from tablekeep.engine.backups.manifest import Manifest
from tablekeep.engine.backups.parts import part_batches
from tablekeep.engine.backups.sets import BackupSet
from tablekeep.engine.copies.mapping import Mapping, SqlColumn
from tablekeep.engine.errors import BadInputError, IntegrityError
from tablekeep.engine.items.canonical import canonical_number, decode_json, encode_canonical
from tablekeep.engine.items.layout import REST
from tablekeep.engine.progress import Progress

BATCH_BYTES = 8 * 1024 * 1024
"""Canonical bytes of the items that are converted at a time."""
_ESCAPED_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
_TOLD = {"S", "N", "BOOL", "M"}
"""Types that a JSON value tells by itself."""


@dataclass
class Sent:
    """What was converted so far, by SQL column: what a target must hold after the load.

    :ivar nulls: rows that are NULL. :ivar shown: values that came out of the set's `_rest` into their column.
    :ivar nul: values with the character U+0000. :ivar long: values with more bytes than the column takes.
    """

    rows: int = 0
    nulls: dict[str, int] = field(default_factory=dict)
    shown: dict[str, int] = field(default_factory=dict)
    nul: dict[str, int] = field(default_factory=dict)
    long: dict[str, int] = field(default_factory=dict)

    @property
    def loadable(self) -> bool:
        """Whether the database can take all values until now."""
        return not (self.nul or self.long)


class Converter:
    """Converts the batches of one set in their order; keeps the counts. Not shared between threads."""

    def __init__(self, mapping: Mapping) -> None:
        self.mapping = mapping
        self.sent = Sent(nulls={column.name: 0 for column in mapping.columns})
        self._by_attribute = {
            column.source.attribute: number for number, column in enumerate(mapping.columns) if column.source
        }

    def batches(self, opened: BackupSet, progress: Progress) -> Iterator[list[Any]]:
        """The Arrow arrays of all parts, in the mapping's order, a few thousand rows at a time.

        Once a value is found that the database cannot take, nothing more is given and the rest is only counted: call
        `check` afterwards.

        :raises IntegrityError: for a damaged part.
        """
        for part in opened.manifest.parts:
            rows = max(16, min(4096, BATCH_BYTES * part.rows // max(1, part.raw_bytes)))
            for batch, _ in part_batches(opened.store, opened.manifest, part, rows=rows):
                arrays = self.convert(batch)
                progress.advance(batch.num_rows)
                if self.sent.loadable:
                    yield arrays

    def convert(self, batch: Any) -> list[Any]:
        """One batch as Arrow arrays of the mapping's types."""
        rest: list[str | None] = batch.column(REST).storage.to_pylist()
        patches = self._take_from_rest(rest)
        arrays = []
        for number, column in enumerate(self.mapping.columns):
            if column.source is None:
                array = pa.array(rest, pa.string())
            else:
                array = _plain_array(column, batch.column(column.source.column))
                if patches.get(number):
                    cells = array.to_pylist()
                    for row, cell in patches[number].items():
                        cells[row] = cell
                    array = pa.array(cells, column.arrow)
            self._count(column, array)
            arrays.append(array)
        self.sent.rows += batch.num_rows
        return arrays

    def _take_from_rest(self, rest: list[str | None]) -> dict[int, dict[int, str]]:
        """What the columns can hold of `_rest`: by column number and row. Takes out of `rest` what its column tells."""
        patches: dict[int, dict[int, str]] = {}
        for row, text in enumerate(rest):
            if text is None:
                continue
            attributes = decode_json(text.encode())
            for name in list(attributes):
                number = self._by_attribute.get(name)
                if number is None:
                    continue
                column = self.mapping.columns[number]
                ((kind, content),) = attributes[name].items()
                cell, told = _shown(column, kind, content)
                if cell is None:
                    continue
                patches.setdefault(number, {})[row] = cell
                self.sent.shown[column.name] = self.sent.shown.get(column.name, 0) + 1
                if told:
                    del attributes[name]
            rest[row] = encode_canonical(attributes).decode() if attributes else None
        return patches

    def _count(self, column: SqlColumn, array: Any) -> None:
        self.sent.nulls[column.name] += array.null_count
        if column.form in ("text", "json", "rest"):
            found = _with_nul(array, escaped=column.form != "text")
            if found:
                self.sent.nul[column.name] = self.sent.nul.get(column.name, 0) + found
        if column.max_bytes is not None:
            long = pc.sum(pc.greater(pc.binary_length(array), column.max_bytes)).as_py() or 0
            if long:
                self.sent.long[column.name] = self.sent.long.get(column.name, 0) + long

    def check(self, manifest: Manifest, table: str) -> Sent:
        """That everything was converted and can be loaded; before anything is swapped.

        :raises BadInputError: when values cannot be held: names columns and counts, never a value.
        :raises IntegrityError: when the counts are not those of the manifest.
        """
        sent, what = self.sent, f"copying {manifest.uri} to {table}"
        if not sent.loadable:
            limits = {column.name: column.max_bytes for column in self.mapping.columns}
            found = [f"column {name!r}: {count:,} with the character U+0000" for name, count in sent.nul.items()]
            found += [
                f"column {name!r}: {count:,} longer than {limits[name]:,} bytes" for name, count in sent.long.items()
            ]
            more = f" and {len(found) - 10} more columns" if len(found) > 10 else ""
            raise BadInputError(
                what,
                "it holds values that the database cannot: " + "; ".join(found[:10]) + more,
                "change these values in the table and back it up again; the target was left as it was",
            )
        if sent.rows != manifest.items:
            raise IntegrityError(what, f"{sent.rows:,} of {manifest.items:,} items were read")
        for column in self.mapping.columns:
            if column.source is None:
                continue
            figures = manifest.columns[column.source.column]
            expected = figures.nulls - sent.shown.get(column.name, 0)
            if sent.nulls[column.name] != expected:
                raise IntegrityError(
                    what,
                    f"column {column.name!r} has {sent.nulls[column.name]:,} nulls, the manifest says {expected:,}",
                )
        return sent


def differing_counts(sent: Sent, rows: int, nulls: dict[str, int]) -> list[str]:
    """What differs between what was sent and what a staging table holds: one phrase each, empty when nothing does."""
    problems = [] if rows == sent.rows else [f"it has {rows:,} rows, {sent.rows:,} were sent"]
    problems += [
        f"column {name!r} has {nulls.get(name, -1):,} nulls, {expected:,} were sent"
        for name, expected in sent.nulls.items()
        if nulls.get(name, -1) != expected
    ]
    return problems


def _with_nul(array: Any, *, escaped: bool) -> int:
    """How many texts hold U+0000, which in JSON text stands as an escape."""
    mask = pc.match_substring(array, "\\u0000" if escaped else "\0")
    if not (pc.sum(mask).as_py() or 0):
        return 0
    found = array.filter(mask, null_selection_behavior="drop").to_pylist()
    return sum(1 for text in found if _ESCAPED_NUL.search(text)) if escaped else len(found)


def _shown(column: SqlColumn, kind: str, content: Any) -> tuple[str | None, bool]:
    """The cell for a value that missed its column, None where the SQL type cannot hold it, and whether it tells its type."""
    if column.form == "text":
        return (content, False) if kind == "N" else (None, False)
    if column.form != "json" or kind == "NULL" or column.source is None:
        return None, False
    cell = encode_canonical(plain_json({kind: content})).decode()
    # an array in a column of sets reads as a set, so a list there keeps its type in _rest
    return cell, kind in _TOLD or (kind == "L" and column.source.type in ("M", "L"))


def plain_json(value: dict[str, Any]) -> Any:
    """A typed value as plain JSON; numbers as raw text, so that no digit is lost."""
    ((kind, content),) = value.items()
    match kind:
        case "N":
            return msgspec.Raw(content.encode())
        case "NULL":
            return None
        case "NS":
            return [msgspec.Raw(one.encode()) for one in content]
        case "M":
            return {name: plain_json(one) for name, one in content.items()}
        case "L":
            return [plain_json(one) for one in content]
        case _:
            return content  # S and BOOL as they are; B is base64 text already; SS and BS are arrays of text


def _plain_array(column: SqlColumn, array: Any) -> Any:
    """The set's column as the target's, without what lies in `_rest`."""
    assert column.source is not None
    if column.form == "json":
        return pa.array(_documents(column.source.type, array), pa.string())
    if column.form == "number" and column.source.number == "decimal":
        texts = [None if one is None else _number_text(one) for one in array.to_pylist()]
        return pa.array(texts, pa.string())
    return array


def _documents(kind: str, array: Any) -> list[str | None]:
    """JSON text of sets, lists and maps."""
    if kind in ("M", "L"):
        contents = [None if text is None else decode_json(text.encode()) for text in array.storage.to_pylist()]
    else:
        contents = [None if one is None else sorted(_member(kind, each) for each in one) for one in array.to_pylist()]
    return [None if one is None else encode_canonical(plain_json({kind: one})).decode() for one in contents]


def _member(kind: str, member: Any) -> str:
    """One member of a set as text."""
    if kind == "NS":
        return _number_text(member)
    return base64.b64encode(member).decode() if kind == "BS" else str(member)


def _number_text(number: int | Decimal | str) -> str:
    return canonical_number(format(number, "f") if isinstance(number, Decimal) else str(number))
