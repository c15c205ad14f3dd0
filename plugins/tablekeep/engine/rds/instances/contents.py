"""What a PostgreSQL database holds, table by table, read in one transaction: rows, a hash of them, and how many are older than a mark.

A row's age is its `xmin`, the transaction that wrote it, which a physical copy keeps. Rows from before the reference's oldest running
transaction (the horizon) are *old*: a later look sees fewer of them when rows were changed or deleted, never more.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from typing import Any

import psycopg
from psycopg import sql

from tablekeep.engine.clock import utc_text
from tablekeep.engine.copies.postgres_errors import bad_connection
from tablekeep.engine.errors import BadInputError, PermanentError, TablekeepError, TransientError
from tablekeep.engine.progress import Progress

ENGINES = ("postgres", "aurora-postgresql")
"""Whose contents can be read here."""
LOCK_SECONDS = 60
TEXT = {
    "client_encoding": "UTF8", "DateStyle": "ISO, YMD", "IntervalStyle": "postgres", "TimeZone": "UTC", "extra_float_digits": "1",
    "bytea_output": "hex", "lc_monetary": "C", "search_path": "pg_catalog", "row_security": "off", "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0", "lock_timeout": f"{LOCK_SECONDS}s",
}  # fmt: skip
"""What decides about a row's text, and about who sees it: the same on both sides. With row_security off a hidden row is an error."""


@dataclass(frozen=True)
class Login:
    """How to log in, at whichever instance. Its text form shows no password.

    :ivar given: libpq's keywords without host and port: these are the instance's own.
    """

    given: Mapping[str, Any] = field(repr=False)

    @staticmethod
    def of(conninfo: Mapping[str, Any]) -> "Login":
        """Of a connection's keywords."""
        return Login({name: one for name, one in conninfo.items() if name not in ("host", "hostaddr", "port")})

    @property
    def database(self) -> str:
        return str(self.given.get("dbname") or "postgres")

    def in_database(self, name: str) -> "Login":
        """The same user in another database."""
        return Login({**self.given, "dbname": name})

    @contextmanager
    def connect(self, endpoint: Mapping[str, Any], what: str) -> Iterator[psycopg.Connection[Any]]:
        """An autocommit connection. :param endpoint: `{"Address", "Port"}`. :raises TablekeepError: when it fails, at whatever."""
        told: dict[str, Any] = {
            "connect_timeout": 10,
            "application_name": "tablekeep",
            "keepalives_idle": 30,
            **self.given,
        }
        try:
            connection = psycopg.connect(host=endpoint["Address"], port=endpoint["Port"], autocommit=True, **told)
        except psycopg.Error as error:
            raise bad_connection(error, what) from None
        with connection:
            try:
                yield connection
            except psycopg.Error as error:
                raise translated(error, what) from None


@dataclass(frozen=True)
class Reading:
    """How the contents are looked at.

    :ivar login: of the database; the endpoints are the instances' own. :ivar databases: to be read; the login's own when empty.
    :ivar marker: `schema.table` in the login's database, in which a row is left before the snapshot. :ivar exclude: tables left out.
    """

    login: Login
    databases: tuple[str, ...] = ()
    marker: str | None = None
    exclude: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return self.databases or (self.login.database,)

    @property
    def left_out(self) -> tuple[str, ...]:
        return (*self.exclude, *([self.marker] if self.marker else []))


def translated(error: psycopg.Error, what: str) -> TablekeepError:
    """The engine's error; a message that may quote a value is not told."""
    code, name = error.sqlstate or "", type(error).__name__
    lost = not code and isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    if lost or code[:2] in ("08", "40", "53", "55", "57"):
        return TransientError(
            what, f"the connection or the server failed ({name} {code})".replace(" )", ")"), "try again"
        )
    text = "" if code[:2] in ("22", "23") else f": {error.diag.message_primary or 'no message'}"
    return PermanentError(what, f"{name} {code}{text}")


@dataclass(frozen=True)
class TableContents:
    """One table.

    :ivar hash: of its rows, independent of their order: two sums of 64-bit parts of SHA-256. :ivar old_rows, old_hash: of rows from
        before the horizon. :ivar shape: hashes of its columns, constraints and indexes. :ivar changes: rows inserted, updated and
        deleted so far, as the server counts them; None where it does not say.
    """

    rows: int
    hash: str
    old_rows: int
    old_hash: str
    shape: dict[str, str]
    changes: int | None = None
    bytes: int = 0


