"""Whole columns of DynamoDB's typed JSON → plain JSON, without a Python object per value.

A document and its wrappers alternate: in `{"a":{"N":"1"},"b":{"L":[{"S":"x"}]}}` every second level of brackets is a wrapper, whatever is
nested in what. So the level's parity tells which brackets, with the type's name behind them, are to be left out. One bit a byte of the
texts says what a byte is, a bitmap is one whole number, and what is true of all bytes takes one operation on it (as in Langdale and
Lemire, "Parsing Gigabytes of JSON per Second", VLDB Journal 2019, with Python's long integers for their registers).
"""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

CHUNK_BYTES = 1024 * 1024
"""So much text at a time: bitmaps of this size stay in the processor's cache."""


def plain_texts(texts: Any) -> Any:
    """Canonical typed JSON as the plain JSON of the same values, byte for byte what `plain_json` and `encode_canonical` give.

    :param texts: an Arrow array of strings, each the content of an M or L.
    :returns: an array of as many; None when a text is not in canonical form.
    """
    size = pc.sum(pc.binary_length(texts)).as_py() or 0
    rows = max(1, len(texts) * CHUNK_BYTES // max(1, size))
    chunks = []
    for start in range(0, len(texts), rows):
        chunk = _plain(texts.slice(start, rows))
        if chunk is None:
            return None
        chunks.append(chunk)
    return pa.concat_arrays(chunks) if chunks else texts


def _plain(texts: Any) -> Any:
    if texts.null_count == len(texts):
        return texts
    # a line feed never stands in JSON text without an escape, so it parts the texts
    offsets = pa.array([0, len(texts)], pa.int32())
    lines = pc.binary_join(pa.ListArray.from_arrays(offsets, pc.fill_null(texts, "")), "\n")
    shadow = lines  # as long, but without escaped quotes
    if b"\\" in lines.buffers()[2].to_pybytes():  # quicker than Arrow's search
        shadow = pc.replace_substring(pc.replace_substring(lines, "\\\\", "__"), '\\"', "__")
    data = _characters(shadow)
    size = len(data)
    every = (1 << size) - 1
    quotes, n = _where(data, ord('"')), _where(data, ord("N"))
    brackets = pc.bit_wise_and(data, _byte(0xDF))  # { and [, } and ] differ by this bit alone
    inside = _parity(quotes, size)
    opening, closing = _where(brackets, ord("[")) & ~inside, _where(brackets, ord("]")) & ~inside
    odd = _parity(opening | closing, size)
    begin, end = opening & ~odd, closing & odd
    # the name between the wrapper's quotes: one letter; SS, NS, BS; BOOL and NULL
    one = begin & quotes >> 3
    two = begin & quotes >> 4 & ~one
    four = begin & ~one & ~two
    if begin & ~(quotes >> 1) or four & ~(quotes >> 6) or odd >> size - 1:
        return None
    out = begin | begin << 1 | begin << 2 | begin << 3 | begin << 4 | (two | four) << 5 | four << 6 | four << 7 | end
    # the quotes of {"N":"1"}: a sum carries from the first digit to the quote behind the last
    if number := one & n >> 2:
        out |= number << 5 | ((every ^ quotes) + (number << 6)) & quotes
    if numbers := two & n >> 2:  # all quotes of {"NS":["1","2"]}, up to the bracket
        others = every ^ closing
        out |= (others + (numbers << 7) ^ others) & quotes
    if four & n >> 2:
        lines = pc.replace_substring(lines, '{"NULL":true}', '{"NULL":null}')
    kept = _characters(lines).filter(_bitmap(every ^ out & every, size))
    found = pc.split_pattern(_text(kept), "\n").values
    if len(found) != len(texts):
        return None
    return pc.if_else(texts.is_valid(), found, pa.scalar(None, pa.string())) if texts.null_count else found


def _characters(lines: Any) -> Any:
    """The bytes of the only text of an array."""
    size = pc.binary_length(lines)[0].as_py()
    return pa.Array.from_buffers(pa.uint8(), size, [None, lines.buffers()[2]])


def _text(data: Any) -> Any:
    """The reverse of `_characters`."""
    offsets = pa.array([0, len(data)], pa.int32()).buffers()[1]
    return pa.Array.from_buffers(pa.string(), 1, [None, offsets, data.buffers()[1]])


def _byte(number: int) -> Any:
    return pa.scalar(number, pa.uint8())


def _where(data: Any, byte: int) -> int:
    """The bitmap of a byte; the first byte's bit is the lowest."""
    mask = pc.equal(data, _byte(byte))
    return int.from_bytes(memoryview(mask.buffers()[1])[: -(-len(mask) // 8)], "little")


def _bitmap(bits: int, size: int) -> Any:
    return pa.Array.from_buffers(pa.bool_(), size, [None, pa.py_buffer(bits.to_bytes(-(-size // 8), "little"))])


def _parity(bits: int, size: int) -> int:
    """By byte whether an odd number of bits is set up to and with it."""
    step = 1
    while step < size:
        bits ^= bits << step
        step <<= 1
    return bits & (1 << size) - 1
