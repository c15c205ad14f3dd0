"""`tablekeep sweep`"""

import argparse
import sys

from tablekeep.cli.command import DONE, Context, Outcome
from tablekeep.cli.output import print_table
from tablekeep.engine.drills.marks import PREFIX
from tablekeep.engine.drills.scratch import sweep

HELP = f"remove scratch tables ({PREFIX}…) that dead drills have left in this account and Region; shows them unless --confirm"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--confirm", action="store_true", help="remove them; without it they are only listed")


def run(args: argparse.Namespace, context: Context) -> Outcome:
    found = sweep(context.clients, context.clock, dry_run=not args.confirm)
    return Outcome(DONE, {"confirmed": args.confirm, "tables": [one.as_dict() for one in found]})


def tell(outcome: Outcome) -> None:
    tables = outcome.document["tables"]
    if not tables:
        sys.stdout.write("No drill has left a scratch table whose time is over.\n")
        return
    print_table(
        ["table", "left by", "until", ""],
        [[one["table"], one["run"], one["until"], "removed" if one["removed"] else ""] for one in tables],
    )
    if not outcome.document["confirmed"]:
        sys.stdout.write("Nothing was removed. `tablekeep sweep --confirm` removes them.\n")
