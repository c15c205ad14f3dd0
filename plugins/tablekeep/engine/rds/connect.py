"""A table of a database, as something to back up."""

from collections.abc import Mapping
from typing import Any

from tablekeep.engine.rds.mysql import MysqlSource
from tablekeep.engine.rds.postgres import PostgresSource
from tablekeep.engine.rds.schema import Service
from tablekeep.engine.rds.source import SqlSource


def source_of(database: tuple[Service, Mapping[str, Any]], table: str, server: str | None = None) -> SqlSource:
    """The table; nothing is connected to.

    :param database: see `connections.sql_database`. :param server: see `PostgresSource`.
    :raises BadInputError: for a text that names no table.
    """
    service, given = database
    if service == "mysql":
        return MysqlSource(given, table, server=server)
    return PostgresSource(dict(given), table, server=server)
