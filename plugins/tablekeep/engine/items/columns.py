"""The values of one attribute on one page: gathered chunk by chunk, then turned into an Arrow array in one step.

One class for each way in which values are gathered. `take` gets the attribute's values as structs, `build` gives the array of the
column, or None when the column cannot hold the type; both raise `OddPage` for what only the general path can judge.
"""

import base64
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from tablekeep.engine.items.canonical import canonical_binary, canonical_number, canonical_value, encode_canonical
from tablekeep.engine.items.census import Census, TypeCount, fits_int64
from tablekeep.engine.items.layout import DECIMAL_DIGITS, Column
from tablekeep.engine.items.logical import to_arrow

encode_lines = msgspec.json.Encoder(order="deterministic").encode_lines
PLAIN_NUMBER = r"(?:0|-?[1-9][0-9]{0,36}|-?(?:0|[1-9][0-9]{0,17})\.[0-9]{0,17}[1-9])"
"""Numbers in plain notation, and so short that they have at most 38 digits."""
_NOT_PLAIN = re.compile(rb'"N":"(?!' + PLAIN_NUMBER.encode() + b'")').search
"""Finds a number inside of maps and lists that may not be canonical, in text of our own writing: in a string a quotation mark would
be escaped."""
_NUMBERS = re.compile(rb'"N":"([^"]*)"').findall

_CONTENTS: dict[str, Callable[[Iterable[Any]], list[Any]]] = {
    # written out, for an attribute that stands in the code is read faster than one that is named by a variable
    "S": lambda values: [value.S for value in values],
    "N": lambda values: [value.N for value in values],
    "B": lambda values: [value.B for value in values],
    "BOOL": lambda values: [value.BOOL for value in values],
    "SS": lambda values: [value.SS for value in values],
    "NS": lambda values: [value.NS for value in values],
    "BS": lambda values: [value.BS for value in values],
    "M": lambda values: [value.M for value in values],
    "L": lambda values: [value.L for value in values],
}


class OddPage(Exception):
    """Something is not canonical, or a number does not fit: the general path decides about it."""


class Scalars:
    """Values of S, N, B or BOOL, or absent."""

    def __init__(self, name: str, kind: str) -> None:
        self.name, self.kind = name, kind
        self._read = _CONTENTS[kind]
        self.contents: list[Any] = []

    def take(self, values: Sequence[Any]) -> None:
        self.contents += self._read(values)

    @property
    def absent(self) -> int:
        return self.contents.count(None)

    def content(self, row: int) -> Any:
        """The canonical content, None where absent."""
        return self.contents[row]

    def build(self, column: Column | None, count: TypeCount) -> Any:
        """The array (None when the column is of another type); counts the extremes."""
        return _SCALARS[self.kind](column, self.contents, count)

    def missed(self, array: Any) -> list[int]:
        """The rows whose text does not fit the logical type of the column for which `array` was built."""
        return missed(array, self.contents)


class Sets:
    """Values of SS, NS or BS, or absent; sorts each in place, as the canonical form wants it."""

    def __init__(self, name: str, kind: str) -> None:
        self.name, self.kind = name, kind
        self._read = _CONTENTS[kind]
        self._members: list[str] = []
        self._offsets = [0]
        self._mask: list[bool] = []
        self.absent = 0

    def take(self, values: Sequence[Any]) -> None:
        """:raises OddPage: for an empty set or a member twice."""
        self.take_contents(self._read(values))

    def take_contents(self, contents: list[Any]) -> None:
        """The same for contents that are at hand."""
        members, offsets = self._members, self._offsets
        for content in contents:
            if content is not None:
                size = len(content)
                if size > 1:
                    content.sort()
                    if content[0] == content[1] or (size > 2 and len(set(content)) != size):
                        raise OddPage
                elif not size:
                    raise OddPage
                members += content
            offsets.append(len(members))
        self.absent += contents.count(None)
        self._mask += [content is None for content in contents]

    def content(self, row: int) -> Any:
        """The canonical content, None where absent."""
        return None if self._mask[row] else self._members[self._offsets[row] : self._offsets[row + 1]]

    def build(self, column: Column | None, count: TypeCount) -> Any:
        """The array (None when the column is of another type); counts the extremes."""
        members = _SCALARS[self.kind[0]](column, self._members, count)
        count.empty = 0  # empty members are not counted
        mask = pa.array(self._mask, pa.bool_()) if self.absent else None
        return pa.ListArray.from_arrays(pa.array(self._offsets, pa.int32()), members, mask=mask)


