"""The ledger: a table `tablekeep_loads` in the target's schema, one row a load, never changed. It says which tables are
ours and what they hold; nothing else decides it, no state of an Airflow and no file on S3."""

import base64
import json
import zlib
from collections.abc import Callable
from collections.abc import Mapping as Texts
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tablekeep.engine.clock import utc_text
from tablekeep.engine.copies.dialects import Dialect
from tablekeep.engine.copies.mapping import Mapping, mapping_from_json
from tablekeep.engine.copies.names import TableName, quoted

LEDGER = "tablekeep_loads"
MAPPING_BYTES = 65_000
"""Of a mapping's text in the ledger; a longer one is packed."""

_COLUMNS = (
    ("target", 512), ("mode", 64), ("backup", 2048), ("backup_id", 64), ("as_of", 0), ("rows", -1), ("content_hash", 256),
    ("manifest_seal", 128), ("loaded_at", 0), ("actor", 512), ("run", 512), ("table_id", 1024), ("edge", 0), ("source_id", 128),
    ("mapping_hash", 64), ("mapping", MAPPING_BYTES),
)  # fmt: skip
"""Names in their order; the size of a text, 0 for a time, -1 for a number."""
_OF_FILES = 12
"""So many of them stand in a ledger for files that are shown where they lie: no mapping is used there."""


@dataclass(frozen=True, slots=True)
class Load:
    """One row of the ledger.

    :ivar target: `schema.table`. :ivar mode: as `Mode` is written. :ivar backup: the manifest's URI. :ivar as_of: the set's, aware.
    :ivar rows: of the table after the load. :ivar manifest_seal: the SHA-256 with which the manifest ends.
    :ivar table_id: the database's own number of the table, where it tells one inside of a transaction, and after it those of tables of
        sets; else empty. :ivar edge: the time at or before which the next set of changes has to begin.
    :ivar source_id: the id of the table that was backed up: one that is made anew has another. :ivar mapping_hash, mapping: by what was
        loaded.
    """

    target: str
    mode: str
    backup: str
    backup_id: str
    as_of: datetime
    rows: int
    content_hash: str
    manifest_seal: str
    loaded_at: datetime
    actor: str
    run: str
    table_id: str = ""
    edge: datetime | None = None
    source_id: str = ""
    mapping_hash: str = ""
    mapping: str = ""

    @property
    def appended(self) -> bool:
        """Whether the table holds sets one after the other."""
        return self.mode.split(" ")[0] == "append"

    @property
    def last_mapping(self) -> Mapping | None:
        """The mapping; None where it was too long for the ledger, or another version has written it."""
        try:
            return mapping_from_json(json.loads(_unpacked(self.mapping)))
        except (ValueError, KeyError, TypeError, zlib.error):
            return None

    def values(self) -> list[Any]:
        """The row, in the ledger's order; texts cut to what their columns take."""
        return [
            getattr(self, name)[:size] if size > 0 and name in ("actor", "run") else getattr(self, name)
            for name, size in _COLUMNS
        ]


_PACKED = "z:"


def packed(text: str) -> str:
    """A mapping's text as the ledger holds it: itself, or compressed where it is too long; empty when it is too long even so."""
    if len(text.encode()) <= MAPPING_BYTES:
        return text
    short = _PACKED + base64.b64encode(zlib.compress(text.encode(), 9)).decode()
    return short if len(short) <= MAPPING_BYTES else ""


def _unpacked(text: str) -> str:
    return zlib.decompress(base64.b64decode(text.removeprefix(_PACKED))).decode() if text.startswith(_PACKED) else text


def load_of(row: list[Any]) -> Load:
    """Reads a row of `newest_sql`; times may be text."""
    values = dict(zip((name for name, _ in _COLUMNS), row, strict=False))
    for name in ("as_of", "loaded_at", "edge"):
        if isinstance(values.get(name), str):
            values[name] = datetime.fromisoformat(values[name])
    return Load(**(values | {"rows": int(values["rows"]), "table_id": values["table_id"] or ""}))


def create_sql(table: TableName, dialect: Dialect) -> str:
    """Makes the ledger beside a table, if it is missing."""
    kinds = {0: "datetime(6)" if dialect == "mysql" else "timestamptz", -1: "bigint"}
    if dialect == "mysql":
        kinds |= {512: "text", 1024: "text", 2048: "text", MAPPING_BYTES: "mediumtext"}
    columns = ", ".join(
        f"{quoted(name, dialect)} {kinds.get(size) or ('text' if dialect == 'postgres' else f'varchar({size})')}"
        + (" NOT NULL" if name not in ("table_id", "edge") else "")
        for name, size in _COLUMNS
    )
    return f"CREATE TABLE IF NOT EXISTS {table.beside(LEDGER).sql} ({columns})"


def insert_sql(table: TableName, values: str) -> str:
    """Adds a row; `values` are the dialect's placeholders or literals, separated by commas."""
    return f"INSERT INTO {table.beside(LEDGER).sql} ({_names(table)}) VALUES ({values})"  # noqa: S608  names of ours and quoted


def insert_counted_sql(table: TableName, load: Load, write: Callable[[Any], str]) -> str:
    """Adds a row whose `rows` are those that the table has at this moment, in the same transaction.

    :param write: a value as SQL.
    """
    values = zip((name for name, _ in _COLUMNS), load.values(), strict=True)
    listed = ", ".join("COUNT(*)" if name == "rows" else write(value) for name, value in values)
    return f"INSERT INTO {table.beside(LEDGER).sql} ({_names(table)}) SELECT {listed} FROM {table.sql}"  # noqa: S608


def newest_sql(table: TableName, target: str, table_id: str = "") -> str:
    """The newest row of a target, of the table of that number alone where one is given; both are the dialect's placeholder or literal."""
    return f"{_select(table, target, table_id)} ORDER BY {quoted('loaded_at', table.dialect)} DESC LIMIT 1"


def of_backup_sql(table: TableName, target: str, backup_id: str, table_id: str = "") -> str:
    """The newest row of a target for one set."""
    name = quoted("backup_id", table.dialect)
    same = f" AND {quoted('table_id', table.dialect)} = {table_id}" if table_id else ""
    return f"{_select(table, target)} AND {name} = {backup_id}{same} ORDER BY {quoted('loaded_at', table.dialect)} DESC LIMIT 1"


def placeholders() -> str:
    """`%s, %s, …` for `insert_sql`."""
    return ", ".join(["%s"] * len(_COLUMNS))


def _names(table: TableName) -> str:
    return ", ".join(quoted(name, table.dialect) for name, _ in _COLUMNS)


def _select(table: TableName, target: str, table_id: str = "") -> str:
    source = table.beside(LEDGER).sql
    same = f" AND {quoted('table_id', table.dialect)} = {table_id}" if table_id else ""
    return f"SELECT {_names(table)} FROM {source} WHERE {quoted('target', table.dialect)} = {target}{same}"  # noqa: S608


def texts_of(load: Load) -> dict[str, str]:
    """The row as texts, for a ledger that is no table; without what only rows of a table have."""
    values = zip((name for name, _ in _COLUMNS), load.values()[:_OF_FILES], strict=False)
    return {name: utc_text(value) if isinstance(value, datetime) else str(value) for name, value in values}


def load_of_texts(texts: Texts[str, str]) -> Load | None:
    """Reads what `texts_of` gave; None when something is missing or cannot be read, for then it is not ours."""
    try:
        return load_of([texts[name] for name, _ in _COLUMNS[:_OF_FILES]])
    except (KeyError, ValueError):
        return None
