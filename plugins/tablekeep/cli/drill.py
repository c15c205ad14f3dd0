"""`tablekeep drill orders`: a pipeline by name; or a table, with `--backups s3://bucket/prefix`"""

import argparse
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

from tablekeep.cli.command import DONE, FAILED, Context, Outcome
from tablekeep.cli.connections import add_connection_option, pipeline_clients
from tablekeep.cli.differing import Seen, add_show_options, difference_lines
from tablekeep.cli.output import print_pairs
from tablekeep.cli.restore import add_kept_options
from tablekeep.cli.times import duration
from tablekeep.engine.config.kinds.dynamodb import DynamoDBPipeline
from tablekeep.engine.config.load import find_folder, find_pipeline, load_folder
from tablekeep.engine.config.model import Drill
from tablekeep.engine.drills.checks import Check
from tablekeep.engine.drills.choice import CHOICES
from tablekeep.engine.drills.drill import run_drill
from tablekeep.engine.drills.page import seconds_text
from tablekeep.engine.drills.report import Objectives, rto_text
from tablekeep.engine.drills.request import DrillRequest
from tablekeep.engine.drills.table_page import HOW
from tablekeep.engine.errors import BadInputError
from tablekeep.engine.restore.request import PATHS

HELP = "rehearse a restore: a backup to a scratch table, proof, RTO and RPO, teardown, report"


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
    parser.add_argument(
        "--max-rcu",
        type=float,
        metavar="N",
        help="read capacity units a second, for the comparison (default: the pipeline's, else no limit)",
    )
    parser.add_argument(
        "--choose", choices=CHOICES, help="which of the full backups (default: the pipeline's, else latest)"
    )
    parser.add_argument(
        "--within", metavar="TIME", help="random and oldest: among backups no older than this, for example 30d"
    )
    parser.add_argument(
        "--percent",
        type=float,
        metavar="N",
        help="only so much of the backup, in whole parts at random; where AWS restores the table, their items are asked for by key",
    )
    parser.add_argument(
        "--path", choices=PATHS, help="how the scratch table gets its items (default: the pipeline's, else auto)"
    )
    add_kept_options(parser)
    parser.add_argument(
        "--restore-job",
        metavar="ID",
        help="validate the table that a restore job of AWS Backup made, and tell AWS Backup; makes and removes nothing",
    )
    parser.add_argument(
        "--restore-testing-plan",
        metavar="ARN",
        help="the same for the newest job of this plan that has no result yet (default: the pipeline's)",
    )
    parser.add_argument(
        "--max-duration", metavar="TIME", help="a validation that takes longer is told as TIMED_OUT, for example 2h"
    )
    add_show_options(parser)
    add_connection_option(parser)


def run(args: argparse.Namespace, context: Context) -> Outcome:
    seen = Seen(args)
    rto, rpo, within = (duration(getattr(args, name), f"--{name}", "2h") for name in ("rto", "rpo", "within"))
    most = duration(args.max_duration, "--max-duration", "2h")
    if args.percent is not None and not 0 < args.percent <= 100:
        raise BadInputError("reading --percent", f"{args.percent} is no share", "give more than 0 and at most 100")
    if args.max_rcu is not None and not (args.max_rcu > 0 and math.isfinite(args.max_rcu)):
        raise BadInputError("reading --max-rcu", f"{args.max_rcu} is no budget", "give more than 0, for example 100")
    if args.backups:
        request, source, target = DrillRequest(args.backups, args.name), context.clients, context.clients
    else:
        folder = Path(args.pipelines) if args.pipelines else find_folder()
        pipeline = find_pipeline(load_folder(folder, only=args.name), args.name, DynamoDBPipeline)
        request, drill = drill_request(pipeline), pipeline.drill or Drill()
        source = pipeline_clients(context, args, pipeline.aws_conn_id, pipeline.region)
        target = pipeline_clients(
            context, args, drill.aws_conn_id or pipeline.aws_conn_id, drill.region or pipeline.region
        )
    given = {
        "choose": args.choose, "within": within, "percent": args.percent, "path": args.path,
        "backup_arn": args.backup_arn, "backup_role": args.backup_role, "restore_job": args.restore_job,
        "testing_plan": args.restore_testing_plan, "max_seconds": most.total_seconds() if most else None,
        "max_wcu": args.max_wcu, "max_rcu": args.max_rcu, "objectives": Objectives(
            rto.total_seconds() if rto else request.objectives.rto_seconds, rpo.total_seconds() if rpo else request.objectives.rpo_seconds
        ),
    }  # fmt: skip
    report = run_drill(
        replace(request, **{name: value for name, value in given.items() if value is not None}),
        clients=target, backup_clients=source, clock=context.clock, progress=context.progress, actor=context.actor, run=context.run,
        see=seen.see,
    )  # fmt: skip
    return Outcome(DONE if report.passed else FAILED, seen.over(report.as_dict()))


