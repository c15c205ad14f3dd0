"""Places to copy to, each a real database, and backups to copy."""

import json
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pymysql
import pytest

from local_aws.redshift.documents import shown
from tablekeep.engine.clock import SystemClock
from tablekeep.engine.copies.copy import CopyReport, copy_backup
from tablekeep.engine.copies.mysql import MysqlTarget
from tablekeep.engine.copies.postgres import PostgresTarget
from tablekeep.engine.copies.redshift import RedshiftTarget
from tablekeep.engine.copies.redshift_api import Address, DataApi
from tablekeep.engine.copies.target import Target
from tablekeep.engine.progress import NoProgress
from tests.servers import TestServer
from tests.tables import clients, export, make_bucket, make_table, orders

ROLE = "arn:aws:iam::123456789012:role/copy"


@dataclass
class Place:
    """A database that is a target, and the same database looked at from beside."""

    kind: str
    target: Callable[[str], Target]
    connect: Callable[[], Any]

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """What stands in it, read without our code."""
        with self.connect() as connection:
            if self.kind != "mysql":
                cursor = connection.execute(sql)
                return list(cursor.fetchall()) if cursor.description else []
            cursor = connection.cursor()
            cursor.execute(sql)
            return list(cursor.fetchall())


def document(place: Place, value: Any) -> Any:
    """A JSON cell: jsonb comes as an object, the stand-in's SUPER as it stores it, MySQL's as text."""
    if place.kind == "postgres" or value is None:
        return value
    return json.loads(shown(value) if place.kind == "redshift" else value)


@contextmanager
def open_place(kind: str, request: pytest.FixtureRequest) -> Iterator[Place]:
    """A kind of target, empty, with the schema `public`."""
    if kind == "mysql":
        yield from _mysql(request.getfixturevalue("mariadb"))
        return
    postgres, name = request.getfixturevalue("postgres"), f"{kind}_{secrets.token_hex(4)}"
    dsn = postgres.create_database(name)
    if kind == "postgres":
        yield Place("postgres", lambda table: PostgresTarget(dsn, table), lambda: postgres.connect(name))
    else:
        local_aws = request.getfixturevalue("local_aws")
        local_aws.use_postgres(dsn)
        local_aws.reset()

        def target(table: str) -> Target:
            return RedshiftTarget(clients(), table, database="dev", iam_role=ROLE, workgroup="dwh")

        # the stand-in prepares the database when it is first asked, and wants it empty then
        DataApi(clients(), Address("dev", "dwh"), SystemClock(), "preparing").run(["SELECT 1"])
        yield Place("redshift", target, lambda: postgres.connect(name))
        local_aws.use_postgres(None)
    postgres.drop_database(name)


def _mysql(server: TestServer) -> Iterator[Place]:
    given = {"host": "127.0.0.1", "port": server.port, "user": "root", "password": server.password}

    def connect() -> Any:
        return pymysql.connect(charset="utf8mb4", autocommit=True, **given)  # type: ignore[arg-type]

    place = Place("mysql", lambda table: MysqlTarget(given, table), connect)
    place.query("DROP DATABASE IF EXISTS public")
    place.query("CREATE DATABASE public")
    yield place
    place.query("DROP DATABASE public")


@pytest.fixture(params=["postgres", "redshift"])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    """Each kind of target, empty."""
    with open_place(request.param, request) as place:
        yield place


@pytest.fixture
def aws(local_aws: Any, place: Place) -> Any:
    """The stand-in with a bucket."""
    make_bucket(local_aws)
    return local_aws


@pytest.fixture
def backup(aws: Any) -> str:
    """The manifest's URI of a backup of 40 orders."""
    make_table(aws, "orders", orders())
    return export("orders").backup


@pytest.fixture
def copy(place: Place) -> Callable[..., CopyReport]:
    """`copy(backup, "public.orders", adopt=True)`."""

    def run(backup: str, table: str = "public.orders", **more: Any) -> CopyReport:
        common: dict[str, Any] = {
            "clients": clients(),
            "clock": SystemClock(),
            "progress": NoProgress(),
            "actor": "test",
            "run": "test",
        }
        return copy_backup(**(common | {"backup": backup, "target": place.target(table)} | more))

    return run
