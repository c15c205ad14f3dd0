"""`tablekeep import-set s3://bucket/exports/AWSDynamoDB/01700000000000-0a0b0c0d --to s3://bucket/prefix`"""

import argparse

from tablekeep.cli import export as export_verb
from tablekeep.cli import import_files
from tablekeep.cli.command import Context, Outcome
from tablekeep.cli.times import moment
from tablekeep.engine.errors import BadInputError
from tablekeep.engine.export.imports import import_set

HELP = "make a backup of what others wrote, then verify it: DynamoDB's own exports, AWS Data Pipeline's, CSV, JSON lines, Parquet"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "source",
        metavar="S3-URI",
        help="the folder: …/AWSDynamoDB/<export id>, Data Pipeline's, or with --format a prefix",
    )
    parser.add_argument("--to", required=True, metavar="S3-URI", help="the root of the backups, s3://bucket/prefix")
    parser.add_argument(
        "--key",
        metavar="NAME:TYPE[,…]",
        help="the key of a table that is gone, as customer:S,order_no:N; of files the columns alone, as customer,order_no",
    )
    parser.add_argument("--table", help="the table of a Data Pipeline backup, or how backups of files are called")
    parser.add_argument(
        "--as-of", metavar="TIME", help="when a Data Pipeline backup was made, if its folder's name does not tell"
    )
    parser.add_argument("--encryption", metavar="KEY", help="KMS key of the objects: id, alias or ARN")
    parser.add_argument("--bucket-owner", metavar="ACCOUNT", help="the account that must own the bucket of the backups")
    parser.add_argument("--no-verify", action="store_true", help="do not read the backup again; exit code 3")
    import_files.add_options(parser)


def run(args: argparse.Namespace, context: Context) -> Outcome:
    if import_files.asked(args):
        return export_verb.proved([import_files.import_prefix(args, context)], args, context)
    report = import_set(
        clients=context.clients, clock=context.clock, progress=context.progress, source=args.source, to=args.to, table=args.table,
        key=_key(args.key), as_of=moment(args.as_of),
        encryption=args.encryption, owner=args.bucket_owner, actor=context.actor, run=context.run,
    )  # fmt: skip
    return export_verb.proved([report], args, context)


def _key(text: str | None) -> list[tuple[str, str]] | None:
    """:raises BadInputError: for what names no key."""
    if text is None:
        return None
    parts = [one.rpartition(":") for one in text.split(",")]
    if not 1 <= len(parts) <= 2 or any(not name or kind not in ("S", "N", "B") for name, _, kind in parts):
        raise BadInputError(f"reading the key {text[:200]!r}", "it names no key", "give --key customer:S,order_no:N")
    return [(name, kind) for name, _, kind in parts]


tell = export_verb.tell
