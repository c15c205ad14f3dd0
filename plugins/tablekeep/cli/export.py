"""`tablekeep export --table orders --to s3://bucket/prefix`"""

import argparse
from datetime import UTC, datetime

from tablekeep.cli.command import DONE, FAILED, UNVERIFIED, Context, Outcome
from tablekeep.cli.output import print_pairs, size_text
from tablekeep.engine.backups.verify import verify_backup
from tablekeep.engine.errors import BadInputError
from tablekeep.engine.export.table import ENGINES, RESUME_NEWEST, export_table

HELP = "back a table up to S3 as Parquet, then verify the backup"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--table", required=True, help="the table's name")
    parser.add_argument("--to", required=True, metavar="S3-URI", help="the root of the backups, s3://bucket/prefix")
    parser.add_argument(
        "--engine",
        choices=ENGINES,
        default="scan",
        help="scan: read the table · pitr: DynamoDB's own export, of any time that it keeps · auto: pitr where that is on",
    )
    parser.add_argument(
        "--as-of", metavar="TIME", help="with pitr: the state to export, as 2026-11-23T02:00:00Z (default: now)"
    )
    parser.add_argument("--segments", type=int, help="segments of the parallel scan (default: by the table's size)")
    budget = parser.add_mutually_exclusive_group()
    budget.add_argument(
        "--max-rcu", type=float, metavar="N", help="read capacity units a second, over all segments (default: no limit)"
    )
    budget.add_argument("--read-budget", metavar="SHARE", help="the same as a share of the table's capacity: 25%%")
    parser.add_argument(
        "--workers", type=int, default=1, metavar="N", help="processes that read; each takes a core (default: 1)"
    )
    parser.add_argument(
        "--resume",
        nargs="?",
        const=RESUME_NEWEST,
        metavar="BACKUP-ID",
        help="go on with an export that died; without an id the table's newest unfinished one",
    )
    parser.add_argument(
        "--encryption", metavar="KEY", help="KMS key of the objects: id, alias or ARN (default: the bucket's SSE-S3)"
    )
    parser.add_argument("--bucket-owner", metavar="ACCOUNT", help="the account that must own the bucket")
    parser.add_argument("--no-verify", action="store_true", help="do not read the backup again; exit code 3")


def run(args: argparse.Namespace, context: Context) -> Outcome:
    as_of = parse_time(args.as_of)
    if as_of and args.engine != "pitr":
        raise BadInputError(
            "exporting", "--as-of is given, and a scan can only read the table as it is now", "add --engine pitr"
        )
    report = export_table(
        clients=context.clients, clock=context.clock, progress=context.progress, table=args.table, to=args.to, segments=args.segments,
        read_budget=args.max_rcu if args.read_budget is None else args.read_budget, workers=args.workers, resume=args.resume,
        engine=args.engine, as_of=as_of,
        encryption=args.encryption, owner=args.bucket_owner, actor=context.actor, run=context.run,
    )  # fmt: skip
    document = report.as_dict()
    if args.no_verify:
        return Outcome(UNVERIFIED, document)
    proof = verify_backup(
        clients=context.clients, clock=context.clock, progress=context.progress, backup=report.backup, level="full", actor=context.actor,
        run=context.run, owner=args.bucket_owner,
    )  # fmt: skip
    document |= {"verified": proof.ok, "problems": proof.problems, "verify_seconds": proof.seconds}
    return Outcome(DONE if proof.ok else FAILED, document)


def parse_time(text: str | None) -> datetime | None:
    """:raises BadInputError: for what is no time with a time zone."""
    if text is None:
        return None
    try:
        moment: datetime | None = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise BadInputError(
            f"reading the time {text[:60]!r}", "it is no time with its zone", "write 2026-11-23T02:00:00Z"
        )
    return moment.astimezone(UTC)


def tell(outcome: Outcome) -> None:
    document = outcome.document
    stored = f"{size_text(document['bytes'])} ({size_text(document['raw_bytes'])} raw)"
    begun = "resumed, " if document["resumed"] else ""
    rate = document["items"] / document["seconds"] if document["seconds"] else 0
    print_pairs(
        [
            ("backup", document["backup"]),
            (
                "items",
                f"{document['items']:,} in {document['parts']} parts, {stored}",
            ),
            ("content hash", document["content_hash"]),
            ("consistent", f"{document['consistent_from']} to {document['consistent_to']} (no single moment)"),
            (
                "took",
                f"{begun}{document['seconds']:.1f} s ({rate:,.0f} items/s), {document['consumed_rcu']:,} read capacity units",
            ),
            (
                "verified",
                "yes: every item was read back"
                if document["verified"]
                else "NO" + "".join(f"\n  {one}" for one in document.get("problems", [])),
            ),
        ]
    )
