"""`tablekeep rds sweep`"""

import argparse
import sys

from tablekeep.cli.command import DONE, Context, Outcome
from tablekeep.cli.output import print_table
from tablekeep.engine.drills.instance_scratch import sweep_instances
from tablekeep.engine.drills.marks import PREFIX

HELP = f"remove scratch instances ({PREFIX}…) that dead drills have left in this account and Region; shows them unless --confirm"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--confirm", action="store_true", help="remove them; without it they are only listed")


def run(args: argparse.Namespace, context: Context) -> Outcome:
    found = sweep_instances(context.clients, context.clock, dry_run=not args.confirm)
    return Outcome(DONE, {"confirmed": args.confirm, "instances": [one.as_dict() for one in found]})


def tell(outcome: Outcome) -> None:
    found = outcome.document["instances"]
    if not found:
        sys.stdout.write("No drill has left a scratch instance whose time is over.\n")
        return
    rows = [[one["table"], one["run"], one["until"], "is being removed" if one["removed"] else ""] for one in found]
    print_table(["instance or cluster", "left by", "until", ""], rows)
    if not outcome.document["confirmed"]:
        sys.stdout.write("Nothing was removed. `tablekeep rds sweep --confirm` removes them.\n")
