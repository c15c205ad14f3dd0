"""`tablekeep rds restore shop --to shop-restored --plan HASH`"""

import argparse

from tablekeep.cli.command import DONE, FAILED, UNVERIFIED, Context, Outcome
from tablekeep.cli.output import print_pairs
from tablekeep.cli.rds_plan import add_request, request_of
from tablekeep.cli.rds_subject import add_login, find_subject, polling, target_of
from tablekeep.engine.prices import load_prices
from tablekeep.engine.rds.instances.restore import restore_instance
from tablekeep.engine.words import fact_text

HELP = "restore to a new instance or cluster, set as the source is, compare every setting and every table"


def arguments(parser: argparse.ArgumentParser) -> None:
    add_request(parser)
    add_login(parser)
    parser.add_argument("--plan", metavar="HASH", help="do only what `tablekeep rds plan` showed under this hash")
    parser.add_argument("--no-proof", action="store_true", help="do not read the tables; exit code 3")


def run(args: argparse.Namespace, context: Context) -> Outcome:
    subject = find_subject(args, context)
    target = target_of(subject, args, context, subject.pipeline.restore if subject.pipeline else None)
    report = restore_instance(
        request_of(args, subject), clients=target, clock=context.clock, progress=context.progress, prices=load_prices(),
        actor=context.actor, run=context.run, wait=polling(context, target), record_clients=subject.clients, plan_hash=args.plan,
        reading=None if args.no_proof else subject.reading(),
    )  # fmt: skip
    failed = report.problems or report.settings_differ
    return Outcome(FAILED if failed else DONE if report.proved else UNVERIFIED, report.as_dict())


def tell(outcome: Outcome) -> None:
    document = outcome.document
    endpoint = document["endpoint"]
    phases = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in document["phases"].items())
    proof = "NOT compared: the contents are UNVERIFIED"
    if document["compared"]:
        proof = f"{'yes' if document['proved'] else 'NO'}: {document['equal']:,} of {document['tables']:,} tables came back exactly"
    lines: list[tuple[str, object]] = [
        (document["family"], f"{document['to']}, at {endpoint['Address']}:{endpoint['Port']}"),
        ("state", f"of {document['at']}, {document['snapshot'] or 'by point-in-time recovery'}"),
        ("proved", proof),
        ("took", f"{document['rto_seconds']:.1f} s: {phases}"),
    ]
    lines += [("table", f"{one['table']}: {one['state']}: {one['why']}") for one in document["told"]]
    lines += [
        (
            "OTHERWISE" if one["told"] else "DIFFERS",
            f"{one['name']}: {fact_text(one['actual'])} instead of {fact_text(one['expected'])}",
        )
        for one in document["settings"]
    ]
    lines += [
        ("not restored", f"{one['name']}: {one['why']}. {one['command']}".rstrip()) for one in document["not_restored"]
    ]
    print_pairs(lines + [("PROBLEM", one) for one in document["problems"]])
