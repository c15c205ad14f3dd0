"""`tablekeep plan export --table orders --to s3://bucket/prefix`"""

import argparse

from tablekeep.cli.command import BAD_INPUT, DONE, Context, Outcome
from tablekeep.cli.output import print_pairs, print_table, size_text
from tablekeep.engine.export.choice import ENGINES
from tablekeep.engine.export.estimate import estimate_export
from tablekeep.engine.prices import load_prices

HELP = "say what an export would take, in minutes and dollars, and what speaks against it; costs half a read unit"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--table", required=True, help="the table's name")
    parser.add_argument("--to", required=True, metavar="S3-URI", help="the root of the backups, s3://bucket/prefix")
    parser.add_argument("--engine", choices=ENGINES, default="scan", help="as for export")
    parser.add_argument("--segments", type=int, help="as for export")
    budget = parser.add_mutually_exclusive_group()
    budget.add_argument("--max-rcu", type=float, metavar="N", help="as for export")
    budget.add_argument("--read-budget", metavar="SHARE", help="as for export")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="as for export")
    parser.add_argument(
        "--within", type=float, metavar="MINUTES", help="the time allowed; a plan that takes longer is refused"
    )
    parser.add_argument("--bucket-owner", metavar="ACCOUNT", help="the account that must own the bucket")


def run(args: argparse.Namespace, context: Context) -> Outcome:
    estimate = estimate_export(
        clients=context.clients, clock=context.clock, table=args.table, to=args.to, prices=load_prices(), engine=args.engine,
        segments=args.segments, read_budget=args.max_rcu if args.read_budget is None else args.read_budget, workers=args.workers,
        within_minutes=args.within, owner=args.bucket_owner,
    )  # fmt: skip
    return Outcome(BAD_INPUT if estimate.problems else DONE, estimate.as_dict())


def tell(outcome: Outcome) -> None:
    document = outcome.document
    print_pairs(
        [
            ("table", f"{document['table']}: about {document['items']:,} items, {size_text(document['bytes'])}"),
            ("engine", f"{document['engine']}: {document['why']}"),
            ("capacity", document["capacity"]),
            ("permissions", ", ".join(document["permissions"])),
        ]
    )
    rows = [
        [way["engine"], f"{way['usd']:,.2f}", _minutes(way["minutes"]), f"{way['read_units']:,.0f}", way["note"]]
        for way in document["ways"]
    ]
    print_table(["engine", "dollars", "minutes", "read units", ""], rows, right=(1, 2, 3))
    print(f"Prices of {document['prices_as_of']} (TABLEKEEP_PRICES names another file); sizes are up to six hours old.")
    for note in document["notes"]:
        print(f"Note: {note}.")
    for problem in document["problems"]:
        print(f"IMPOSSIBLE: {problem}")


def _minutes(minutes: float | None) -> str:
    return "not known" if minutes is None else f"{minutes:,.1f}"
