"""`tablekeep import-set s3://bucket/drop/orders --format csv --table orders --key id --to s3://bucket/prefix`"""

import argparse

from pydantic import ValidationError

from tablekeep.cli.command import Context
from tablekeep.cli.times import moment
from tablekeep.engine.errors import BadInputError
from tablekeep.engine.export.report import ExportReport
from tablekeep.engine.files.description import BadRows, Files
from tablekeep.engine.files.imports import FilesImport, import_files

_OURS = ("pattern", "columns", "no_header", "delimiter", "quote", "escape", "null", "max_bad_rows")


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of files."""
    group = parser.add_argument_group("files of CSV, JSON lines or Parquet")
    group.add_argument("--format", choices=("csv", "json", "parquet"), help="what the files under the prefix are")
    group.add_argument(
        "--pattern", metavar="GLOB", help="names of files, with * and ? (default: all that do not begin with _ or .)"
    )
    group.add_argument(
        "--columns",
        metavar="NAME:TYPE[,…]",
        help="id:integer,total:numeric(10,2): types as in a copy's mapping (default: names from the header, types from a sample)",
    )
    group.add_argument("--no-header", action="store_true", default=None, help="csv: the first line is a row")
    group.add_argument("--delimiter", metavar="C", help="csv: between fields, tab for a tabulator (default: ,)")
    group.add_argument("--quote", metavar="C", help='csv: around a field (default: ")')
    group.add_argument("--escape", metavar="C", help="csv: makes the next character plain (default: none)")
    group.add_argument("--null", metavar="TEXT", help="csv: the field that is NULL (default: the empty one)")
    group.add_argument(
        "--max-bad-rows",
        type=int,
        metavar="N",
        help="leave out so many bad rows at most, and write down which (default: 0)",
    )


def asked(args: argparse.Namespace) -> bool:
    """Whether files are to be imported.

    :raises BadInputError: for their options without --format.
    """
    given = [name for name in _OURS if getattr(args, name) is not None]
    if given and args.format is None:
        option = f"--{given[0].replace('_', '-')}"
        raise BadInputError("importing", f"{option} is given without --format", "add --format csv, json or parquet")
    return args.format is not None


def import_prefix(args: argparse.Namespace, context: Context) -> ExportReport:
    """The files as a set."""
    what = f"importing {args.source}"
    if args.table is None:
        raise BadInputError(
            what, "files do not tell of what they are", "give --table NAME, as the backups are to be called"
        )
    written = {
        "format": args.format, "pattern": args.pattern, "delimiter": args.delimiter, "quote": args.quote, "escape": args.escape,
        "null": args.null, "header": False if args.no_header else None,
        "columns": _columns(args.columns) if args.columns else None,
    }  # fmt: skip
    most = args.max_bad_rows
    try:
        files = Files.model_validate({name: value for name, value in written.items() if value is not None})
        bad_rows = BadRows.model_validate({"to": "reject", "most": most} if most else {})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(one) for one in first["loc"])
        raise BadInputError(
            what, f"{where + ': ' if where else ''}{first['msg']}", "see `tablekeep import-set --help`"
        ) from None
    wanted = FilesImport(
        args.source,
        args.to,
        args.table,
        files,
        args.key.split(",") if args.key else (),
        bad_rows,
        args.encryption,
        args.bucket_owner,
    )
    return import_files(
        clients=context.clients, clock=context.clock, progress=context.progress, asked=wanted, as_of=moment(args.as_of),
        actor=context.actor, run=context.run,
    )  # fmt: skip


def _columns(text: str) -> list[dict[str, str]]:
    """`id:integer,total:numeric(10,2)`: a comma inside of parentheses is the type's."""
    columns, depth, one = list[str](), 0, ""
    for character in text:
        depth += (character == "(") - (character == ")")
        if character == "," and not depth:
            columns.append(one)
            one = ""
        else:
            one += character
    found = [(name, kind) for name, _, kind in (each.rpartition(":") for each in [*columns, one])]
    return [{"name": name, "type": kind} if name else {"name": kind} for name, kind in found]
