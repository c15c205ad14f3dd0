"""Carries statements out on PostgreSQL: connections, transactions, errors in Redshift's words, results."""

import hashlib
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
from psycopg.adapt import Loader
from psycopg.types import TypeInfo, TypesRegistry

from local_aws.redshift.copy import parse_copy
from local_aws.redshift.dialect import Statement, translate
from local_aws.redshift.documents import shown
from local_aws.redshift.parquet import LoadError, load
from local_aws.redshift.tokens import SqlError, path_text, quoted

# Redshift descends from PostgreSQL 8.0: backslashes escape inside of literals.
OPTIONS = (
    "-c search_path=public,redshift_local -c standard_conforming_strings=off -c escape_string_warning=off "
    "-c timezone=UTC -c datestyle=ISO -c client_min_messages=warning -c bytea_output=hex"
)
MARK = "stand-in for Redshift: everything in this database may be dropped"
MAX_ROW_BYTES = 64 * 1024
MAX_RESULT_BYTES = 500 * 1024 * 1024


class SuperLoader(Loader):
    """A SUPER value as its JSON text, never through Python's numbers."""

    def load(self, data: Any) -> str:
        return shown(bytes(data).decode())


@dataclass
class Result:
    """What one statement gave.

    :param rows: number of rows of the result set, else of rows changed; -1 when the statement has neither.
    """

    columns: list[dict[str, Any]] | None = None
    records: list[list[dict[str, Any]]] = field(default_factory=list)
    rows: int = -1