def drill_request(pipeline: DynamoDBPipeline) -> DrillRequest:
    """What a pipeline's drill is."""
    drill = pipeline.drill or Drill()
    rto, rpo = drill.objectives.rto, drill.objectives.rpo
    most = drill.validate_within
    return DrillRequest(
        pipeline.backup.to,
        pipeline.table,
        choose=drill.choose,
        within=drill.within,
        percent=drill.percent,
        path=drill.path,
        objectives=Objectives(rto.total_seconds() if rto else None, rpo.total_seconds() if rpo else None),
        max_wcu=drill.max_wcu,
        max_rcu=drill.max_rcu,
        max_usd=pipeline.limits.max_usd if pipeline.limits else None,
        checks=tuple(Check(one.name, one.sql, one.python) for one in drill.checks),
        backup_role=drill.backup_role,
        testing_plan=drill.restore_testing_plan,
        max_seconds=most.total_seconds() if most else None,
    )


def _teardown(document: dict[str, Any]) -> str:
    if document["restore_job"]:
        return f"none: {document['scratch_table']} is AWS Backup's, which removes it by itself"
    return "nothing is left" if document["torn_down"] else f"{document['scratch_table']} MAY BE LEFT"


def tell(outcome: Outcome) -> None:
    document = outcome.document
    phases = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in document["phases"].items())
    lines: list[tuple[str, object]] = [
        ("drill", "PASSED" if document["passed"] else "FAILED"),
        *(("problem", one) for one in document["problems"]),
        ("backup", document["backup"]),
        ("", f"of {document['as_of'][:19]}Z, {document['chosen']}; {document['scope']}"),
        (
            "proved",
            f"yes: {document['items']:,} items, {HOW[document['compared']]}, content hash {document['content_hash']}"
            if document["proved"]
            else "NO",
        ),
        ("RTO", f"{rto_text(document['rto_seconds'])} ({phases})"),
        *(
            [("predicted", f"{rto_text(document['predicted_seconds'])} for today's {document['today_items']:,} items")]
            if document["selection"]
            else []
        ),
        ("RPO", f"{seconds_text(document['rpo_seconds'])} at the drill's start"),
        ("teardown", _teardown(document)),
        ("page", document["page"]),
    ]
    lines += [("check", f"{one['name']}: {'passed' if one['passed'] else 'FAILED'}") for one in document["checks"]]
    if document["posted"]:
        lines.append(("AWS Backup", f"was told {document['posted']['status']}: {document['posted']['message']}"))
    elif document["restore_job"]:
        lines.append(("AWS Backup", "was told nothing: see above, or no restore-testing plan made this restore"))
    lines += [("left alone", f"{one['table']}: {one['why']}") for one in document["left_alone"]]
    lines += [("swept", f"{one['table']}, left by {one['run']}") for one in document["swept"]]
    print_pairs([*lines, *difference_lines(document["differing"])])
