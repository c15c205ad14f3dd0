"""Commands below a command: `tablekeep plan restore`, `tablekeep rds drill`."""

import argparse
import importlib
from collections.abc import Mapping
from types import ModuleType

from tablekeep.cli.command import Context, Outcome, add_common_options


def add_commands(parser: argparse.ArgumentParser, modules: Mapping[str, str]) -> None:
    """:param modules: by command, each a verb (`command.Verb`)."""
    commands = parser.add_subparsers(dest="what", metavar="COMMAND", required=True)
    for name, path in modules.items():
        module = importlib.import_module(path)
        sub = commands.add_parser(name, help=module.HELP, description=module.HELP)
        module.arguments(sub)
        sub.set_defaults(chosen=module)
        add_common_options(sub)


def run_chosen(args: argparse.Namespace, context: Context, member: str) -> Outcome:
    """:param member: of the document, in which the command's name is kept for `tell`."""
    module: ModuleType = args.chosen
    outcome: Outcome = module.run(args, context)
    outcome.document[member] = args.what
    return outcome
