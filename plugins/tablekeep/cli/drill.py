"""`tablekeep drill orders`: a pipeline by name; or a table, with `--backups s3://bucket/prefix`"""

import argparse
from pathlib import Path

from tablekeep.cli.command import DONE, FAILED, Context, Outcome
from tablekeep.cli.connections import add_connection_option, pipeline_clients
from tablekeep.cli.output import print_pairs
from tablekeep.engine.config.load import find_folder, find_pipeline, load_folder
from tablekeep.engine.config.model import Drill
from tablekeep.engine.config.values import parse_duration
from tablekeep.engine.drills.drill import Objectives, run_drill
from tablekeep.engine.errors import BadInputError

HELP = "rehearse a restore: newest backup to a scratch table, proof, RTO and RPO, teardown"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="PIPELINE", help="the pipeline's name; with --backups a table's")
    parser.add_argument("--backups", metavar="S3-URI", help="the root of the backups: drill a table without a pipeline")
    parser.add_argument(
        "--pipelines",
        metavar="DIR",
        help="the folder of pipeline files (default: $TABLEKEEP_PIPELINES, include/pipelines)",
    )
    parser.add_argument(
        "--rto", metavar="TIME", help="objective for the restore's duration, for example 2h (default: the pipeline's)"
    )
    parser.add_argument(
        "--rpo", metavar="TIME", help="objective for the backup's age, for example 26h (default: the pipeline's)"
    )
    parser.add_argument(
        "--max-wcu",
        type=float,
        metavar="N",
        help="write capacity units a second (default: the pipeline's, else no limit)",
    )
    add_connection_option(parser)


def _seconds(text: str | None, option: str) -> float | None:
    if text is None:
        return None
    try:
        return parse_duration(text).total_seconds()
    except ValueError as error:
        raise BadInputError(f"reading {option} {text!r}", str(error), f"for example {option} 2h") from None


def run(args: argparse.Namespace, context: Context) -> Outcome:
    rto, rpo = _seconds(args.rto, "--rto"), _seconds(args.rpo, "--rpo")
    table, backups, wcu = args.name, args.backups, args.max_wcu
    if backups:
        source = target = context.clients
    else:
        folder = Path(args.pipelines) if args.pipelines else find_folder()
        pipeline = find_pipeline(load_folder(folder, only=args.name), args.name)
        drill = pipeline.drill or Drill()
        table, backups, wcu = pipeline.table, pipeline.backup.to, wcu or drill.max_wcu
        source = pipeline_clients(context, args, pipeline.aws_conn_id, pipeline.region)
        target = pipeline_clients(
            context, args, drill.aws_conn_id or pipeline.aws_conn_id, drill.region or pipeline.region
        )
        promised = drill.objectives
        rto = rto or (promised.rto.total_seconds() if promised.rto else None)
        rpo = rpo or (promised.rpo.total_seconds() if promised.rpo else None)
    report = run_drill(
        clients=target, backup_clients=source, clock=context.clock, progress=context.progress, backups=backups, table=table,
        objectives=Objectives(rto, rpo), max_wcu=wcu, actor=context.actor, run=context.run,
    )  # fmt: skip
    return Outcome(DONE if report.passed else FAILED, report.as_dict())


def tell(outcome: Outcome) -> None:
    document = outcome.document
    phases = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in document["phases"].items())
    lines: list[tuple[str, object]] = [
        ("drill", "PASSED" if document["passed"] else "FAILED"),
        ("backup", document["backup"]),
        (
            "proved",
            f"yes: {document['items']:,} items, content hash {document['content_hash']}"
            if document["proved"]
            else "NO",
        ),
        ("RTO", f"{document['rto_seconds']:.1f} s ({phases})"),
        ("RPO", f"{document['rpo_seconds']:.0f} s at the drill's start"),
        ("teardown", "nothing is left" if document["torn_down"] else f"{document['scratch_table']} MAY BE LEFT"),
    ]
    print_pairs(lines + [("problem", one) for one in document["problems"]])
