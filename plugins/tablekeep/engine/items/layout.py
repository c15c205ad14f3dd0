"""Which attribute becomes which column: one layout for a whole backup set, decided before its first row is written.

Rules (docs/backup-format.md, "Columns"): key attributes first, then by frequency, at most 500; a column's kind of number
only widens from set to set (int64 → decimal → text); readers ignore case in names, so of names that differ by case only,
one keeps its name and the others become `name~2`, `name~3`; everything that has no column goes to `_rest`.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import pyarrow as pa

from tablekeep.engine.errors import IntegrityError
from tablekeep.engine.items.census import Census, TypeCount
from tablekeep.engine.items.logical import LOGICAL, arrow_type

REST = "_rest"
"""The column that holds, as the canonical text of an item, every attribute that has no column or missed it."""
CHANGE, WRITTEN, OLD = "_change", "_written", "_old"
"""Further columns of a set of changes: put or delete; when it was written last; the item before, as canonical text."""
MAX_COLUMNS = 500
DECIMAL_DIGITS = 38
INT64_DIGITS = 18
"""So many decimal digits every 64-bit integer holds."""
SCALE_HEADROOM = 4

NumberKind = Literal["int64", "decimal", "text"]
COLUMN_TYPES = ("S", "N", "B", "BOOL", "SS", "NS", "BS", "M", "L")
"""Types that can be a column, in the order that breaks ties. NULL never is: it goes to `_rest`."""

_ATTRIBUTE, _TYPE, _NUMBER, _LOGICAL = (
    f"tablekeep.{name}".encode() for name in ("attribute", "type", "number", "logical")
)


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    :ivar attribute: the attribute's real name.
    :ivar column: the Parquet column's name; differs from `attribute` only where names collide.
    :ivar type: the DynamoDB type that the column holds; other types of the attribute go to `_rest`.
    :ivar number: for N and NS the kind of number, else None.
    :ivar scale: digits after the point of a `decimal`, else 0.
    :ivar logical: for S what its texts are (see `logical.py`), where the source of the items tells it; None: just text.
    """

    attribute: str
    column: str
    type: str
    number: NumberKind | None = None
    scale: int = 0
    logical: str | None = None

    def arrow_type(self) -> Any:
        """The column's Arrow type."""
        match self.type:
            case "S":
                return arrow_type(self.logical) if self.logical else pa.string()
            case "B":
                return pa.binary()
            case "BOOL":
                return pa.bool_()
            case "N":
                return self._number_type()
            case "NS":
                return pa.list_(self._number_type())
            case "SS":
                return pa.list_(pa.string())
            case "BS":
                return pa.list_(pa.binary())
            case _:
                return pa.json_(pa.string())

    def _number_type(self) -> Any:
        if self.number == "int64":
            return pa.int64()
        return pa.decimal128(DECIMAL_DIGITS, self.scale) if self.number == "decimal" else pa.string()

    def arrow_field(self) -> Any:
        """The field with the metadata that a reader decodes by."""
        metadata = {_ATTRIBUTE: self.attribute.encode(), _TYPE: self.type.encode()}
        if self.number:
            metadata[_NUMBER] = self.number.encode()
        if self.logical:
            metadata[_LOGICAL] = self.logical.encode()
        return pa.field(self.column, self.arrow_type(), metadata=metadata)

    def as_json(self) -> dict[str, Any]:
        document: dict[str, Any] = {"attribute": self.attribute, "column": self.column, "type": self.type}
        if self.number:
            document["number"] = self.number
        if self.number == "decimal":
            document["scale"] = self.scale
        if self.logical:
            document["logical"] = self.logical
        return document

    @staticmethod
    def from_json(document: dict[str, Any]) -> "Column":
        column = Column(
            str(document["attribute"]),
            str(document["column"]),
            str(document["type"]),
            document.get("number"),
            int(document.get("scale", 0)),
            document.get("logical"),
        )
        numeric = column.type in ("N", "NS")
        if column.type not in COLUMN_TYPES or (column.number in ("int64", "decimal", "text")) != numeric:
            raise ValueError(f"column {column.column!r} has an unknown type")
        if column.logical is not None and (column.type != "S" or column.logical not in LOGICAL):
            raise ValueError(f"column {column.column!r} has an unknown logical type")
        return column


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns of a set, without `_rest`, which is always last.

    :ivar schema: 1 for a table's first set; one more each time that the columns changed.
    :ivar changes: the set's rows are changes, not items: three columns follow `_rest`.
    """

    schema: int
    columns: tuple[Column, ...]
    changes: bool = False

    def item_schema(self) -> Any:
        """The Arrow schema of items, `_rest` last."""
        rest = pa.field(REST, pa.json_(pa.string()), metadata={_TYPE: b"_rest"})
        return pa.schema([*(column.arrow_field() for column in self.columns), rest])

    def arrow_schema(self) -> Any:
        """The Arrow schema of every part."""
        schema = self.item_schema()
        if self.changes:
            for name, kind in _CHANGE_COLUMNS.items():
                schema = schema.append(pa.field(name, kind, metadata={_TYPE: name.encode()}))
        return schema

    def as_json(self) -> dict[str, Any]:
        document = {"schema": self.schema, "columns": [column.as_json() for column in self.columns]}
        return document | ({"changes": True} if self.changes else {})

    @staticmethod
    def from_json(document: dict[str, Any]) -> "Layout":
        """Reads what `as_json` gave.

        :raises ValueError, KeyError, TypeError: for another document.
        """
        columns = tuple(Column.from_json(one) for one in document["columns"])
        return Layout(int(document["schema"]), columns, bool(document.get("changes", False)))

    def column_of(self, attribute: str) -> Column | None:
        """The column that holds the attribute, if it has one."""
        return next((column for column in self.columns if column.attribute == attribute), None)


_CHANGE_COLUMNS = {CHANGE: pa.string(), WRITTEN: pa.timestamp("us", "UTC"), OLD: pa.json_(pa.string())}


def layout_of_schema(schema: Any, number: int = 0) -> Layout:
    """The layout as a part's own Arrow schema tells it, by field metadata alone.

    :raises IntegrityError: when a field lacks its metadata or its Arrow type is not the one that the metadata stands for.
    """
    columns = []
    ours = {field.name for field in schema if (field.metadata or {}).get(_TYPE) == field.name.encode()}
    changes = ours >= set(_CHANGE_COLUMNS)
    for field in schema:
        metadata = field.metadata or {}
        kind = metadata.get(_TYPE, b"").decode()
        if changes and _CHANGE_COLUMNS.get(kind) == field.type and kind == field.name:
            continue
        if kind == "_rest" and field.name == REST:
            continue
        scale = 0
        if metadata.get(_NUMBER) == b"decimal":
            inner = field.type.value_type if kind == "NS" else field.type
            scale = getattr(inner, "scale", 0)
        try:
            document = {"attribute": metadata[_ATTRIBUTE].decode(), "column": field.name, "type": kind, "scale": scale}
            for member, name in (("number", _NUMBER), ("logical", _LOGICAL)):
                if name in metadata:
                    document[member] = metadata[name].decode()
            column = Column.from_json(document)
        except (KeyError, ValueError) as error:
            raise IntegrityError(
                "reading a part's columns", f"the field {field.name!r} is not described ({error})"
            ) from None
        if column.arrow_type() != field.type:
            raise IntegrityError(
                "reading a part's columns", f"the field {field.name!r} has type {field.type}, not {column.arrow_type()}"
            )
        columns.append(column)
    return Layout(number, tuple(columns), changes)


def number_kind(count: TypeCount) -> tuple[NumberKind, int]:
    """The narrowest kind of number that holds all that was counted, with headroom for a decimal's scale."""
    if not count.not_int64:
        return "int64", 0
    if count.max_integer_digits + count.max_scale > DECIMAL_DIGITS:
        return "text", 0
    return "decimal", min(count.max_scale + SCALE_HEADROOM, DECIMAL_DIGITS - count.max_integer_digits)


