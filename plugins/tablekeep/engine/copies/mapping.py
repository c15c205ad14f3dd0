"""A mapping: which attribute, or path into one, becomes which column of which table. Pure: nothing here talks to a database.

One mapping makes the DDL, the cells and the check, so they cannot disagree. `derive.py` makes it for a set; its JSON form is hashed, and
stands with the hash in the ledger. `as_yaml` is the mapping as one would have to write it to get the same again.

Plain JSON: numbers are JSON numbers with all their digits, sets are arrays, binary values base64 text. Typed JSON is DynamoDB's own:
`{"M": {"n": {"N": "1"}}}`.
"""

import functools
import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from tablekeep.engine.copies.dialects import Dialect, Form, Rendered, render
from tablekeep.engine.copies.document import MappingDocument
from tablekeep.engine.copies.kinds import Kind, parse_kind
from tablekeep.engine.copies.names import TableName, quoted
from tablekeep.engine.copies.paths import Path, parse_path, path_text
from tablekeep.engine.items.layout import REST

VERSION = 1
STAMP = "_backup_id"
"""A column of tables to which is appended: the set that a row came with."""
MEMBER = "value"
"""The column of a child table that holds a member of the set."""


@dataclass(frozen=True, slots=True)
class SqlColumn:
    """One column of the target.

    :ivar name: unquoted. :ivar path: what it holds; None for `_rest` and the stamp.
    :ivar form: what its cells are. :ivar arrow: their Arrow type. :ivar max_bytes: of one cell in UTF-8; None where the database sets no
        limit that an item could reach.
    :ivar format: how the value is written: `epoch`, `epoch_ms`, `json`, or empty. :ivar typed: JSON is DynamoDB's own.
    """

    name: str
    kind: Kind
    sql_type: str
    form: Form
    arrow: Any
    path: Path | None = None
    key: bool = False
    max_bytes: int | None = None
    format: str = ""
    typed: bool = False

    @property
    def finite(self) -> bool:
        """Whether it holds neither NaN nor infinity: MySQL's floating-point numbers."""
        return self.form == "float" and self.sql_type in ("float", "double")

    @property
    def attribute(self) -> str | None:
        """The top-level attribute that it comes from."""
        return str(self.path[0]) if self.path else None

    def definition(self, dialect: Dialect) -> str:
        """As it stands in CREATE TABLE."""
        return f"{quoted(self.name, dialect)} {self.sql_type}{' NOT NULL' if self.key else ''}"

    def as_json(self) -> dict[str, Any]:
        document: dict[str, Any] = {"name": self.name, "type": str(self.kind), "sql": self.sql_type}
        if self.path is not None:
            document["from"] = path_text(self.path)
        for name in ("key", "format", "typed"):
            if getattr(self, name):
                document[name] = getattr(self, name)
        return document


