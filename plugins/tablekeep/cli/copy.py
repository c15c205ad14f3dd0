"""`tablekeep copy BACKUP --to postgresql://… --into schema.table`"""

import argparse
from typing import get_args
from urllib.parse import parse_qsl, unquote, urlsplit

from tablekeep.cli.command import DONE, UNVERIFIED, Context, Outcome
from tablekeep.cli.connections import DATABASES, add_connection_option, database_of
from tablekeep.cli.output import print_pairs
from tablekeep.cli.plan_copy import add_mapping_option, mapping_of
from tablekeep.engine.copies.athena import AthenaTarget, register_backup
from tablekeep.engine.copies.copy import copy_backup
from tablekeep.engine.copies.modes import Swap, parse_mode
from tablekeep.engine.copies.mysql import MysqlTarget
from tablekeep.engine.copies.postgres import PostgresTarget
from tablekeep.engine.copies.redshift import RedshiftTarget
from tablekeep.engine.copies.target import Target
from tablekeep.engine.errors import BadInputError

HELP = "copy a backup to a table in PostgreSQL, MySQL or Redshift, or show it in Athena"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("backup", metavar="BACKUP", help="the manifest's URI, s3://…/manifest.json")
    parser.add_argument(
        "--to",
        required=True,
        metavar="DATABASE",
        help=f"{DATABASES} · "
        "redshift://workgroup/database · redshift-cluster://cluster/database?db_user=NAME · athena://database (of Glue's catalog; "
        "no row is moved)",
    )
    parser.add_argument(
        "--into", required=True, metavar="TABLE", help="schema.table, in Athena table; made when it does not exist"
    )
    parser.add_argument(
        "--mode",
        default="replace",
        help="replace: the table holds exactly the backup (default) · append: its rows are added · upsert: rows are written by key, others "
        "deleted · incremental: upsert, or the changes of an incremental backup · TRUNCATE, OVERWRITE_EXISTING, KEEP_EXISTING, APPEND",
    )
    parser.add_argument("--keep-absent", action="store_true", help="with upsert: keys that the backup lacks stay")
    parser.add_argument(
        "--swap",
        default="rows",
        choices=get_args(Swap),
        help="with replace: inside of the table (default), or a new one in its place, for large ones",
    )
    add_mapping_option(parser)
    parser.add_argument("--iam-role", metavar="ARN", help="the role with which Redshift reads from S3")
    parser.add_argument("--allow-older", action="store_true", help="put this backup over a newer one")
    parser.add_argument(
        "--adopt", action="store_true", help="replace, once, a table that others made, with all it holds"
    )
    add_connection_option(parser)
    parser.add_argument("--bucket-owner", metavar="ACCOUNT", help="the account that must own the backup's bucket")


def run(args: argparse.Namespace, context: Context) -> Outcome:
    if args.to.startswith("athena:"):
        return _athena(args, context)
    report = copy_backup(
        clients=context.clients, clock=context.clock, progress=context.progress, backup=args.backup, target=_target(args, context),
        mode=parse_mode(args.mode, keep_absent=args.keep_absent, swap=args.swap), mapping=mapping_of(args), allow_older=args.allow_older,
        adopt=args.adopt, actor=context.actor, run=context.run, owner=args.bucket_owner,
    )  # fmt: skip
    return Outcome(DONE if report.verified else UNVERIFIED, report.as_dict())


def _athena(args: argparse.Namespace, context: Context) -> Outcome:
    parts = urlsplit(args.to)
    if parts.path.strip("/") or parts.query or parts.username or not parts.netloc:
        raise BadInputError("reading --to", "it is no database of Glue", "write athena://database")
    if args.mode != "replace" or args.keep_absent or args.swap != "rows" or args.mapping:
        raise BadInputError(
            "copying to Athena", "it shows a backup as it lies", "leave --mode, --keep-absent, --swap and --mapping out"
        )
    report = register_backup(
        clients=context.clients, clock=context.clock, progress=context.progress, backup=args.backup,
        target=AthenaTarget(context.clients, parts.netloc, args.into), allow_older=args.allow_older, adopt=args.adopt,
        actor=context.actor, run=context.run, owner=args.bucket_owner,
    )  # fmt: skip
    return Outcome(DONE if report.verified else UNVERIFIED, report.as_dict())


def _target(args: argparse.Namespace, context: Context) -> Target:
    database = database_of(args.to, context, args.connection)
    if database is not None:
        kind, given = database
        return MysqlTarget(given, args.into) if kind == "mysql" else PostgresTarget(given, args.into)
    if args.to.partition(":")[0] in ("redshift", "redshift-cluster"):
        return _redshift(args, context)
    raise BadInputError(
        "reading --to",
        "it begins with none of postgresql:, mysql:, conn:, redshift:, redshift-cluster:, athena: (not shown, for it may hold a password)",
        "for example --to postgresql://loader@db.example:5432/analytics",
    )


def _redshift(args: argparse.Namespace, context: Context) -> RedshiftTarget:
    parts = urlsplit(args.to)
    options = dict(parse_qsl(parts.query))
    unknown = sorted(set(options) - {"db_user", "secret"})
    database = unquote(parts.path.removeprefix("/"))
    if parts.password or unknown or not parts.netloc or not database:
        raise BadInputError(
            "reading --to",
            f"it is no address of Redshift{f' ({unknown[0]} is not known)' if unknown else ''}",
            "write redshift://workgroup/database, or redshift-cluster://cluster/database?db_user=NAME or …?secret=ARN; no password",
        )
    if not args.iam_role:
        raise BadInputError(
            "copying to Redshift", "--iam-role is missing", "give the role with which Redshift reads from S3"
        )
    name = unquote(parts.netloc)
    place = {"workgroup": name} if parts.scheme == "redshift" else {"cluster": name}
    return RedshiftTarget(
        context.clients, args.into, database=database, iam_role=args.iam_role, db_user=options.get("db_user"),
        secret=options.get("secret"), **place,
    )  # fmt: skip


def tell(outcome: Outcome) -> None:
    document = outcome.document
    athena = document["target"].startswith("athena:")
    copied = "the table points at it, and its files are there" if athena else "copied and counted"
    said = {"copied": copied, "unchanged": "nothing to do", "skipped": "LEFT OUT"}[document["status"]]
    lines: list[tuple[str, object]] = [
        ("copy", f"{said}{': ' if document['reason'] else ''}{document['reason']}"),
        ("table", f"{document['table']} in {document['target']}"),
        ("rows", f"{document['rows']:,}"),
        ("backup", f"{document['backup']} (as of {document['as_of']})"),
        ("took", f"{document['seconds']:.1f} s"),
    ]
    if any(document[name] for name in ("inserted", "updated", "deleted")):
        told = ", ".join(f"{document[name]:,} {name}" for name in ("inserted", "updated", "deleted") if document[name])
        lines.append(("written", told))
    lines += [("changed", drift) for drift in document["drift"]]
    for name, what in (
        ("kept", "in _rest: values that their column cannot hold"),
        ("rejected", "REJECTED: values in the reject table, NULL in their column"),
        ("shown", "other types: values shown in a column of another type; `_rest` has their own"),
        ("cut", "CUT: texts that were longer than their column takes"),
    ):
        if document.get(name):
            title, _, text = what.partition(": ")
            lines.append(
                (title, f"{text}: " + ", ".join(f"{column} {count:,}" for column, count in document[name].items()))
            )
    print_pairs(lines)