def decimal_of(precision: int, scale: int) -> tuple[NumberKind | None, int]:
    """Kind of number and scale of a column of DECIMAL(precision, scale), when a set's column holds all its values."""
    digits = max(precision, precision - scale, scale)
    if digits > DECIMAL_DIGITS:
        return None, 0
    if scale <= 0:
        return ("int64" if digits <= INT64_DIGITS else "decimal"), 0
    return "decimal", scale


def holds(column: Column, count: TypeCount) -> bool:
    """Whether every number counted fits the column."""
    match column.number:
        case "int64":
            return not count.not_int64
        case "decimal":
            return count.max_integer_digits <= DECIMAL_DIGITS - column.scale and count.max_scale <= column.scale
        case _:
            return True


def widen(column: Column, count: TypeCount) -> Column:
    """The column, or the next wider one that holds what was counted; never a narrower one."""
    if holds(column, count):
        return column
    if column.number == "int64":
        # what the column held until now must still fit: integers of up to 19 digits
        seen = replace(count, max_integer_digits=max(19, count.max_integer_digits))
        if seen.max_integer_digits + seen.max_scale <= DECIMAL_DIGITS:
            scale = min(seen.max_scale + SCALE_HEADROOM, DECIMAL_DIGITS - seen.max_integer_digits)
            return replace(column, number="decimal", scale=scale)
    return replace(column, number="text", scale=0)


