"""Items to Arrow rows, exactly: `encode` takes wire JSON as the service sent it and gives a record batch of a layout.

Whatever the layout, decode(encode(item)) is the canonical item: a value that its column cannot hold goes to `_rest`.
"""

import base64
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pyarrow as pa

from tablekeep.engine.items.canonical import (
    canonical_attributes,
    canonical_key,
    encode_canonical,
    parse_item,
)
from tablekeep.engine.items.census import Census, fits_int64
from tablekeep.engine.items.hashing import Hasher, buckets_as_json, buckets_from_json
from tablekeep.engine.items.layout import DECIMAL_DIGITS, Column, Layout
from tablekeep.engine.items.logical import to_arrow
from tablekeep.engine.items.pages import OddPage, PageEncoder, PageResult
from tablekeep.engine.items.shapes import SAMPLE, Learned

NO_MATCH = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
FEW = 8
"""Fewer items than this are not worth a shape."""


@dataclass(slots=True)
class Encoded:
    """What one call of `encode` made.

    :ivar batch: the Arrow record batch, one row an item.
    :ivar raw_bytes: bytes of the canonical items.
    :ivar total: sum of the items' hashes (not yet modulo 2^256).
    :ivar keys: the items' canonical keys, in the order of the rows. :ivar digests: SHA-256 of each canonical item, likewise.
    :ivar texts: the canonical items, where they are asked for.
    """

    batch: Any
    raw_bytes: int = 0
    total: int = 0
    keys: list[bytes] = field(default_factory=list)
    digests: list[bytes] = field(default_factory=list)
    texts: list[bytes] = field(default_factory=list)


@dataclass(slots=True)
class ColumnCounts:
    """Per column over a whole set: nulls (absent or misfit) and misfits (values of the attribute that lie in `_rest`)."""

    nulls: int = 0
    misfits: int = 0
    numbers_missed: int = 0


