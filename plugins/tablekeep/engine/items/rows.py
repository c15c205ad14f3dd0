"""Rows of tables that are not DynamoDB's → items as wire JSON: a column of text cells becomes an attribute, a NULL none.

A number is an N where N holds it exactly, else (NaN, infinity, more than 38 digits) the S of its text. Column by column, without a Python
object per cell where that can be.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from tablekeep.engine.items.canonical import ItemError, canonical_number
from tablekeep.engine.items.columns import PLAIN_NUMBER
from tablekeep.engine.items.decode import escaped

ROW = "_row"
"""The attribute that numbers the rows of a table without a key: it tells rows of one set apart, and nothing more."""

Kind = Literal["S", "N", "B", "BOOL"]


@dataclass(frozen=True, slots=True)
class Cells:
    """How a column's cells come.

    :ivar kind: S: text · N: a number's text, in any notation · B: bytes · BOOL: booleans. :ivar name: of the attribute.
    """

    name: str
    kind: Kind


def wire_items(columns: Sequence[Cells], arrays: Sequence[Any]) -> list[bytes]:
    """One item a row.

    :param arrays: for each column an Arrow array: strings, strings, binary, booleans, as its kind says; all of one length. No row is all
        null: a key is there.
    """
    members = [_members(column, array) for column, array in zip(columns, arrays, strict=True)]
    joined = pc.binary_join_element_wise(*members, ",", null_handling="skip")
    items: list[bytes] = pc.binary_join_element_wise("{", joined, "}", "").cast(pa.binary()).to_pylist()
    if len(items) != len(arrays[0]):  # Arrow's join leaves rows of nulls alone out
        raise ItemError("a row has no cell that is not null")
    return items


def _members(column: Cells, array: Any) -> Any:
    """`"name":{"S":"value"}` by row, null where the cell is."""
    name = f"{msgspec.json.encode(column.name).decode()}:"
    head = f'{name}{{"{column.kind}":'
    if column.kind == "BOOL":
        return pc.if_else(array, f"{head}true}}", f"{head}false}}")
    if column.kind == "B":
        texts = [None if one is None else base64.b64encode(one).decode() for one in array.to_pylist()]
        return pc.binary_join_element_wise(f'{head}"', pa.array(texts, pa.string()), '"}', "")
    if column.kind == "S":
        return pc.binary_join_element_wise(f'{head}"', escaped(array), '"}', "")
    numbers = plain_numbers(array)
    found = pc.binary_join_element_wise(f'{head}"', numbers, '"}', "")
    if numbers.null_count == array.null_count:
        return found
    return pc.coalesce(found, pc.binary_join_element_wise(f'{name}{{"S":"', escaped(array), '"}', ""))


def plain_numbers(texts: Any) -> Any:
    """Numbers as N writes them, null where N does not hold them exactly."""
    plain = _plain(texts)
    if pc.all(plain).as_py() is not False:
        return texts
    short = pc.replace_substring_regex(texts, r"^(-?)0+([0-9])", r"\1\2")
    short = pc.replace_substring_regex(short, r"^(-?[0-9]+)\.0*$", r"\1")
    short = pc.replace_substring_regex(short, r"^(-?[0-9]+\.[0-9]*?)0+$", r"\1")
    short = pc.if_else(pc.equal(short, "-0"), "0", short)
    plain = _plain(short)
    if pc.all(plain).as_py() is not False:
        return short
    # few: long ones, those with an exponent, NaN
    cells = zip(short.to_pylist(), texts.to_pylist(), plain.to_pylist(), strict=True)
    return pa.array([one if same or one is None else _number(given) for one, given, same in cells], pa.string())


def _plain(texts: Any) -> Any:
    return pc.match_substring_regex(texts, f"^{PLAIN_NUMBER}$")


def _number(text: str) -> str | None:
    try:
        return canonical_number(text)
    except ItemError:
        return None
