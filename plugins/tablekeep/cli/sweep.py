"""`tablekeep sweep`"""

import argparse
import sys

from tablekeep.cli.command import DONE, Context, Outcome
from tablekeep.cli.output import print_table
from tablekeep.engine.backups.catalog import shelves
from tablekeep.engine.backups.s3 import S3Store
from tablekeep.engine.drills.marks import PREFIX
from tablekeep.engine.drills.scratch import sweep
from tablekeep.engine.names import parse_s3
from tablekeep.engine.restore.intents import Intents

HELP = f"remove scratch tables ({PREFIX}…) that dead drills have left in this account and Region; shows them unless --confirm"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--confirm", action="store_true", help="remove them; without it they are only listed")
    parser.add_argument(
        "--backups",
        metavar="S3-URI",
        help="the root of the backups, where drills write down what they have AWS make: finds what died before it was marked",
    )


def run(args: argparse.Namespace, context: Context) -> Outcome:
    intents = []
    if args.backups:
        bucket, root = parse_s3(args.backups)
        store = S3Store(context.clients, bucket)
        store.check()
        intents = [Intents(store, shelf) for shelf in shelves(store, bucket, root)]
    found = sweep(context.clients, context.clock, dry_run=not args.confirm, intents=intents)
    return Outcome(
        DONE,
        {
            "confirmed": args.confirm,
            "tables": [one.as_dict() for one in found.tables],
            "left_alone": [one.as_dict() for one in found.left_alone],
        },
    )


def tell(outcome: Outcome) -> None:
    tables = outcome.document["tables"]
    if tables:
        print_table(
            ["table", "left by", "until", ""],
            [[one["table"], one["run"], one["until"], "removed" if one["removed"] else ""] for one in tables],
        )
        if not outcome.document["confirmed"]:
            sys.stdout.write("Nothing was removed. `tablekeep sweep --confirm` removes them.\n")
    else:
        sys.stdout.write("No drill has left a scratch table whose time is over.\n")
    for one in outcome.document["left_alone"]:
        sys.stdout.write(
            f"LEFT ALONE {one['table']}: {one['why']}. Look at it; delete it by hand if nobody needs it.\n"
        )
