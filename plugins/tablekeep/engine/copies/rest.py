"""The target's `_rest`: what of an item no column holds, as DynamoDB's typed JSON."""

import functools
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tablekeep.engine.copies.cells import NUL, has_nul, unfit_text
from tablekeep.engine.copies.mapping import Mapping, SqlColumn
from tablekeep.engine.items.canonical import decode_json, encode_canonical
from tablekeep.engine.items.decode import decode
from tablekeep.engine.items.layout import REST, Layout


class RestWriter:
    """Writes `_rest` of each batch: the set's columns that are not mapped, and what is left of the others."""

    def __init__(self, mapping: Mapping, layout: Layout) -> None:
        assert mapping.rest is not None
        self._column: SqlColumn = mapping.rest
        mapped = {column.attribute for column in mapping.columns} | {str(child.path[0]) for child in mapping.children}
        unmapped = tuple(column for column in layout.columns if column.attribute not in mapped)
        self._unmapped = replace(layout, columns=unmapped, changes=False) if unmapped else None
        self._names = [column.column for column in unmapped]

    def texts(
        self, batch: Any, items: dict[int, dict[str, Any]]
    ) -> tuple[list[str | None], list[tuple[int, str, str]]]:
        """By row the text, and what had to be left out as row, attribute and reason.

        :param items: by row the attributes that the set's own `_rest` held and no column tells, and misfits of columns.
        """
        texts: list[str | None] = [None] * batch.num_rows
        if self._unmapped is not None:
            self._unmapped_texts(batch, texts)
        for row, item in items.items():
            if item:
                text = texts[row]
                whole = item if text is None else decode_json(text.encode()) | item
                texts[row] = encode_canonical(whole).decode()
        left = list[tuple[int, str, str]]()
        for row, text in enumerate(texts):
            if text is not None and not self._fits(text):
                texts[row], lost = self._without_misfits(decode_json(text.encode()))
                left += [(row, name, reason) for name, reason in lost]
        return texts, left

    def _unmapped_texts(self, batch: Any, texts: list[str | None]) -> None:
        assert self._unmapped is not None
        present = functools.reduce(pc.or_, (batch.column(name).is_valid() for name in self._names))
        # rows that have none are left out: a join of nothing but nulls gives no row at all in Arrow
        some = batch.select([*self._names, REST]).filter(present)
        nothing = pa.ExtensionArray.from_storage(some.schema.field(REST).type, pa.nulls(some.num_rows, pa.string()))
        some = some.set_column(len(self._names), some.schema.field(REST), nothing)
        for row, text in zip(pc.indices_nonzero(present).to_pylist(), decode(some, self._unmapped), strict=True):
            texts[row] = text.decode()

    def _fits(self, text: str) -> bool:
        return unfit_text(self._column, text) is None and ("\\u0000" not in text or not has_nul(text, json=True))

    def _without_misfits(self, item: dict[str, Any]) -> tuple[str | None, list[tuple[str, str]]]:
        lost = list[tuple[str, str]]()
        sizes = {name: encode_canonical({name: value}) for name, value in item.items()}
        for name, text in sizes.items():
            why = NUL if has_nul(text.decode(), json=True) else unfit_text(self._column, text.decode())
            if why is not None:
                lost.append((name, why))
                del item[name]
        for name in sorted(item, key=lambda one: -len(sizes[one])):
            if self._fits(encode_canonical(item).decode()):
                break
            lost.append((name, f"longer than {self._column.max_bytes:,} bytes"))
            del item[name]
        return encode_canonical(item).decode() if item else None, lost
