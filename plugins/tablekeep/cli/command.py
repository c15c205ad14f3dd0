"""Arguments, exit codes and errors of all verbs.

0: the stated result was verified · 3: done, but not verified · 2: bad input, nothing was changed · 1: failure.
"""

import argparse
import functools
import getpass
import importlib
import json
import os
import socket
import sqlite3
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from tablekeep import __version__
from tablekeep.cli.output import TerminalProgress, print_json
from tablekeep.engine.clients import SessionClients
from tablekeep.engine.clock import Clock, SystemClock
from tablekeep.engine.errors import PermanentError, TablekeepError

_STOPPED = {
    "export": "what was not published is no backup; the same command with --resume goes on with it",
    "restore": "the table may hold a part of the items; the same command goes on with it",
    "drill": "the next drill removes what is left; `tablekeep sweep` shows it",
    "rds": "what RDS has begun goes on; the same command goes on with a restore, and `tablekeep rds sweep` shows what a drill has left",
    "run": "SQL was rolled back, a script was killed with all that it had started, a cluster that was made was told to end",
}
"""What a person has to know after Ctrl-C, by command."""
DONE, FAILED, BAD_INPUT, UNVERIFIED = 0, 1, 2, 3
VERBS = (
    "new",
    "plan",
    "export",
    "list",
    "show",
    "verify",
    "restore",
    "undo",
    "compare",
    "copy",
    "drill",
    "run",
    "sweep",
    "expire",
    "pin",
    "unpin",
    "import-set",
    "merge",
    "rds",
)


@dataclass
class Outcome:
    """What a verb gives back: its exit code and its document; `asked`: a person asked to see the items of which it speaks."""

    code: int
    document: dict[str, Any]
    asked: bool = False


@dataclass
class Context:
    """What every verb has at hand."""

    clock: Clock
    progress: TerminalProgress
    actor: str
    run: str
    region: str | None
    profile: str | None

    @functools.cached_property
    def clients(self) -> SessionClients:
        """AWS clients as boto3 finds credentials and Region; made when first asked for, for not every verb needs AWS."""
        return SessionClients(region=self.region, profile=self.profile)


class Verb(Protocol):
    """A module of this package."""

    HELP: str

    def arguments(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, args: argparse.Namespace, context: Context) -> Outcome: ...

    def tell(self, outcome: Outcome) -> None: ...


class _Parser(argparse.ArgumentParser):
    """Errors in one form, with exit code 2."""

    def error(self, message: str) -> Any:
        self.exit(BAD_INPUT, f"tablekeep: {message}\nTry `{self.prog} --help`.\n")


def build_parser(verb: str | None = None) -> argparse.ArgumentParser:
    """The parser with all verbs, or with one: what the others import need not be waited for."""
    parser = _Parser(prog="tablekeep", description="Backs up DynamoDB tables and proves that they can be restored.")
    parser.add_argument("--version", action="version", version=f"tablekeep {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="COMMAND", required=True)
    for name in (verb,) if verb in VERBS else VERBS:
        module = importlib.import_module(f"tablekeep.cli.{name.replace('-', '_')}")
        sub = verbs.add_parser(name, help=module.HELP, description=module.HELP)
        module.arguments(sub)
        add_common_options(sub)
        sub.set_defaults(module=module)
    return parser


def add_common_options(parser: argparse.ArgumentParser) -> None:
    """What every command takes."""
    common = parser.add_argument_group("common options")
    common.add_argument("--json", action="store_true", help="one JSON document on stdout, nothing else")
    common.add_argument("--quiet", action="store_true", help="no progress")
    common.add_argument("--region", help="the AWS Region (default: as boto3 finds it)")
    common.add_argument("--profile", help="the AWS profile (default: as boto3 finds it)")


def _actor() -> str:
    """Who runs this, for the records: `ana@host`. Containers may have no name for the user."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = str(os.getuid())
    return f"{name}@{socket.gethostname()}"


def run(argv: Sequence[str]) -> int:
    """Runs one command and returns its exit code; argparse exits by itself on `--help` and on bad arguments."""
    args = build_parser(argv[0] if argv else None).parse_args(list(argv))
    progress = TerminalProgress(quiet=args.quiet or args.json)
    clock = SystemClock()
    try:
        try:
            name = f"cli-{clock.now():%Y%m%dT%H%M%SZ}-{clock.token(2)}"
            context = Context(clock, progress, _actor(), name, args.region, args.profile)
            outcome: Outcome = args.module.run(args, context)
        finally:
            progress.close()
        if args.json:
            print_json(outcome.document)
        else:
            args.module.tell(outcome)
        return outcome.code
    except TablekeepError as error:
        if args.json:
            print_json(error.as_dict() | {"exit_code": error.exit_code})
        else:
            sys.stderr.write(f"tablekeep {args.verb}: {error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        told = _STOPPED.get(args.verb, "what was not published is no backup")
        sys.stderr.write(f"tablekeep {args.verb}: stopped by Ctrl-C; {told}\n")
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except (OSError, sqlite3.Error) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        failure = PermanentError(
            args.verb, f"this machine refused: {reason}",
            f"temporary files lie in {tempfile.gettempdir()}; make room there, or name another folder in TMPDIR",
        )  # fmt: skip
        if args.json:
            print_json(failure.as_dict() | {"exit_code": FAILED})
        else:
            sys.stderr.write(f"tablekeep {failure}\n")
        return FAILED


def pretty(document: dict[str, Any]) -> str:
    """Indented JSON text."""
    return json.dumps(document, indent=2, ensure_ascii=False)
