"""`tablekeep undo s3://bucket/prefix --table NAME --from TIME --to TIME`"""

import argparse
from pathlib import Path

from tablekeep.cli.command import DONE, Context, Outcome
from tablekeep.cli.output import print_pairs
from tablekeep.cli.times import moment
from tablekeep.engine.backups.catalog import find_shelf
from tablekeep.engine.backups.s3 import S3Store
from tablekeep.engine.names import check_table_name, parse_s3
from tablekeep.engine.restore.undo import undo_window

HELP = (
    "take back what was written in a window, where increments tell the old images; shows the figures unless --confirm"
)


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("root", metavar="S3-URI", help="the root of the backups, s3://bucket/prefix")
    parser.add_argument("--table", required=True, help="whose backups, and the table that is mended")
    parser.add_argument("--from", required=True, dest="since", metavar="TIME", help="2026-11-23T02:00:00Z")
    parser.add_argument("--to", required=True, metavar="TIME", help="2026-11-23T02:30:00Z")
    parser.add_argument(
        "--in-table", metavar="NAME", help="mend this table instead, one restored from a backup, for example"
    )
    parser.add_argument("--key", action="append", metavar="JSON", help="only this item; may be repeated")
    parser.add_argument("--key-prefix", metavar="NAME=BEGINNING", help="only items whose key attribute begins so")
    parser.add_argument(
        "--to-file", metavar="FILE", help="write the items as they were to a file of DynamoDB JSON instead"
    )
    parser.add_argument("--confirm", action="store_true", help="write; without it nothing is changed")


def run(args: argparse.Namespace, context: Context) -> Outcome:
    check_table_name(args.table)
    since, to = moment(args.since), moment(args.to)
    assert since  # argparse requires both
    assert to
    bucket, root = parse_s3(args.root)
    shelf = find_shelf(S3Store(context.clients, bucket), bucket, root, args.table, "undoing in the table")
    report = undo_window(
        clients=context.clients, clock=context.clock, progress=context.progress, shelf=shelf, since=since, to=to,
        table=args.in_table, keys=args.key, key_prefix=args.key_prefix, file=Path(args.to_file) if args.to_file else None,
        confirm=args.confirm, actor=context.actor, run=context.run,
    )  # fmt: skip
    return Outcome(DONE, report.as_dict())


def tell(outcome: Outcome) -> None:
    document = outcome.document
    would = "" if document["confirmed"] else "would be "
    lines: list[tuple[str, object]] = [
        ("table", document["table"]),
        ("window", f"{document['since']} to {document['to']}, {len(document['increments'])} increments"),
        ("changed", f"{document['changed']:,} items were written in it"),
        (
            "put back",
            f"{document['put']:,} {would}{'written to ' + document['file'] if document['file'] else 'put back'}",
        ),
        (
            "left alone",
            f"{document['same']:,} are as before, {document['written_since']:,} written since, {document['new']:,} new",
        ),
    ]
    lines += [("left", f"key {one['key']}: {one['why']}") for one in document["keys"]]
    if not document["confirmed"]:
        lines.append(("", "Nothing was changed. --confirm writes, --to-file only writes a file."))
    print_pairs(lines)
