"""`tablekeep plan copy BACKUP --to postgres`"""

import argparse
from pathlib import Path
from typing import get_args

import yaml

from tablekeep.cli.command import DONE, Context, Outcome
from tablekeep.engine.config.mapping_file import read_mapping
from tablekeep.engine.copies.dialects import Dialect
from tablekeep.engine.copies.document import MappingDocument
from tablekeep.engine.copies.plan import plan_copy

HELP = (
    "say which columns a copy would make and how they are mapped, as DDL and as YAML to paste; connects to no database"
)


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("backup", metavar="BACKUP", help="the manifest's URI, s3://…/manifest.json")
    parser.add_argument("--to", required=True, choices=[*get_args(Dialect), "athena"], help="the kind of database")
    parser.add_argument(
        "--into",
        metavar="TABLE",
        help="schema.table; by default public and the backup's name; in Athena the table alone",
    )
    add_mapping_option(parser)
    parser.add_argument("--append", action="store_true", help="for the mode append, which has the column _backup_id")
    parser.add_argument(
        "--yaml", action="store_true", help="print the mapping alone, to be pasted into a pipeline or a file"
    )
    parser.add_argument("--bucket-owner", metavar="ACCOUNT", help="the account that must own the backup's bucket")


def add_mapping_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--mapping",
        metavar="FILE",
        type=Path,
        help="YAML with columns and rules; what it leaves open is derived from the backup",
    )


def mapping_of(args: argparse.Namespace) -> MappingDocument | None:
    return read_mapping(args.mapping) if args.mapping else None


def run(args: argparse.Namespace, context: Context) -> Outcome:
    plan = plan_copy(
        clients=context.clients, progress=context.progress, backup=args.backup, dialect=args.to, table=args.into,
        mapping=mapping_of(args), append=args.append, owner=args.bucket_owner,
    )  # fmt: skip
    return Outcome(DONE, plan.as_dict() | {"yaml_alone": args.yaml})


def tell(outcome: Outcome) -> None:
    document = outcome.document
    if document["dialect"] == "athena":
        print(f"-- {document['items']:,} items of {document['backup']}")
        print("-- a copy makes this table by Glue's API; nothing was changed")
        print(f"{document['ddl'][0]};")
        for note in document["notes"]:
            print(f"# note: {note}")
        return
    text = yaml.safe_dump(
        {"mapping": document["mapping"]}, sort_keys=False, allow_unicode=True, width=120, default_flow_style=None
    )
    if document["yaml_alone"]:
        print(text, end="")
        return
    print(f"-- {document['items']:,} items of {document['backup']}")
    print(f"-- into {document['table']} ({document['dialect']}); nothing was changed")
    for statement in document["ddl"]:
        print(f"{statement};")
    print(f"\n# the mapping ({document['hash'][:16]}…), for `copies[].mapping` or a file for --mapping")
    print(text, end="")
    for note in document["notes"]:
        print(f"# note: {note}")
