"""Real databases to back up, a bucket, and what every test of this folder asks."""

import json
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pymysql
import pytest

from tablekeep.engine.backups.sets import BackupSet, open_backup
from tablekeep.engine.clock import SystemClock
from tablekeep.engine.export.report import ExportReport
from tablekeep.engine.progress import NoProgress
from tablekeep.engine.rds import mysql as mysql_module
from tablekeep.engine.rds import postgres as postgres_module
from tablekeep.engine.rds.export import SqlExport, export_sql
from tablekeep.engine.rds.mysql import MysqlSource
from tablekeep.engine.rds.postgres import PostgresSource
from tablekeep.engine.rds.source import SqlSource
from tests.tables import ROOT, clients, make_bucket


@dataclass
class Database:
    """A database of a server, empty at first.

    :ivar source: a table of it, as the engine reads it. :ivar connect: a connection of a person (autocommit).
    """

    kind: str
    name: str
    source: Callable[..., SqlSource]
    connect: Callable[[], Any]

    def run(self, *statements: str) -> None:
        with self.connect() as connection:
            cursor = connection.cursor()
            for one in statements:
                cursor.execute(one)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with self.connect() as connection:
            cursor = connection.cursor()
            cursor.execute(query)
            return [tuple(row) for row in cursor.fetchall()]


@pytest.fixture
def bucket(local_aws: Any) -> None:
    make_bucket(local_aws)


@pytest.fixture
def pg(postgres: Any) -> Iterator[Database]:
    """A PostgreSQL database."""
    name = f"shop_{secrets.token_hex(4)}"
    dsn = postgres.create_database(name)
    yield Database(
        "postgres",
        name,
        lambda table, **more: PostgresSource(dsn, table, **({"server": "shop-db"} | more)),
        lambda: postgres.connect(name),
    )
    postgres.drop_database(name)


COMMON: dict[str, Any] = {"clock": SystemClock(), "progress": NoProgress(), "actor": "test", "run": "test"}


def backed_up(source: SqlSource, **more: Any) -> ExportReport:
    """A full backup of a table; keywords of `export_sql` and of `SqlExport`."""
    outer = {name: more.pop(name) for name in ("as_of", "backup_id", "progress", "run") if name in more}
    asked = SqlExport(source, more.pop("to", ROOT), **more)
    return export_sql(**(COMMON | {"clients": clients(), "asked": asked} | outer))


def opened(backup: str) -> BackupSet:
    return open_backup(clients(), backup, incremental=True)


def items_of(backup: str) -> list[dict[str, Any]]:
    """All records of a set, parsed."""
    found = opened(backup)
    return [json.loads(one) for part in found.manifest.parts for batch in found.items(part) for one in batch]


def plain(item: dict[str, Any]) -> dict[str, Any]:
    """`{"id": 1, "name": "x"}`: of numbers and texts their text, without the types."""
    return {name: next(iter(value.values())) for name, value in item.items()}


@pytest.fixture
def my(mariadb: Any) -> Iterator[Database]:
    """A MariaDB database."""
    name = f"shop_{secrets.token_hex(4)}"
    arguments = {"host": "127.0.0.1", "port": mariadb.port, "user": "root", "password": mariadb.password}

    def connect() -> Any:
        return closing(pymysql.connect(**arguments, database=name, autocommit=True, charset="utf8mb4"))

    def source(table: str, **more: Any) -> SqlSource:
        return MysqlSource(
            arguments | {"database": name} | more.pop("arguments", {}), table, **({"server": "shop-db"} | more)
        )

    with pymysql.connect(**arguments) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
        cursor.execute("SET GLOBAL time_zone = '+05:00'")
    yield Database("mysql", name, source, connect)
    with pymysql.connect(**arguments) as connection, connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE {name}")


@pytest.fixture(params=["postgres", "mysql"])
def db(request: pytest.FixtureRequest) -> Database:
    """A database of each kind."""
    found: Database = request.getfixturevalue("pg" if request.param == "postgres" else "my")
    return found


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of some rows, and ranges for tables of some hundreds."""
    for module in (postgres_module, mysql_module):
        monkeypatch.setattr(module, "PAGE_ROWS", 64)
        monkeypatch.setattr(module, "RANGE_ROWS", 100)


class Noted(NoProgress):
    """Keeps what people are told, and calls `first` when the first rows were read."""

    def __init__(self, first: Callable[[], None] | None = None) -> None:
        self.notes: list[str] = []
        self._first, self._lock = first, threading.Lock()

    def note(self, text: str) -> None:
        self.notes.append(text)

    def advance(self, count: int, byte_count: int = 0) -> None:
        with self._lock:
            first, self._first = self._first, None
            if first:
                first()
