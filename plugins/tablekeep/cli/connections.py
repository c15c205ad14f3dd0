"""Connections that pipelines name, on a command line without Airflow."""

import argparse
import os
from collections.abc import Sequence
from typing import Any, Literal

from tablekeep.cli.command import Context
from tablekeep.engine.clients import SessionClients
from tablekeep.engine.connections import (
    MYSQL_TYPES,
    PREFIX_VARIABLE,
    aws_clients,
    mysql_arguments,
    parse_connection,
    resolve_connection,
    sql_database,
)
from tablekeep.engine.copies.postgres_address import conninfo_of
from tablekeep.engine.errors import BadInputError

DEFAULT = "aws_default"
"""Airflow's own name for "as the environment says": it may be missing, then boto3 decides."""


PASSWORD_VARIABLE = "MYSQL_PWD"
"""As MySQL's own programs read it."""
DATABASES = (
    "postgresql://user@host/database (password in PGPASSFILE, PGPASSWORD) · mysql://user@host/database (password in MYSQL_PWD) · "
    "conn:ID, an Airflow connection"
)
Database = tuple[Literal["postgres", "mysql"], dict[str, Any]]


def database_of(address: str, context: Context, given: Sequence[str]) -> Database | None:
    """The kind of a database and what its driver takes, of an address as `DATABASES` says; None for another scheme.

    :param given: values of `--connection`.
    :raises BadInputError: for a connection that is nowhere, or of another type. The address is never shown: it may hold a password.
    """
    scheme, _, rest = address.partition(":")
    if scheme == "conn":
        return sql_database(resolve_connection(rest, given=given, clients=context.clients))
    if scheme in ("postgresql", "postgres"):
        found = conninfo_of(address)
        if found.get("password") or found.get("sslpassword"):
            _warn(context, "PGPASSFILE or PGPASSWORD")
        return "postgres", found
    if scheme in MYSQL_TYPES:
        connection = parse_connection("of the command line", address)
        if connection.password:
            _warn(context, PASSWORD_VARIABLE)
        return "mysql", {"password": os.environ.get(PASSWORD_VARIABLE, "")} | mysql_arguments(connection)
    return None


def _warn(context: Context, better: str) -> None:
    context.progress.warn(f"the password stands in this machine's process list and shell history; put it in {better}")


def add_connection_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--connection",
        action="append",
        default=[],
        metavar="ID=SOURCE",
        help="where a connection's text is: ID=env:NAME or ID=file:PATH",
    )


def pipeline_clients(
    context: Context, args: argparse.Namespace, conn_id: str, region: str | None, *services: str
) -> SessionClients:
    """AWS clients for the connection that a pipeline names, in its Region unless --region is given.

    :param services: for which the connection's endpoint stands, too.
    :raises BadInputError: when the connection is nowhere. Only `aws_default` may be: the environment's credentials are used then.
    """
    chosen = args.region or region
    secrets = context.clients if os.environ.get(PREFIX_VARIABLE) else None
    try:
        connection = resolve_connection(conn_id, given=args.connection, clients=secrets)
    except BadInputError:
        if (
            conn_id != DEFAULT
            or any(one.startswith(f"{DEFAULT}=") for one in args.connection)
            or os.environ.get("AIRFLOW_CONN_AWS_DEFAULT")
        ):
            raise
        return SessionClients(region=chosen, profile=args.profile)
    return aws_clients(connection, chosen, *services)
