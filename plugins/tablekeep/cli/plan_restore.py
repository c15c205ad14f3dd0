"""`tablekeep plan restore BACKUP --to-table NAME`"""

import argparse

from tablekeep.cli.command import DONE, Context, Outcome
from tablekeep.cli.output import print_pairs
from tablekeep.cli.restore import add_request_options, request_of
from tablekeep.engine.prices import load_prices
from tablekeep.engine.restore.plan import RestorePlan, plan_restore
from tablekeep.engine.restore.shown import PLAN_HOLDS, record_plan
from tablekeep.engine.restore.words import plan_lines

HELP = "say what a restore would do, what it would cost, what it would not restore; its hash is what `restore --plan` takes"


def arguments(parser: argparse.ArgumentParser) -> None:
    add_request_options(parser)
    parser.add_argument(
        "--count",
        action="store_true",
        help="count the items of a past time, and those that have expired, whatever it takes",
    )


def run(args: argparse.Namespace, context: Context) -> Outcome:
    prepared = plan_restore(
        request_of(args, context),
        clients=context.clients,
        clock=context.clock,
        progress=context.progress,
        prices=load_prices(),
        count=True if args.count else None,
    )
    if not args.no_record:
        record_plan(prepared, actor=context.actor, run=context.run, clock=context.clock)
    return Outcome(DONE, prepared.plan.as_dict() | {"recorded": not args.no_record})


def tell(outcome: Outcome) -> None:
    document = {name: one for name, one in outcome.document.items() if name not in ("planned", "recorded")}
    plan = RestorePlan.from_dict(document)
    print_pairs([(name, text) for name, text in plan_lines(plan)])
    if not outcome.document["recorded"]:
        print("Nothing was changed, and nothing was recorded: `restore --plan` does not take this plan.")
        return
    print(
        f"Nothing was changed; that it was shown is recorded beside the backups. The same command without `plan`, and with"
        f" --plan {plan.hash[:16]}, does exactly this within {PLAN_HOLDS.total_seconds() / 3600:g} hours."
    )
