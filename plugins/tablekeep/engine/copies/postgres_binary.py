"""Arrow batches → the bytes of PostgreSQL's COPY … WITH (FORMAT binary), a column at a time.

No Python object is made per value, but for numbers beyond 63 bits, for numbers without a fixed scale, and for arrays. Each column gives
the four bytes of its values' lengths and the values themselves; one join puts the rows together.
Formats: PostgreSQL, "COPY", "Binary Format"; numeric_recv, jsonb_recv, timestamp_recv, array_recv in src/backend/utils/adt.
"""

import array
import struct
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tablekeep.engine.copies.columns import joined
from tablekeep.engine.copies.mapping import SqlColumn

HEAD = b"PGCOPY\n\xff\r\n\0" + struct.pack("!ii", 0, 0)
TAIL = struct.pack("!h", -1)
_EPOCH_DAYS = 10_957
"""From 1970-01-01 to 2000-01-01, from which PostgreSQL counts."""
_EPOCH_MICROS = _EPOCH_DAYS * 86_400_000_000
_NEGATIVE = 0x4000
_WORD = 10_000
"""A digit of a numeric (NBASE)."""
_OIDS = {"text": 25, "smallint": 21, "integer": 23, "bigint": 20, "numeric": 1700, "bytes": 17, "varchar": 1043}


def encode_rows(columns: Sequence[SqlColumn], arrays: Sequence[Any]) -> memoryview:
    """The rows of a batch, without HEAD and TAIL.

    :param arrays: of the columns' Arrow types, all of one length.
    """
    pieces: list[Any] = [pa.scalar(struct.pack("!h", len(columns)), pa.binary())]
    for column, cells in zip(columns, arrays, strict=True):
        pieces += _field(column, cells)
    return joined(pc.binary_join_element_wise(*pieces, pa.scalar(b"", pa.binary())))


def _field(column: SqlColumn, cells: Any) -> list[Any]:
    """What is joined for a column: lengths, then values; nothing of a null but its length, which is -1."""
    form = column.form
    if form in ("text", "bytes"):
        return [_lengths(pc.binary_length(cells)), _bytes(cells)]
    if form in ("json", "rest"):
        texts = _bytes(cells)
        version = b"\x01"
        mark = pa.scalar(version, pa.binary())
        if cells.null_count:
            mark = pc.if_else(cells.is_valid(), mark, pa.scalar(b"", pa.binary()))
        return [_lengths(pc.add(pc.binary_length(cells), 1)), mark, texts]
    if form == "decimal":
        return _decimal(column, cells)
    fixed = _FIXED.get(form)
    if fixed is not None:
        return fixed(cells)
    payloads = pa.array([None if one is None else _SINGLE[form](column, one) for one in cells.to_pylist()], pa.binary())
    return [_lengths(pc.binary_length(payloads)), _bytes(payloads)]


def _bytes(cells: Any) -> Any:
    values = cells.cast(pa.binary())
    return pc.fill_null(values, b"") if values.null_count else values


def _lengths(lengths: Any) -> Any:
    return _swapped(pc.fill_null(lengths.cast(pa.int32()), -1), "i")


def _swapped(numbers: Any, code: str) -> Any:
    """Numbers without nulls as their bytes, the first the most significant."""
    width = array.array(code).itemsize
    raw = array.array(code)
    start = numbers.offset * width
    raw.frombytes(memoryview(numbers.buffers()[1])[start : start + len(numbers) * width])
    raw.byteswap()
    fixed = pa.FixedSizeBinaryArray.from_buffers(pa.binary(width), len(numbers), [None, pa.py_buffer(raw.tobytes())])
    return fixed.cast(pa.binary())


def _of_width(cells: Any, values: Any, width: int) -> list[Any]:
    """Lengths and values of a type whose values all have so many bytes."""
    if not cells.null_count:
        return [pa.scalar(struct.pack("!i", width), pa.binary()), values]
    valid = cells.is_valid()
    length = pc.if_else(
        valid, pa.scalar(struct.pack("!i", width), pa.binary()), pa.scalar(b"\xff\xff\xff\xff", pa.binary())
    )
    return [length, pc.if_else(valid, values, pa.scalar(b"", pa.binary()))]


def _numbers(cells: Any) -> list[Any]:
    code, width = {pa.int16(): ("h", 2), pa.int32(): ("i", 4), pa.int64(): ("q", 8)}[cells.type]
    return _of_width(cells, _swapped(pc.fill_null(cells, 0), code), width)


def _floats(cells: Any) -> list[Any]:
    code, width = ("f", 4) if cells.type == pa.float32() else ("d", 8)
    return _of_width(cells, _swapped(pc.fill_null(cells, 0.0), code), width)


def _bools(cells: Any) -> list[Any]:
    values = pc.if_else(pc.fill_null(cells, False), pa.scalar(b"\x01", pa.binary()), pa.scalar(b"\x00", pa.binary()))
    return _of_width(cells, values, 1)


def _moments(cells: Any) -> list[Any]:
    return _numbers(pc.subtract(cells.cast(pa.int64()), _EPOCH_MICROS))