def make_column(
    name: str,
    kind: Kind,
    dialect: Dialect,
    *,
    path: Path | None = None,
    key: bool = False,
    format: str = "",
    typed: bool = False,
    form: Form | None = None,
) -> SqlColumn:
    """A column as the dialect has it.

    :raises ValueError: for a kind that the database does not have.
    """
    made: Rendered = render(kind, dialect, key=key)
    return SqlColumn(
        name, kind, made.sql, form or made.form, made.arrow, path, key, made.max_bytes, format, typed and made.form == "json"
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class ChildTable:
    """A table beside the target with the members of a set: a row a member, under the key of its item.

    :ivar suffix: its name is `<table>__<suffix>`. :ivar columns: the key's, the set's id where sets are appended, then `value`.
    """

    suffix: str
    path: Path
    columns: tuple[SqlColumn, ...]

    def beside(self, table: TableName) -> TableName:
        return table.beside(f"{table.table}__{self.suffix}")

    @property
    def member(self) -> SqlColumn:
        return self.columns[-1]

    @property
    def schema(self) -> Any:
        return _schema(self.columns)

    def as_json(self) -> dict[str, Any]:
        return {"suffix": self.suffix, "from": path_text(self.path), "type": str(self.member.kind)}


@dataclass(frozen=True)
class Mapping:
    """The target's columns in their order: the key's first, then attributes and paths, then `_rest` and the stamp where there are any.

    :ivar document: what was written, for the rules about what is not mapped or does not fit.
    :ivar notes: what a person should know about it: shortened names, attributes that go to `_rest`.
    """

    dialect: Dialect
    columns: tuple[SqlColumn, ...]
    children: tuple[ChildTable, ...] = ()
    document: MappingDocument = field(default_factory=MappingDocument)
    notes: tuple[str, ...] = ()

    @property
    def key(self) -> list[str]:
        """Names of the key's columns, in the key's order."""
        return [column.name for column in self.columns if column.key]

    @property
    def rest(self) -> SqlColumn | None:
        return next((column for column in self.columns if column.form == "rest"), None)

    @property
    def stamp(self) -> SqlColumn | None:
        return next((column for column in self.columns if column.path is None and column.form != "rest"), None)

    @property
    def definitions(self) -> str:
        """The inside of CREATE TABLE's parentheses, without the key."""
        return definitions(self.columns, self.dialect)

    @property
    def schema(self) -> Any:
        """The Arrow schema of converted batches."""
        return _schema(self.columns)

    def column(self, name: str) -> SqlColumn | None:
        return next((column for column in self.columns if column.name == name), None)

    def as_json(self) -> dict[str, Any]:
        """All of it; `mapping_from_json` reads it."""
        document: dict[str, Any] = {
            "version": VERSION,
            "dialect": self.dialect,
            "columns": [column.as_json() for column in self.columns],
            "rules": self.document.model_dump(by_alias=True, exclude={"columns", "version"}),
        }
        if self.children:
            document["children"] = [child.as_json() for child in self.children]
        return document

    @functools.cached_property
    def text(self) -> str:
        """Canonical JSON of `as_json`."""
        return json.dumps(self.as_json(), ensure_ascii=False, sort_keys=True, separators=(",", ":"))

    @property
    def hash(self) -> str:
        """SHA-256 of `text`, hexadecimal: two loads with the same hash made the same columns by the same rules."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    def as_yaml(self) -> dict[str, Any]:
        """What has to be written under `mapping:` to have the same columns again, whatever a later set holds."""
        columns = list[dict[str, Any]]()
        for column in self.columns:
            if column.path is None:
                continue
            rule: dict[str, Any] = {"from": path_text(column.path), "name": column.name, "type": str(column.kind)}
            if column.format:
                rule["format"] = column.format
            if column.typed:
                rule["json"] = "typed"
            columns.append(rule)
        columns += [
            {"from": path_text(child.path), "name": child.suffix, "sets": "table", "type": str(child.member.kind)}
            for child in self.children
        ]
        rules = self.document.model_dump(by_alias=True, exclude_defaults=True, exclude={"columns", "version", "nested"})
        for settled in ("json", "sets"):
            rules.pop(settled, None)
        others = {"columns": "rest"}.get(self.document.others, self.document.others)
        return {"version": VERSION, "columns": columns} | rules | {"unmapped": others}


def _schema(columns: tuple[SqlColumn, ...]) -> Any:
    return pa.schema([pa.field(column.name, column.arrow) for column in columns])


def definitions(columns: tuple[SqlColumn, ...], dialect: Dialect) -> str:
    """The inside of CREATE TABLE's parentheses, without keys."""
    return ", ".join(column.definition(dialect) for column in columns)


def rest_column(dialect: Dialect) -> SqlColumn:
    """`_rest`: DynamoDB's typed JSON of the attributes that no column holds."""
    return make_column(REST, Kind("json"), dialect, form="rest")


def stamp_column(dialect: Dialect) -> SqlColumn:
    """The id of the set that a row came with."""
    return make_column(STAMP, Kind("varchar", size=64), dialect)


def child_table(suffix: str, path: Path, kind: Kind, key: list[SqlColumn], dialect: Dialect) -> ChildTable:
    """The table of a set's members."""
    return ChildTable(suffix, path, (*key, make_column(MEMBER, kind, dialect, key=True)))


def mapping_from_json(document: dict[str, Any]) -> Mapping:
    """Reads what `as_json` gave.

    :raises ValueError, KeyError, TypeError: for another document.
    """
    if document["version"] != VERSION:
        raise ValueError(f"a mapping of version {document['version']}")
    dialect: Dialect = document["dialect"]
    columns = list[SqlColumn]()
    for one in document["columns"]:
        if one["name"] == REST and "from" not in one:
            columns.append(rest_column(dialect))
            continue
        columns.append(
            make_column(
                one["name"], parse_kind(one["type"]), dialect, path=parse_path(one["from"]) if "from" in one else None,
                key=one.get("key", False), format=one.get("format", ""), typed=one.get("typed", False),
            )
        )  # fmt: skip
    key = [column for column in columns if column.key or (column.name == STAMP and column.path is None)]
    children = tuple(
        child_table(one["suffix"], parse_path(one["from"]), parse_kind(one["type"]), key, dialect)
        for one in document.get("children", ())
    )
    rules = {name: value for name, value in document["rules"].items() if value is not None}
    return Mapping(dialect, tuple(columns), children, MappingDocument.model_validate(rules))
