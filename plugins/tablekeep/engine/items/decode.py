"""Arrow rows to items: the canonical text of each, put together column by column; rows with a `_rest` one by one.

Both ways give the same bytes (a test compares them over arbitrary items). The first never makes a Python object per attribute value,
which matters where a whole backup is read: verification, restore, merge.
"""

import base64
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from tablekeep.engine.errors import IntegrityError
from tablekeep.engine.items.canonical import canonical_number, decode_json, encode_canonical
from tablekeep.engine.items.layout import REST, Column, Layout
from tablekeep.engine.items.logical import to_texts

_ESCAPED = r'["\\\x00-\x1f]'
"""Characters that JSON writes in another way."""


def decode(batch: Any, layout: Layout) -> list[bytes]:
    """The canonical items of a record batch.

    :param layout: the batch's own (`layout_of_schema`).
    :raises IntegrityError: when `_rest` names an attribute that its column holds too, or is no item.
    """
    if not batch.num_rows:
        return []
    rest = batch.column(REST).storage
    if rest.null_count == batch.num_rows:
        return _by_column(batch, layout)
    if not rest.null_count:
        return decode_by_row(batch, layout)
    plain = rest.is_null()
    usual, odd = _by_column(batch.filter(plain), layout), decode_by_row(batch.filter(pc.invert(plain)), layout)
    usual.reverse()
    odd.reverse()
    return [usual.pop() if one else odd.pop() for one in plain.to_pylist()]


def _by_column(batch: Any, layout: Layout) -> list[bytes]:
    columns = sorted(layout.columns, key=lambda column: column.attribute.encode())
    members = [one for column in columns if (one := _members(column, batch.column(column.column))) is not None]
    if not members:
        return [b"{}"] * batch.num_rows
    joined = pc.binary_join_element_wise(*members, ",", null_handling="skip")
    items: list[bytes] = pc.binary_join_element_wise("{", joined, "}", "").cast(pa.binary()).to_pylist()
    return items


def _members(column: Column, array: Any) -> Any:
    """`"name":{"S":"value"}` by row, null where the column is; None for a column of nulls."""
    if array.null_count == len(array):
        return None
    return typed_texts(column, array, f"{msgspec.json.encode(column.attribute).decode()}:")


def typed_texts(column: Column, array: Any, before: str = "") -> Any:
    """`{"S":"value"}` by row, null where the column is.

    :param before: text in front of each.
    """
    kind, head = column.type, f'{before}{{"{column.type}":'
    if kind == "BOOL":
        return pc.if_else(array, f"{head}true}}", f"{head}false}}")
    if kind == "S":
        return pc.binary_join_element_wise(f'{head}"', escaped(strings(column, array)), '"}', "")
    if kind == "N":
        return pc.binary_join_element_wise(f'{head}"', number_texts(column, array), '"}', "")
    if kind in ("SS", "NS") and (sets := joined_sets(column, array, '","')) is not None:
        return pc.binary_join_element_wise(f'{head}["', sets, '"]}', "")
    if kind in ("M", "L"):
        return pc.binary_join_element_wise(head, array.storage, "}", "")
    contents = [None if one is None else encode_canonical(one).decode() for one in column_contents(column, array)]
    return pc.binary_join_element_wise(head, pa.array(contents, pa.string()), "}", "")


def strings(column: Column, array: Any) -> Any:
    """The texts of a column of type S."""
    return to_texts(column.logical, array) if column.logical else array


def escaped(array: Any) -> Any:
    """Texts (an Arrow array of strings) as they stand between JSON's quotes."""
    odd = pc.match_substring_regex(array, _ESCAPED)
    if not pc.any(odd).as_py():
        return array
    return pa.array([None if one is None else msgspec.json.encode(one)[1:-1].decode() for one in array.to_pylist()])


def joined_sets(column: Column, array: Any, separator: str) -> Any:
    """The members of each set (SS, NS) in one text, escaped for JSON; None when they do not lie in canonical order."""
    values = array.flatten()
    texts = escaped(values) if column.type == "SS" else number_texts(column, values)
    plain = values if column.type == "SS" else texts
    parents = pc.list_parent_indices(array)
    unsorted = pc.and_(pc.greater_equal(plain[:-1], plain[1:]), pc.equal(parents[:-1], parents[1:]))
    if pc.any(unsorted).as_py():
        return None
    ends = pc.cumulative_sum(pc.fill_null(pc.list_value_length(array), 0)).cast(pa.int32())
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), ends])
    mask = array.is_null() if array.null_count else None
    return pc.binary_join(pa.ListArray.from_arrays(offsets, texts, mask=mask), separator)


def number_texts(column: Column, array: Any) -> Any:
    """Numbers in plain notation."""
    if column.number == "text":
        return array
    texts = array.cast(pa.string())
    if column.number == "int64":
        return texts
    if pc.any(pc.match_substring(texts, "E")).as_py():  # Arrow's notation of the very small
        return pa.array([None if text is None else canonical_number(text) for text in texts.to_pylist()], pa.string())
    if column.scale <= 0:
        return texts
    return pc.replace_substring_regex(texts, r"\.?0+$", "")


def decode_by_row(batch: Any, layout: Layout) -> list[bytes]:
    """`decode`, item by item."""
    contents = [(c.attribute, c.type, column_contents(c, batch.column(c.column))) for c in layout.columns]
    rest = batch.column(REST).storage.to_pylist()
    items = []
    for row in range(batch.num_rows):
        item: dict[str, Any] = {}
        for name, kind, values in contents:
            value = values[row]
            if value is not None:
                item[name] = {kind: value}
        text = rest[row]
        if text is not None:
            for name, value in _rest_attributes(text).items():
                if name in item:
                    raise IntegrityError("decoding a part", "an attribute lies both in its column and in _rest")
                item[name] = value
        items.append(encode_canonical(item))
    return items


def _rest_attributes(text: str) -> dict[str, Any]:
    try:
        attributes = decode_json(text.encode())
    except msgspec.DecodeError:
        attributes = None
    if type(attributes) is not dict:
        raise IntegrityError("decoding a part", "_rest does not hold an item")
    return attributes


def column_contents(column: Column, array: Any) -> list[Any]:
    """The canonical contents of one column, by row; None where the column is null."""
    kind = column.type
    if kind in ("S", "BOOL"):
        return list((strings(column, array) if kind == "S" else array).to_pylist())
    if kind == "N":
        return _texts(column, array)
    if kind == "B":
        return [None if one is None else base64.b64encode(one).decode() for one in array.to_pylist()]
    if kind == "SS":
        return [None if one is None else sorted(one) for one in array.to_pylist()]
    if kind == "BS":
        return [
            None if one is None else sorted(base64.b64encode(member).decode() for member in one)
            for one in array.to_pylist()
        ]
    if kind == "NS":
        members = _texts(column, array.values)
        starts, valid = array.offsets.to_pylist(), array.is_valid().to_pylist()
        return [sorted(members[starts[row] : starts[row + 1]]) if valid[row] else None for row in range(len(array))]
    return [None if one is None else msgspec.Raw(one.encode()) for one in array.storage.to_pylist()]


def _texts(column: Column, array: Any) -> list[Any]:
    """Numbers as canonical text."""
    if column.number == "text":
        return list(array.to_pylist())
    texts = array.cast(pa.string()).to_pylist()
    if column.number == "int64":
        return list(texts)
    return [None if text is None else canonical_number(text) for text in texts]
