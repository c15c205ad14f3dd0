"""`tablekeep merge s3://bucket/prefix --table orders`"""

import argparse

from tablekeep.cli import export as export_verb
from tablekeep.cli.command import FAILED, Context, Outcome
from tablekeep.cli.output import print_pairs
from tablekeep.cli.times import moment
from tablekeep.engine.backups.catalog import shelves
from tablekeep.engine.backups.location import Shelf
from tablekeep.engine.backups.s3 import S3Store
from tablekeep.engine.errors import BadInputError
from tablekeep.engine.export.merge import confirm_merge, merge_backups
from tablekeep.engine.names import check_table_name, parse_s3

HELP = "fold a table's full backup and the increments that follow it into a new full backup; the table is not touched"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("root", metavar="S3-URI", help="the root of the backups, s3://bucket/prefix")
    parser.add_argument("--table", required=True, help="the table's name")
    parser.add_argument(
        "--as-of", metavar="TIME", help="no state later than this, as 2026-11-23T02:00:00Z (default: the newest)"
    )
    parser.add_argument(
        "--confirm",
        metavar="BACKUP",
        help="then compare it with this full set of DynamoDB's own export, of two minutes earlier or of a quiet table",
    )
    parser.add_argument("--encryption", metavar="KEY", help="KMS key of the objects: id, alias or ARN")
    parser.add_argument("--bucket-owner", metavar="ACCOUNT", help="the account that must own the bucket")
    parser.add_argument("--no-verify", action="store_true", help="do not read the backup again; exit code 3")


def run(args: argparse.Namespace, context: Context) -> Outcome:
    common = {
        "clients": context.clients, "clock": context.clock, "progress": context.progress, "owner": args.bucket_owner,
        "actor": context.actor, "run": context.run,
    }  # fmt: skip
    report = merge_backups(shelf=_shelf(args, context), as_of=moment(args.as_of), encryption=args.encryption, **common)
    outcome = export_verb.proved([report], args, context)
    if args.confirm:
        found = confirm_merge(merged=report.backup, full=args.confirm, **common)
        outcome.document["confirmed"] = found.as_dict()
        if not found.ok:
            outcome.code = FAILED
    return outcome


def _shelf(args: argparse.Namespace, context: Context) -> Shelf:
    """:raises BadInputError: when there are no backups of the table, or of several tables with this name."""
    check_table_name(args.table)
    bucket, root = parse_s3(args.root)
    store = S3Store(context.clients, bucket, owner=args.bucket_owner)
    store.check()
    found = list(shelves(store, bucket, root, name=args.table))
    if len(found) != 1:
        where = ", ".join(f"{one.account} {one.region}" for one in found)
        why = f"there are some of several accounts or Regions ({where})" if found else "there are none there"
        raise BadInputError(f"merging the backups of {args.table} under {args.root}", why, "name another root")
    return found[0]


def tell(outcome: Outcome) -> None:
    export_verb.tell(outcome)
    confirmed = outcome.document.get("confirmed")
    if confirmed:
        same = (
            "the content is the same"
            if confirmed["equal"]
            else f"{confirmed['explained']:,} keys were written in between"
        )
        state = (
            same if confirmed["ok"] else f"NO: {confirmed['unexplained']:,} keys differ and were not written in between"
        )
        print_pairs([("confirmed", state)])