@dataclass
class Contents:
    """What one look found.

    :ivar at: the transaction's time, by the server's clock. :ivar horizon: the transaction id that tells old rows from new ones.
    :ivar system: identifies the data directory and its physical copies; empty where the user may not ask.
    :ivar not_read: tables that could not be read or compared, and why. :ivar seconds: by table.
    """

    database: str
    at: str
    horizon: int
    system: str = ""
    tables: dict[str, TableContents] = field(default_factory=dict)
    not_read: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_dict(document: Mapping[str, Any]) -> "Contents":
        """:raises TypeError: for a document of another version."""
        tables = {name: TableContents(**one) for name, one in document["tables"].items()}
        return Contents(**{**document, "tables": tables})

    @property
    def rows(self) -> int:
        return sum(one.rows for one in self.tables.values())

    @property
    def bytes(self) -> int:
        return sum(one.bytes for one in self.tables.values())


_TABLES = """
    SELECT c.oid, format('%I.%I', n.nspname, c.relname), c.relpersistence = 'u',
           has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT'), row_security_active(c.oid),
           pg_relation_size(c.oid), n.nspname, c.relname
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
     ORDER BY 2
"""
_SHAPES = {
    "columns": """
        SELECT attrelid, string_agg(format('%%I %%s %%s %%s', attname, format_type(atttypid, atttypmod), attnotnull,
                                           pg_get_expr(d.adbin, d.adrelid)), chr(10) ORDER BY attnum)
          FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
         WHERE attnum > 0 AND NOT attisdropped AND attrelid = ANY(%s) GROUP BY 1""",
    "constraints": """
        SELECT conrelid, string_agg(conname || ' ' || pg_get_constraintdef(oid) || ' ' || convalidated, chr(10) ORDER BY conname)
          FROM pg_constraint WHERE conrelid = ANY(%s) GROUP BY 1""",
    "indexes": """
        SELECT indrelid, string_agg(pg_get_indexdef(indexrelid) || ' ' || indisvalid, chr(10) ORDER BY pg_get_indexdef(indexrelid))
          FROM pg_index WHERE indrelid = ANY(%s) GROUP BY 1""",
}
_CHANGES = "SELECT relid, n_tup_ins + n_tup_upd + n_tup_del FROM pg_stat_all_tables"
_ROWS = """
    SELECT count(*), sum(a), sum(b), count(*) FILTER (WHERE old), sum(a) FILTER (WHERE old), sum(b) FILTER (WHERE old)
      FROM (SELECT ('x' || left(digest, 16))::bit(64)::bigint AS a, ('x' || substr(digest, 17, 16))::bit(64)::bigint AS b, old
              FROM (SELECT encode(sha256(convert_to((tablekeep_row.*)::text, 'UTF8')), 'hex') AS digest,
                           xmin::text::bigint < 3 OR (xmin::text::bigint - {horizon} + 4294967296) % 4294967296 >= 2147483648 AS old
                      FROM ONLY {table} AS tablekeep_row) AS hashed) AS parts
"""
"""Transaction ids are 32 bits on disk and compared modulo 2^32 (PostgreSQL, "Preventing Transaction ID Wraparound Failures"); ids
below 3 are those of rows that are old for ever."""


