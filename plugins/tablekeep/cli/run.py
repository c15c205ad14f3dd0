"""`tablekeep run PIPELINE`: a pipeline of steps (sql, script, aws-call, emr-step) without Airflow; or one step of any, by --step"""

import argparse

from tablekeep.cli import steps
from tablekeep.cli.command import DONE, Context, Outcome
from tablekeep.cli.connections import pipeline_clients
from tablekeep.cli.output import print_pairs, print_table
from tablekeep.engine.steps.require import Requirement, filled, wait_for

HELP = "run a pipeline that is SQL, a script, a call of AWS or a step of EMR, with the steps around it; or one step of another"
POLL_SECONDS = 15.0


def arguments(parser: argparse.ArgumentParser) -> None:
    steps.arguments(parser)
    parser.add_argument("--no-wait", action="store_true", help="do not wait for what the pipeline requires")


def run(args: argparse.Namespace, context: Context) -> Outcome:
    pipeline, found = steps.wanted(args)
    for work in found:  # what cannot be done is said before the first is done
        steps.do_plan(work, args, context)
    if pipeline.require and not args.step and not args.no_wait:
        wanted = [Requirement(*one) for one in pipeline.require.requirements]  # type: ignore[arg-type]
        wait_for(
            filled(wanted, steps.facts_of(found[0], args, context)),
            pipeline_clients(context, args, pipeline.aws_conn_id, pipeline.region),
            within_seconds=pipeline.require.within.total_seconds(), poll_seconds=POLL_SECONDS, clock=context.clock,
            progress=context.progress,
        )  # fmt: skip
    done = [steps.do_run(work, args, context) for work in found]
    return Outcome(DONE, {"pipeline": pipeline.name, "kind": pipeline.kind, "run": context.run, "steps": done})


def tell(outcome: Outcome) -> None:
    document = outcome.document
    for one in document["steps"]:
        lines: list[tuple[str, object]] = [(one["address"], f"done in {one['seconds']:.1f} s")]
        if one["kind"] == "sql":
            lines.append(("database", one["database"]))
        elif one["kind"] == "script":
            lines.append(("script", f"{one['script']}, {one['lines']:,} lines of output"))
        elif one["kind"] == "aws-call":
            lines.append(("call", f"{one['call']} in {one['region']}, request {one['request_id'] or 'not known'}"))
        else:
            lines.append(("cluster", f"{one['cluster']}{', which was told to end' if one['made'] else ''}"))
        print_pairs(lines)
        if one["kind"] == "sql":
            rows = [
                [str(each["line"]), each["does"], "" if each["rows"] is None else f"{each['rows']:,}"]
                for each in one["statements"]
            ]
            print_table(["line", one["source"], "rows"], rows, right=(0, 2))
        if one["kind"] == "aws-call" and one["answered"]:
            print_table(["answered", ""], [[name, str(value)] for name, value in one["answered"].items()])
