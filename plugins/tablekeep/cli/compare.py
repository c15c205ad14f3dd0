"""`tablekeep compare TABLE-OR-BACKUP TABLE-OR-BACKUP`"""

import argparse

from tablekeep.cli.command import DONE, FAILED, Context, Outcome
from tablekeep.cli.output import print_pairs
from tablekeep.engine.restore.compare import compare

HELP = "compare two tables or backups by content; differing keys are shown as hashes"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("left", metavar="TABLE-OR-BACKUP")
    parser.add_argument("right", metavar="TABLE-OR-BACKUP")
    parser.add_argument("--show-keys", action="store_true", help="show the keys themselves")
    parser.add_argument(
        "--limit", type=int, default=100, metavar="N", help="list at most N differing keys (default: 100)"
    )


def run(args: argparse.Namespace, context: Context) -> Outcome:
    result = compare(
        clients=context.clients, clock=context.clock, progress=context.progress, left=args.left, right=args.right,
        show_keys=args.show_keys, limit=args.limit,
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
    lines += [(one["state"], one["key"]) for one in document["keys"]]
    print_pairs(lines)
