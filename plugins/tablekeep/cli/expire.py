"""`tablekeep expire s3://bucket/prefix --table NAME --daily 35 --monthly 12`"""

import argparse
import sys

from tablekeep.cli.command import DONE, FAILED, Context, Outcome
from tablekeep.cli.output import print_table, size_text
from tablekeep.cli.times import duration
from tablekeep.engine.backups.catalog import find_shelf
from tablekeep.engine.backups.retention import STALE, Keep, expire
from tablekeep.engine.backups.s3 import S3Store
from tablekeep.engine.copies.athena_uses import athena_uses
from tablekeep.engine.names import check_table_name, parse_s3

HELP = "delete a table's backups that no rule keeps, and what dead runs have left; shows the list unless --confirm"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("root", metavar="S3-URI", help="the root of the backups, s3://bucket/prefix")
    parser.add_argument("--table", required=True, help="whose backups")
    for name in ("daily", "weekly", "monthly", "yearly"):
        parser.add_argument(
            f"--{name}", type=int, default=0, metavar="N", help=f"keep the newest of so many {name} periods"
        )
    parser.add_argument(
        "--minimum", type=int, default=3, metavar="N", help="verified full backups that stay in any case (default: 3)"
    )
    parser.add_argument("--stale", metavar="TIME", help="delete nothing while the newest backup is older (default: 7d)")
    parser.add_argument("--confirm", action="store_true", help="delete; without it they are only listed")


def run(args: argparse.Namespace, context: Context) -> Outcome:
    check_table_name(args.table)
    stale = duration(args.stale, "--stale", "2d") or STALE
    bucket, root = parse_s3(args.root)
    store = S3Store(context.clients, bucket)
    store.check()
    keep = Keep(args.daily, args.weekly, args.monthly, args.yearly, args.minimum)
    shelf = find_shelf(store, bucket, root, args.table, "expiring backups of the table")
    expiry = expire(
        store, shelf, keep, clock=context.clock, progress=context.progress, actor=context.actor, run=context.run,
        confirm=args.confirm, stale=stale, uses=athena_uses(context.clients, store),
    )  # fmt: skip
    return Outcome(FAILED if expiry.stopped else DONE, expiry.as_dict() | {"confirmed": args.confirm})


def tell(outcome: Outcome) -> None:
    document = outcome.document
    gone = "deleted" if document["confirmed"] and not document["stopped"] else "would be deleted"
    rows = [
        [one["as_of"][:19] + "Z", one["kind"], size_text(one["bytes"]), ", ".join(one["why"]) or gone, one["backup_id"]]
        for one in document["sets"]
    ]
    rows += [["", "of a dead run", size_text(size), gone, name] for name, size in document["orphans"].items()]
    print_table(["as of", "kind", "size", "kept for", "backup"], rows, right=(2,))
    if document["warning"]:
        sys.stdout.write(f"WARNING: {document['warning']}.\n")
    if document["stopped"]:
        sys.stdout.write(f"NOTHING IS DELETED: {document['stopped']}.\n")
    elif not document["confirmed"]:
        sys.stdout.write(f"Nothing was deleted. With --confirm {size_text(document['bytes'])} become free.\n")