def decide(
    census: Census,
    key_types: Sequence[tuple[str, str]],
    previous: Layout | None = None,
    pins: Sequence[Column] = (),
    *,
    changes: bool = False,
) -> Layout:
    """The layout for what a census (of a sample, or of a whole set) has counted.

    :param key_types: name and type of the key's attributes, partition key first.
    :param previous: the layout of the table's newest set: its columns stay, in their order, and only widen.
    :param pins: columns that the pipeline fixes; their type and kind of number never change, their name follows the rule of names.
    :param changes: for a set of changes, in which three more names are ours.
    """
    before = {column.attribute: column for column in previous.columns} if previous else {}
    pinned = {column.attribute: column for column in pins}
    chosen: dict[str, Column] = {}
    for name, kind in key_types:
        chosen[name] = pinned.get(name) or before.get(name) or _fresh(name, kind, census)
    for column in (*before.values(), *pinned.values()):
        chosen.setdefault(column.attribute, pinned.get(column.attribute, column))
    for name, kind in _by_frequency(census):
        if len(chosen) >= MAX_COLUMNS:
            break
        chosen.setdefault(name, _fresh(name, kind, census))
    widened = [column if name in pinned else _widened(column, census) for name, column in chosen.items()]
    columns = tuple(_named(widened, before, {REST, *(_CHANGE_COLUMNS if changes else ())}))
    if previous and columns == previous.columns:
        return replace(previous, changes=changes)
    return Layout(previous.schema + 1 if previous else 1, columns, changes)


def _fresh(name: str, kind: str, census: Census) -> Column:
    if kind not in ("N", "NS"):
        return Column(name, name, kind)
    number, scale = number_kind(census.attributes.get(name, {}).get(kind, TypeCount()))
    return Column(name, name, kind, number, scale)


def _widened(column: Column, census: Census) -> Column:
    if column.number is None:
        return column
    return widen(column, census.attributes.get(column.attribute, {}).get(column.type, TypeCount()))


def _by_frequency(census: Census) -> list[tuple[str, str]]:
    """Attributes with the type they have most often, the most frequent first; names break ties, so that it is reproducible."""
    ranked = []
    for name, types in census.attributes.items():
        best = max(
            ((count.count, -COLUMN_TYPES.index(kind), kind) for kind, count in types.items() if kind in COLUMN_TYPES),
            default=None,
        )
        if best:
            ranked.append((-best[0], name, best[2]))
    return [(name, kind) for _, name, kind in sorted(ranked)]


def fold(name: str) -> str:
    """The form in which readers that ignore case compare names."""
    return name.casefold()


def _named(columns: Iterable[Column], before: dict[str, Column], ours: set[str]) -> list[Column]:
    """Gives each column a name that no other has under case folding. Who had its name before keeps it, unless it is ours."""
    columns = list(columns)
    taken = {fold(name) for name in ours}
    names: dict[str, str] = {}
    for attribute, column in before.items():
        if fold(column.column) not in taken:
            names[attribute] = column.column
            taken.add(fold(column.column))
    # a name that another attribute's column would need as it is goes first to that one, in byte order
    for attribute in sorted((c.attribute for c in columns if c.attribute not in names), key=str.encode):
        if fold(attribute) not in taken:
            names[attribute] = attribute
            taken.add(fold(attribute))
    for attribute in sorted((c.attribute for c in columns if c.attribute not in names), key=str.encode):
        number = 2
        while fold(f"{attribute}~{number}") in taken:
            number += 1
        names[attribute] = f"{attribute}~{number}"
        taken.add(fold(names[attribute]))
    return [replace(column, column=names[column.attribute]) for column in columns]


def layout_text(layout: Layout) -> str:
    """The layout as compact JSON, as it stands in a part's file metadata for readers that do not know Arrow's schema."""
    return json.dumps(layout.as_json(), ensure_ascii=False, separators=(",", ":"))
