"""`tablekeep plan export --table orders --to s3://bucket/prefix`; `tablekeep plan restore BACKUP --to-table NAME`;
`tablekeep plan copy BACKUP --to postgres`; `tablekeep plan run PIPELINE`"""

import argparse
import importlib

from tablekeep.cli.command import Context, Outcome
from tablekeep.cli.nested import add_commands, run_chosen

HELP = "say what an export, a restore, a copy or a pipeline's steps would do, take and cost, and what speaks against it; changes nothing"
WHAT = {
    "export": "tablekeep.cli.plan_export",
    "restore": "tablekeep.cli.plan_restore",
    "copy": "tablekeep.cli.plan_copy",
    "run": "tablekeep.cli.plan_run",
}


def arguments(parser: argparse.ArgumentParser) -> None:
    add_commands(parser, WHAT)


def run(args: argparse.Namespace, context: Context) -> Outcome:
    return run_chosen(args, context, "planned")


def tell(outcome: Outcome) -> None:
    importlib.import_module(WHAT[outcome.document["planned"]]).tell(outcome)
