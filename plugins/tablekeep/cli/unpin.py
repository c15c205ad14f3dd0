"""`tablekeep unpin BACKUP --why TEXT`"""

import argparse

from tablekeep.cli.command import Context, Outcome
from tablekeep.cli.pin import arguments, noted, tell

__all__ = ["HELP", "arguments", "run", "tell"]
HELP = "let the rules decide about a backup again"


def run(args: argparse.Namespace, context: Context) -> Outcome:
    return noted(args, context, "unpin")