@dataclass
class Encoder:
    """Encodes the items of one segment; keeps the census, the hash and the columns' counts of all it has seen.

    Not shared between threads. `merge` joins the counts of another segment's encoder of the same layout.

    :ivar learned: what is known of the items' shapes; may be shared by encoders. :ivar keep_texts: `encode` gives the texts, too.
    """

    layout: Layout
    key_names: Sequence[str]
    census: Census = field(default_factory=Census)
    hasher: Hasher = field(default_factory=Hasher)
    rest_rows: int = 0
    learned: Learned | None = None
    keep_texts: bool = False

    def __post_init__(self) -> None:
        self.counts = {column.column: ColumnCounts() for column in self.layout.columns}
        self._schema = self.layout.item_schema()
        self._learned = self.learned or Learned(self.key_names)
        self._pages: PageEncoder | None = None

    def encode(self, items: Iterable[bytes | msgspec.Raw]) -> Encoded:
        """Encodes items given as wire JSON: those that match the shape learned so far column by column, the others one by one.

        :raises ItemError: for an item that no table can hold; the encoder is of no further use then.
        """
        given = list(items)
        if len(given) < FEW:
            return self._one_by_one(given)
        if self._learned.type is None:
            self._learn(given)
        try:
            return self._counted(self._encoder().encode(given))
        except OddPage:
            return self._one_by_one(given)
        except NO_MATCH:
            return self._some(given)

    def _some(self, given: list[bytes | msgspec.Raw]) -> Encoded:
        """Items of which not all match."""
        rows, odd = self._matching(given)
        if len(odd) * 4 > len(given):
            self._learn([given[row] for row in odd])
            rows, odd = self._matching(given)
        if len(rows) < FEW:
            return self._one_by_one(given)
        try:
            page = self._encoder().encode([given[row] for row in rows])
        except (OddPage, *NO_MATCH):  # no match: another thread has learned meanwhile
            return self._one_by_one(given)
        if not odd:
            return self._counted(page)
        others = self._one_by_one([given[row] for row in odd])  # may raise: nothing of the page is counted yet
        return self._joined(self._counted(page), rows, others, odd)

    def _encoder(self) -> PageEncoder:
        kind = self._learned.type
        assert kind is not None
        if self._pages is None or self._pages.type is not kind:
            self._pages = PageEncoder(self.layout, kind, keep_lines=self.keep_texts)
        if not kind.usable:
            raise OddPage
        return self._pages

    def _learn(self, items: Sequence[bytes | msgspec.Raw]) -> None:
        """Learns a shape from some of the items, and all that was learned before."""
        step = max(1, len(items) // SAMPLE)
        self._learned.learn(parse_item(raw) for raw in items[::step])

    def _matching(self, items: Sequence[bytes | msgspec.Raw]) -> tuple[list[int], list[int]]:
        """The rows of the items that match the shape, and those of the others."""
        kind = self._learned.type
        assert kind is not None
        rows, odd = list[int](), list[int]()
        for row, raw in enumerate(items):
            try:
                kind.decode_one(raw)
                rows.append(row)
            except NO_MATCH:
                odd.append(row)
        return rows, odd

    def _counted(self, page: PageResult) -> Encoded:
        """The page as a batch; everything of it is counted."""
        arrays = [*page.arrays, pa.ExtensionArray.from_storage(pa.json_(pa.string()), pa.array(page.rest, pa.string()))]
        batch = pa.RecordBatch.from_arrays(arrays, schema=self._schema)
        page.count_into(self.census)
        total = self.hasher.add_page(page.digests, page.keys)
        self.rest_rows += len(page.rest) - page.rest.count(None)
        for name, nulls in page.nulls.items():
            self.counts[name].nulls += nulls
        for name, misfits in page.misfits.items():
            self.counts[name].misfits += misfits
        return Encoded(batch, page.raw_bytes, total, page.keys, page.digests, page.lines)

    def _joined(self, page: Encoded, rows: list[int], others: Encoded, odd: list[int]) -> Encoded:
        """Both in the order in which their items were given."""
        order = sorted(range(len(rows) + len(odd)), key=(rows + odd).__getitem__)
        table = pa.Table.from_batches([page.batch, others.batch]).take(pa.array(order, pa.int64())).combine_chunks()
        keys, digests, texts = page.keys + others.keys, page.digests + others.digests, page.texts + others.texts
        return Encoded(
            table.to_batches()[0],
            page.raw_bytes + others.raw_bytes,
            page.total + others.total,
            [keys[one] for one in order],
            [digests[one] for one in order],
            [texts[one] for one in order] if self.keep_texts else [],
        )

    def _one_by_one(self, items: Sequence[bytes | msgspec.Raw]) -> Encoded:
        """The general path: knows every legal item."""
        columns = self.layout.columns
        cells: list[list[Any]] = [[] for _ in columns]
        rest_cells: list[str | None] = []
        parsed = [canonical_attributes(parse_item(raw)) for raw in items]
        plan = [
            (
                c.attribute,
                c.type,
                _FITS.get(c.number or ""),
                c.scale,
                cell.append,
                self.counts[c.column],
                _held(c, parsed),
            )
            for c, cell in zip(columns, cells, strict=True)
        ]
        encoded = Encoded(None)
        for row, attributes in enumerate(parsed):
            self.census.add(attributes)
            canonical = encode_canonical(attributes)
            key = canonical_key(attributes, self.key_names)
            hashed = self.hasher.add(canonical, key)
            encoded.total += hashed
            encoded.digests.append(hashed.to_bytes(32, "big"))
            encoded.raw_bytes += len(canonical)
            encoded.keys.append(key)
            if self.keep_texts:
                encoded.texts.append(canonical)
            for name, kind, fits, scale, append, counts, held in plan:
                value = attributes.get(name)
                if value is None:
                    append(None)
                    counts.nulls += 1
                    continue
                content = value.get(kind)
                if content is None or (held is not None and not held[row]):
                    counts.misfits += 1
                elif fits is None or fits(content, scale):
                    append(content)
                    del attributes[name]
                    continue
                else:
                    counts.misfits += 1
                    counts.numbers_missed += 1
                append(None)
                counts.nulls += 1
            if attributes:
                rest_cells.append(encode_canonical(attributes).decode())
                self.rest_rows += 1
            else:
                rest_cells.append(None)
        arrays = [_array(column, cell) for column, cell in zip(columns, cells, strict=True)]
        arrays.append(pa.ExtensionArray.from_storage(pa.json_(pa.string()), pa.array(rest_cells, pa.string())))
        encoded.batch = pa.RecordBatch.from_arrays(arrays, schema=self._schema)
        return encoded

    def merge(self, other: "Encoder") -> None:
        """Adds all counts of another encoder with the same layout."""
        self.census.merge(other.census)
        self.hasher.merge(other.hasher)
        self.rest_rows += other.rest_rows
        for name, counts in other.counts.items():
            mine = self.counts[name]
            mine.nulls += counts.nulls
            mine.misfits += counts.misfits
            mine.numbers_missed += counts.numbers_missed

    def counts_as_json(self) -> dict[str, Any]:
        """All counts, for `restore`."""
        return {
            "census": self.census.as_json(),
            "buckets": buckets_as_json(self.hasher.buckets),
            "rest_rows": self.rest_rows,
            "columns": {name: [one.nulls, one.misfits, one.numbers_missed] for name, one in self.counts.items()},
        }

    def restore(self, document: dict[str, Any]) -> None:
        """Goes on from the counts that `counts_as_json` gave.

        :raises ValueError, KeyError, TypeError: for another document.
        """
        self.census = Census.from_json(document["census"])
        self.hasher = Hasher.of(buckets_from_json(document["buckets"]))
        self.rest_rows = int(document["rest_rows"])
        self.counts = {name: ColumnCounts(*figures) for name, figures in document["columns"].items()}

    @property
    def numbers_missed(self) -> int:
        """Numbers that their column could not hold: the set is then rewritten under a widened layout."""
        return sum(counts.numbers_missed for counts in self.counts.values())


def _held(column: Column, items: Sequence[dict[str, dict[str, Any]]]) -> list[bool] | None:
    """By row whether the column's logical type holds the item's text; None: it holds every text."""
    if column.logical is None:
        return None
    contents = [item.get(column.attribute, {}).get("S") for item in items]
    return list(to_arrow(column.logical, pa.array(contents, pa.string())).is_valid().to_pylist())


def _int64_fits(content: str | list[str], _scale: int) -> bool:
    return fits_int64(content) if isinstance(content, str) else all(fits_int64(one) for one in content)


def _decimal_fits(content: str | list[str], scale: int) -> bool:
    for text in (content,) if isinstance(content, str) else content:
        integer, _, fraction = text.lstrip("-").partition(".")
        if len(fraction) > scale or (len(integer) > DECIMAL_DIGITS - scale and integer != "0"):
            return False
        if scale == DECIMAL_DIGITS and integer != "0":
            return False
    return True


_FITS: dict[str, Callable[[Any, int], bool]] = {"int64": _int64_fits, "decimal": _decimal_fits}


def _array(column: Column, cells: list[Any]) -> Any:
    """The Arrow array of one column's canonical contents."""
    kind = column.type
    if column.logical:
        return to_arrow(column.logical, pa.array(cells, pa.string()))
    if kind == "S" or kind == "BOOL":
        return pa.array(cells, column.arrow_type())
    if kind == "B":
        return pa.array([None if cell is None else base64.b64decode(cell) for cell in cells], pa.binary())
    if kind == "N":
        return _numbers(column, cells)
    if kind == "SS":
        return pa.array(cells, column.arrow_type())
    if kind == "BS":
        return pa.array(
            [None if cell is None else [base64.b64decode(one) for one in cell] for cell in cells], column.arrow_type()
        )
    if kind == "NS":
        offsets, members = [0], list[str]()
        for cell in cells:
            members.extend(cell or ())
            offsets.append(len(members))
        mask = pa.array([cell is None for cell in cells], pa.bool_())
        return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), _numbers(column, members), mask=mask)
    texts = [None if cell is None else encode_canonical(cell).decode() for cell in cells]
    return pa.ExtensionArray.from_storage(pa.json_(pa.string()), pa.array(texts, pa.string()))


def _numbers(column: Column, texts: list[Any]) -> Any:
    array = pa.array(texts, pa.string())
    if column.number == "int64":
        return array.cast(pa.int64())
    return array.cast(pa.decimal128(DECIMAL_DIGITS, column.scale)) if column.number == "decimal" else array
