"""Databases for steps: real PostgreSQL and MariaDB, and the stand-in for Redshift; each looked at from beside, too."""

import json
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pymysql
import pytest

from tablekeep.engine.clock import SystemClock
from tablekeep.engine.connections import parse_connection
from tablekeep.engine.copies.redshift_api import Address, DataApi
from tablekeep.engine.steps.redshift import RedshiftDatabase
from tablekeep.engine.steps.sql import Database, database_of
from tests.tables import clients


@dataclass
class Place:
    """A database with the empty table `totals (day text, n numeric(20,6))`."""

    kind: str
    database: Database
    connect: Callable[[], Any]

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with self.connect() as connection:
            cursor = connection.cursor()
            cursor.execute(sql)
            return [tuple(row) for row in cursor.fetchall()] if cursor.description else []


TABLE = "CREATE TABLE totals (day varchar(100), n numeric(20,6))"


@pytest.fixture(params=["postgres", "mysql", "redshift"])
def place(request: pytest.FixtureRequest, local_aws: Any) -> Iterator[Place]:
    yield from make_place(request.param, request, local_aws)


def make_place(kind: str, request: pytest.FixtureRequest, local_aws: Any) -> Iterator[Place]:
    name = f"steps_{kind}_{secrets.token_hex(4)}"
    if kind == "mysql":
        server = request.getfixturevalue("mariadb")
        arguments = {"host": "127.0.0.1", "port": server.port, "user": "root", "password": server.password}
        with pymysql.connect(**arguments) as admin:
            admin.cursor().execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
        text = {
            "conn_type": "mysql",
            "host": "127.0.0.1",
            "port": server.port,
            "login": "root",
            "password": server.password,
            "schema": name,
        }
        found = Place(
            kind,
            database_of(parse_connection("team_db", json.dumps(text))),
            lambda: pymysql.connect(**arguments, database=name, autocommit=True),
        )
        found.query(TABLE)
        yield found
        with pymysql.connect(**arguments) as admin:
            admin.cursor().execute(f"DROP DATABASE {name}")
        return
    postgres = request.getfixturevalue("postgres")
    dsn = postgres.create_database(name)
    if kind == "postgres":
        found = Place(kind, database_of(parse_connection("team_db", dsn)), lambda: postgres.connect(name))
        found.query(TABLE)
        yield found
    else:
        local_aws.use_postgres(dsn)
        local_aws.reset()
        api = DataApi(clients(), Address("dev", "dwh"), SystemClock(), "preparing")
        api.run([TABLE.replace("totals", "public.totals")])
        yield Place(kind, RedshiftDatabase(clients(), Address("dev", "dwh")), lambda: postgres.connect(name))
        local_aws.use_postgres(None)
    postgres.drop_database(name)