_FIXED: dict[str, Callable[[Any], list[Any]]] = {
    "int": _numbers,
    "float": _floats,
    "bool": _bools,
    "timestamp": _moments,
    "timestamptz": _moments,
    "time": lambda cells: _numbers(cells.cast(pa.int64())),
    "date": lambda cells: _numbers(pc.subtract(cells.cast(pa.int32()), pa.scalar(_EPOCH_DAYS, pa.int32()))),
}


def _decimal(column: SqlColumn, cells: Any) -> list[Any]:
    """numeric(p,s): as eight digits in base 10,000, of which PostgreSQL drops zeros; what needs more is written one by one."""
    scale = column.kind.scale
    behind = -(-scale // 4)  # digits in base 10,000 after the point
    shift = 10 ** (behind * 4 - scale)
    low, high = _halves(cells)
    largest = (2**63 - 1) // shift
    within = pc.and_(pc.less_equal(low, largest), pc.greater_equal(low, -largest))
    usual = pc.and_(pc.equal(pc.if_else(pc.less(low, 0), -1, 0), high), within)
    value = pc.multiply(pc.abs(pc.if_else(usual, low, 0)), shift)
    upper = pc.divide(value, _WORD**4)
    lower = pc.subtract(value, pc.multiply(upper, _WORD**4))
    positive, negative = (
        pa.scalar(struct.pack("!HhHH", 8, 7 - behind, sign, scale), pa.binary()) for sign in (0, _NEGATIVE)
    )
    values = pc.binary_join_element_wise(
        pc.if_else(pc.less(low, 0), negative, positive), _packed(upper), _packed(lower), pa.scalar(b"", pa.binary())
    )
    odd = pc.and_not(cells.is_valid(), usual)
    if not pc.any(odd).as_py():
        return _of_width(cells, values, 24)
    singles = [_numeric(one, scale) for one in cells.filter(odd).to_pylist()]
    values = pc.replace_with_mask(values, odd, pa.array(singles, pa.binary()))
    values = pc.if_else(cells.is_valid(), values, pa.scalar(None, pa.binary()))
    return [_lengths(pc.binary_length(values)), _bytes(values)]


def _halves(cells: Any) -> tuple[Any, Any]:
    """The lower and the upper 64 bits of decimals' whole numbers; those of nulls are anything."""
    words = array.array("q")
    start = cells.offset * 16
    words.frombytes(memoryview(cells.buffers()[1])[start : start + len(cells) * 16])
    low, high = (
        pa.Array.from_buffers(pa.int64(), len(cells), [None, pa.py_buffer(words[half::2].tobytes())]) for half in (0, 1)
    )
    return low, high


def _packed(value: Any) -> Any:
    """Numbers below 10^16 as four digits in base 10,000, two bytes each."""
    packed = None
    for power in (3, 2, 1, 0):
        digit = value
        if power:
            whole = pc.divide(value, _WORD**power)
            value = pc.subtract(value, pc.multiply(whole, _WORD**power))
            digit = whole
        packed = digit if packed is None else pc.bit_wise_or(pc.shift_left(packed, 16), digit)
    return _swapped(packed, "q")


def _numeric(number: Decimal, scale: int | None = None) -> bytes:
    """Any number.

    :param scale: digits after the point that are shown; those that it has when None.
    """
    sign, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int)
    shown = max(0, -exponent) if scale is None else scale
    # whole groups of four digits on both sides of the point
    right = -(-max(0, -exponent) // 4) * 4
    unscaled = int("".join(map(str, digits)) or "0") * 10 ** (exponent + right)
    words = list[int]()
    while unscaled:
        unscaled, word = divmod(unscaled, _WORD)
        words.append(word)
    weight = len(words) - right // 4 - 1
    words.reverse()
    return struct.pack(f"!HhHH{len(words)}H", len(words), weight, _NEGATIVE if sign else 0, shown, *words)


def _uuid(column: SqlColumn, text: str) -> bytes:
    return bytes.fromhex(text.replace("-", ""))


def _number(column: SqlColumn, text: str) -> bytes:
    return _numeric(Decimal(text), column.kind.scale if column.kind.precision is not None else None)


def _list(column: SqlColumn, members: list[Any]) -> bytes:
    element = column.kind.element
    single, scale = _member_of(element.name), element.scale if element.precision is not None else None
    cells = [None if one is None else single(one, scale) for one in members]
    body = b"".join(struct.pack("!i", -1) if one is None else struct.pack("!i", len(one)) + one for one in cells)
    if not members:
        return struct.pack("!iiI", 0, 0, _OIDS[element.name])
    nulls = int(any(one is None for one in members))
    return struct.pack("!iiIii", 1, nulls, _OIDS[element.name], len(members), 1) + body


def _member_of(name: str) -> Callable[[Any, int | None], bytes]:
    widths = {"smallint": "!h", "integer": "!i", "bigint": "!q"}
    if name in widths:
        return lambda one, scale: struct.pack(widths[name], one)
    if name == "numeric":
        return lambda one, scale: _numeric(Decimal(one), scale)
    return lambda one, scale: one if isinstance(one, bytes) else one.encode()


_SINGLE: dict[str, Callable[[SqlColumn, Any], bytes]] = {"uuid": _uuid, "number": _number, "array": _list}
