"""The ledger: a table `tablekeep_loads` in the target's schema, one row a load, never changed. It says which tables are
ours and what they hold; nothing else decides it, no state of an Airflow and no file on S3."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tablekeep.engine.clock import utc_text
from tablekeep.engine.copies.mapping import Dialect
from tablekeep.engine.copies.names import TableName, quoted

LEDGER = "tablekeep_loads"

_COLUMNS = (
    ("target", 512), ("mode", 32), ("backup", 2048), ("backup_id", 64), ("as_of", 0), ("rows", -1), ("content_hash", 256),
    ("manifest_seal", 128), ("loaded_at", 0), ("actor", 512), ("run", 512), ("table_id", 32),
)  # fmt: skip
"""Names in their order; the size of a text, 0 for a time, -1 for a number."""


@dataclass(frozen=True, slots=True)
class Load:
    """One row of the ledger.

    :ivar target: `schema.table`. :ivar mode: `replace`. :ivar backup: the manifest's URI. :ivar as_of: the set's, aware.
    :ivar rows: items loaded. :ivar manifest_seal: the SHA-256 with which the manifest ends.
    :ivar table_id: the database's own number of the table, where it tells one inside of a transaction; else empty.
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

    def values(self) -> list[Any]:
        """The row, in the ledger's order; texts cut to what their columns take."""
        return [
            getattr(self, name)[:size] if size > 0 and name in ("actor", "run") else getattr(self, name)
            for name, size in _COLUMNS
        ]


def load_of(row: list[Any]) -> Load:
    """Reads a row of `newest_sql`; times may be text."""
    values = dict(zip((name for name, _ in _COLUMNS), row, strict=True))
    for name in ("as_of", "loaded_at"):
        if isinstance(values[name], str):
            values[name] = datetime.fromisoformat(values[name])
    return Load(**(values | {"rows": int(values["rows"]), "table_id": values["table_id"] or ""}))


def create_sql(table: TableName, dialect: Dialect) -> str:
    """Makes the ledger beside a table, if it is missing."""
    kinds = {0: "timestamptz", -1: "bigint"}
    columns = ", ".join(
        f"{quoted(name)} {kinds.get(size) or ('text' if dialect == 'postgres' else f'varchar({size})')}"
        + (" NOT NULL" if name != "table_id" else "")
        for name, size in _COLUMNS
    )
    return f"CREATE TABLE IF NOT EXISTS {table.beside(LEDGER).sql} ({columns})"


def insert_sql(table: TableName, values: str) -> str:
    """Adds a row; `values` are the dialect's placeholders or literals, separated by commas."""
    names = ", ".join(quoted(name) for name, _ in _COLUMNS)
    return f"INSERT INTO {table.beside(LEDGER).sql} ({names}) VALUES ({values})"  # noqa: S608  names of ours and quoted


def newest_sql(table: TableName, target: str) -> str:
    """The newest row of a target; `target` is the dialect's placeholder or literal."""
    names = ", ".join(quoted(name) for name, _ in _COLUMNS)
    source = table.beside(LEDGER).sql
    return f'SELECT {names} FROM {source} WHERE "target" = {target} ORDER BY "loaded_at" DESC LIMIT 1'  # noqa: S608


def texts_of(load: Load) -> dict[str, str]:
    """The row as texts, for a ledger that is no table."""
    values = zip((name for name, _ in _COLUMNS), load.values(), strict=True)
    return {name: utc_text(value) if isinstance(value, datetime) else str(value) for name, value in values}


def load_of_texts(texts: Mapping[str, str]) -> Load | None:
    """Reads what `texts_of` gave; None when something is missing or cannot be read, for then it is not ours."""
    try:
        return load_of([texts[name] for name, _ in _COLUMNS])
    except (KeyError, ValueError):
        return None
