"""One file → items, a page at a time: its rows' texts by column, with the type of each, and without those that are bad."""

import gzip
import json
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from tablekeep.engine.backups.store import NotFoundError, ObjectInfo, Store
from tablekeep.engine.copies.kinds import Kind
from tablekeep.engine.errors import IntegrityError, TransientError
from tablekeep.engine.files.columns import Typed
from tablekeep.engine.files.csv_rows import csv_rows
from tablekeep.engine.files.description import Files
from tablekeep.engine.files.pages import Page
from tablekeep.engine.files.parquet_rows import parquet_pages
from tablekeep.engine.files.rejects import Rejects
from tablekeep.engine.items.canonical import ItemError, canonical_number
from tablekeep.engine.items.rows import ROW, Cells, wire_items

PAGE_ROWS = 4000
SPOOL_BYTES = 16 * 1024 * 1024
MAX_LINE_BYTES = 64 * 1024 * 1024
_GZIP = b"\x1f\x8b"


class Reader:
    """Reads files of one description. Numbers the rows of all of them when there is no key.

    :param columns: empty: all of CSV are texts, of JSON what JSON says.
    """

    def __init__(
        self, store: Store, files: Files, columns: Sequence[Typed], key: Sequence[str], rejects: Rejects
    ) -> None:
        self._store, self._files, self.columns, self._key, self._rejects = (
            store,
            files,
            list(columns),
            list(key),
            rejects,
        )
        self._rows = 0

    def items(self, info: ObjectInfo) -> Iterator[list[bytes]]:
        """The items of a file.

        :raises IntegrityError: for a bad row too many, or a damaged file. :raises TransientError: when the file was changed meanwhile.
        """
        for page in self.pages(info):
            yield self._page(info.key, page)

    def pages(self, info: ObjectInfo) -> Iterator[Page]:
        """The rows of a file as texts."""
        with opened(self._store, info) as stream:
            if self._files.format == "csv":
                yield from self._csv(stream, info.key)
            elif self._files.format == "json":
                yield from self._json(stream, info.key)
            else:
                yield from parquet_pages(stream, info.key)

    def _csv(self, stream: IO[bytes], file: str) -> Iterator[Page]:
        def tell(line: int, reason: str) -> None:
            self._rejects.add(file, line, reason)

        names = [one.name for one in self.columns]
        rows = csv_rows(stream, self._files, tell)
        if self._files.header:
            _, header = next(rows, (0, []))
            _check_header(file, header, names)
            names = header
        lines, cells = list[int](), list[list[str]]()
        for line, row in rows:
            if len(row) != len(names):
                tell(line, f"{len(row):,} fields instead of {len(names):,}")
                continue
            lines.append(line)
            cells.append(row)
            if len(lines) >= PAGE_ROWS:
                yield self._csv_page(names, lines, cells)
                lines, cells = [], []
        if lines:
            yield self._csv_page(names, lines, cells)

    def _csv_page(self, names: Sequence[str], lines: list[int], rows: list[list[str]]) -> Page:
        null = self._files.null
        texts = {
            name: pa.array([None if one == null else one for one in column], pa.string())
            for name, column in zip(names, zip(*rows, strict=True), strict=True)
        }
        return Page(lines, texts)

    def _json(self, stream: IO[bytes], file: str) -> Iterator[Page]:
        names = [one.name for one in self.columns]
        lines, documents = list[int](), list[dict[str, Any]]()
        number = 0
        while line := stream.readline(MAX_LINE_BYTES):
            number += 1
            if not line.strip():
                continue
            try:
                document = json.loads(line, parse_float=_Number, parse_int=_Number, parse_constant=_refuse)
                if type(document) is not dict:
                    raise ValueError
            except (ValueError, RecursionError):
                self._rejects.add(file, number, "no JSON object")
                continue
            lines.append(number)
            documents.append(document)
            if len(lines) >= PAGE_ROWS:
                yield _json_page(names, lines, documents)
                lines, documents = [], []
        if lines:
            yield _json_page(names, lines, documents)

    def _page(self, file: str, page: Page) -> list[bytes]:
        columns = [one for one in self._typed(page) if one.name in page.texts]
        arrays = {one.name: one.read(page.texts[one.name]) for one in columns}
        bad: dict[int, str] = {}
        for column in columns:
            array, texts = arrays[column.name], page.texts[column.name]
            if array.null_count != texts.null_count:
                for row in pc.indices_nonzero(pc.and_(array.is_null(), texts.is_valid())).to_pylist():
                    bad.setdefault(row, f"the column {column.name!r} is no {column.kind}")
        for name in self._key if self._key != [ROW] else ():
            array = arrays.get(name)
            missing = range(len(page.lines)) if array is None else pc.indices_nonzero(array.is_null()).to_pylist()
            for row in missing:
                bad.setdefault(row, f"the key's column {name!r} is missing or NULL")
        if self._key == [ROW] and page.more is not None:
            for row, attributes in enumerate(page.more):
                if ROW in attributes:
                    bad.setdefault(row, f"it has an attribute called {ROW}")
        for row in sorted(bad):
            self._rejects.add(file, page.lines[row], bad[row])
        keep = [row for row in range(len(page.lines)) if row not in bad]
        return self._kept(page, columns, arrays, keep) if keep else []

    def _kept(self, page: Page, columns: Sequence[Typed], arrays: dict[str, Any], keep: list[int]) -> list[bytes]:
        """The items of the rows that are good."""
        cells, taken = [one.cells for one in columns], list(arrays.values())
        if len(keep) != len(page.lines):
            taken = [array.take(pa.array(keep)) for array in taken]
        if self._key == [ROW]:
            cells.append(Cells(ROW, "N"))
            taken.append(pa.array([str(self._rows + one) for one in range(1, len(keep) + 1)], pa.string()))
        self._rows += len(keep)
        items = wire_items(cells, taken)
        return items if page.more is None else _joined(items, [page.more[row] for row in keep])

    def _typed(self, page: Page) -> list[Typed]:
        """The columns; of CSV and Parquet whose columns nobody knows yet all are texts."""
        if self.columns or page.more is not None:
            return self.columns
        return [Typed(name, Kind("text"), derived=True) for name in page.texts]


