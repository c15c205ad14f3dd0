"""`tablekeep restore BACKUP --to-table NAME`"""

import argparse

from tablekeep.cli.command import DONE, UNVERIFIED, Context, Outcome
from tablekeep.cli.output import print_pairs
from tablekeep.engine.restore.table import restore_table

HELP = "restore a backup to a new table and prove it by content hash; an existing table is never touched"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("backup", metavar="BACKUP", help="the manifest's URI, from `tablekeep list`")
    parser.add_argument("--to-table", required=True, metavar="NAME", help="the new table's name")
    parser.add_argument("--max-wcu", type=float, metavar="N", help="write capacity units a second (default: no limit)")
    parser.add_argument("--no-proof", action="store_true", help="do not read the table back; exit code 3")


def run(args: argparse.Namespace, context: Context) -> Outcome:
    report = restore_table(
        clients=context.clients, clock=context.clock, progress=context.progress, backup=args.backup, to_table=args.to_table,
        max_wcu=args.max_wcu, prove=not args.no_proof, actor=context.actor, run=context.run,
    )  # fmt: skip
    return Outcome(DONE if report.proved else UNVERIFIED, report.as_dict())


def tell(outcome: Outcome) -> None:
    document = outcome.document
    phases = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in document["phases"].items())
    lines: list[tuple[str, object]] = [
        ("table", document["table"]),
        ("items", f"{document['items']:,}"),
        ("proved", f"yes: content hash {document['content_hash']}" if document["proved"] else "UNVERIFIED"),
        ("took", f"{document['seconds']:.1f} s: {phases}"),
        ("indexes", ", ".join(document["indexes"]) or "none"),
    ]
    lines += [("not restored", f"{one['name']}: {one['why']}. {one['command']}") for one in document["not_restored"]]
    print_pairs(lines)
