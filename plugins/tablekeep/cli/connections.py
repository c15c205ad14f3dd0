"""Connections that pipelines name, on a command line without Airflow."""

import argparse
import os

from tablekeep.cli.command import Context
from tablekeep.engine.clients import SessionClients
from tablekeep.engine.connections import PREFIX_VARIABLE, aws_clients, resolve_connection
from tablekeep.engine.errors import BadInputError

DEFAULT = "aws_default"
"""Airflow's own name for "as the environment says": it may be missing, then boto3 decides."""


def add_connection_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--connection",
        action="append",
        default=[],
        metavar="ID=SOURCE",
        help="where a connection's text is: ID=env:NAME or ID=file:PATH",
    )


def pipeline_clients(context: Context, args: argparse.Namespace, conn_id: str, region: str | None) -> SessionClients:
    """AWS clients for the connection that a pipeline names, in its Region unless --region is given.

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
    return aws_clients(connection, chosen)
