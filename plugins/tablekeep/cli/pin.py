"""`tablekeep pin BACKUP --why TEXT`"""

import argparse
import sys
from typing import Literal

from tablekeep.cli.command import DONE, Context, Outcome
from tablekeep.engine.backups.records import write_record
from tablekeep.engine.backups.sets import open_backup

HELP = "keep a backup whatever the rules say, until it is unpinned"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("backup", metavar="BACKUP", help="the manifest's URI, from `tablekeep list`")
    parser.add_argument("--why", required=True, metavar="TEXT", help="for whoever asks later")


def run(args: argparse.Namespace, context: Context) -> Outcome:
    return noted(args, context, "pin")


def noted(args: argparse.Namespace, context: Context, kind: Literal["pin", "unpin"]) -> Outcome:
    """Writes the record that pins the backup, or lets it go."""
    opened = open_backup(context.clients, args.backup, incremental=True)
    location = opened.manifest.location
    write_record(
        opened.store, location.shelf, kind, {"backup": location.uri, "why": args.why}, backup_id=location.backup_id,
        actor=context.actor, run=context.run, clock=context.clock,
    )  # fmt: skip
    return Outcome(DONE, {"backup": location.uri, f"{kind}ned": True, "why": args.why})


def tell(outcome: Outcome) -> None:
    done = "pinned" if "pinned" in outcome.document else "unpinned"
    sys.stdout.write(f"{done}: {outcome.document['backup']}\n")
