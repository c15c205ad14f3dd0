"""`tablekeep compare TABLE-OR-BACKUP TABLE-OR-BACKUP`"""

import argparse

from tablekeep.cli.command import DONE, FAILED, Context, Outcome
from tablekeep.cli.differing import add_show_options, check_show_options, difference_lines
from tablekeep.cli.output import print_pairs
from tablekeep.engine.restore.compare import compare

HELP = "compare two tables or backups by content: which items differ, and in which attributes"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("left", metavar="TABLE-OR-BACKUP")
    parser.add_argument("right", metavar="TABLE-OR-BACKUP")
    add_show_options(parser)
    parser.add_argument(
        "--limit", type=int, default=100, metavar="N", help="name at most N differing items (default: 100)"
    )


def run(args: argparse.Namespace, context: Context) -> Outcome:
    check_show_options(args)
    result = compare(
        clients=context.clients, clock=context.clock, progress=context.progress, left=args.left, right=args.right,
        show_keys=args.show_keys, show_values=args.show_values, limit=args.limit,
    )  # fmt: skip
    return Outcome(DONE if result.equal else FAILED, result.as_dict())


def tell(outcome: Outcome) -> None:
    document = outcome.document
    lines: list[tuple[str, object]] = [
        ("left", f"{document['left']}  {document['left_hash']}"),
        ("right", f"{document['right']}  {document['right_hash']}"),
        (
            "result",
            "equal"
            if document["equal"]
            else f"{document['different']:,} differ, {document['left_only']:,} only left, {document['right_only']:,} only right",
        ),
    ]
    print_pairs([*lines, *difference_lines(document["differing"], "left", "right")])
