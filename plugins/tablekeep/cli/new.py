"""`tablekeep new`, `tablekeep new TEMPLATE --table orders --to s3://bucket/prefix`"""

import argparse
from pathlib import Path

from tablekeep.cli.command import DONE, Context, Outcome
from tablekeep.cli.output import print_pairs, print_table
from tablekeep.engine.config.load import find_folder, slug
from tablekeep.engine.config.templates import TEMPLATES, TableFacts, find_template, write_pipeline
from tablekeep.engine.dynamodb.settings import read_settings
from tablekeep.engine.errors import BadInputError

HELP = "list the predefined pipelines, or write one for a live table"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("template", metavar="TEMPLATE", nargs="?", help="without it the templates are listed")
    parser.add_argument("--table", help="the live table, from which name, Region and budget are taken")
    parser.add_argument("--to", metavar="S3-URI", help="the root of the backups, s3://bucket/prefix")
    parser.add_argument("--conn-id", metavar="ID", help="the Airflow connection of the PostgreSQL database")
    parser.add_argument("--workgroup", help="Redshift Serverless: the workgroup")
    parser.add_argument("--database", help="Redshift Serverless: the database")
    parser.add_argument("--iam-role", metavar="ARN", help="the role with which Redshift reads from S3")
    parser.add_argument(
        "--out", metavar="FILE", help="the file to write (default: <name>.yaml in the folder of pipelines)"
    )


def run(args: argparse.Namespace, context: Context) -> Outcome:
    if args.template is None:
        listed = [{"name": one.name, "summary": one.summary, "needs": dict(one.needs)} for one in TEMPLATES]
        return Outcome(DONE, {"templates": listed})
    template = find_template(args.template)
    if not args.table:
        raise BadInputError(
            f"writing a pipeline from {template.name}", "--table is missing", "for example --table orders"
        )
    file = Path(args.out) if args.out else find_folder() / f"{slug(args.table)}.yaml"
    if file.exists():
        raise BadInputError(f"writing {file}", "the file exists, and is never overwritten", "give --out, or remove it")
    if not file.parent.is_dir():
        raise BadInputError(f"writing {file}", f"there is no folder {file.parent}", "make it, or give --out")
    settings = read_settings(context.clients, args.table, clock=context.clock)
    given = {name: getattr(args, name) or "" for name in ("to", "conn_id", "workgroup", "database", "iam_role")}
    facts = TableFacts(
        args.table,
        settings.region,
        settings.item_count,
        settings.size_bytes,
        settings.capacity[0] if settings.capacity else None,
        settings.point_in_time_recovery,
    )
    text = write_pipeline(template, facts, given)
    with file.open("x") as sink:
        sink.write(text)
    return Outcome(DONE, {"file": str(file), "pipeline": slug(args.table), "template": template.name, "text": text})


def tell(outcome: Outcome) -> None:
    document = outcome.document
    if "templates" in document:
        rows = [
            [one["name"], one["summary"], " ".join(f"--{name.replace('_', '-')}" for name in ("table", *one["needs"]))]
            for one in document["templates"]
        ]
        print_table(["template", "makes", "needs"], rows)
        return
    print_pairs(
        [
            ("written", document["file"]),
            ("DAGs", f"backup__{document['pipeline']} and its others, when Airflow has read the file"),
        ]
    )
