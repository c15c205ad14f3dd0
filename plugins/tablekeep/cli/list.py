"""`tablekeep list s3://bucket/prefix`"""

import argparse
import sys

from tablekeep.cli.command import DONE, FAILED, Context, Outcome
from tablekeep.cli.output import print_table, size_text
from tablekeep.engine.backups.catalog import list_backups, verifications
from tablekeep.engine.backups.location import Shelf
from tablekeep.engine.backups.s3 import S3Store
from tablekeep.engine.clock import utc_text
from tablekeep.engine.names import parse_s3

HELP = "list the backups under an S3 prefix, newest first; what has no valid manifest is no backup"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("root", metavar="S3-URI", help="the root of the backups, s3://bucket/prefix")
    parser.add_argument("--table", help="only this table's")


def run(args: argparse.Namespace, context: Context) -> Outcome:
    bucket, root = parse_s3(args.root)
    store = S3Store(context.clients, bucket)
    store.check()
    found = list_backups(store, bucket, root, name=args.table)
    proofs: dict[Shelf, dict[str, dict[str, object]]] = {}
    backups = []
    for manifest in found.backups:
        shelf = manifest.location.shelf
        record = proofs.setdefault(shelf, verifications(store, shelf)).get(manifest.backup_id)
        result = record["result"] if record else None
        backups.append(
            {
                "backup": manifest.uri,
                "table": manifest.table["name"],
                "as_of": utc_text(manifest.as_of),
                "engine": manifest.engine,
                "kind": "incremental" if manifest.window else "full",
                "items": manifest.items,
                "bytes": manifest.stored_bytes,
                "content_hash": str(manifest.content),
                "verified": {"at": record["at"], "level": result["level"], "ok": result["ok"]}
                if record and isinstance(result, dict)
                else None,
            }
        )
    damaged = [{"backup": one.uri, "why": one.why} for one in found.damaged]
    return Outcome(FAILED if damaged else DONE, {"backups": backups, "damaged": damaged})


def tell(outcome: Outcome) -> None:
    rows = []
    for one in outcome.document["backups"]:
        proof = one["verified"]
        state = (
            "never"
            if not proof
            else (f"{proof['level']} {proof['at'][:16]}" if proof["ok"] else f"FAILED {proof['at'][:16]}")
        )
        rows.append(
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
    if rows:
        print_table(["table", "as of", "kind", "items", "size", "verified", "backup"], rows, right=(3, 4))
    else:
        sys.stdout.write("No backups. Make one: tablekeep export --table NAME --to S3-URI\n")
    for one in outcome.document["damaged"]:
        sys.stderr.write(f"DAMAGED {one['backup']}: {one['why']}\n")
