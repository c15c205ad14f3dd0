"""Batches of a set → batches of the target's tables, and what must hold in the target afterwards.

A column is read through `_rest`, never without it. A value of another type is put in its column where the SQL type holds it exactly: a
number as its text in a text column, any value but NULL in a JSON column. It stays in the target's `_rest` too, with its type, unless the
column alone tells that type. What no column holds stands in `_rest`, where the mapping has one: so nothing is lost, and one can ask
`_rest` which values are not of their column's type.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tablekeep.engine.ahead import ahead
from tablekeep.engine.backups.manifest import Manifest
from tablekeep.engine.backups.parts import part_batches
from tablekeep.engine.backups.sets import BackupSet
from tablekeep.engine.copies.cells import (
    NOT_FINITE,
    NUL,
    Misfit,
    cell_of,
    shortened,
    tells_type,
    too_long,
    unfit_text,
)
from tablekeep.engine.copies.columns import long_rows, nul_rows, take_column
from tablekeep.engine.copies.keys import key_texts
from tablekeep.engine.copies.mapping import ChildTable, Mapping, SqlColumn
from tablekeep.engine.copies.members import child_arrays, member_rows
from tablekeep.engine.copies.nested import look_up, take_out
from tablekeep.engine.copies.rest import RestWriter
from tablekeep.engine.copies.sent import NAMED, Reject, RejectedError, Sent
from tablekeep.engine.errors import BadInputError, IntegrityError
from tablekeep.engine.items.canonical import canonical_key, decode_json, parse_item
from tablekeep.engine.items.changes import DELETE
from tablekeep.engine.items.decode import column_contents, decode
from tablekeep.engine.items.hashing import key_hash
from tablekeep.engine.items.layout import CHANGE, REST, Column, Layout
from tablekeep.engine.progress import Progress

Item = dict[str, dict[str, Any]]
PAGES = 2
"""Of `part_batches`, a batch: each of Arrow's calls costs the same for more rows (measured: some 10 % of a copy's CPU)."""


@dataclass(slots=True)
class Converted:
    """One batch.

    :ivar arrays: of the mapping's columns, in their order. :ivar children: for each child table the arrays of its columns.
    :ivar changes: of a set of changes `put` or `delete` by row, else None; a deleted item has its key's columns only.
    """

    arrays: list[Any]
    children: list[list[Any]] = field(default_factory=list)
    changes: Any = None


@dataclass(slots=True)
class _Work:
    """A batch while it is converted.

    :ivar items: by row what lies in the set's `_rest`, and what its column cannot hold; what a column tells is taken out.
    :ivar hard: misfits that count: row, column, reason.
    """

    batch: Any
    items: dict[int, Item]
    hard: list[tuple[int, str, str]] = field(default_factory=list)


class Converter:
    """Converts the batches of one set in their order; keeps the counts. Not shared between threads."""

    def __init__(self, mapping: Mapping, manifest: Manifest) -> None:
        self.mapping, self.manifest, self._layout = mapping, manifest, manifest.layout
        self.sent = Sent(
            nulls={column.name: 0 for column in mapping.columns},
            members={child.suffix: 0 for child in mapping.children},
        )
        self._lost: dict[str, int] = {}  # values of a set's column that the target's does not hold
        self._whole = [column for column in mapping.columns if column.path is not None and len(column.path) == 1]
        self._paths: dict[str, list[SqlColumn]] = {}
        for column in mapping.columns:
            if column.path is not None and len(column.path) > 1:
                self._paths.setdefault(str(column.path[0]), []).append(column)
        self._mapped = {column.attribute for column in self._whole}
        self._attributes = {column.name: str(column.attribute) for column in self._whole}
        self._rest = RestWriter(mapping, self._layout) if mapping.rest is not None else None
        self._soft = self._rest is not None and mapping.document.misfits_to == "rest"
        self._cuts = mapping.document.misfits.truncate

    @property
    def loadable(self) -> bool:
        """Whether the mapping allows all values until now."""
        return self.sent.rejected <= self.mapping.document.misfits.most

    def batches(self, opened: BackupSet, progress: Progress) -> Iterator[Converted]:
        """All parts, some ten thousand rows at a time.

        Once there are more misfits than the mapping allows, nothing more is given and the rest is only counted: call `check`
        afterwards.

        :raises BadInputError: for a key that its column cannot hold. :raises IntegrityError: for a damaged part.
        """
        yield from ahead(self._converted(opened, progress))

    def _converted(self, opened: BackupSet, progress: Progress) -> Iterator[Converted]:
        for part in opened.manifest.parts:
            for batch, _ in part_batches(opened.store, opened.manifest, part, pages=PAGES):
                converted = self.convert(batch)
                progress.advance(batch.num_rows)
                if self.loadable:
                    yield converted

    def convert(self, batch: Any) -> Converted:
        """One batch as Arrow arrays of the mapping's types."""
        mapping, sent = self.mapping, self.sent
        work = _Work(batch, _rest_items(batch))
        cells: dict[str, Any] = {}
        for attribute, columns in self._paths.items():
            cells |= self._nested(attribute, columns, work)
        for column in self._whole:
            cells[column.name] = self._column(column, work)
        key_columns = [column for column in mapping.columns if column.key]
        key = [cells[column.name] for column in key_columns]
        self._check_key(key_columns, key)
        stamp = [] if mapping.stamp is None else [pa.repeat(pa.scalar(self.manifest.backup_id), batch.num_rows)]
        children = [self._child(child, work, [*key, *stamp]) for child in mapping.children]
        if self._rest is not None and mapping.rest is not None:
            texts, left = self._rest.texts(batch, work.items)
            told = {(row, self._attributes.get(name, name)) for row, name, _ in work.hard}
            work.hard += [
                one for one in left if one[:2] not in told
            ]  # a value that its column does not hold counts once
            cells[mapping.rest.name] = pa.array(texts, pa.string())
        if mapping.stamp is not None:
            (cells[mapping.stamp.name],) = stamp
        self._count_misfits(work)
        arrays = [cells[column.name] for column in mapping.columns]
        for column, array in zip(mapping.columns, arrays, strict=True):
            sent.nulls[column.name] += array.null_count
        sent.rows += batch.num_rows
        sent.keys.add(key_texts(key_columns, key))
        changes = batch.column(CHANGE) if self._layout.changes else None
        if changes is not None:
            sent.deletes += pc.sum(pc.equal(changes, DELETE)).as_py() or 0
        return Converted(arrays, children, changes)

    def _check_key(self, columns: list[SqlColumn], arrays: list[Any]) -> None:
        for column, array in zip(columns, arrays, strict=True):
            if array.null_count:
                raise BadInputError(
                    f"copying {self.manifest.uri}",
                    f"the column {column.name!r} ({column.sql_type}) cannot hold every key",
                    "give it a type that does; the target was left as it was",
                )

    def _column(self, column: SqlColumn, work: _Work) -> Any:
        """The cells of a column that holds an attribute whole: from the set's `_rest`, and from its own column."""
        home = self._layout.column_of(str(column.attribute))
        patches = self._from_rest(column, home, work)
        if home is None:
            array = pa.nulls(work.batch.num_rows, column.arrow)
        else:
            given = work.batch.column(home.column)
            array = take_column(column, home, given)
            array = (
                self._one_by_one(column, home, given, work)
                if array is None
                else self._within(column, home, array, work)
            )
        return _patched(array, patches, column)

    def _cell(self, column: SqlColumn, value: dict[str, Any], home: str | None = None) -> Any:
        """The cell of a value, cut where the mapping says so.

        :raises Misfit: when the column cannot hold it.
        """
        try:
            return cell_of(column, value, home)
        except Misfit as misfit:
            if misfit.short is None or not self._cuts:
                raise
            self.sent.cut[column.name] = self.sent.cut.get(column.name, 0) + 1
            return misfit.short

    def _from_rest(self, column: SqlColumn, home: Column | None, work: _Work) -> dict[int, Any]:
        patches: dict[int, Any] = {}
        attribute, kind_at_home = str(column.attribute), home.type if home is not None else None
        for row, item in work.items.items():
            value = item.get(attribute)
            if value is None or "NULL" in value:
                continue
            try:
                patches[row] = self._cell(column, value, kind_at_home)
            except Misfit as misfit:
                self._missed(column.name, row, misfit.reason, work)
                continue
            self.sent.shown[column.name] = self.sent.shown.get(column.name, 0) + 1
            if tells_type(column, next(iter(value)), kind_at_home):
                del item[attribute]
        return patches

    def _one_by_one(self, column: SqlColumn, home: Column, array: Any, work: _Work) -> Any:
        cells = list[Any]()
        for row, content in enumerate(column_contents(home, array)):
            cell = None
            if content is not None:
                value = _value(home, content)
                try:
                    cell = self._cell(column, value, home.type)
                except Misfit as misfit:
                    self._lose(column, row, misfit.reason, value, work)
            cells.append(cell)
        return pa.array(cells, column.arrow)

    def _within(self, column: SqlColumn, home: Column, array: Any, work: _Work) -> Any:
        """The cells without those that the database cannot hold, though their type is right."""
        bad: dict[int, str] = {}
        if column.form in ("text", "json"):
            bad |= dict.fromkeys(nul_rows(array, json=column.form == "json"), NUL)
        short: dict[int, str] = {}
        for row in long_rows(column, array):
            why = too_long(column) if column.form == "bytes" else unfit_text(column, array[row].as_py())
            if why is not None and row not in bad:
                cell = shortened(column, array[row].as_py()) if self._cuts and column.form != "bytes" else None
                if cell is None:
                    bad[row] = why
                else:
                    short[row] = cell
        if short:
            self.sent.cut[column.name] = self.sent.cut.get(column.name, 0) + len(short)
            array = _patched(array, short, column)
        if column.finite:
            odd = pc.indices_nonzero(pc.fill_null(pc.invert(pc.is_finite(array)), False))
            bad |= dict.fromkeys(odd.to_pylist(), NOT_FINITE)
        if not bad:
            return array
        rows = sorted(bad)
        contents = column_contents(home, work.batch.column(home.column).take(pa.array(rows)))
        for row, content in zip(rows, contents, strict=True):
            self._lose(column, row, bad[row], _value(home, content), work)
        return _patched(array, dict.fromkeys(rows), column)

    def _lose(self, column: SqlColumn, row: int, reason: str, value: dict[str, Any], work: _Work) -> None:
        """A value of the set's column that the target's does not hold: it goes to `_rest`, where there is one."""
        if self._rest is not None:
            work.items.setdefault(row, {})[str(column.attribute)] = value
        self._lost[column.name] = self._lost.get(column.name, 0) + 1
        self._missed(column.name, row, reason, work)

    def _missed(self, name: str, row: int, reason: str, work: _Work) -> None:
        if self._soft:
            self.sent.kept[name] = self.sent.kept.get(name, 0) + 1
        else:
            work.hard.append((row, name, reason))

    def _values(self, attribute: str, work: _Work) -> list[dict[str, Any] | None]:
        """By row an attribute's typed value, from wherever the set has it."""
        home = self._layout.column_of(attribute)
        values: list[dict[str, Any] | None] = [None] * work.batch.num_rows
        if home is not None:
            for row, content in enumerate(column_contents(home, work.batch.column(home.column))):
                if content is not None:
                    values[row] = _value(home, content)
        for row, item in work.items.items():
            if attribute in item:
                values[row] = item[attribute]
        return values

    def _nested(self, attribute: str, columns: list[SqlColumn], work: _Work) -> dict[str, Any]:
        """The cells of paths into one attribute; what they do not hold of it is left for `_rest`."""
        values = self._values(attribute, work)
        cells: dict[str, list[Any]] = {column.name: [None] * len(values) for column in columns}
        keep = self._rest is not None and attribute not in self._mapped
        for row, value in enumerate(values):
            if value is None:
                continue
            for column in columns:
                assert column.path is not None
                found = look_up(value, column.path)
                if found is None or "NULL" in found:
                    continue
                try:
                    cells[column.name][row] = self._cell(column, found)
                except Misfit as misfit:
                    self._missed(column.name, row, misfit.reason, work)
                    continue
                if keep and tells_type(column, next(iter(found)), None):
                    take_out(value, column.path)
            if keep:
                item = work.items.setdefault(row, {})
                if value in ({"M": {}}, {"L": []}) and any(cells[column.name][row] is not None for column in columns):
                    item.pop(attribute, None)
                else:
                    item[attribute] = value
        return {column.name: pa.array(cells[column.name], column.arrow) for column in columns}

    def _child(self, child: ChildTable, work: _Work, key: list[Any]) -> list[Any]:
        attribute = str(child.path[0])
        values = self._values(attribute, work)
        missed = dict[int, str]()
        rows, members = member_rows(child, [v and look_up(v, child.path) for v in values], missed.__setitem__)
        for row, value in enumerate(values):
            if row in missed:
                self._missed(child.suffix, row, missed[row], work)
            if self._rest is None or value is None:
                continue
            item = work.items.setdefault(row, {})
            if row in missed or "NULL" in value or len(child.path) > 1 or "L" in value:
                item[attribute] = value
            else:
                item.pop(attribute, None)
        self.sent.members[child.suffix] += len(rows)
        return child_arrays(rows, members, key)

    def _count_misfits(self, work: _Work) -> None:
        if not work.hard:
            return
        rows = sorted({row for row, _, _ in work.hard})
        keys = dict(zip(rows, self._key_hashes(work.batch, rows), strict=True))
        for row, name, reason in work.hard:
            self.sent.misfits[name, reason] = self.sent.misfits.get((name, reason), 0) + 1
            if len(self.sent.rejects) < NAMED:
                self.sent.rejects.append(Reject(keys[row], name, reason))

    def _key_hashes(self, batch: Any, rows: list[int]) -> list[str]:
        names = self.manifest.key_names
        columns = tuple(one for one in self._layout.columns if one.attribute in names)
        chosen = batch.select([*(one.column for one in columns), REST]).take(pa.array(rows))
        items = decode(chosen, Layout(self._layout.schema, columns))
        return [key_hash(canonical_key(parse_item(item), names)) for item in items]

    def check(self, table: str) -> Sent:
        """That everything was converted and can be loaded; before anything is swapped.

        :raises RejectedError: when more values do not fit than the mapping allows: names columns and counts, never a value.
        :raises IntegrityError: when the counts are not those of the manifest.
        """
        sent, what = self.sent, f"copying {self.manifest.uri} to {table}"
        if not self.loadable:
            found = [f"{name!r}: {count:,} {reason}" for (name, reason), count in sent.misfits.items()]
            most = self.mapping.document.misfits.most
            raise RejectedError(
                what,
                f"it holds {sent.rejected:,} values that their columns cannot{f', and {most:,} are allowed' if most else ''}: "
                + "; ".join(found[:10])
                + (f" and {len(found) - 10} more" if len(found) > 10 else ""),
                "give the columns wider types, or say in the mapping what becomes of misfits; the target was left as it was",
                sent.rejects,
            )
        if sent.rows != self.manifest.items:
            raise IntegrityError(what, f"{sent.rows:,} of {self.manifest.items:,} items were read")
        for column in self._whole:
            home = self._layout.column_of(str(column.attribute))
            nulls = self.manifest.columns[home.column].nulls if home is not None else sent.rows
            expected = nulls - sent.shown.get(column.name, 0) + self._lost.get(column.name, 0)
            if sent.nulls[column.name] != expected:
                raise IntegrityError(
                    what,
                    f"column {column.name!r} has {sent.nulls[column.name]:,} nulls, the manifest says {expected:,}",
                )
        return sent


def _rest_items(batch: Any) -> dict[int, Item]:
    texts = batch.column(REST).storage
    if texts.null_count == len(texts):
        return {}
    return {row: decode_json(text.encode()) for row, text in enumerate(texts.to_pylist()) if text is not None}


def _value(home: Column, content: Any) -> dict[str, Any]:
    return {home.type: decode_json(bytes(content)) if home.type in ("M", "L") else content}


def _patched(array: Any, patches: dict[int, Any], column: SqlColumn) -> Any:
    if not patches:
        return array
    mask = [False] * len(array)
    for row in patches:
        mask[row] = True
    cells = pa.array([patches[row] for row in sorted(patches)], column.arrow)
    return pc.replace_with_mask(array, pa.array(mask), cells)
