"""`tablekeep rds snapshot shop`, `… list`, `… copy`, `… plan`, `… restore`, `… drill`, `… expire`, `… sweep`"""

import argparse
import importlib

from tablekeep.cli.command import Context, Outcome
from tablekeep.cli.nested import add_commands, run_chosen

HELP = "RDS instances and Aurora clusters: snapshots, copies to other Regions, restores with every setting, drills"
WHAT = {
    "snapshot": "tablekeep.cli.rds_snapshot",
    "list": "tablekeep.cli.rds_list",
    "copy": "tablekeep.cli.rds_copy",
    "plan": "tablekeep.cli.rds_plan",
    "restore": "tablekeep.cli.rds_restore",
    "drill": "tablekeep.cli.rds_drill",
    "expire": "tablekeep.cli.rds_expire",
    "sweep": "tablekeep.cli.rds_sweep",
}


def arguments(parser: argparse.ArgumentParser) -> None:
    add_commands(parser, WHAT)


def run(args: argparse.Namespace, context: Context) -> Outcome:
    return run_chosen(args, context, "did")


def tell(outcome: Outcome) -> None:
    importlib.import_module(WHAT[outcome.document["did"]]).tell(outcome)
