"""`tablekeep list s3://bucket/prefix`"""

import argparse
import sys
from typing import Any

from tablekeep.cli.catalogue import AWS, OURS, kept_by_aws, objectives_of_aws, rows
from tablekeep.cli.command import DONE, FAILED, Context, Outcome
from tablekeep.cli.output import print_table, size_text
from tablekeep.cli.times import age_text, duration
from tablekeep.engine.backups.catalog import judged, list_backups, verifications
from tablekeep.engine.backups.location import Shelf
from tablekeep.engine.backups.manifest import Manifest
from tablekeep.engine.backups.s3 import S3Store
from tablekeep.engine.clock import parse_utc, utc_text
from tablekeep.engine.names import parse_s3

HELP = "list the backups under an S3 prefix, newest first; what has no valid manifest is no backup"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("root", metavar="S3-URI", help="the root of the backups, s3://bucket/prefix")
    parser.add_argument("--table", help="only this table's")
    parser.add_argument(
        "--rpo", metavar="TIME", help="exit with 1 when a table's newest verified backup is older, for example 26h"
    )
    parser.add_argument(
        "--service",
        action="store_true",
        help="also what AWS keeps of these tables, in one list: recovery window, on-demand backups, AWS Backup's recovery points, exports;"
        " with --rpo the newest state that AWS could restore by itself is judged, too",
    )


def run(args: argparse.Namespace, context: Context) -> Outcome:
    bucket, root = parse_s3(args.root)
    store = S3Store(context.clients, bucket)
    store.check()
    allowed = duration(args.rpo, "--rpo", "26h")
    limit = allowed.total_seconds() if allowed else None
    found = list_backups(store, bucket, root, name=args.table)
    proofs: dict[Shelf, dict[str, dict[str, object]]] = {}
    backups = []
    for manifest in found.backups:
        shelf = manifest.location.shelf
        record = proofs.setdefault(shelf, verifications(store, shelf)).get(manifest.backup_id)
        result = record["result"] if record else None
        age = (context.clock.now() - manifest.consistent[0]).total_seconds()
        backups.append(
            {
                "backup": manifest.uri,
                "table": manifest.table["name"],
                "as_of": utc_text(manifest.as_of),
                "age_seconds": round(age),
                "within": age <= limit if limit is not None else None,
                "engine": manifest.engine,
                "kind": "incremental" if manifest.window else "full",
                "items": manifest.items,
                "bytes": manifest.stored_bytes,
                "content_hash": str(manifest.content),
                "verified": {
                    "at": record["at"],
                    "level": result["level"],
                    "ok": result["ok"],
                    "age_seconds": round((context.clock.now() - parse_utc(str(record["at"]))).total_seconds()),
                }
                if record and isinstance(result, dict)
                else None,
            }
        )
    objectives = _objectives(found.backups, store, limit, context)
    if args.table and args.rpo and not objectives:
        objectives = [
            {"table": args.table, "of": OURS, "newest_verified": None, "age_seconds": None, "missed": limit is not None}
        ]
    service: list[dict[str, Any]] = []
    if args.service:
        shelves = list(dict.fromkeys(one.location.shelf for one in found.backups))
        if not shelves and args.table:
            clients = context.clients
            shelves = [Shelf(bucket, root, clients.account(), clients.region, "dynamodb", args.table)]
        service = kept_by_aws(context, shelves, limit)
        tables = [one.name for one in shelves if one.service == "dynamodb"]
        objectives += objectives_of_aws(service, tables, limit)
    damaged = [{"backup": one.uri, "why": one.why} for one in found.damaged]
    missed = any(one["missed"] for one in objectives)
    document = {"backups": backups, "damaged": damaged, "objectives": objectives}
    if args.service:
        document["service"] = service
    return Outcome(FAILED if damaged or missed else DONE, document)


def _objectives(backups: list[Manifest], store: S3Store, limit: float | None, context: Context) -> list[dict[str, Any]]:
    """For each table the age of its newest verified backup, increments included, and whether it is over the objective."""
    whole: dict[Shelf, set[str]] = {}
    found: dict[Shelf, dict[str, Any]] = {}
    for manifest in backups:
        shelf = manifest.location.shelf
        entry = found.setdefault(
            shelf,
            {
                "table": shelf.name,
                "of": OURS,
                "newest_verified": None,
                "age_seconds": None,
                "missed": limit is not None,
            },
        )
        if shelf not in whole:
            whole[shelf] = judged(store, shelf)[0]
        if entry["newest_verified"] is None and manifest.backup_id in whole[shelf]:
            age = (context.clock.now() - manifest.consistent[0]).total_seconds()
            entry |= {
                "newest_verified": manifest.uri,
                "age_seconds": round(age),
                "missed": limit is not None and age > limit,
            }
    return list(found.values())


def tell(outcome: Outcome) -> None:
    document = outcome.document
    if "service" in document:
        print_table(
            ["table", "what", "as of", "age", "verified", "name"],
            rows(document["backups"], document["service"]),
            right=(3,),
        )
    elif document["backups"]:
        _tell_sets(document["backups"])
    else:
        sys.stdout.write("No backups. Make one: tablekeep export --table NAME --to S3-URI\n")
    for one in document["objectives"]:
        if one["missed"]:
            sys.stderr.write(f"RPO MISSED {one['table']}: {_missed(one)}\n")
    for one in document["damaged"]:
        sys.stderr.write(f"DAMAGED {one['backup']}: {one['why']}\n")


def _tell_sets(backups: list[dict[str, Any]]) -> None:
    lines = []
    for one in backups:
        proof = one["verified"]
        state = (
            "never"
            if not proof
            else f"{proof['level'] if proof['ok'] else 'FAILED'}, {age_text(proof['age_seconds'])} ago"
        )
        lines.append(
            [
                one["table"],
                one["as_of"][:19] + "Z",
                one["kind"],
                f"{one['items']:,}",
                size_text(one["bytes"]),
                state,
                one["backup"],
            ]
        )
    print_table(["table", "as of", "kind", "items", "size", "verified", "backup"], lines, right=(3, 4))


def _missed(one: dict[str, Any]) -> str:
    if one["of"] == AWS:
        if one["age_seconds"] is None:
            return "AWS keeps nothing that it could restore by itself, or does not tell"
        return f"the newest that AWS could restore by itself ({one['newest']}) is {one['age_seconds'] / 3600:,.1f} hours old"
    if one["age_seconds"] is None:
        return "none is verified"
    return f"the newest verified backup is {one['age_seconds'] / 3600:,.1f} hours old"
