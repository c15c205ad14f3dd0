"""`tablekeep rds drill shop`"""

import argparse
from typing import Any

from tablekeep.cli.command import DONE, FAILED, Context, Outcome
from tablekeep.cli.output import print_pairs
from tablekeep.cli.rds_subject import (
    add_login,
    add_placement,
    add_subject,
    find_subject,
    placement_of,
    polling,
    target_of,
)
from tablekeep.cli.times import duration
from tablekeep.engine.drills.choice import CHOICES
from tablekeep.engine.drills.instance_choice import TAKES
from tablekeep.engine.drills.instances import InstanceCheck, InstanceDrillRequest, run_instance_drill
from tablekeep.engine.drills.page import seconds_text
from tablekeep.engine.drills.report import Objectives, rto_text
from tablekeep.engine.errors import BadInputError

HELP = (
    "rehearse a restore: a snapshot to a scratch instance, every table read and compared, RTO and RPO, teardown, report"
)


def arguments(parser: argparse.ArgumentParser) -> None:
    add_subject(parser)
    add_login(parser)
    parser.add_argument("--take", choices=TAKES, help="what is drilled (default: the pipeline's, else ours)")
    parser.add_argument("--choose", choices=CHOICES, help="which of them (default: the pipeline's, else latest)")
    parser.add_argument(
        "--within", metavar="TIME", help="random and oldest: among snapshots no older than this, for example 30d"
    )
    parser.add_argument(
        "--rto", metavar="TIME", help="objective until everything is readable, for example 2h (default: the pipeline's)"
    )
    parser.add_argument(
        "--rpo", metavar="TIME", help="objective for the snapshot's age, for example 26h (default: the pipeline's)"
    )
    parser.add_argument(
        "--time-limit", metavar="TIME", help="give up and tear down after so long (default: the pipeline's, else 6h)"
    )
    parser.add_argument(
        "--max-usd",
        type=float,
        metavar="N",
        help="refuse what could cost more until the time limit (default: the pipeline's)",
    )
    add_placement(parser)


def run(args: argparse.Namespace, context: Context) -> Outcome:
    subject = find_subject(args, context)
    reading = subject.reading()
    if reading is None:
        raise BadInputError(
            f"drilling {subject.database}",
            "nobody says how to look into the restored database",
            "give the pipeline contents, or --login",
        )
    drill: Any = subject.pipeline.drill if subject.pipeline else None
    rto, rpo, within, limit = (
        duration(getattr(args, name), f"--{name.replace('_', '-')}", "2h")
        for name in ("rto", "rpo", "within", "time_limit")
    )
    promised = drill.objectives if drill else None
    rto, rpo = rto or (promised.rto if promised else None), rpo or (promised.rpo if promised else None)
    given: dict[str, Any] = {
        "take": args.take or (drill.take if drill else None), "choose": args.choose or (drill.choose if drill else None),
        "within": within or (drill.within if drill else None), "time_limit": limit or (drill.time_limit if drill else None),
    }  # fmt: skip
    request = InstanceDrillRequest(
        subject.database, subject.records, subject.clients.region, reading, placement=placement_of(args, drill),
        objectives=Objectives(rto.total_seconds() if rto else None, rpo.total_seconds() if rpo else None),
        checks=tuple(InstanceCheck(one.name, one.sql, one.database) for one in (drill.checks if drill else ())),
        max_usd=args.max_usd or subject.max_usd, **{name: one for name, one in given.items() if one is not None},
    )  # fmt: skip
    target = target_of(subject, args, context, drill)
    report = run_instance_drill(
        request, clients=target, record_clients=subject.clients, clock=context.clock, progress=context.progress, actor=context.actor,
        run=context.run, wait=polling(context, target),
    )  # fmt: skip
    return Outcome(DONE if report.passed else FAILED, report.as_dict())


def tell(outcome: Outcome) -> None:
    document = outcome.document
    phases = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in document["phases"].items())
    proof = "NO"
    if document["proved"]:
        proof = f"{document['equal']:,} of {document['tables']:,} tables came back exactly, {document['bounded']:,} lie within bounds"
        proof = f"yes: {proof}" if document["compared"] else "by the team's checks; no record told what had to be in it"
    lines: list[tuple[str, object]] = [
        ("drill", "PASSED" if document["passed"] else "FAILED"),
        ("state", f"of {document['at'][:19]}Z, {document['chosen']}"),
        ("", document["snapshot"] or "by point-in-time recovery"),
        ("proved", proof),
        ("read", f"{document['items']:,} rows"),
        (
            "RTO",
            f"{rto_text(document['rto_seconds'])}{' until all was readable' if document['proved'] else ''} ({phases})",
        ),
        ("RPO", f"{seconds_text(document['rpo_seconds'])} at the drill's start"),
        ("cost", "not known" if document["usd"] is None else f"about {document['usd']:,.2f} dollars"),
        ("teardown", "nothing is left" if document["torn_down"] else f"{document['scratch']} MAY BE LEFT"),
        ("page", document["page"]),
    ]
    lines += [("table", f"{one['table']}: {one['state']}: {one['why']}") for one in document["told"]]
    lines += [("check", f"{one['name']}: {'passed' if one['passed'] else 'FAILED'}") for one in document["checks"]]
    lines += [("swept", f"{one['table']}, left by {one['run']}") for one in document["swept"]]
    lines += [("note", one) for one in document["notes"]]
    print_pairs(lines + [("problem", one) for one in document["problems"]])
