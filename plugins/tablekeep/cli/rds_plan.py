"""`tablekeep rds plan shop --to shop-restored`"""

import argparse
from typing import Any

from tablekeep.cli.command import DONE, Context, Outcome
from tablekeep.cli.output import print_pairs
from tablekeep.cli.rds_subject import Subject, add_placement, add_subject, find_subject, placement_of, target_of
from tablekeep.cli.times import moment
from tablekeep.engine.prices import load_prices
from tablekeep.engine.rds.instances.plan import InstanceRestorePlan, plan_instance_restore
from tablekeep.engine.rds.instances.request import SKIPPABLE, InstanceRestoreRequest
from tablekeep.engine.rds.instances.words import plan_lines

HELP = "say what a restore would do, how the new instance would be set, what it would cost; its hash is what `rds restore --plan` takes"


def arguments(parser: argparse.ArgumentParser) -> None:
    add_request(parser)


def add_request(parser: argparse.ArgumentParser) -> None:
    """What `rds plan` and `rds restore` share."""
    add_subject(parser)
    parser.add_argument("--to", required=True, metavar="NAME", help="the name of the new instance or cluster")
    parser.add_argument("--snapshot", metavar="NAME", help="which snapshot (default: the newest of ours in the Region)")
    parser.add_argument("--at", metavar="TIME", help="instead a point in time, 2026-11-23T02:00:00Z")
    parser.add_argument("--latest", action="store_true", help="instead the latest point in time")
    parser.add_argument("--writer-only", action="store_true", help="of a cluster only one instance")
    parser.add_argument(
        "--without",
        action="append",
        default=[],
        choices=SKIPPABLE,
        metavar="SETTING",
        help=f"leave settings out: {', '.join(SKIPPABLE)}",
    )
    parser.add_argument(
        "--max-usd",
        type=float,
        metavar="N",
        help="refuse what would cost more on its first day (default: the pipeline's)",
    )
    add_placement(parser)


def request_of(args: argparse.Namespace, subject: Subject) -> InstanceRestoreRequest:
    """The request that the options and the pipeline give."""
    rules: Any = subject.pipeline.restore if subject.pipeline else None
    return InstanceRestoreRequest(
        subject.database, subject.records, args.to, subject.clients.region, snapshot=args.snapshot, at=moment(args.at), latest=args.latest,
        placement=placement_of(args, rules), skip=tuple(args.without), writer_only=args.writer_only,
        patterns_refused=rules.patterns_refused if rules else (), accounts=rules.accounts if rules else (),
        max_usd=args.max_usd or subject.max_usd,
    )  # fmt: skip


def run(args: argparse.Namespace, context: Context) -> Outcome:
    subject = find_subject(args, context)
    target = target_of(subject, args, context, subject.pipeline.restore if subject.pipeline else None)
    prepared = plan_instance_restore(
        request_of(args, subject), clients=target, record_clients=subject.clients, prices=load_prices()
    )
    return Outcome(DONE, prepared.plan.as_dict() | {"resumed": prepared.resumed})


def tell(outcome: Outcome) -> None:
    document = {name: one for name, one in outcome.document.items() if name not in ("did", "resumed")}
    plan = InstanceRestorePlan.from_dict(document)
    print_pairs(list(plan_lines(plan)))
    if outcome.document["resumed"]:
        print("An earlier try has begun exactly this; `rds restore` goes on with it.")
    print(
        f"Nothing was changed. `tablekeep rds restore` with the same options and --plan {plan.hash[:16]} does exactly this."
    )
