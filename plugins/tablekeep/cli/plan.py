"""`tablekeep plan export --table orders --to s3://bucket/prefix`; `tablekeep plan restore BACKUP --to-table NAME`;
`tablekeep plan copy BACKUP --to postgres`; `tablekeep plan run PIPELINE`"""

import argparse
import importlib
from types import ModuleType

from tablekeep.cli.command import Context, Outcome, add_common_options

HELP = "say what an export, a restore, a copy or a pipeline's steps would do, take and cost, and what speaks against it; changes nothing"
WHAT = {
    "export": "tablekeep.cli.plan_export",
    "restore": "tablekeep.cli.plan_restore",
    "copy": "tablekeep.cli.plan_copy",
    "run": "tablekeep.cli.plan_run",
}


def arguments(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(dest="what", metavar="COMMAND", required=True)
    for name, path in WHAT.items():
        module = importlib.import_module(path)
        sub = commands.add_parser(name, help=module.HELP, description=module.HELP)
        module.arguments(sub)
        sub.set_defaults(planned=module)
        add_common_options(sub)


def run(args: argparse.Namespace, context: Context) -> Outcome:
    module: ModuleType = args.planned
    outcome: Outcome = module.run(args, context)
    outcome.document["planned"] = args.what
    return outcome


def tell(outcome: Outcome) -> None:
    importlib.import_module(WHAT[outcome.document["planned"]]).tell(outcome)
