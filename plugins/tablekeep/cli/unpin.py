"""`tablekeep unpin BACKUP --why TEXT`"""

import argparse
import sys

from tablekeep.cli.command import DONE, Context, Outcome
from tablekeep.engine.backups.records import write_record
from tablekeep.engine.backups.sets import open_backup

HELP = "let the rules decide about a backup again"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("backup", metavar="BACKUP", help="the manifest's URI, from `tablekeep list`")
    parser.add_argument("--why", required=True, metavar="TEXT", help="for whoever asks later")


def run(args: argparse.Namespace, context: Context) -> Outcome:
    opened = open_backup(context.clients, args.backup, incremental=True)
    location = opened.manifest.location
    write_record(
        opened.store, location.shelf, "unpin", {"backup": location.uri, "why": args.why}, backup_id=location.backup_id,
        actor=context.actor, run=context.run, clock=context.clock,
    )  # fmt: skip
    return Outcome(DONE, {"backup": location.uri, "unpinned": True, "why": args.why})


def tell(outcome: Outcome) -> None:
    sys.stdout.write(f"unpinned: {outcome.document['backup']}\n")
