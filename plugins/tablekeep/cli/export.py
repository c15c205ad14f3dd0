"""`tablekeep export --table orders --to s3://bucket/prefix`"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from tablekeep.cli import export_sql
from tablekeep.cli.command import DONE, FAILED, UNVERIFIED, Context, Outcome
from tablekeep.cli.output import print_pairs, size_text
from tablekeep.cli.times import moment
from tablekeep.engine.backups.verify import verify_backup
from tablekeep.engine.errors import BadInputError
from tablekeep.engine.export.begin import ExportOptions, get_ready
from tablekeep.engine.export.choice import ENGINES
from tablekeep.engine.export.increments import current_chain, export_changes
from tablekeep.engine.export.report import ExportReport, report_of
from tablekeep.engine.export.table import RESUME_NEWEST, export_table

HELP = "back a table up to S3 as Parquet, then verify the backup"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--table", required=True, help="the table's name; with --from schema.table")
    parser.add_argument("--to", required=True, metavar="S3-URI", help="the root of the backups, s3://bucket/prefix")
    parser.add_argument(
        "--engine",
        choices=ENGINES,
        help="scan (default): read the table · pitr: DynamoDB's own export, of any time that it keeps · auto: pitr where that is on",
    )
    parser.add_argument(
        "--incremental",
        action="store_true",
        help="only what was changed since the last backup; with pitr in windows of 15 minutes to 24 hours, with --from by --column",
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
    export_sql.add_options(parser)


def run(args: argparse.Namespace, context: Context) -> Outcome:
    if export_sql.asked(args):
        return proved([export_sql.export(args, context)], args, context)
    as_of, engine = moment(args.as_of), args.engine or ("pitr" if args.incremental else "scan")
    if (as_of or args.incremental) and engine != "pitr":
        given = "--as-of" if as_of else "--incremental"
        raise BadInputError(
            "exporting", f"{given} is given, and a scan can only read the table as it is now", "add --engine pitr"
        )
    if args.incremental:
        return _changes(args, context, as_of)
    report = export_table(
        clients=context.clients, clock=context.clock, progress=context.progress, table=args.table, to=args.to, segments=args.segments,
        read_budget=args.max_rcu if args.read_budget is None else args.read_budget, workers=args.workers, resume=args.resume,
        engine=engine, as_of=as_of,
        encryption=args.encryption, owner=args.bucket_owner, actor=context.actor, run=context.run,
    )  # fmt: skip
    return proved([report], args, context)


def _changes(args: argparse.Namespace, context: Context, as_of: datetime | None) -> Outcome:
    """Increments up to now, or to a time."""
    what, clients, clock = f"exporting the table {args.table}", context.clients, context.clock
    for name in ("segments", "max_rcu", "read_budget"):
        if getattr(args, name) is not None:
            option = f"--{name.replace('_', '-')}"
            raise BadInputError(
                what, f"{option} is given, and --incremental reads nothing from the table", "leave it out"
            )
    ready = get_ready(
        clients, clock, ExportOptions(args.table, args.to, None, None, args.encryption, args.bucket_owner)
    )
    made = export_changes(
        ready, clients=clients, clock=clock, progress=context.progress, as_of=as_of, resume=args.resume, actor=context.actor,
        run_id=context.run, run=context.run,
    )  # fmt: skip
    if made:
        return proved(made, args, context)
    newest = replace(report_of(current_chain(ready).newest), reused=True)
    return proved([newest], args, context)


def proved(reports: Sequence[ExportReport], args: argparse.Namespace, context: Context) -> Outcome:
    """The sets that were made, oldest first, verified unless the person does not want that; the document is the last one's."""
    document = reports[-1].as_dict() | {"backups": [one.backup for one in reports]}
    if args.no_verify:
        return Outcome(UNVERIFIED, document)
    proofs = [
        verify_backup(
            clients=context.clients, clock=context.clock, progress=context.progress, backup=one.backup, level="full",
            actor=context.actor, run=context.run, owner=args.bucket_owner,
        )
        for one in reports
    ]  # fmt: skip
    document |= {
        "verified": all(one.ok for one in proofs),
        "problems": [problem for one in proofs for problem in one.problems],
        "verify_seconds": round(sum(one.seconds for one in proofs), 3),
    }
    return Outcome(DONE if document["verified"] else FAILED, document)


def tell(outcome: Outcome) -> None:
    document = outcome.document
    stored = f"{size_text(document['bytes'])} ({size_text(document['raw_bytes'])} raw)"
    begun = "resumed, " if document["resumed"] else ""
    rate = document["items"] / document["seconds"] if document["seconds"] else 0
    print_pairs(
        [
            *(("before it", uri) for uri in document["backups"][:-1]),
            ("backup", document["backup"] + (" (nothing is missing since)" if document["reused"] else "")),
            (
                "changes" if document["kind"] == "incremental" else "items",
                f"{document['items']:,} in {document['parts']} parts, {stored}",
            ),
            ("content hash", document["content_hash"]),
            ("consistent", _consistent(document)),
            (
                "took",
                f"{begun}{document['seconds']:.1f} s ({rate:,.0f} items/s)"
                + (f", {document['consumed_rcu']:,} read capacity units" if document["consumed_rcu"] else ""),
            ),
            *(
                [
                    (
                        "boundary",
                        f"{document['boundary']:,} keys were other than their old image says (overlap, or a cut's minute)",
                    )
                ]
                if document["boundary"] is not None
                else []
            ),
            (
                "verified",
                "yes: every item was read back"
                if document["verified"]
                else "NO" + "".join(f"\n  {one}" for one in document.get("problems", [])),
            ),
        ]
    )


def _consistent(document: dict[str, Any]) -> str:
    since, to = document["consistent_from"], document["consistent_to"]
    return f"all of one moment, {to}" if since == to else f"{since} to {to} (no single moment)"
