"""`tablekeep rds list shop`"""

import argparse
import sys

from tablekeep.cli.command import DONE, FAILED, Context, Outcome
from tablekeep.cli.output import print_table
from tablekeep.cli.rds_subject import add_subject, find_subject
from tablekeep.cli.times import age_text, duration
from tablekeep.engine.backups.records import read_records
from tablekeep.engine.backups.s3 import S3Store
from tablekeep.engine.clock import parse_utc
from tablekeep.engine.rds.instances.marked import list_snapshots
from tablekeep.engine.rds.instances.record import own_records, shelf_of
from tablekeep.engine.rds.instances.service import Family, describe

HELP = "list the snapshots of an instance or cluster, ours and RDS's own, with what is known of each, newest first"


def arguments(parser: argparse.ArgumentParser) -> None:
    add_subject(parser)
    parser.add_argument(
        "--also",
        action="append",
        default=[],
        metavar="REGION",
        help="look there, too (default: where the pipeline copies to)",
    )
    parser.add_argument(
        "--rpo", metavar="TIME", help="exit with 1 when the newest snapshot of ours is older, for example 26h"
    )


def run(args: argparse.Namespace, context: Context) -> Outcome:
    subject, allowed = find_subject(args, context), duration(args.rpo, "--rpo", "26h")
    copied = subject.pipeline.snapshot.copy_to if subject.pipeline else None
    regions = [subject.clients.region, *args.also, *([copied.region] if copied else [])]
    shelf = shelf_of(subject.records, subject.clients.account(), subject.clients.region, subject.database)
    store = S3Store(subject.clients, shelf.bucket)
    store.check()
    records = own_records(store, shelf)
    family: Family = records[0].family if records else "instance"
    if not records and describe(subject.clients, "cluster", subject.database) is not None:
        family = "cluster"
    drilled = {
        record["result"]["snapshot"]: record["result"]["passed"] for record in read_records(store, shelf, "drill")
    }
    known = [one.snapshot for one in records if one.before]
    found = list_snapshots(subject.clients, family, subject.database, regions, known)
    snapshots = [one.as_dict() | {"drilled": drilled.get(one.snapshot)} for one in found]
    newest = next((one for one in found if one.kind == "ours" and one.status == "available"), None)
    age = (context.clock.now() - parse_utc(newest.at)).total_seconds() if newest else None
    missed = allowed is not None and (age is None or age > allowed.total_seconds())
    return Outcome(FAILED if missed else DONE, {"snapshots": snapshots, "age_seconds": age, "missed": missed})


def tell(outcome: Outcome) -> None:
    told = {True: "passed", False: "FAILED", None: "never"}
    rows = [
        [one["at"][:19] + "Z", one["region"], one["kind"], one["status"], f"{one['gigabytes']:,} GiB", "yes" if one["compared"] else "no",
         told[one["drilled"]], one["snapshot"]]
        for one in outcome.document["snapshots"]
    ]  # fmt: skip
    if rows:
        print_table(["of", "Region", "whose", "status", "size", "recorded", "drilled", "snapshot"], rows, right=(4,))
    else:
        sys.stdout.write("No snapshots. Make one: tablekeep rds snapshot PIPELINE\n")
    if outcome.document["missed"]:
        age = outcome.document["age_seconds"]
        sys.stderr.write(
            f"RPO MISSED: {'there is no snapshot of ours' if age is None else f'the newest of ours is {age_text(age)} old'}\n"
        )