def read_contents(
    login: Login,
    endpoint: Mapping[str, Any],
    *,
    progress: Progress,
    horizon: int | None = None,
    exclude: Sequence[str] = (),
    count_first: bool = True,
    monotonic: Any = None,
) -> Contents:
    """Reads every table of the login's database whole, in one read-only transaction.

    :param horizon: of the reference with which this is to be compared; this look's own when None.
    :param exclude: names, `schema.table` with `*` and `?`, that are left out.
    :param count_first: ask the server's counters of changes before the rows are read, as a reference that comes first must; else after.
    :param monotonic: seconds, for the duration of each table.
    :raises TablekeepError: when the database cannot be reached or read.
    """
    what = f"reading the database {login.database} at {endpoint['Address']}"
    with login.connect(endpoint, what) as connection:
        for name, value in TEXT.items():
            connection.execute("SELECT set_config(%s, %s, false)", [name, value])
        changes = _changes(connection) if count_first else {}
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        at, now = _one(connection, "SELECT now(), pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
        found = Contents(login.database, utc_text(at), int(now) if horizon is None else horizon)
        tables = _readable(connection, exclude, found)
        shapes = _shapes(connection, [one[0] for one in tables])
        progress.phase("scan", len(tables), "tables")
        measured = {}
        for oid, name, size, schema, table in tables:
            began = monotonic() if monotonic else 0.0
            measured[oid] = _rows(connection, schema, table, found.horizon)
            if monotonic:
                found.seconds[name] = round(monotonic() - began, 3)
            progress.advance(1, size)
        connection.execute("COMMIT")
        if not count_first:
            changes = _changes(connection)
        for oid, name, size, _schema, _table in tables:
            found.tables[name] = TableContents(*measured[oid], shapes[oid], changes.get(oid), size)
        found.system = _system(connection)
    return found


def _one(connection: psycopg.Connection[Any], statement: str) -> tuple[Any, ...]:
    row = connection.execute(statement.encode()).fetchone()
    assert row is not None
    return tuple(row)


def _changes(connection: psycopg.Connection[Any]) -> dict[int, int]:
    return {int(oid): int(count) for oid, count in connection.execute(_CHANGES).fetchall()}


def _readable(
    connection: psycopg.Connection[Any], exclude: Sequence[str], found: Contents
) -> list[tuple[int, str, int, str, str]]:
    """(oid, name, bytes, schema, table) of those that can be read and compared; the others go to `not_read`."""
    tables = []
    for oid, name, unlogged, allowed, hidden, size, schema, table in connection.execute(_TABLES).fetchall():
        if any(fnmatchcase(f"{schema}.{table}", pattern) for pattern in exclude):
            found.not_read[name] = "left out as configured"
        elif unlogged:
            found.not_read[name] = "unlogged: empty after any restore"
        elif not allowed:
            found.not_read[name] = "the user may not read it"
        elif hidden:
            found.not_read[name] = "row security hides rows of it from the user"
        else:
            tables.append((int(oid), str(name), int(size), str(schema), str(table)))
    return tables


def _shapes(connection: psycopg.Connection[Any], oids: list[int]) -> dict[int, dict[str, str]]:
    import hashlib

    found: dict[int, dict[str, str]] = {oid: dict.fromkeys(_SHAPES, "") for oid in oids}
    for part, query in _SHAPES.items():
        for oid, text in connection.execute(query.encode(), [oids]).fetchall():
            found[int(oid)][part] = hashlib.sha256(str(text).encode()).hexdigest()[:32]
    return found


def _rows(connection: psycopg.Connection[Any], schema: str, table: str, horizon: int) -> tuple[int, str, int, str]:
    query = sql.SQL(_ROWS).format(horizon=sql.Literal(horizon % 2**32), table=sql.Identifier(schema, table))
    row = connection.execute(query).fetchone()
    assert row is not None
    return int(row[0]), _hash(row[1], row[2]), int(row[3]), _hash(row[4], row[5])


def _hash(one: Any, other: Any) -> str:
    return f"{int(one or 0) % 2**64:016x}{int(other or 0) % 2**64:016x}"


def _system(connection: psycopg.Connection[Any]) -> str:
    try:
        return str(_one(connection, "SELECT system_identifier::text FROM pg_control_system()")[0])
    except psycopg.errors.InsufficientPrivilege:
        return ""


def check_engine(engine: str, what: str) -> None:
    """:raises BadInputError: for a database whose contents cannot be read here."""
    if engine not in ENGINES:
        raise BadInputError(
            what,
            f"its engine is {engine}, and contents are read and compared of PostgreSQL only",
            "snapshots, copies and restores work with any engine; leave the reference and the drill out",
        )


def keep_marker(login: Login, endpoint: Mapping[str, Any], table: str, token: str) -> str:
    """Writes a row by which a later copy can be told from an earlier one; makes the table where it is not there.

    :param table: `schema.table`. :returns: why there is no marker; empty when there is one.
    """
    what = f"writing the marker to {table}"
    name = sql.Identifier(*table.split(".", 1))
    try:
        with login.connect(endpoint, what) as connection:
            statement = "CREATE TABLE IF NOT EXISTS {} (token text PRIMARY KEY, at timestamptz NOT NULL DEFAULT now())"
            there = connection.execute("SELECT to_regclass(%s) IS NOT NULL", [name.as_string(connection)]).fetchone()
            if not there or not there[0]:
                connection.execute(sql.SQL(statement).format(name))
            connection.execute(sql.SQL("DELETE FROM {} WHERE at < now() - interval '30 days'").format(name))
            connection.execute(sql.SQL("INSERT INTO {} (token) VALUES (%s)").format(name), [token])
    except PermanentError as error:
        return error.why
    return ""


def has_marker(login: Login, endpoint: Mapping[str, Any], table: str, token: str) -> bool:
    """Whether the row is there."""
    name = sql.Identifier(*table.split(".", 1))
    with login.connect(endpoint, f"looking for the marker in {table}") as connection:
        there = connection.execute("SELECT to_regclass(%s) IS NOT NULL", [name.as_string(connection)]).fetchone()
        if not there or not there[0]:
            return False
        return (
            connection.execute(sql.SQL("SELECT 1 FROM {} WHERE token = %s").format(name), [token]).fetchone()
            is not None
        )
