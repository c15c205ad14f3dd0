"""`tablekeep rds snapshot shop`"""

import argparse

from tablekeep.cli.command import DONE, Context, Outcome
from tablekeep.cli.output import print_pairs
from tablekeep.cli.rds_subject import add_login, add_subject, find_subject, polling
from tablekeep.engine.rds.instances.snapshots import new_name, take_snapshot

HELP = "make a snapshot, and record how the instance is set and what is in it"


def arguments(parser: argparse.ArgumentParser) -> None:
    add_subject(parser)
    add_login(parser)
    parser.add_argument(
        "--name",
        dest="snapshot",
        metavar="NAME",
        help="of the snapshot (default: made of instance and time; others never expire)",
    )
    parser.add_argument(
        "--unread", action="store_true", help="do not look at the contents: nothing can be compared later"
    )


def run(args: argparse.Namespace, context: Context) -> Outcome:
    subject = find_subject(args, context)
    report = take_snapshot(
        subject.database, subject.records, name=args.snapshot or new_name(subject.database, context.clock),
        reading=None if args.unread else subject.reading(), clients=subject.clients, clock=context.clock, progress=context.progress,
        actor=context.actor, run=context.run, wait=polling(context, subject.clients),
    )  # fmt: skip
    looks = report.looks().values()
    tables = sum(len(before.tables) for before, _ in looks)
    rows = sum(before.rows for before, _ in looks)
    return Outcome(DONE, report.as_dict() | {"tables": tables, "rows": rows})


def tell(outcome: Outcome) -> None:
    document = outcome.document
    read = f"{document['tables']:,} tables, {document['rows']:,} rows were read before and after"
    lines: list[tuple[str, object]] = [
        ("snapshot", document["snapshot"]),
        ("of", f"{document['family']} {document['database']}, {document['engine']}, {document['gigabytes']:,} GiB"),
        ("as of", f"{document['at'][:19]}Z"),
        ("contents", read if document["before"] else "NOT read: nothing can be compared later"),
        ("marker", f"left in {document['marker']['table']}" if document["marker"] else "none"),
        ("took", f"{document['seconds']:.1f} s"),
    ]
    print_pairs(lines + [("NOTE", note) for note in document["notes"]])
