"""What a SQL table is: its columns, how each becomes an attribute, its keys; and `table.json`, its schema as the database tells it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import quote

from tablekeep.engine.errors import BadInputError
from tablekeep.engine.items.layout import MAX_COLUMNS, Column, Layout, NumberKind
from tablekeep.engine.items.rows import ROW, Cells, Kind

VERSION = 1
Service = Literal["postgres", "mysql"]


@dataclass(frozen=True, slots=True)
class SourceColumn:
    """One column of a SQL table.

    :ivar sql_type: exactly as the database writes it. :ivar kind: the type of the attribute.
    :ivar logical, number, scale: of the set's column, see `Column`; `number` is None where only the values tell it.
    :ivar base: the type that decides, without length and domain. :ivar cast: the type, as a text is cast to it.
    :ivar read: what is selected, where the column itself would not give its exact text.
    """

    name: str
    sql_type: str
    base: str
    kind: Kind
    nullable: bool
    logical: str | None = None
    number: NumberKind | None = None
    scale: int = 0
    cast: str = ""
    read: str | None = None

    @property
    def cells(self) -> Cells:
        return Cells(self.name, self.kind)

    @property
    def pin(self) -> Column | None:
        """The set's column, when the type tells it."""
        if self.kind == "N" and self.number is None:
            return None
        return Column(self.name, self.name, self.kind, self.number, self.scale, self.logical)


@dataclass(frozen=True)
class SqlTable:
    """A table as it was found.

    :ivar name: of the backups' folder, see `set_name`. :ivar address: of the table, without user and password.
    :ivar table_id: another one when the table was made anew. :ivar unique_keys: of columns that are never NULL; the primary key first.
    :ivar rows: about so many. :ivar document: `table.json`.
    """

    service: Service
    name: str
    address: str
    table_id: str
    columns: tuple[SourceColumn, ...]
    unique_keys: tuple[tuple[str, ...], ...]
    rows: int
    document: dict[str, Any] = field(repr=False)

    def column(self, name: str) -> SourceColumn | None:
        return next((one for one in self.columns if one.name == name), None)

    def pins(self) -> list[Column]:
        """The set's columns that types tell; as many as a set may have."""
        return [pin for one in self.columns[:MAX_COLUMNS] if (pin := one.pin) is not None]

    def known(self, before: Layout | None) -> Layout | None:
        """The layout of the set before, without columns that the table has no more, or whose type is another one now."""
        if before is None:
            return None
        kinds = {one.name: one.kind for one in self.columns} | {ROW: "N"}
        return Layout(before.schema, tuple(one for one in before.columns if kinds.get(one.attribute) == one.type))


def choose_key(table: SqlTable, wanted: Sequence[str] = ()) -> tuple[tuple[str, str], ...]:
    """Name and type of the key's attributes: the primary key, or the unique one that is named; `_row` for a table without any.

    Without a key the rows are numbered as they come: such a set is whole and proved like any other, but nothing tells which row of it is
    which row of the table, so no increments follow it.

    :raises BadInputError: when the columns named are no key of the table.
    """
    what = f"choosing the key of {table.address}"
    kinds = {one.name: one.kind for one in table.columns}
    if wanted:
        missing = [name for name in wanted if name not in kinds]
        known = "; ".join(", ".join(key) for key in table.unique_keys) or "none"
        if missing or not any(set(key) == set(wanted) for key in table.unique_keys):
            why = f"there is no column {missing[0]!r}" if missing else "no unique index is on exactly these columns"
            raise BadInputError(
                what,
                f"{why}, or one of them may be NULL",
                f"name the columns of a primary key or unique index (here: {known})",
            )
        return tuple((name, kinds[name]) for name in wanted)
    if not table.unique_keys:
        if ROW in kinds:
            raise BadInputError(what, f"it has no key, and a column called {ROW}", "give the table a primary key")
        return ((ROW, "N"),)
    return tuple((name, kinds[name]) for name in table.unique_keys[0])


def set_name(server: str, *parts: str) -> str:
    """The name of the folder in which a table's sets lie: server, database, schema and table with dots between them."""
    return ".".join([quote(server, safe=""), *(quote(part, safe="").replace(".", "%2E") for part in parts)])