class Database:
    """The PostgreSQL database that stands for Redshift's. Whatever name a request gives, it is this one.

    :raises SqlError: at the first use, when the database cannot be reached or holds tables that are not ours.
    """

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self._prepared = False
        self._used = False

    def connect(self) -> psycopg.Connection[Any]:
        self.prepare()
        self._used = True
        connection = psycopg.connect(self.dsn, options=OPTIONS, connect_timeout=10)
        info = TypeInfo.fetch(connection, "redshift_local.super")
        assert info is not None, "the bootstrap makes the type"
        info.register(connection)
        connection.adapters.register_loader(info.oid, SuperLoader)
        connection.rollback()
        return connection

    def prepare(self) -> None:
        if self._prepared:
            return
        with psycopg.connect(self.dsn, autocommit=True, connect_timeout=10) as connection:
            connection.execute("SELECT pg_advisory_lock(7236001)")  # two stand-ins may share the server
            mark = self._mark(connection)
            if not mark.startswith(MARK):
                others = connection.execute(
                    "SELECT count(*) FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
                ).fetchone()
                if others is not None and others[0]:
                    raise SqlError(
                        f"the database for Redshift's stand-in holds {others[0]} tables of others: give it one of its own"
                    )
                bootstrap(connection)
            elif mark != version():
                self._empty(connection)  # an older stand-in's: it may be dropped, says the mark
        self._prepared = True

    def reset(self) -> None:
        """Drop every schema and table in the database, which `prepare` made sure is ours, if any statement ran there."""
        if not self._used:
            return
        self._used = False
        with psycopg.connect(self.dsn, autocommit=True, connect_timeout=10) as connection:
            if not self._mark(connection).startswith(MARK):
                raise SqlError("the database is not a stand-in's: nothing was dropped")
            self._empty(connection)

    @staticmethod
    def _empty(connection: psycopg.Connection[Any]) -> None:
        schemas = connection.execute(
            "SELECT quote_ident(nspname) FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'"
        ).fetchall()
        connection.execute("SET client_min_messages = warning")
        for (schema,) in schemas:
            connection.execute(f"DROP SCHEMA {schema} CASCADE".encode())
        connection.execute("CREATE SCHEMA public")
        bootstrap(connection)

    @staticmethod
    def _mark(connection: psycopg.Connection[Any]) -> str:
        found = connection.execute(
            "SELECT obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = 'redshift_local'"
        ).fetchone()
        return str(found[0]) if found is not None else ""

    def note_load(self, query_id: int, what: dict[str, Any]) -> None:
        """Writes the system tables of loads in a transaction of their own: they outlive a rollback."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            values = [query_id, what["status"], what["table"], what["source"], what["rows"], what["start"]]
            connection.execute(
                "INSERT INTO redshift_local.sys_load_history (query_id, status, table_name, data_source, loaded_rows, "
                "start_time, end_time, error_message) VALUES (%s, %s, %s, %s, %s, %s, now() AT TIME ZONE 'UTC', %s)",
                [*values, what.get("error")],
            )
            if what.get("error"):
                connection.execute(
                    "INSERT INTO redshift_local.sys_load_error_detail (query_id, table_id, start_time, file_name, "
                    "column_name, column_type, error_code, error_message) VALUES (%s, 0, %s, %s, %s, %s, %s, %s)",
                    [query_id, what["start"], what["file"], what["column"], what["type"], 15001, what["error"]],
                )


def bootstrap_sql() -> bytes:
    return (Path(__file__).parent / "bootstrap.sql").read_bytes()


def version() -> str:
    """The mark of a database that this stand-in has made."""
    return f"{MARK} ({hashlib.sha256(bootstrap_sql()).hexdigest()[:12]})"


def bootstrap(connection: psycopg.Connection[Any]) -> None:
    connection.execute(bootstrap_sql())
    connection.execute(f"COMMENT ON SCHEMA redshift_local IS '{version()}'".encode())


@dataclass
class Run:
    """One connection that statements run on.

    :param in_transaction: of a batch or a session's BEGIN: nothing is committed between statements.
    """

    database: Database
    connection: psycopg.Connection[Any]
    region: str
    in_transaction: bool = False

    def execute(self, sql: str, parameters: dict[str, str], query_id: int) -> Result:
        """:raises SqlError: with Redshift's text. The caller rolls back."""
        statement = translate(sql, parameters)
        try:
            return self._execute(statement, query_id)
        except psycopg.Error as error:
            raise SqlError(redshift_error(error)) from None

    def _execute(self, statement: Statement, query_id: int) -> Result:
        with self.connection.cursor() as cursor:
            if statement.kind == "copy":
                return self._copy(cursor, statement, query_id)
            if statement.kind == "append":
                return self._append(cursor, statement)
            if statement.kind == "merge":
                for path in statement.tables:
                    if relation_kind(cursor, path) == "v":
                        raise SqlError(f"MERGE needs tables: {path[-1]} is a view")  # text UNCONFIRMED
            if statement.kind == "truncate":
                # TRUNCATE commits the transaction in which it runs (developer guide, "TRUNCATE")
                self.connection.commit()
                cursor.execute(statement.sql[0].encode())
                self.connection.commit()
                return Result()
            if statement.unless_exists:
                cursor.execute("SELECT to_regclass(%s)", [path_text(statement.unless_exists)])
                found = cursor.fetchone()
                if found is not None and found[0] is not None:
                    return Result(rows=0)
            cursor.execute(statement.sql[0].encode())
            result = read_result(cursor)
            for further in statement.sql[1:]:
                cursor.execute(further.encode())
            return result

    def _append(self, cursor: psycopg.Cursor[Any], statement: Statement) -> Result:
        """Moves rows, and commits (developer guide, "ALTER TABLE APPEND")."""
        if self.in_transaction:
            raise SqlError("ALTER TABLE APPEND cannot run inside a transaction block")
        columns = []
        for path in statement.tables:
            if relation_kind(cursor, path) != "r":
                raise SqlError(f"ALTER TABLE APPEND needs permanent tables: {path[-1]} is none")  # text UNCONFIRMED
            columns.append(catalog_columns(cursor, path))
        target, source = columns
        for name, what in source.items():
            if name in target and target[name] != what:
                raise SqlError(f'column "{name}" has other attributes in the two tables')  # text UNCONFIRMED
        if set(source) - set(target) and statement.options != "ignoreextra":
            raise SqlError("the source table has columns that the target has not")  # text UNCONFIRMED
        if set(target) - set(source) and statement.options != "filltarget":
            raise SqlError("the target table has columns that the source has not")  # text UNCONFIRMED
        names = ", ".join(quoted(name) for name in source if name in target)
        into, out_of = (path_text(path) for path in statement.tables)
        cursor.execute(f"INSERT INTO {into} ({names}) SELECT {names} FROM {out_of}".encode())  # noqa: S608  quoted
        cursor.execute(f"DELETE FROM {out_of}".encode())  # noqa: S608  quoted
        self.connection.commit()
        return Result()

    def _copy(self, cursor: psycopg.Cursor[Any], statement: Statement, query_id: int) -> Result:
        copy = parse_copy(statement.source)
        noted = {
            "table": copy.table[-1],
            "source": f"s3://{copy.bucket}/{copy.key}",
            "start": datetime.now(UTC).replace(tzinfo=None),
        }
        try:
            rows = load(cursor, copy, self.region)
        except (SqlError, psycopg.Error) as error:
            message = redshift_error(error) if isinstance(error, psycopg.Error) else str(error)
            file, column, kind = ("", "", "")
            if isinstance(error, LoadError):
                file, column, kind = error.file, error.column, error.column_type
            self.database.note_load(
                query_id,
                noted | {"status": "failed", "rows": 0, "error": message, "file": file, "column": column, "type": kind},
            )
            raise
        cursor.execute(
            "SELECT set_config('redshift_local.copy_count', %s, false), set_config('redshift_local.copy_id', %s, false)",
            [str(rows), str(query_id)],
        )
        self.database.note_load(query_id, noted | {"status": "completed", "rows": rows})
        return Result(rows=rows)


