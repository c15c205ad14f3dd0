"""`tablekeep plan run PIPELINE`: what a pipeline's steps would do"""

import argparse

from tablekeep.cli import steps
from tablekeep.cli.command import DONE, Context, Outcome
from tablekeep.cli.output import print_pairs, print_table
from tablekeep.engine.steps.require import Requirement, filled

HELP = "say what the steps of a pipeline would do, when they can be done; asks no database and no service"


def arguments(parser: argparse.ArgumentParser) -> None:
    steps.arguments(parser)


def run(args: argparse.Namespace, context: Context) -> Outcome:
    pipeline, found = steps.wanted(args)
    required: list[str] = []
    if pipeline.require:
        wanted = [Requirement(*one) for one in pipeline.require.requirements]  # type: ignore[arg-type]
        required = [str(one) for one in filled(wanted, steps.facts_of(found[0], args, context))]
    planned = [steps.do_plan(work, args, context) for work in found]
    return Outcome(DONE, {"pipeline": pipeline.name, "requires": required, "steps": planned})


def tell(outcome: Outcome) -> None:
    document = outcome.document
    for one in document["requires"]:
        print_pairs([("waits for", one)])
    for one in document["steps"]:
        print_pairs([(one["step"], one["kind"])])
        if one["kind"] == "sql":
            rows = [[str(each["line"]), each["does"], ", ".join(each["parameters"])] for each in one["statements"]]
            print_table(["line", f"{one['source']} ({one['dialect']})", "parameters"], rows, right=(0,))
        elif one["kind"] == "script":
            print_pairs([("command", " ".join(one["command"])), ("sees", ", ".join(one["environment"]))])
        elif one["kind"] == "aws-call":
            print_pairs([("call", one["call"]), ("parameters", ", ".join(one["parameters"]) or "none")])
        else:
            print_pairs([("cluster", "a new one, ended with the step" if one["job_flow"] else "one that is there")])
            print_pairs([("step", " ".join(one["steps"][0]["HadoopJarStep"]["Args"]))])
