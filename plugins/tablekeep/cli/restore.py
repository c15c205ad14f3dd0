"""`tablekeep restore BACKUP --to-table NAME`; `tablekeep plan restore` takes the same options."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tablekeep.cli.command import DONE, FAILED, UNVERIFIED, Context, Outcome
from tablekeep.cli.differing import Seen, add_show_options, difference_lines
from tablekeep.cli.output import print_pairs
from tablekeep.cli.times import moment
from tablekeep.engine.backups.catalog import find_shelf
from tablekeep.engine.backups.location import Shelf
from tablekeep.engine.backups.s3 import S3Store
from tablekeep.engine.dynamodb.reapply import SKIPPABLE
from tablekeep.engine.errors import BadInputError, IntegrityError, PermanentError
from tablekeep.engine.names import parse_s3
from tablekeep.engine.prices import load_prices
from tablekeep.engine.restore.file import restore_to_file
from tablekeep.engine.restore.request import MODES, PATHS, RestoreRequest
from tablekeep.engine.restore.selection import absent_text
from tablekeep.engine.restore.shown import PLAN_HOLDS
from tablekeep.engine.restore.table import restore_table
from tablekeep.engine.restore.terraform import import_file

HELP = "restore a backup, or a part of it, to a table or a file, and prove it by content hash"


def arguments(parser: argparse.ArgumentParser) -> None:
    add_request_options(parser)
    add_show_options(parser)
    parser.add_argument(
        "--to-file", metavar="FILE", help="write DynamoDB JSON lines to this file instead (gzip when it ends in .gz)"
    )
    parser.add_argument(
        "--terraform",
        metavar="FILE",
        help="write import blocks for the new table and all that belongs to it to this file",
    )
    parser.add_argument(
        "--plan",
        metavar="HASH",
        help="do only what `tablekeep plan restore` showed under this hash, less than four hours ago",
    )
    parser.add_argument(
        "--workers",
        type=int,
        default=1,
        metavar="N",
        help="processes that load and read back; each takes a core (default: 1)",
    )
    parser.add_argument("--no-proof", action="store_true", help="do not read the table back; exit code 3")


def add_request_options(parser: argparse.ArgumentParser) -> None:
    """What `plan restore` and `restore` share."""
    parser.add_argument(
        "backup",
        metavar="BACKUP",
        help="the manifest's URI, from `tablekeep list`; with --table the root of the backups",
    )
    parser.add_argument("--to-table", metavar="NAME", help="the table's name; new unless --mode says otherwise")
    parser.add_argument(
        "--table", metavar="NAME", help="take the newest verified backup of this table under BACKUP, s3://bucket/prefix"
    )
    parser.add_argument(
        "--as-of",
        metavar="TIME",
        help="with --table: its newest state no later than this, 2026-11-23T02:00:00Z, increments folded in",
    )
    parser.add_argument(
        "--mode", choices=MODES, default="new", help="what may be done to the table (default: new, it must not exist)"
    )
    parser.add_argument(
        "--path", choices=PATHS, default="auto", help="how the table gets its items (default: by size and cost)"
    )
    add_kept_options(parser)
    parser.add_argument(
        "--key", action="append", metavar="JSON", help="""only this item: '{"pk": "a", "sk": 1}'; may be repeated"""
    )
    parser.add_argument(
        "--keys-file",
        metavar="FILE",
        help="only the items whose keys stand in this file, a JSON object a line; - for stdin",
    )
    parser.add_argument("--key-prefix", metavar="NAME=BEGINNING", help="only items whose key attribute begins so")
    parser.add_argument(
        "--where",
        action="append",
        default=[],
        metavar="CONDITION",
        help="""only items for which it holds: 'status = "open"'; may be repeated""",
    )
    parser.add_argument("--max-wcu", type=float, metavar="N", help="write capacity units a second (default: no limit)")
    parser.add_argument("--max-usd", type=float, metavar="N", help="refuse what would cost more")
    parser.add_argument(
        "--no-record",
        action="store_true",
        help="write nothing beside the backups: a restore that dies is not gone on with, a plan not taken by --plan",
    )
    parser.add_argument("--ttl", action="store_true", help="switch expiry on, at last: expired items will vanish")
    parser.add_argument(
        "--without",
        action="append",
        default=[],
        choices=SKIPPABLE,
        metavar="SETTING",
        help=f"leave settings out: {', '.join(SKIPPABLE)}",
    )


def add_kept_options(parser: argparse.ArgumentParser) -> None:
    """What goes with the path `backup`; drills take it, too."""
    parser.add_argument(
        "--backup-arn",
        metavar="ARN",
        help="with --path backup: the on-demand backup or recovery point that AWS restores (default: the newest it keeps)",
    )
    parser.add_argument(
        "--backup-role",
        metavar="ARN",
        help="with --path backup: the role with which AWS Backup restores a recovery point (default: its default role)",
    )


def request_of(args: argparse.Namespace, context: Context) -> RestoreRequest:
    """The request that the options give.

    :raises BadInputError: for what cannot be read.
    """
    shelf = None
    if args.table:
        shelf = _shelf(args, context)
    elif args.as_of:
        raise BadInputError("reading --as-of", "it needs --table", "give the root of the backups and --table NAME")
    keys = list(args.key or [])
    if args.keys_file:
        keys += [line for line in _lines(args.keys_file) if line.strip()]
    return RestoreRequest(
        args.to_table or "to-file",
        backup=None if shelf else args.backup,
        shelf=shelf,
        as_of=moment(args.as_of),
        mode=args.mode,
        path=args.path,
        backup_arn=args.backup_arn,
        backup_role=args.backup_role,
        keys=tuple(keys) if args.key is not None or args.keys_file else None,
        key_prefix=args.key_prefix,
        where=tuple(args.where),
        max_wcu=args.max_wcu,
        ttl=args.ttl,
        skip_settings=tuple(args.without),
        max_usd=args.max_usd,
    )


def _shelf(args: argparse.Namespace, context: Context) -> Shelf:
    bucket, root = parse_s3(args.backup)
    return find_shelf(S3Store(context.clients, bucket), bucket, root, args.table, "restoring the table")


def _lines(name: str) -> list[str]:
    try:
        return sys.stdin.read().splitlines() if name == "-" else Path(name).read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInputError(
            f"reading the keys in {name}", str(error), "give a file with a JSON object a line"
        ) from None


def run(args: argparse.Namespace, context: Context) -> Outcome:
    if bool(args.to_file) == bool(args.to_table):
        raise BadInputError(
            "restoring", "give either --to-table or --to-file", "for example --to-table orders-restored"
        )
    request, seen = request_of(args, context), Seen(args)
    if seen.asked and (args.to_file or args.no_proof):
        what = "a file has no other side" if args.to_file else "--no-proof compares nothing"
        raise BadInputError("showing items that differ", what, "leave --show-keys and --show-values out")
    if args.terraform:
        _check_file(Path(args.terraform), args, request)
    if args.to_file:
        if args.workers != 1:
            raise BadInputError("writing a file", "--workers is given, and one process writes it", "leave it out")
        written = restore_to_file(request, Path(args.to_file), clients=context.clients, progress=context.progress)
        return Outcome(DONE, written.as_dict())
    try:
        report = restore_table(
            request, clients=context.clients, clock=context.clock, progress=context.progress, actor=context.actor, run=context.run,
            plan_hash=args.plan, plan_holds=PLAN_HOLDS, prove=not args.no_proof, record=not args.no_record, prices=load_prices(),
            see=seen.see, workers=args.workers,
        )  # fmt: skip
    except IntegrityError as error:
        if hasattr(error, "report"):
            return Outcome(FAILED, seen.over(error.report.as_dict()) | {"error": error.as_dict()}, seen.asked)
        raise
    code = FAILED if report.settings_differ else DONE if report.proved else UNVERIFIED
    document = seen.over(report.as_dict())
    if args.terraform:
        _write(Path(args.terraform), import_file(report))
        document["terraform"] = args.terraform
    return Outcome(code, document, seen.asked)


def _check_file(file: Path, args: argparse.Namespace, request: RestoreRequest) -> None:
    """:raises BadInputError: before anything is restored: there would be no import blocks, or no place for them."""
    what = f"writing import blocks to {file}"
    if args.to_file or request.mode != "new":
        raise BadInputError(what, "no table is made", "give --terraform with a restore to a new table only")
    if file.exists() or not file.parent.is_dir():
        raise BadInputError(
            what, "it exists" if file.exists() else f"there is no folder {file.parent}", "name another file"
        )


def _write(file: Path, text: str) -> None:
    try:
        with file.open("x") as sink:
            sink.write(text)
    except OSError as error:
        raise PermanentError(
            f"writing import blocks to {file}", str(error.strerror),
            "the table is restored; `imports` in the record of the restore, beside the backups, has them",
        ) from None  # fmt: skip


def tell(outcome: Outcome) -> None:
    document = outcome.document
    if "file" in document:
        print_pairs(
            [
                ("file", document["file"]),
                ("items", f"{document['items']:,}"),
                ("proved", f"yes: content hash {document['content_hash']}"),
                *(("NOTE", one) for one in _absent(document)),
            ]
        )
        return
    failed = document.get("error")
    phases = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in document["phases"].items())
    lines: list[tuple[str, object]] = [
        ("table", document["table"]),
        ("items", f"{document['items']:,}{_counts(document)}"),
    ]
    if failed:
        lines.append(("proved", f"NO: {failed['why']}"))
    elif document["proved"]:
        lines.append(("proved", f"yes: content hash {document['content_hash']}"))
    else:
        lines.append(("proved", f"UNVERIFIED: {document['unverified'] or 'it was not read back'}"))
    if document["source_backup"]:
        kept = document["source_backup"]
        lines.append(("restored", f"by AWS from its {kept['kind']} of {kept['at'][:19]}Z: {kept['arn']}"))
    lines.append(("took", f"{document['seconds']:.1f} s: {phases}"))
    if document["mode"] == "new":
        lines.append(("indexes", ", ".join(document["indexes"]) or "none"))
    if note := absent_text(document["selection"], document["items"]):
        lines.append(("NOTE", note))
    if document["bulk"]:
        bulk = document["bulk"]
        lines.append(("bulk put", f"{bulk['processed']:,} items processed, {bulk['failed']:,} refused"))
    if document["replaced"]:
        lines.append(("replaced", f"{document['replaced']:,} items; they lie in {document['replaced_at']}*"))
    lines += [
        ("not restored", f"{one['name']}: {one['why']}. {one['command']}".rstrip()) for one in document["not_restored"]
    ]
    lines += [
        ("DIFFERS", f"{one['name']}: {one['actual']} instead of {one['expected']}")
        for one in document["settings"]
        if not one["told"]
    ]
    if "terraform" in document:
        lines.append(("Terraform", f"import blocks in {document['terraform']}"))
    if failed or outcome.asked or document["unverified"]:
        lines += difference_lines(document["differing"])
    if failed:
        lines.append(("what to do", failed["todo"]))
    print_pairs(lines)


def _counts(document: dict[str, Any]) -> str:
    if document["mode"] in ("new", "empty"):
        return ""
    return f": {document['written']:,} written, {document['equal']:,} there already, {document['kept']:,} kept as they are in the table"


def _absent(document: dict[str, Any]) -> Iterator[str]:
    """What of a file's wishes is not in it: told, and no failure, as in a restore to a table."""
    if note := absent_text(document["selection"], document["items"]):
        numbers = ", ".join(str(one) for one in document["absent_keys"])
        more = ", …" if document["absent"] > len(document["absent_keys"]) else ""
        yield f"{note}: in the list number {numbers}{more}" if numbers else note