def relation_kind(cursor: psycopg.Cursor[Any], path: tuple[str, ...]) -> str:
    """`r` for a permanent table, `t` for a temporary one, `v` for a view; "" when there is none."""
    found = cursor.execute(
        "SELECT CASE WHEN relpersistence = 't' THEN 't' ELSE relkind::text END FROM pg_class WHERE oid = to_regclass(%s)",
        [path_text(path)],
    ).fetchone()
    return str(found[0]) if found else ""


def catalog_columns(cursor: psycopg.Cursor[Any], path: tuple[str, ...]) -> dict[str, tuple[str, bool]]:
    """Type and NOT NULL of a table's columns, as Redshift's catalog has them."""
    rows = cursor.execute(
        "SELECT attname, coalesce(substr(col_description(attrelid, attnum), 10), format_type(atttypid, atttypmod)), "
        "attnotnull FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped "
        "ORDER BY attnum",
        [path_text(path)],
    ).fetchall()
    return {name: (kind, required) for name, kind, required in rows}


LENGTH_CHECK = re.compile(
    r'violates check constraint "((?:character varying|character|binary varying)\(\d+\)|super(?= ))'
)


def redshift_error(error: psycopg.Error) -> str:
    """PostgreSQL's message as Redshift words it."""
    message = (error.diag.message_primary or str(error)).strip()
    if match := LENGTH_CHECK.search(message):
        return f"value too long for type {match[1]}"
    if "cannot affect row a second time" in message:
        return "Found multiple matches to update the same tuple."
    return message


def read_result(cursor: psycopg.Cursor[Any]) -> Result:
    if cursor.description is None:
        return Result(rows=cursor.rowcount)
    if not cursor.description:  # SELECT without columns: a statement that does nothing here
        return Result(rows=0)
    types = cursor.connection.adapters.types
    columns = [column_metadata(column, types) for column in cursor.description]
    records = [[field_of(value) for value in row] for row in cursor.fetchall()]
    check_size(records)
    return Result(columns, records, len(records))


def check_size(records: list[list[dict[str, Any]]]) -> None:
    """The Data API's limits of a row and of a result ("Troubleshooting issues for Amazon Redshift Data API"). How it counts
    is UNCONFIRMED: here, the bytes of the values' texts.

    :raises SqlError: when a limit is passed; the statement has failed then.
    """
    total = 0
    for record in records:
        size = sum(len(str(next(iter(field.values()))).encode()) for field in record)
        if size > MAX_ROW_BYTES:
            raise SqlError(f"Packet for query is too large: a row of {size} bytes, at most {MAX_ROW_BYTES}")
        total += size
        if total > MAX_RESULT_BYTES:
            raise SqlError(f"Database response exceeded size limit of {MAX_RESULT_BYTES} bytes")


TYPE_NAMES = {
    "int2": "int2", "int4": "int4", "int8": "int8", "numeric": "numeric", "float4": "float4", "float8": "float8",
    "bool": "bool", "varchar": "varchar", "text": "varchar", "bpchar": "bpchar", "super": "super", "bytea": "varbyte",
    "date": "date", "timestamp": "timestamp", "timestamptz": "timestamptz", "name": "varchar", "regclass": "varchar",
}  # fmt: skip


def column_metadata(column: Any, types: TypesRegistry) -> dict[str, Any]:
    info = types.get(column.type_code)
    name = TYPE_NAMES.get(info.name if info else "", info.name if info else "varchar")
    return {
        "name": column.name,
        "label": column.name,
        "typeName": name,
        "nullable": 1,
        "precision": column.precision or column.display_size or 0,
        "scale": column.scale or 0,
        "length": 0,
        "schemaName": "",
        "tableName": "",
        "isCaseSensitive": name in {"varchar", "bpchar", "super"},
        "isCurrency": False,
        "isSigned": name in {"int2", "int4", "int8", "numeric", "float4", "float8"},
    }


def field_of(value: Any) -> dict[str, Any]:
    """A value as GetStatementResult gives it: numerics, dates and documents as strings."""
    if value is None:
        return {"isNull": True}
    if isinstance(value, bool):
        return {"booleanValue": value}
    if isinstance(value, int):
        return {"longValue": value}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, Decimal):
        return {"stringValue": format(value, "f")}
    if isinstance(value, bytes):
        return {"stringValue": value.hex()}  # VARBYTE as hexadecimal text; whether as blobValue is UNCONFIRMED
    if isinstance(value, datetime):
        text = value.strftime("%Y-%m-%d %H:%M:%S") + (
            f".{value.microsecond:06}".rstrip("0") if value.microsecond else ""
        )
        return {"stringValue": text + ("+00" if value.tzinfo else "")}
    return {"stringValue": str(value)}
