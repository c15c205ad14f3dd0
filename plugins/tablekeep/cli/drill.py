"""`tablekeep drill orders --backups s3://bucket/prefix`"""

import argparse
import re

from tablekeep.cli.command import DONE, FAILED, Context, Outcome
from tablekeep.cli.output import print_pairs
from tablekeep.engine.drills.drill import Objectives, run_drill
from tablekeep.engine.errors import BadInputError

HELP = "rehearse a restore: newest backup to a scratch table, proof, RTO and RPO, teardown"
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("table", metavar="TABLE", help="the table whose newest backup is drilled")
    parser.add_argument(
        "--backups", required=True, metavar="S3-URI", help="the root of the backups, s3://bucket/prefix"
    )
    parser.add_argument("--rto", metavar="TIME", help="objective for the restore's duration, for example 2h")
    parser.add_argument("--rpo", metavar="TIME", help="objective for the backup's age, for example 26h")
    parser.add_argument("--max-wcu", type=float, metavar="N", help="write capacity units a second (default: no limit)")


def _seconds(text: str | None, option: str) -> float | None:
    if text is None:
        return None
    found = re.fullmatch(r"([0-9]{1,6})([smhd])", text)
    if not found:
        raise BadInputError(
            f"reading {option} {text!r}", "it is not a number with s, m, h or d", f"for example {option} 2h"
        )
    return float(int(found.group(1)) * _UNITS[found.group(2)])


def run(args: argparse.Namespace, context: Context) -> Outcome:
    report = run_drill(
        clients=context.clients, clock=context.clock, progress=context.progress, backups=args.backups, table=args.table,
        objectives=Objectives(_seconds(args.rto, "--rto"), _seconds(args.rpo, "--rpo")), max_wcu=args.max_wcu, actor=context.actor,
        run=context.run,
    )  # fmt: skip
    return Outcome(DONE if report.passed else FAILED, report.as_dict())


def tell(outcome: Outcome) -> None:
    document = outcome.document
    phases = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in document["phases"].items())
    lines: list[tuple[str, object]] = [
        ("drill", "PASSED" if document["passed"] else "FAILED"),
        ("backup", document["backup"]),
        (
            "proved",
            f"yes: {document['items']:,} items, content hash {document['content_hash']}"
            if document["proved"]
            else "NO",
        ),
        ("RTO", f"{document['rto_seconds']:.1f} s ({phases})"),
        ("RPO", f"{document['rpo_seconds']:.0f} s at the drill's start"),
        ("teardown", "nothing is left" if document["torn_down"] else f"{document['scratch_table']} MAY BE LEFT"),
    ]
    print_pairs(lines + [("problem", one) for one in document["problems"]])
