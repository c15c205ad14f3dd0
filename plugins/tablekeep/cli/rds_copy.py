"""`tablekeep rds copy shop --to-region eu-west-1 --key alias/backups`"""

import argparse

from tablekeep.cli.command import DONE, Context, Outcome
from tablekeep.cli.output import print_pairs
from tablekeep.cli.rds_subject import add_subject, find_subject, polling
from tablekeep.engine.errors import BadInputError
from tablekeep.engine.rds.instances.copy import copy_snapshot
from tablekeep.engine.rds.instances.marked import list_snapshots
from tablekeep.engine.rds.instances.service import Family, describe

HELP = "copy a snapshot to another Region, encrypted by a key of that Region"


def arguments(parser: argparse.ArgumentParser) -> None:
    add_subject(parser)
    parser.add_argument("--snapshot", metavar="NAME", help="which (default: the newest of ours)")
    parser.add_argument("--to-region", metavar="REGION", help="where the copy is made (default: the pipeline's)")
    parser.add_argument(
        "--key", metavar="KEY", help="KMS key of that Region (default: the pipeline's); needed when it is encrypted"
    )
    parser.add_argument("--option-group", metavar="NAME", help="of the copy (default: the pipeline's)")
    parser.add_argument(
        "--as",
        dest="to_name",
        metavar="NAME",
        help="name of the copy (default: the snapshot's; one that does not begin with tablekeep- never expires)",
    )
    parser.add_argument(
        "--max-usd", type=float, metavar="N", help="refuse a transfer that would cost more (default: the pipeline's)"
    )


def run(args: argparse.Namespace, context: Context) -> Outcome:
    subject = find_subject(args, context)
    clients, what = subject.clients, f"copying a snapshot of {subject.database}"
    section = subject.pipeline.snapshot.copy_to if subject.pipeline else None
    region = args.to_region or (section.region if section else None)
    if not region:
        raise BadInputError(what, "no Region is named", "give --to-region")
    family: Family = "instance" if describe(clients, "cluster", subject.database) is None else "cluster"
    name = args.snapshot
    if name is None:
        ours = [
            one for one in list_snapshots(clients, family, subject.database, [clients.region]) if one.kind == "ours"
        ]
        if not ours:
            raise BadInputError(
                what, f"there is none of ours in {clients.region}", "make one with `tablekeep rds snapshot`"
            )
        name = ours[0].snapshot
    same = section is not None and section.region == region
    made = copy_snapshot(
        name, family=family, to_region=region, key=args.key or (section.key if section and same else None),
        option_group=args.option_group or (section.option_group if section and same else None), clients=clients, run=context.run,
        wait=polling(context, clients), progress=context.progress, max_usd=args.max_usd or subject.max_usd,
        to_name=args.to_name,
    )  # fmt: skip
    return Outcome(DONE, made.as_dict())


def tell(outcome: Outcome) -> None:
    document = outcome.document
    how = "encrypted" if document["encrypted"] else "NOT encrypted"
    print_pairs(
        [
            ("copy", document["snapshot"]),
            ("in", document["region"]),
            ("state", f"of {document['at'][:19]}Z, {how}, {document['status']}"),
        ]
    )