class Documents:
    """Values of M or L, or absent, as canonical text; the numbers in them must be canonical."""

    def __init__(self, name: str, kind: str) -> None:
        self.name, self.kind = name, kind
        self._read = _CONTENTS[kind]
        self._lines: list[bytes] = []
        self._split: list[bytes] = []
        self._rows = self.absent = 0

    def take(self, values: Sequence[Any]) -> None:
        """:raises OddPage: for a number that is not canonical."""
        contents = self._read(values)
        lines = encode_lines(contents)
        if _NOT_PLAIN(lines):
            for number in _NUMBERS(lines):
                text = number.decode()
                same(canonical_number(text), text)
        self._lines.append(lines)
        self._rows += len(contents)
        self.absent += contents.count(None)

    def content(self, row: int) -> Any:
        """The canonical content, None where absent."""
        if not self._split:
            self._split = b"".join(self._lines).split(b"\n")
        text = self._split[row]
        return None if text == b"null" else msgspec.Raw(text)

    def build(self, column: Column | None, count: TypeCount) -> Any:
        """The array; M and L have no extremes."""
        lines = pa.array([b"".join(self._lines)], pa.large_string())
        # the last line ends with a line feed, too: what the split finds behind it is nothing
        texts = pc.split_pattern(lines, "\n").values.slice(0, self._rows).cast(pa.string())
        if self.absent:
            texts = pc.if_else(pc.equal(texts, "null"), None, texts)
        return pa.ExtensionArray.from_storage(pa.json_(pa.string()), texts)


class Anything:
    """Values of an attribute without a shape: made canonical one by one, in the items too."""

    def __init__(self, name: str, slot: str, column: Column | None) -> None:
        self.name, self._slot, self._column = name, slot, column
        self.census = Census()
        self._values: list[Any] = []
        self.misfits = 0

    def take(self, values: Sequence[Any], items: Sequence[Any]) -> None:
        """:raises ItemError: for what no table can hold."""
        for value, item in zip(values, items, strict=True):
            if value is msgspec.UNSET:
                self._values.append(None)
                continue
            canonical = canonical_value(value)
            setattr(item, self._slot, canonical)
            self.census.add({self.name: canonical})
            self._values.append(canonical)

    def build(self) -> tuple[Any, dict[int, Any]]:
        """The array (None without a column, or without a value of its type), and by row the values that are not in it."""
        column = self._column
        kind = column.type if column is not None else ""
        misfits = {row: value for row, value in enumerate(self._values) if value is not None and kind not in value}
        self.misfits = len(misfits)
        if column is None or len(misfits) == len(self._values) - self._values.count(None):
            return None, misfits
        cells = [None if value is None else value.get(kind) for value in self._values]
        if kind in ("M", "L"):
            texts = [None if cell is None else encode_canonical(cell).decode() for cell in cells]
            return pa.ExtensionArray.from_storage(pa.json_(pa.string()), pa.array(texts, pa.string())), misfits
        if kind in ("SS", "NS", "BS"):
            sets = Sets(self.name, kind)
            sets.take_contents(cells)
            return sets.build(column, TypeCount()), misfits
        array = _SCALARS[kind](column, cells, TypeCount())
        if column.logical:
            misfits |= {row: {kind: cells[row]} for row in missed(array, cells)}
            self.misfits = len(misfits)
        return array, misfits


def missed(array: Any, contents: Sequence[Any]) -> list[int]:
    """The rows that are null in the array and have a content."""
    if array.null_count == contents.count(None):
        return []
    return [row for row in pc.indices_nonzero(array.is_null()).to_pylist() if contents[row] is not None]


