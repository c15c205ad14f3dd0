"""`tablekeep export --from postgresql://user@host/shop --table public.orders --to s3://bucket/prefix`"""

import argparse
from typing import Any

from tablekeep.cli.command import Context
from tablekeep.cli.connections import DATABASES, add_connection_option, database_of
from tablekeep.cli.times import duration
from tablekeep.engine.errors import BadInputError
from tablekeep.engine.export.report import ExportReport
from tablekeep.engine.rds.connect import source_of
from tablekeep.engine.rds.export import SqlExport, export_sql
from tablekeep.engine.rds.increments import DELETES, IGNORE, export_changes
from tablekeep.engine.rds.position import SETTLE, Follow

_OTHERS = {
    "engine": None,
    "as_of": None,
    "segments": None,
    "max_rcu": None,
    "read_budget": None,
    "workers": 1,
    "resume": None,
}
"""Options of tables of DynamoDB, and what they are when they are not given."""
_OURS = {
    "key": None,
    "connections": 1,
    "column": None,
    "settle": None,
    "timezone": None,
    "deletes": None,
    "server": None,
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of SQL tables."""
    group = parser.add_argument_group("tables of PostgreSQL and MySQL")
    group.add_argument("--from", dest="source", metavar="DATABASE", help=f"the database: {DATABASES}")
    group.add_argument(
        "--key", metavar="COLUMN[,COLUMN]", help="a unique key to tell rows by (default: the primary key)"
    )
    group.add_argument(
        "--connections", type=int, default=1, metavar="N", help="connections that read side by side, all at one moment"
    )
    group.add_argument(
        "--column",
        help="tells what changed, by a time or a number that only grows; --incremental goes on where it was read to",
    )
    group.add_argument(
        "--settle", metavar="TIME", help="how long the longest transaction takes that writes the table (default: 1m)"
    )
    group.add_argument("--timezone", metavar="ZONE", help="of a column of times without a zone (default: UTC)")
    group.add_argument(
        "--deletes",
        choices=DELETES,
        help="with --incremental: compare finds deletions by comparing all keys (default: ignore)",
    )
    group.add_argument(
        "--server", metavar="NAME", help="how the backups call the server (default: the RDS instance, or the host)"
    )
    add_connection_option(parser)


def asked(args: argparse.Namespace) -> bool:
    """Whether a SQL table is to be exported.

    :raises BadInputError: for options of the one kind of table with the other.
    """
    wrong = _OTHERS if args.source else _OURS
    for name, default in wrong.items():
        if getattr(args, name) != default:
            option = f"--{name.replace('_', '-')}"
            if args.source:
                raise BadInputError("exporting", f"{option} is given, and is for tables of DynamoDB", "leave it out")
            raise BadInputError("exporting", f"{option} is given, and is for SQL tables", "add --from DATABASE")
    return args.source is not None


def export(args: argparse.Namespace, context: Context) -> ExportReport:
    """The table in full, or what changed since."""
    database = database_of(args.source, context, args.connection)
    if database is None:
        raise BadInputError(
            "reading --from",
            "it begins with none of postgresql:, mysql:, conn: (not shown, for it may hold a password)",
            "for example --from postgresql://reader@db.example:5432/shop",
        )
    if args.column is None and (args.settle or args.timezone or args.incremental):
        given = "--incremental" if args.incremental else "--settle" if args.settle else "--timezone"
        raise BadInputError(
            "exporting", f"{given} is given without --column", "name the column that tells what changed"
        )
    follow = None
    if args.column is not None:
        settle = duration(args.settle, "--settle", "1m")
        follow = Follow(args.column, SETTLE if settle is None else settle, args.timezone or "UTC").check()
    source = source_of(database, args.table, args.server)
    key = args.key.split(",") if args.key else ()
    wanted = SqlExport(source, args.to, key, args.connections, follow, args.encryption, args.bucket_owner)
    common: dict[str, Any] = {
        "clients": context.clients, "clock": context.clock, "progress": context.progress, "asked": wanted, "actor": context.actor,
        "run": context.run,
    }  # fmt: skip
    if args.incremental:
        return export_changes(deletes=args.deletes or IGNORE, **common)
    if args.deletes:
        raise BadInputError(
            "exporting", "--deletes is given without --incremental", "a full backup has no deleted rows"
        )
    return export_sql(**common)