def _check_header(file: str, header: Sequence[str], declared: Sequence[str]) -> None:
    """:raises IntegrityError: for a header that is none of these files'."""
    why = ""
    if len(set(header)) != len(header):
        why = "its header names a column twice"
    elif declared and set(declared) != set(header):
        why = "its header has other columns than are declared, or than the first file's"
    if why:
        raise IntegrityError(
            f"reading {file}", why, "declare the columns of all files, or import those of another form by themselves"
        )


def _joined(items: list[bytes], more: list[dict[str, Any]]) -> list[bytes]:
    """The items with the further attributes of each."""
    made = []
    for item, attributes in zip(items, more, strict=True):
        made.append(item[:-1] + b"," + msgspec.json.encode(attributes)[1:] if attributes else item)
    return made


class _Number(str):
    """A number of JSON, with all its digits."""


def _refuse(_: str) -> Any:
    raise ValueError  # NaN and Infinity are no JSON


def _json_page(names: Sequence[str], lines: list[int], documents: list[dict[str, Any]]) -> Page:
    texts = {name: pa.array([_as_text(one.pop(name, None)) for one in documents], pa.string()) for name in names}
    more = [{name: typed(value) for name, value in one.items() if value is not None} for one in documents]
    return Page(lines, texts, more)


def _as_text(value: Any) -> str | None:
    """A value of a declared column: documents as compact JSON."""
    if value is None or isinstance(value, str):
        return None if value is None else str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return _compact(value)


def _compact(value: Any) -> str:
    return msgspec.json.encode(_raw(value)).decode()


def _raw(value: Any) -> Any:
    """With numbers as they were written."""
    if isinstance(value, _Number):
        return msgspec.Raw(value.encode())
    if isinstance(value, dict):
        return {name: _raw(one) for name, one in value.items()}
    return [_raw(one) for one in value] if isinstance(value, list) else value


def typed(value: Any) -> dict[str, Any]:
    """A value of JSON as an attribute; a number that N does not hold is its text."""
    if value is None:
        return {"NULL": True}
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, _Number):
        try:
            return {"N": canonical_number(str(value))}
        except ItemError:
            return {"S": str(value)}
    if isinstance(value, str):
        return {"S": value}
    if isinstance(value, dict):
        return {"M": {name: typed(one) for name, one in value.items()}}
    return {"L": [typed(one) for one in value]}


@contextmanager
def opened(store: Store, info: ObjectInfo) -> Iterator[IO[bytes]]:
    """The file's bytes, unpacked where gzip has packed them."""
    what = f"reading {store.address}/{info.key}"
    with tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES) as spool:
        size = 0
        try:
            for piece in store.chunks(info.key):
                spool.write(piece)
                size += len(piece)
        except NotFoundError:
            raise TransientError(what, "it was removed meanwhile", "try again") from None
        if size != info.size:
            raise TransientError(what, "it was changed meanwhile", "try again")
        spool.seek(0)
        packed = spool.read(2) == _GZIP
        spool.seek(0)
        try:
            yield gzip.GzipFile(fileobj=spool, mode="rb") if packed else spool  # type: ignore[misc]
        except (OSError, EOFError, zlib.error) as error:
            if packed and not isinstance(error, IntegrityError):
                raise IntegrityError(what, "it is a damaged gzip file", "write it again") from None
            raise