def nulls(column: Column, rows: int) -> Any:
    """An array of nulls."""
    kind = column.arrow_type()
    if isinstance(kind, pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(kind, pa.nulls(rows, kind.storage_type))
    return pa.nulls(rows, kind)


def same(canonical: Any, given: Any) -> Any:
    """:raises OddPage: when they differ."""
    if canonical != given:
        raise OddPage
    return canonical


def _strings(column: Column | None, contents: list[Any], count: TypeCount) -> Any:
    array = pa.array(contents, pa.string())
    lengths = pc.binary_length(array)
    extremes = pc.min_max(lengths).as_py()
    count.max_bytes = extremes["max"] or 0
    if extremes["min"] == 0:
        count.empty = pc.sum(pc.equal(lengths, 0)).as_py()
    return to_arrow(column.logical, array) if column is not None and column.logical else array


def _bools(column: Column | None, contents: list[Any], count: TypeCount) -> Any:
    return pa.array(contents, pa.bool_())


def _binaries(column: Column | None, contents: list[Any], count: TypeCount) -> Any:
    """Base64 text, which must be canonical."""
    decoded = [None if text is None else base64.b64decode(same(canonical_binary(text), text)) for text in contents]
    count.max_bytes = max((len(text) for text in contents if text is not None), default=0)
    count.empty = contents.count("")
    return pa.array(decoded, pa.binary())


def _numbers(column: Column | None, contents: list[Any], count: TypeCount) -> Any:
    """Numbers as text, which must be canonical and fit the column."""
    texts = pa.array(contents, pa.string())
    if column is not None and column.number == "int64":
        try:
            numbers = texts.cast(pa.int64())
        except pa.ArrowInvalid:
            numbers = None
        if numbers is not None and numbers.cast(pa.string()).equals(texts):
            extremes = pc.min_max(numbers).as_py()
            count.max_bytes = max(len(str(extremes["min"])), len(str(extremes["max"])))
            largest = max(abs(extremes["min"]), abs(extremes["max"]))
            count.max_integer_digits = len(str(largest)) if largest else 0
            return numbers
    _check_canonical(texts)
    _count_numbers(texts, count)
    if column is None or column.number == "text":
        return texts
    if column.number == "int64":
        raise OddPage  # a number misses its column: which, the general path finds
    if count.max_integer_digits > DECIMAL_DIGITS - column.scale or count.max_scale > column.scale:
        raise OddPage
    return texts.cast(pa.decimal128(DECIMAL_DIGITS, column.scale))


def _check_canonical(texts: Any) -> None:
    """:raises OddPage: when one is not in the canonical notation."""
    plain = pc.match_substring_regex(texts, f"^{PLAIN_NUMBER}$")
    if pc.all(plain).as_py() is False:
        for text in texts.filter(pc.invert(plain)).to_pylist():
            same(canonical_number(text), text)


def _count_numbers(texts: Any, count: TypeCount) -> None:
    """The extremes of canonical numbers, as `TypeCount.number` finds them one by one."""
    length = pc.binary_length(texts)
    count.max_bytes = pc.max(length).as_py() or 0
    point = pc.find_substring(texts, ".")
    broken = pc.greater_equal(point, 0)
    count.not_int64 = pc.sum(broken).as_py() or 0
    if count.not_int64:
        scale = pc.subtract(pc.subtract(length, point), 1)
        count.max_scale = pc.max(pc.if_else(broken, scale, 0)).as_py()
    whole = pc.if_else(broken, point, length)
    signed = pc.cast(pc.starts_with(texts, "-"), pa.int32())
    zero = pc.match_substring_regex(texts, "^-?0")
    digits = pc.if_else(zero, 0, pc.subtract(whole, signed))
    count.max_integer_digits = pc.max(digits).as_py() or 0
    if count.max_integer_digits >= 19:
        long = texts.filter(pc.and_(pc.greater_equal(digits, 19), pc.invert(broken)), null_selection_behavior="drop")
        count.not_int64 += sum(not fits_int64(text) for text in long.to_pylist())


_SCALARS: dict[str, Callable[[Column | None, list[Any], TypeCount], Any]] = {
    "S": _strings,
    "N": _numbers,
    "B": _binaries,
    "BOOL": _bools,
}
GATHER: dict[str, Callable[[str, str], Scalars | Sets | Documents]] = {
    **dict.fromkeys(("S", "N", "B", "BOOL"), Scalars),
    **dict.fromkeys(("SS", "NS", "BS"), Sets),
    **dict.fromkeys(("M", "L"), Documents),
}
