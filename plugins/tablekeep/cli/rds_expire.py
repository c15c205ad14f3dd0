"""`tablekeep rds expire shop`"""

import argparse
import sys

from tablekeep.cli.command import DONE, FAILED, Context, Outcome
from tablekeep.cli.output import print_table
from tablekeep.cli.rds_subject import add_subject, find_subject
from tablekeep.cli.times import duration
from tablekeep.engine.backups.retention import STALE, Keep
from tablekeep.engine.rds.instances.retention import PIN_TAG, expire_snapshots
from tablekeep.engine.rds.instances.service import Family, describe

HELP = f"delete our own snapshots that no rule keeps; shows the list unless --confirm; a tag {PIN_TAG} keeps one"


def arguments(parser: argparse.ArgumentParser) -> None:
    add_subject(parser)
    for name in ("daily", "weekly", "monthly", "yearly"):
        parser.add_argument(
            f"--{name}",
            type=int,
            metavar="N",
            help=f"keep the newest of so many {name} periods (default: the pipeline's)",
        )
    parser.add_argument(
        "--minimum", type=int, metavar="N", help="so many stay in any case (default: the pipeline's, else 3)"
    )
    parser.add_argument(
        "--also",
        action="append",
        default=[],
        metavar="REGION",
        help="there, too (default: where the pipeline copies to)",
    )
    parser.add_argument("--stale", metavar="TIME", help="delete nothing while the newest is older (default: 7d)")
    parser.add_argument("--confirm", action="store_true", help="delete; without it they are only listed")


def run(args: argparse.Namespace, context: Context) -> Outcome:
    subject = find_subject(args, context)
    section = subject.pipeline.snapshot if subject.pipeline else None
    given = {
        name: getattr(args, name)
        for name in ("daily", "weekly", "monthly", "yearly", "minimum")
        if getattr(args, name) is not None
    }
    keep = Keep(**{**(section.keep.model_dump() if section and section.keep else {}), **given})
    copied = [section.copy_to.region] if section and section.copy_to else []
    family: Family = "instance" if describe(subject.clients, "cluster", subject.database) is None else "cluster"
    expiry = expire_snapshots(
        subject.database, family, keep, clients=subject.clients, clock=context.clock, confirm=args.confirm, regions=[*args.also, *copied],
        stale=duration(args.stale, "--stale", "2d") or STALE,
    )  # fmt: skip
    return Outcome(FAILED if expiry.stopped else DONE, expiry.as_dict() | {"confirmed": args.confirm})


def tell(outcome: Outcome) -> None:
    document = outcome.document
    gone = "deleted" if document["confirmed"] and not document["stopped"] else "would be deleted"
    rows = [
        [
            one["at"][:19] + "Z",
            one["region"],
            f"{one['gigabytes']:,} GiB",
            ", ".join(one["why"]) or gone,
            one["snapshot"],
        ]
        for one in document["snapshots"]
    ]
    if rows:
        print_table(["of", "Region", "size", "kept for", "snapshot"], rows, right=(2,))
    else:
        sys.stdout.write("There is no snapshot of ours. Others' are never touched.\n")
    if document["stopped"]:
        sys.stdout.write(f"NOTHING IS DELETED: {document['stopped']}.\n")
    elif not document["confirmed"] and rows:
        sys.stdout.write("Nothing was deleted. `--confirm` deletes them.\n")
